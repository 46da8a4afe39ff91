"""Inputs of tests: the number of random draws that oracles make, few by default and
`PROJHEAD_THEORY_DRAWS` times as many if it is set; matrices; and arrays of the suite's dtype.
"""

import os

import jax.numpy as jnp
import numpy as np
import pytest

MULTIPLIER = max(1, int(os.environ.get("PROJHEAD_THEORY_DRAWS", "1")))


def draws(count):
    """The number of draws where `count` are enough by default."""
    return count * MULTIPLIER


def some(values, *chosen, kind="deep"):
    """Parameters, of which the default suite takes those at these positions, and the deep one, or
    that of this kind, the rest.
    """
    mark = getattr(pytest.mark, kind)
    rest = lambda value: pytest.param(
        *(value if isinstance(value, tuple) else (value,)), marks=mark
    )
    return [value if i in chosen else rest(value) for i, value in enumerate(values)]


def by_seed(count):
    """A parameter `seed` for each draw."""
    return pytest.mark.parametrize("seed", range(draws(count)))


def cast(x):
    """An array of the dtype that the suite runs in."""
    return jnp.asarray(x, jnp.result_type(float))


def whole_rows(rng: np.random.Generator, d: int, r: int) -> np.ndarray:
    """`(d, r)` whole numbers from -4 to 4, no row zero, of condition below ten once rows are of
    length one.
    """
    while True:
        rows = rng.integers(-4, 5, (d, r)).astype(float)
        length = np.linalg.norm(rows, axis=1)
        if length.min() > 0 and np.linalg.cond(rows / length[:, None]) < 10:
            return rows
