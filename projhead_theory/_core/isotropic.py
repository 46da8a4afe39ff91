r"""The law of an isotropic start of two layers: $M_2 = (M_1 - a)(M_1 + b)$.

$a$ is the scale of the encoder, $W_1^\top W_1 = a I$ at the start, and $b$ the scale of the head,
$W_2 W_2^\top = b I$. The root of the quadratic is written without a difference, so that no digits
are lost where one scale is far above the other, or both far above the weights.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .linalg import diagonal, is_diagonal, matmul, symmetric


def gained(square: Array, total: Array) -> Array:
    r"""The part $r \ge 0$ of an eigenvalue $a + r$ of $M_1$, from the eigenvalue $m$ of $M_2$.

    $r = 2m / (c + \sqrt{c^2 + 4m})$ with $c = a + b$: the root of $r (r + c) = m$. The root at zero
    has no derivative if $c = 0$: a weight of zero keeps derivative zero.
    """
    m = jnp.where(square >= 0, square, 0)
    there = (total > 0) | (m > 0)
    sum_of_roots = total + jnp.sqrt(jnp.where(there, total**2 + 4 * m, 1))
    return jnp.where(there, 2 * m / sum_of_roots, 0)


def below(square: Array, encoder: Array, head: Array) -> Array:
    """Squared weight before the head, from the squared weight after it."""
    return encoder + gained(square, encoder + head)


def above(square: Array, encoder: Array, head: Array) -> Array:
    """Squared weight after the head, from the squared weight before it."""
    return (square - encoder) * (square + head)


@jax.jit
def _gram_below(gram: Array, encoder: Array, head: Array, rank: Any) -> tuple[Array, Array, Array]:
    """Gram before the head, the parts $r$ of its eigenvalues, and their eigenvectors."""
    d, total, rank = gram.shape[-1], encoder + head, jnp.asarray(rank)
    values, v = jnp.linalg.eigh(gram)
    r = gained(jnp.where(jnp.arange(d) >= d - rank, values, 0), total)
    # A diagonal matrix is its own spectrum, over the whole range of the dtype.
    own = diagonal(gram)
    order = jnp.argsort(jnp.argsort(own))
    plain = jnp.diag(gained(jnp.where(order >= d - rank, own, 0), total))
    grown = jnp.where(is_diagonal(gram), plain, matmul(v * r, v.T))
    return encoder * jnp.eye(d, dtype=gram.dtype) + grown, r, v


@jax.custom_jvp
def gram_below(
    gram: Float[Array, "d d"], encoder: Array, head: Array, rank: Any
) -> Float[Array, "d d"]:
    r"""Gram before the head from the Gram after it, of which `rank` eigenvalues count.

    The others are zero, so that the encoder still has its scale $a$ along them. Exact, entry by
    entry, for a diagonal Gram. Differentiable in all but `rank`, at ties as well: along a pair of
    eigenvalues the derivative is $1 / (r_i + r_j + a + b)$.
    """
    return _gram_below(gram, encoder, head, rank)[0]


@gram_below.defjvp
def _gram_below_jvp(primals, tangents):
    gram, encoder, head, rank = primals
    result, r, v = _gram_below(gram, encoder, head, rank)
    moved, of_encoder, of_head = tangents[:3]
    # The derivative at zero of a balanced start is infinite: such a mode keeps derivative zero.
    slope = r[:, None] + r[None, :] + encoder + head
    inner = matmul(matmul(v.T, symmetric(moved)), v) / jnp.where(slope > 0, slope, jnp.inf)
    less = r / jnp.where(diagonal(slope) > 0, diagonal(slope), jnp.inf)
    along = jnp.diag(of_encoder - less * (of_encoder + of_head))
    return result, matmul(matmul(v, inner + along), v.T)
