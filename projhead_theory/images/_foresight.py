"""The theory's preference between both sides of a head, from the layer below it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..inspect import inspect
from ..moments import Moments
from ..theory.downstream import representation_complexity
from ..theory.layers import spectral
from ._network import FixedProjection, ImageNetwork, NoProjection

LEAST_VARIANCE = 1e-8
"""Least variance of a direction of a representation, over the largest, that counts."""

MODES = 8
"""Signal fractions that are recorded of each layer."""


class Foresight(eqx.Module):
    r"""Indicator of both sides of a head, seen from below and measured.

    - `signal` `(2, m)`: largest signal fractions of the positive pairs before and after the head,
      by `pt.inspect`; NaN beyond a layer's own number.
    - `indicator` `(2,)`: ridge indicator of the labels on both sides, by `pt.inspect`, each from
      its own moments.
    - `predicted`: indicator after the head over that before it, from the layer below the head
      alone.
    """

    signal: Float[np.ndarray, "2 m"]
    indicator: Float[np.ndarray, " 2"]
    predicted: float = eqx.field(static=True)


def head_matrix(
    network: ImageNetwork, first: Any, second: Any
) -> tuple[Float[np.ndarray, "q p"], Float[np.ndarray, " p"]]:
    r"""The matrix that the theory gives the head, and the mean of the layer below it.

    A fixed head has its own diagonal. A trained head is taken as a linear one at the minimum of
    the spectral loss on the pairs, $W = T_q^{1/2} S^{-1/2}$, of rank at most the head's size. It is
    one of them if the rank cuts through tied signal fractions.

    **Arguments:**

    - `network`: the network under the head.
    - `first`, `second`: both views' representations below the head, `(n, p)`.
    """
    x1, x2 = np.asarray(first, float), np.asarray(second, float)
    mean = (x1.mean(axis=0) + x2.mean(axis=0)) / 2
    if isinstance(network.head, FixedProjection):
        return np.diag(np.asarray(network.head.diagonal, float)), mean
    if isinstance(network.head, NoProjection):
        return np.eye(len(mean)), mean
    x1, x2 = x1 - mean, x2 - mean
    values, vectors = np.linalg.eigh((x1.T @ x1 + x2.T @ x2) / (2 * len(x1)))
    basis = vectors[:, values > LEAST_VARIANCE * values[-1]]
    with jax.enable_x64(True):
        moments = Moments.from_views(jnp.asarray(x1 @ basis), jnp.asarray(x2 @ basis))
        width = min(network.head.size, basis.shape[1])
        minimum = spectral(moments, width, throw=False)
        fractions = np.asarray(minimum.signal_fraction)[:width]
        kept = fractions > np.asarray(minimum.fraction_rounding)[:width]
        modes = np.asarray(minimum.modes)[:, :width][:, kept]
    return (np.sqrt(fractions[kept]) * modes).T @ basis.T, mean


def complexity(rows: Float[np.ndarray, "n p"], labels: Any, classes: int, samples: int) -> float:
    """Ridge indicator of representations, the mean over classes, each against the rest.

    It is the number of samples where no direction is left.
    """
    if rows.shape[1] == 0:
        return float(samples)
    targets = (np.asarray(labels)[:, None] == np.arange(classes)).astype(float)
    targets = targets[:, targets.std(axis=0) > 0]
    targets = (targets - targets.mean(axis=0)) / targets.std(axis=0)
    x = rows - rows.mean(axis=0)
    with jax.enable_x64(True):
        values = representation_complexity(
            jnp.asarray(x.T @ x / len(x)), jnp.asarray(x.T @ targets / len(x)), float(samples)
        )
        return float(np.asarray(values).mean())


def foresee(
    network: ImageNetwork,
    pre: tuple[Any, Any],
    post: tuple[Any, Any],
    labels: Any,
    readout: Any,
    readout_labels: Any,
    classes: int,
) -> Foresight:
    """The theory's view of a trained network.

    **Arguments:**

    - `network`: the network.
    - `pre`, `post`: both views of training pairs, before and after the head.
    - `labels`: labels of these pairs, as the readout is asked for them.
    - `readout`, `readout_labels`: representations before the head that the readout is trained on,
      with their labels; the indicator takes their number.
    - `classes`: the number of classes.
    """
    samples = len(readout)
    below = np.asarray(readout, float)
    head, mean = head_matrix(network, *pre)
    predicted = complexity((below - mean) @ head.T, readout_labels, classes, samples)
    predicted /= complexity(below, readout_labels, classes, samples)
    # One class less: the columns of all classes add up to one.
    known = (np.asarray(labels)[:, None] == np.arange(1, classes)).astype(float)
    pairs = [(np.asarray(a, float), np.asarray(b, float)) for a, b in (pre, post)]
    with jax.enable_x64(True):
        report = inspect(representations=pairs, features=known, shots=max(samples // 2, 1))
    signal = np.full((2, MODES), np.nan)
    modes = min(MODES, report.signal_fractions.shape[1])
    signal[:, :modes] = report.signal_fractions[:, :modes]
    return Foresight(signal, np.asarray(report.indicator, float), float(predicted))
