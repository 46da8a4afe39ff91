"""Runs from several random starts: the save times each reached, and means over starts."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..simulation import Ended, Trajectory


def reached(run: Trajectory, times: Float[Array, " T"]) -> Array:
    """Mask of the save times that a run reached."""
    failed = (run.ended == Ended.diverged) | (run.ended == Ended.solver_failed)
    return ~failed | (times <= run.ended_at)


def mean_and_error(x: Array, axis: int) -> tuple[Array, Array]:
    """Mean over starts, and its standard error."""
    return jnp.mean(x, axis=axis), jnp.std(x, axis=axis, ddof=1) / x.shape[axis] ** 0.5
