"""Signal of the positive pairs, effective rank and feature weights of every layer."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from .. import measure
from ..networks import DeepLinear
from ..theory.layers import effective_rank
from ._moments import Estimate, Followed, Moments, jackknife, without_bias

SPECTRUM = 16
"""Signal fractions that are shown of each layer at most."""


def signal_share(layer: Moments) -> Estimate:
    r"""Share $\mathrm{tr}\, C / \mathrm{tr}\, S$ of the variance that both views have in common."""
    shared, whole = (np.einsum("gii->g", m) for m in (layer.cross, layer.second))
    return without_bias(shared / np.where(whole > 0, whole, 1), -1, 1)


def signal_fractions(layer: Moments, pairs: int) -> Estimate:
    r"""Largest eigenvalues of $S^{-1/2} C S^{-1/2}$.

    They are computed in at most one principal direction for eight pairs: in more, a sample
    overstates them.
    """
    size = min(layer.second.shape[1], max(1, pairs // 8), 4 * SPECTRUM)
    second, cross = (m[:, :size, :size] for m in (layer.second, layer.cross))
    values, vectors = np.linalg.eigh(second)
    kept = values > size * np.finfo(float).eps * values[:, -1:]
    scale = np.where(kept, 1 / np.sqrt(np.where(kept, values, 1)), 0)
    whitened = vectors * scale[:, None, :]
    fractions = np.linalg.eigvalsh(whitened.swapaxes(1, 2) @ cross @ whitened)[:, ::-1]
    return without_bias(fractions[:, :SPECTRUM], -1, 1)


def data_rank(layer: Moments) -> Estimate:
    r"""Effective rank of the layer's second moment, $(\mathrm{tr}\, S)^2 / \|S\|^2$."""
    squares = (layer.second**2).sum(axis=(1, 2))
    values = np.einsum("gii->g", layer.second) ** 2 / np.where(squares > 0, squares, 1)
    found = without_bias(values, 0, layer.second.shape[1])
    return Estimate(np.maximum(found.value, min(1.0, values[0])), found.error)


def gram_ranks(network: DeepLinear) -> Estimate:
    """Effective rank of the Gram of every layer; exact."""
    values = np.asarray(effective_rank(measure.layer_grams(network)), float)
    return Estimate(values, np.zeros_like(values))


def followed_weights(layers: list[Moments], followed: Followed) -> np.ndarray:
    r"""Squared weight of each followed feature in each layer, `(1 + G, L, k)`.

    The weight is the size of the coefficient of the feature in the best linear prediction of the
    layer from all features, which is $\|W_{l:1} v_i\|$ in a linear network.
    """
    inverse = np.linalg.pinv(followed.second, hermitian=True)
    return np.stack([((layer.features @ inverse) ** 2).sum(axis=1) for layer in layers], axis=1)


def stack_weights(
    network: DeepLinear,
    lowest: Moments,
    followed: Followed,
    features: np.ndarray | None,
    directions: np.ndarray | None,
) -> np.ndarray:
    r"""Squared weights $\|W_{l:1} v_i\|^2$ in a stack of matrices, `(1 + G, L, k)`.

    The directions $v_i$ are those along which the inputs move with the known features, or the known
    directions, or else the coordinates of the inputs, as in `measure.layer_weights`.
    """
    if features is None:
        along = None if directions is None else jnp.asarray(directions, network.dtype)
        exact = np.asarray(measure.layer_weights(network, along), float) ** 2
        return np.broadcast_to(exact, (len(lowest.second), *exact.shape))
    moved = stack_directions(lowest, followed, features, directions)
    products = [np.asarray(w, float) for w in network.products()]
    return np.stack([((w @ moved) ** 2).sum(axis=1) for w in products], axis=1)


def stack_directions(
    lowest: Moments,
    followed: Followed,
    features: np.ndarray | None,
    directions: np.ndarray | None,
) -> np.ndarray:
    """Directions of the inputs that a stack of matrices weighs, `(1 + G, d, k)`."""
    if features is not None:
        inverse = np.linalg.pinv(followed.second, hermitian=True)
        return lowest.basis @ (lowest.features @ inverse)
    along = np.eye(len(lowest.basis)) if directions is None else directions
    return np.broadcast_to(along, (len(lowest.second), *along.shape))


def resolved(squares: np.ndarray) -> np.ndarray:
    """Features whose weight in every layer can be told from zero, `(k,)`."""
    value, error = jackknife(squares)
    largest = squares[0].max(axis=1, keepdims=True)
    rounding = 1e3 * float(jnp.finfo(jnp.result_type(float)).eps) ** 2 * largest
    # A weight that is exact has no sampling error, but rounding has squares.
    return ((value > 2 * error) & (squares > rounding).all(axis=0) & (value > 0)).all(axis=0)


def sizes(squares: np.ndarray) -> Estimate:
    """Weights with their standard errors, from squares: never negative, never without an error."""
    value, error = jackknife(squares)
    value = np.maximum(value, 0)
    near = value <= error
    return Estimate(
        np.sqrt(value),
        np.where(near, np.sqrt(error), error / (2 * np.sqrt(np.where(near, 1, value)))),
    )


def spreads(squares: np.ndarray, kept: np.ndarray) -> Estimate:
    """Largest over least weight of the features that every layer keeps; 1 of fewer than two."""
    if kept.sum() < 2:
        ones = np.ones(squares.shape[1])
        return Estimate(ones, np.zeros_like(ones))
    logs = np.log(squares[:, :, kept]) / 2
    value, error = jackknife(logs.max(axis=2) - logs.min(axis=2))
    spread = np.exp(np.maximum(value, 0))
    return Estimate(spread, spread * error)


def exponents(squares: np.ndarray, kept: np.ndarray) -> Estimate | None:
    r"""Slope of $\ln w_l$ over $\ln w_L$ among the features kept, `(L,)`.

    The layer-wise law has $l / L$. The slope does not depend on the scale of the layers. None if
    the last layer weights all of them alike.
    """
    logs = np.log(squares[:, :, kept]) / 2 if kept.sum() > 1 else np.zeros((len(squares), 1, 1))
    logs = logs - logs.mean(axis=2, keepdims=True)
    last = logs[:, -1]
    spread = (last**2).sum(axis=1)
    value, error = jackknife(np.sqrt(spread / max(logs.shape[2], 1)))
    if not value > max(2 * float(error), 1e-6):
        return None
    return jackknife(np.einsum("glk,gk->gl", logs, last) / spread[:, None])


def log_gaps(squares: np.ndarray, kept: np.ndarray, shares: np.ndarray) -> Estimate | None:
    r"""Root mean square of $2 (\ln w_l - \frac lL \ln w_L)$ up to a scale, `(L,)`.

    For small gaps it is the relative distance of squared weights from the law.
    """
    if kept.sum() < 2:
        return None
    logs = np.log(squares[:, :, kept])
    gap = logs - shares[:, None] * logs[:, -1:]
    gap = gap - gap.mean(axis=2, keepdims=True)
    value, error = jackknife((gap**2).mean(axis=2))
    value = np.sqrt(np.maximum(value, 0))
    return Estimate(
        value, np.where(value > 0, error / (2 * np.where(value > 0, value, 1)), np.sqrt(error))
    )
