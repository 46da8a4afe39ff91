"""Arguments of the single-feature formulas: checked if concrete, broadcastable, of one dtype."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._core import checks


def scalars(
    depth: int, cross: Any, second: Any = None, *, signal: str = "cross", **others: Any
) -> tuple[int, list[Array]]:
    """Check the arguments of a single-feature formula and convert them to one dtype.

    Only `time` may be infinite. The checks run in NumPy and nothing is computed here, so that a
    call compiles its formula and nothing else.

    **Arguments:**

    - `depth`: the number of layers, at least 1.
    - `cross`: the first moment, non-negative.
    - `second`: the second moment, non-negative, if the formula has one; `cross` is 0 where it
      is 0.
    - `signal`: the name of the first moment in messages.
    - `others`: the other arguments by name, non-negative.

    **Returns:** the depth, and the arrays: `others` in their order, followed by the moments.

    **Raises:** `ValueError` for arguments out of range.
    """
    depth = checks.count("depth", depth)
    arrays = [
        (_times if name == "time" else checks.nonnegative)(name, value)
        for name, value in others.items()
    ]
    arrays.append(checks.nonnegative(signal, cross))
    if second is not None:
        arrays.append(checks.nonnegative("second", second))
        c, q = (checks.concrete(x) for x in arrays[-2:])
        if c is not None and q is not None:
            idle = checks.array(np.where(q > 0, np.zeros_like(c), c))
            checks.require(signal, idle, lambda v: v == 0, "0 where the second moment is 0")
    dtype = jnp.result_type(*arrays)
    return depth, [_strong(x, dtype) for x in arrays]


def quotient(above: Array, below: Array) -> Array:
    """Quotient, zero where the denominator is zero."""
    return jnp.where(below > 0, above / jnp.where(below > 0, below, 1), 0)


def _times(name: str, value: Any) -> Array:
    x = checks.floating(name, value)
    known = checks.concrete(x)
    if known is not None:
        finite = checks.array(np.where(np.isposinf(known), np.zeros_like(known), known))
        checks.require(name, finite, lambda v: v >= 0, "non-negative numbers")
    return x


def _strong(x: Array, dtype: Any) -> Array:
    """Convert to `dtype`, not weak, so that a Python number and an array share one compilation."""
    if x.dtype == dtype and not x.weak_type:
        return x
    known = checks.concrete(x)
    return x.astype(dtype) if known is None else checks.array(known.astype(dtype))


def each_feature(name: str, value: Any) -> Array:
    """Check non-negative numbers, one a feature, of at least one feature."""
    x = checks.nonnegative(name, value)
    if x.ndim != 1 or x.size == 0:
        raise checks.bad(name, f"shape {x.shape}", "one number a feature, (d,)")
    return x
