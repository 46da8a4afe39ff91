"""The problems and starts that the claims on linear networks share, so that runs of one shape compile once."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ..moments import Moments
from ..networks import DeepLinear
from ..problems import random_moments
from ..simulation import Trajectory, gradient_flow

DIM, WIDTH, PROBLEMS = 6, 4, 3


def draw(key: PRNGKeyArray, index: int = 0) -> Moments:
    """Signal fractions spread over (0.2, 0.95) with gaps, in random position: nothing commutes."""
    place, jitter = jax.random.split(jax.random.fold_in(key, index))
    grid = jnp.linspace(0.9, 0.3, DIM)
    return random_moments(place, grid + 0.05 * jax.random.uniform(jitter, (DIM,), grid.dtype, -0.5, 0.5), condition=5.0)


def sizes(depth: int) -> tuple[int, ...]:
    """Width below the dimension: part of the problem is which modes are kept."""
    return (DIM, *(WIDTH,) * depth)


def start(key: PRNGKeyArray, depth: int, index: int = 0) -> DeepLinear:
    """An exactly balanced start."""
    return DeepLinear.balanced(jax.random.fold_in(key, 1000 + index), sizes(depth), scale=0.5)


def lopsided(key: PRNGKeyArray, depth: int) -> DeepLinear:
    """A start whose lowest layer is several times larger than the others."""
    return DeepLinear.unbalanced(jax.random.fold_in(key, 2000), sizes(depth), [2.0] + [0.3] * (depth - 1))


def flow(network: DeepLinear, moments: Moments, decay: float = 0.0) -> Trajectory:
    """Gradient flow to stationarity."""
    return gradient_flow(network, moments, until=1e6, decay=decay, record=16)
