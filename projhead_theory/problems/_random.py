"""Random moments of a stated difficulty, with cross and second moment that do not commute."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from .._core import checks
from .._core.linalg import matmul, symmetric
from ..moments import Moments


def random_moments(key: PRNGKeyArray, signal_fraction: Any, condition: float = 10.0) -> Moments:
    """Random moments with the given signal fractions and condition number.

    $S$ has a random eigenbasis and a spectrum geometric from 1 down to `1 / condition`.
    $C = S^{1/2} T S^{1/2}$, where $T$ has the eigenvalues `signal_fraction` in another random
    basis.

    **Arguments:**

    - `key`: the seed.
    - `signal_fraction`: `(d,)`, in [0, 1].
    - `condition`: the condition number of $S$, at least 1.

    **Raises:** `ValueError` for values out of range.
    """
    fractions = checks.probability("signal_fraction", signal_fraction)
    if fractions.ndim != 1 or fractions.size == 0:
        raise checks.bad("signal_fraction", f"shape {fractions.shape}", "a non-empty vector")
    ratio = checks.floating("condition", condition)
    checks.require("condition", ratio, lambda v: v >= 1, "a number >= 1")
    d, dtype = fractions.size, fractions.dtype
    u, v = (jnp.linalg.qr(jax.random.normal(k, (d, d), dtype))[0] for k in jax.random.split(key))
    spectrum = jnp.geomspace(1, 1 / ratio, d, dtype=dtype) if d > 1 else jnp.ones(1, dtype)
    root = matmul(u * jnp.sqrt(spectrum), u.T)
    return Moments(
        symmetric(matmul(matmul(root, matmul(v * fractions, v.T)), root)),
        symmetric(matmul(u * spectrum, u.T)),
    )
