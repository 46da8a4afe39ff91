r"""The start law at any depth: Grams of all layers from the last, for imbalances like identities.

If every imbalance is a multiple of the identity,

$$W_{l+1}^\top W_{l+1} - W_l W_l^\top = \lambda_l I ,$$

it stays so under gradient flow on any differentiable loss of the product, and

$$M_l = \prod_{k=1}^{l} (M_1 + \mu_k I), \qquad \mu_k = \lambda_1 + \dots + \lambda_{k-1} .$$

Weight decay $\gamma$ multiplies all $\lambda_l$ by $e^{-2 \gamma t}$ and changes nothing else.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._core import checks
from ..._core.bisect import bisect
from ..._core.linalg import spectral_map, symmetric

__all__ = ["scalar_imbalance_law"]

HALVINGS = 64
"""Halvings of the logarithm of an eigenvalue: its range over the dtype's resolution, and more."""


def scalar_imbalance_law(
    gram: Float[Array, "d d"],
    imbalance: Any,
    *,
    weight_decay: ArrayLike = 0.0,
    time: ArrayLike = 0.0,
) -> Float[Array, "L d d"]:
    r"""Grams of all layers from the last, if every imbalance is a multiple of the identity.

    An eigenvalue $m$ of $M_L$ belongs to the eigenvalue $x \ge -\min_k \mu_k$ of $M_1$ with

    $$\prod_{k=1}^{L} (x + \mu_k) = m, \qquad \mu_k = \lambda_1 + \dots + \lambda_{k-1} .$$

    The left side rises from zero, so there is one. Imbalances of zero give the powers of the
    layer-wise law; two layers, the start law with a scale of zero.

    **Arguments:**

    - `gram`: $M_L$, symmetric positive semi-definite, `(d, d)`.
    - `imbalance`: $\lambda_1, \dots, \lambda_{L-1}$ at the start, of either sign, `(L - 1,)`.
    - `weight_decay`: $\gamma \ge 0$.
    - `time`: $t \ge 0$, the time since the start; used with weight decay alone.

    **Returns:** $M_1, \dots, M_L$, `(L, d, d)`.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> law = pt.theory.starts.scalar_imbalance_law
        >>> grams = law(jnp.diag(jnp.asarray([6.0, 0.0])), [1.0, 1.0])
        >>> np.round(jnp.diagonal(grams, axis1=1, axis2=2), 3)
        Array([[1., 0.],
               [2., 0.],
               [6., 0.]], dtype=float64)

        ```

    Theorem: scalar-imbalance.

    Source: beyond the paper.
    """
    gram, given = checks.square("gram", gram), checks.floating("imbalance", imbalance)
    if given.ndim != 1:
        raise checks.bad(
            "imbalance", f"shape {given.shape}", "one number a pair of layers, (L - 1,)"
        )
    checks.require("imbalance", given, np.isfinite, "finite numbers")
    decay = checks.nonnegative("weight_decay", weight_decay) * checks.nonnegative("time", time)
    return _grams(gram, (given * jnp.exp(-2 * decay)).astype(gram.dtype))


@jax.jit
def _grams(gram: Array, imbalance: Array) -> Array:
    shifts = jnp.concatenate([jnp.zeros(1, gram.dtype), jnp.cumsum(imbalance)])
    above = shifts - jnp.min(shifts)
    layer = lambda kept: symmetric(spectral_map(_level, gram, len(gram), above, kept))
    return jax.vmap(layer)(jnp.tri(shifts.size, dtype=gram.dtype))


def _level(value: Array, above: Array, kept: Array) -> Array:
    """Product of the kept factors (a mask of ones and zeros), from the product of all."""
    factors = _least_factor(value, above)[..., None] + above
    return jnp.prod(jnp.where(kept > 0, factors, 1), axis=-1)


def _least_factor(value: Array, above: Array) -> Array:
    r"""Root $y \ge 0$ of $\prod_k (y + \delta_k) = m$, with $\delta_k \ge 0$, one of them zero."""
    some = value > 0
    target = jnp.log(jnp.where(some, value, 1))
    # With y as its upper end in all other factors, the one of y itself is as small as it can be.
    high = target / above.size
    low = target + high - jnp.sum(jnp.log(jnp.exp(high)[..., None] + above), axis=-1)
    rising = lambda u: jnp.sum(jnp.log(jnp.exp(u)[..., None] + above), axis=-1) - target
    return jnp.where(some, jnp.exp(bisect(rising, low, high, HALVINGS)), 0)
