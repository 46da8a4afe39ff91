"""The ridge indicator of every layer, and of the layer below a fixed head."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize_scalar

from ..networks import DeepLinear
from ..theory.downstream import representation_complexity
from ._moments import Followed, Moments

LARGEST_RATIO = 1e6
"""Ratio of the last to the first row of a fixed head that is tried at most."""


def targets(layer: Moments, followed: Followed) -> np.ndarray:
    """Moments of a layer with labels of variance 1, or with features if there are no labels."""
    if layer.labels is not None:
        return layer.labels
    variance = np.einsum("gkk->gk", followed.second)
    return layer.features / np.sqrt(np.where(variance > 0, variance, 1))[:, None, :]


def indicators(layers: list[Moments], followed: Followed, samples: int) -> np.ndarray:
    """Ridge indicator for that number of labels, the mean over all labels, `(1 + G, L)`."""
    width = max(layer.second.shape[1] for layer in layers)
    pad = lambda a, *axes: np.pad(
        a, [(0, width - a.shape[i] if i in axes else 0) for i in range(a.ndim)]
    )
    second = np.stack([pad(layer.second, 1, 2) for layer in layers], axis=1)
    cross = np.stack([pad(targets(layer, followed), 1) for layer in layers], axis=1)
    return _complexity(second, cross, samples).mean(axis=-1)


def _complexity(second: np.ndarray, cross: np.ndarray, samples: int) -> np.ndarray:
    return np.asarray(
        representation_complexity(jnp.asarray(second), jnp.asarray(cross), float(samples)), float
    )


@dataclasses.dataclass(frozen=True)
class FixedHead:
    r"""The fixed head $h_i = \kappa^{-i}$ that leaves the best layer below it.

    - `kappa`: $\kappa \ge 1$; 1 is no head.
    - `indicator`: the ridge indicator of the layer below it.
    - `rows`: the number of rows, one for each direction that the last layer keeps.
    - `bounded`: true if a steeper head than tried might be better still.
    """

    kappa: float
    indicator: float
    rows: int
    bounded: bool


def fixed_head(
    last: Moments, followed: Followed, samples: int, network: DeepLinear | None
) -> FixedHead:
    r"""The best fixed head in place of the trained one, at sorted matching.

    Below the head rank $i$ of the output has $\kappa^i$ times its weight after it. Ranks are by the
    singular values of a stack of matrices, else by the variance along the output's principal
    directions.
    """
    turn = np.eye(last.second.shape[1])
    if network is not None:
        left, sizes, _ = np.linalg.svd(np.asarray(network.matrix, float), full_matrices=False)
        kept = sizes > len(left) * float(jnp.finfo(network.dtype).eps) * sizes[0]
        turn = left[:, kept].T @ last.basis if kept.any() else turn
    second = turn @ last.second[0] @ turn.T
    cross = turn @ targets(last, followed)[0]
    ranks = np.arange(len(second))
    value = lambda log: _complexity(*_below(second, cross, np.exp(log * ranks)), samples).mean()
    top = np.log(LARGEST_RATIO) / max(len(ranks) - 1, 1)
    if len(ranks) == 1:
        return FixedHead(1.0, float(value(0.0)), 1, False)
    grid = np.linspace(0, top, 33)
    values = [value(log) for log in grid]
    at = int(np.argmin(values))
    ends = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    found = minimize_scalar(value, bounds=ends, method="bounded", options={"xatol": 1e-4 * top})
    log, least = min((grid[at], values[at]), (float(found.x), float(found.fun)), key=lambda p: p[1])
    return FixedHead(float(np.exp(log)), float(least), len(ranks), at == len(grid) - 1)


def _below(
    second: np.ndarray, cross: np.ndarray, factors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Moments of the layer below a head with these inverse rows, in units of the largest."""
    factors = factors / factors[-1]
    return second * factors[:, None] * factors, cross * factors[:, None]
