r"""Scales of the start of two layers, fitted to their Grams by the start law.

With $\delta = b - a$ and $\kappa = ab$ the law is linear in both,

$$M_1^2 + \delta M_1 = M_2 + \kappa I, \qquad N^2 - \delta N = A A^\top + \kappa I,$$

where $N = W_2 W_2^\top$ and $A = W_2 W_1$. After weight decay the scales are those that are left
of the start's own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ..networks import DeepLinear
from ..theory.starts import start_law
from ._moments import Estimate, Followed, Moments, without_bias

Side = tuple[np.ndarray, np.ndarray, int]
"""Gram of a layer, Gram of the product on its side, and the sign of delta."""


class StartFit(NamedTuple):
    """The start law on two layers.

    - `scales` `(2,)`: scales $a$ of the encoder and $b$ of the head.
    - `gap` `(2,)`: relative distance of the Gram of each layer from the law's.
    - `grams`, `predicted` `(2, k, k)`: Grams of the layers, and the law's.
    """

    scales: Estimate
    gap: Estimate
    grams: np.ndarray
    predicted: np.ndarray


def fitted_start(network: DeepLinear) -> np.ndarray:
    """Scales of encoder and head for which the start law fits both layers best."""
    first, second = (np.asarray(w, float) for w in network.layers)
    product = second @ first
    encoder = first.T @ first, product.T @ product, 1
    return _least_squares(encoder, (second @ second.T, product @ product.T, -1))


def predicted_from(last: Any, scales: np.ndarray) -> np.ndarray:
    """Grams of both layers by the start law, from the last one."""
    below = start_law(jnp.asarray(last), encoder=float(scales[0]), head=float(scales[1]))
    return np.stack([below, last]).astype(float)


def of_layers(layers: list[Moments], followed: Followed) -> StartFit:
    """The start law on two layers known by their outputs, with standard errors.

    The Grams belong to the best linear predictions of the layers from the followed outputs, which
    must be orthonormal coordinates of all inputs that vary.
    """
    inverse = np.linalg.pinv(followed.second, hermitian=True)
    maps = [layer.features @ inverse for layer in layers]
    grams = np.stack([m.swapaxes(1, 2) @ m for m in maps], axis=1)
    scales = np.stack([_least_squares((below, last, 1)) for below, last in grams])
    predicted = np.stack([predicted_from(g[1], s) for g, s in zip(grams, scales, strict=True)])
    size = np.linalg.norm(predicted, axis=(2, 3))
    gap = np.linalg.norm(grams - predicted, axis=(2, 3)) / np.where(size > 0, size, 1)
    at_least_zero = lambda values: without_bias(values, 0, np.inf)
    return StartFit(at_least_zero(scales), at_least_zero(gap), grams[0], predicted[0])


def _least_squares(*sides: Side) -> np.ndarray:
    r"""Scales $(a, b)$ that fit the law on these sides, subject to $\kappa \ge 0$."""
    shifts = np.concatenate([(sign * own).ravel() for own, _, sign in sides])
    ones = np.concatenate([-np.eye(len(own)).ravel() for own, _, _ in sides])
    wanted = np.concatenate([(last - own @ own).ravel() for own, last, _ in sides])
    delta, kappa = np.linalg.lstsq(np.stack([shifts, ones], axis=1), wanted, rcond=None)[0]
    if kappa < 0:
        size = shifts @ shifts
        delta, kappa = shifts @ wanted / size if size > 0 else 0.0, 0.0
    total = np.sqrt(delta**2 + 4 * kappa)
    return np.array([total - delta, total + delta]) / 2
