"""Checks of arguments whose values are known to Python.

Each error names the argument, the value received and the requirement.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .errors import bad as bad

# A number, which may be traced.
Scalar = float | Array


def concrete(x: Any) -> np.ndarray | None:
    """NumPy value of `x`, or None while JAX is tracing it."""
    try:
        return np.asarray(x)
    except jax.errors.TracerArrayConversionError:
        return None


def array(value: Any) -> Array:
    """Convert a value to a JAX array.

    A NumPy array is copied as it is; `jnp.asarray` would compile a program for each shape.
    """
    return jax.device_put(value) if isinstance(value, np.ndarray) else jnp.asarray(value)


def floating(name: str, value: Any) -> Array:
    """Convert a value to a floating array in its own dtype (integers: JAX's default float)."""
    try:
        x = array(value)
    except (TypeError, ValueError) as error:
        raise bad(name, repr(value), "numbers") from error
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x
    if jnp.issubdtype(x.dtype, jnp.integer):
        return x.astype(jnp.result_type(float))
    raise bad(name, f"dtype {x.dtype}", "real numbers")


def in_dtype(tree: Any, dtype: Any) -> Any:
    """Cast every floating array of a tree to one dtype."""
    return jax.tree.map(lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x, tree)


def require(name: str, x: Array, test: Callable[[np.ndarray], np.ndarray], wanted: str) -> None:
    """Raise unless `test` holds for every entry, and show the first entry that fails."""
    value = concrete(x)
    if value is None:
        return
    passed = np.asarray(test(value) & np.isfinite(value))
    if not passed.all():
        index = tuple(int(i) for i in np.argwhere(~passed)[0])
        where = f" at index {index[0] if len(index) == 1 else index}" if index else ""
        raise bad(name, f"{value[index]}{where}", wanted)


def positive(name: str, value: Any) -> Array:
    x = floating(name, value)
    require(name, x, lambda v: v > 0, "positive finite numbers")
    return x


def nonnegative(name: str, value: Any) -> Array:
    x = floating(name, value)
    require(name, x, lambda v: v >= 0, "non-negative finite numbers")
    return x


def probability(name: str, value: Any) -> Array:
    x = floating(name, value)
    require(name, x, lambda v: (v >= 0) & (v <= 1), "probabilities in [0, 1]")
    return x


def square(name: str, value: Any) -> Array:
    """Check a square matrix."""
    x = floating(name, value)
    if x.ndim != 2 or x.shape[0] != x.shape[1]:
        raise bad(name, f"shape {x.shape}", "a square matrix")
    return x


def count(name: str, value: Any, least: int = 1) -> int:
    """Check a whole number of at least `least`, and return it as a Python int."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise bad(name, repr(value), f"a whole number >= {least}")
    return int(value)


def within_depth(depth: Any, name: str, value: Any) -> tuple[int, int]:
    """Check a depth, and the number of a layer or a number of layers from 1 to the depth."""
    depth, value = count("depth", depth), count(name, value)
    if value > depth:
        raise bad(name, value, f"at most the depth, {depth}")
    return depth, value
