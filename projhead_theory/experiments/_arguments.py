"""Checks of the grids of experiments, and runs over a grid in batches."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._core import checks

LOSSES = ("contrastive", "regression")


def grid(name: str, x: Array, wanted: str) -> Array:
    """Check for a vector of at least one number."""
    if x.ndim != 1 or x.size == 0:
        raise checks.bad(name, f"shape {x.shape}", f"a non-empty vector, {wanted}")
    return x


def one(name: str, x: Array) -> Array:
    if x.ndim:
        raise checks.bad(name, f"shape {x.shape}", "one number")
    return x


def save_times(value: Any) -> Array:
    """Save times: positive and increasing."""
    times = grid("times", checks.positive("times", value), "increasing times")
    if (np.diff(np.asarray(times)) <= 0).any():
        raise checks.bad("times", "times out of order", "increasing times")
    return times


def loss_name(value: str) -> str:
    if value not in LOSSES:
        raise checks.bad("loss", repr(value), " or ".join(LOSSES))
    return value


def depth(value: Any) -> int:
    """Number of layers, at least two: only then is there a layer below the head."""
    return checks.count("depth", value, 2)


def in_batches(
    run: Callable[[np.ndarray], Array],
    count: int,
    at_once: int | None,
    progress: Callable[[str], None],
) -> Array:
    """Call `run` on the numbers below `count`, `at_once` of them together, or all if not given."""
    size = count if at_once is None else min(count, checks.count("at_once", at_once))
    found = []
    for first in range(0, count, size):
        found.append(run(np.arange(first, min(first + size, count))))
        progress(f"{min(first + size, count)} of {count} runs")
    return jnp.concatenate(found)
