r"""Functions of a symmetric matrix through its spectrum, with derivatives that survive ties.

The derivative of $A \mapsto V f(\Lambda) V^\top$ is, in the eigenbasis, the tangent times the divided differences
$f[\lambda_i, \lambda_j]$ (Daleckii-Krein). Differentiating `eigh` itself divides by $\lambda_i - \lambda_j$ and breaks
at ties, which feature models have all the time.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def matmul(a: Array, b: Array) -> Array:
    """Matrix product at the highest precision (accelerators default to fewer bits than the dtype has)."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def symmetric(a: Float[Array, "*b d d"]) -> Float[Array, "*b d d"]:
    return (a + jnp.swapaxes(a, -1, -2)) / 2


def frobenius(a: Float[Array, "*b n m"]) -> Float[Array, "*b"]:
    return jnp.sqrt(jnp.sum(a * a, axis=(-1, -2)))


def _powers(eigenvalues: Array, exponent: Array, rank: Array) -> tuple[Array, Array, Array]:
    kept = (jnp.arange(eigenvalues.size) >= eigenvalues.size - rank) & (eigenvalues > 0)
    base = jnp.where(kept, eigenvalues, 1)
    return jnp.where(kept, base**exponent, 0), jnp.where(kept, exponent * base ** (exponent - 1), 0), kept


@jax.custom_jvp
def psd_power(a: Float[Array, "d d"], exponent: Any, rank: Any) -> Float[Array, "d d"]:
    r"""$\sum_{i \le \text{rank}} \lambda_i^{t} v_i v_i^\top$ over the largest, positive eigenvalues; the others give zero.

    With $t = -1/2$ and the numerical rank it is the pseudo-inverse root, with $t = 1$ the best PSD truncation.
    Differentiable in `a` (not in `exponent` or `rank`), wherever the rank-th eigenvalue is separated from the next.
    """
    eigenvalues, v = jnp.linalg.eigh(a)
    values, _, _ = _powers(eigenvalues, jnp.asarray(exponent, a.dtype), jnp.asarray(rank))
    return matmul(v * values, v.T)


@psd_power.defjvp
def _psd_power_jvp(primals, tangents):
    a, exponent, rank = primals
    eigenvalues, v = jnp.linalg.eigh(a)
    values, slopes, kept = _powers(eigenvalues, jnp.asarray(exponent, a.dtype), jnp.asarray(rank))
    gap = eigenvalues[:, None] - eigenvalues[None, :]
    # Near a tie the quotient loses all digits; the mean slope is then accurate to second order in the gap.
    near = jnp.abs(gap) <= jnp.finfo(a.dtype).eps ** 0.5 * (jnp.abs(eigenvalues)[:, None] + jnp.abs(eigenvalues)[None, :])
    near = near & (kept[:, None] == kept[None, :])
    quotient = (values[:, None] - values[None, :]) / jnp.where(gap == 0, 1, gap)
    divided = jnp.where(near, (slopes[:, None] + slopes[None, :]) / 2, quotient)
    inner = matmul(matmul(v.T, symmetric(tangents[0])), v)
    return matmul(v * values, v.T), matmul(matmul(v, divided * inner), v.T)
