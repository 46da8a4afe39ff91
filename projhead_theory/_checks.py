"""Checks of what is known when Python runs: each names the argument, what came, and what is wanted."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._errors import bad as bad

# A number, which may be traced.
Scalar = float | Array


def concrete(x: Any) -> np.ndarray | None:
    """The value as NumPy, or None while JAX is tracing and there is none yet."""
    try:
        return np.asarray(x)
    except jax.errors.TracerArrayConversionError:
        return None


def array(value: Any) -> Array:
    """The value as an array of JAX; NumPy's are copied as they are, where `jnp.asarray` compiles a program for each shape."""
    return jax.device_put(value) if isinstance(value, np.ndarray) else jnp.asarray(value)


def floating(name: str, value: Any) -> Array:
    """Convert to a floating array in the dtype of the input (integers become JAX's default float)."""
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
    """The same tree with every floating array in this dtype."""
    return jax.tree.map(lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x, tree)


def require(name: str, x: Array, test: Callable[[np.ndarray], np.ndarray], wanted: str) -> None:
    """Raise unless `test` holds for every entry; the message shows the first entry that fails."""
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


def count(name: str, value: Any, least: int = 1) -> int:
    """A whole number of at least `least`, as a Python int."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise bad(name, repr(value), f"a whole number >= {least}")
    return int(value)
