"""Problems, runs and datasets that several figures use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import checks
from .._core.errors import bad
from .._core.linalg import psd_power
from ..moments import Moments
from ..networks import DeepLinear
from ..problems import AdditiveNoise, ContrastiveProblem, Features, random_moments

if TYPE_CHECKING:
    import xarray

LONG = {"t1": 1e6, "save_at": 2}
"""Settings of a run whose end alone is drawn."""


def dataset(
    variables: Mapping[str, tuple[Any, Any]], coords: Mapping[str, Any], **attributes: Any
) -> xarray.Dataset:
    """Labelled data of NumPy arrays: values by dimensions, coordinates, and single numbers."""
    import xarray

    return xarray.Dataset(
        {name: (dims, np.asarray(values)) for name, (dims, values) in variables.items()},
        {name: np.asarray(values) for name, values in coords.items()},
        attributes,
    )


def numbered(count: int) -> np.ndarray:
    """Numbers from 1, of features or layers."""
    return np.arange(1, count + 1)


def one_each(name: str, values: Any, count: int) -> np.ndarray:
    """One number for each feature, of one for all or of as many as there are features.

    **Raises:** `ValueError` for another count.
    """
    given = np.asarray(values, float).ravel()
    if given.size not in (1, count):
        raise bad(name, f"{given.size} numbers", f"1 or {count}, one for each feature")
    return np.broadcast_to(given, (count,))


def feature_model(strength: Any, noise: Any) -> ContrastiveProblem:
    """Features of these strengths with additive noise; one scale of noise may stand for all."""
    strength = np.asarray(strength, float).ravel()
    scale = one_each("noise", noise, strength.size)
    return ContrastiveProblem(Features(strength), AdditiveNoise(scale))


def mixed_moments(dimension: int, seed: int) -> Moments:
    """Second and cross moments that do not commute, with signal fractions from 0.9 to 0.4."""
    fractions = jnp.linspace(0.9, 0.4, dimension)
    return random_moments(jax.random.key(seed), fractions, condition=5.0)


def diagonals(data: Moments) -> tuple[jax.Array, jax.Array]:
    """Cross and second moment of each feature."""
    return jnp.diagonal(data.cross), jnp.diagonal(data.second)


def balanced(seed: Any, dim: int, depth: int, scale: float) -> DeepLinear:
    """Balanced network of square layers."""
    return DeepLinear.balanced(jax.random.key(seed), (dim,) * (depth + 1), scale)


def aligned(weights: Any, depth: int) -> DeepLinear:
    """Balanced network that weights the features by these numbers, without mixing them."""
    d = len(weights)
    return DeepLinear.aligned(jnp.eye(d), jnp.asarray(weights, float), (d,) * (depth + 1))


def over_seeds(run: Callable[[jax.Array], Any], seed: int, seeds: int) -> np.ndarray:
    """Results of a run for several seeds, `seed` and those after it, along a last axis.

    One program trains all networks.
    """
    numbers = jnp.arange(seed, seed + checks.count("seeds", seeds))
    return np.moveaxis(np.asarray(jax.jit(jax.vmap(run))(numbers)), 0, -1)


def norm(matrix: Any) -> float:
    """Frobenius norm."""
    return float(np.linalg.norm(np.asarray(matrix)))


def root(gram: Any) -> np.ndarray:
    """Root of a positive semi-definite matrix."""
    gram = jnp.asarray(gram)
    return np.asarray(psd_power(gram, 0.5, len(gram)))


def gap_to_law(grams: Any) -> float:
    """Distance of the first of two Grams from the root of the second."""
    return norm(np.asarray(grams[0]) - root(grams[1]))
