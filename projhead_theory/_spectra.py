r"""Functions of symmetric matrices through their spectra, with derivatives that survive ties.

The derivative of $A \mapsto V f(\Lambda) V^\top$ is, in the eigenbasis, the tangent times the divided differences
$f[\lambda_i, \lambda_j]$ (Daleckii-Krein). Differentiating `eigh` itself divides by $\lambda_i - \lambda_j$ and breaks
at ties, which feature models have all the time.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def matmul(a: Array, b: Array) -> Array:
    """Matrix product at the highest precision (accelerators default to fewer bits than the dtype has)."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def symmetric(a: Float[Array, "*b d d"]) -> Float[Array, "*b d d"]:
    return (a + jnp.swapaxes(a, -1, -2)) / 2


def frobenius(a: Float[Array, "*b n m"]) -> Float[Array, "*b"]:
    """The Frobenius norm, in units of the largest entry: no square overflows or underflows."""
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(a), axis=(-1, -2), keepdims=True, initial=0))
    unit = jnp.where((size > 0) & jnp.isfinite(size), size, 1)
    return jnp.sqrt(jnp.sum((a / unit) ** 2, axis=(-1, -2))) * unit[..., 0, 0]


def is_diagonal(a: Float[Array, "d d"]) -> Bool[Array, ""]:
    """Whether every entry off the diagonal is zero."""
    return jnp.all(jnp.where(jnp.eye(a.shape[-1], dtype=bool), 0, a) == 0)


class Spectrum(NamedTuple):
    """Eigenvalues, ascending, and orthonormal eigenvectors in columns; `floor`, the least eigenvalue that can be told from zero."""

    values: Float[Array, " d"]
    vectors: Float[Array, "d d"]
    floor: Float[Array, ""]


def eigh(a: Float[Array, "d d"]) -> Spectrum:
    r"""The spectrum of a symmetric matrix; that of a diagonal one is read off it.

    `jnp.linalg.eigh` errs by $\epsilon$ times the largest eigenvalue, so that smaller ones have no digits left. The eigenvalues
    of a diagonal matrix are exact here over the whole range of the dtype.
    """
    d = a.shape[-1]
    diagonal = jnp.diagonal(a)
    order, plain = jnp.argsort(diagonal), is_diagonal(a)
    values, vectors = jnp.linalg.eigh(a)
    floor = d * jnp.finfo(a.dtype).eps * jnp.maximum(values[-1], 0)
    return Spectrum(
        jnp.where(plain, diagonal[order], values),
        jnp.where(plain, jnp.eye(d, dtype=a.dtype)[:, order], vectors),
        jnp.where(plain, 0, floor),
    )


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
    eigenvalues, v, _ = eigh(a)
    values, _, _ = _powers(eigenvalues, jnp.asarray(exponent, a.dtype), jnp.asarray(rank))
    return matmul(v * values, v.T)


@psd_power.defjvp
def _psd_power_jvp(primals, tangents):
    a, exponent, rank = primals
    eigenvalues, v, _ = eigh(a)
    values, slopes, kept = _powers(eigenvalues, jnp.asarray(exponent, a.dtype), jnp.asarray(rank))
    gap = eigenvalues[:, None] - eigenvalues[None, :]
    # Near a tie the quotient loses all digits; the mean slope is then accurate to second order in the gap.
    near = jnp.abs(gap) <= jnp.finfo(a.dtype).eps ** 0.5 * (jnp.abs(eigenvalues)[:, None] + jnp.abs(eigenvalues)[None, :])
    near = near & (kept[:, None] == kept[None, :])
    quotient = (values[:, None] - values[None, :]) / jnp.where(gap == 0, 1, gap)
    divided = jnp.where(near, (slopes[:, None] + slopes[None, :]) / 2, quotient)
    inner = matmul(matmul(v.T, symmetric(tangents[0])), v)
    return matmul(v * values, v.T), matmul(matmul(v, divided * inner), v.T)


@jax.custom_jvp
def truncation(a: Float[Array, "n m"], rank: Any) -> Float[Array, "n m"]:
    """The best approximation of a rank: the largest singular values, as many as `rank`.

    Differentiable in `a`, at ties as well, wherever the rank-th singular value is separated from the next.
    """
    u, s, vt = jnp.linalg.svd(a, full_matrices=False)
    return matmul(u * jnp.where(jnp.arange(s.size) < rank, s, 0), vt)


@truncation.defjvp
def _truncation_jvp(primals, tangents):
    # Divided differences of an odd function of the singular values: of the symmetric part of the tangent in their basis between s and
    # s', of the antisymmetric part between s and -s', and between s and zero of what leaves the basis.
    a, rank = primals
    n, m = a.shape
    u, s, vt = jnp.linalg.svd(a, full_matrices=False)
    kept = jnp.arange(s.size) < rank
    values = jnp.where(kept, s, 0)
    same = kept[:, None] == kept[None, :]
    quotient = lambda change, gap: change / jnp.where(gap == 0, 1, gap)  # noqa: E731
    straight = quotient(values[:, None] - values[None, :], s[:, None] - s[None, :])
    straight = jnp.where(same, kept[:, None].astype(a.dtype), straight)
    across = quotient(values[:, None] + values[None, :], s[:, None] + s[None, :])
    moved = tangents[0]
    inner = matmul(matmul(u.T, moved), vt.T)
    turned = straight * (inner + inner.T) / 2 + across * (inner - inner.T) / 2
    tangent = matmul(matmul(u, turned), vt)
    share = quotient(values, s)
    if m > s.size:
        rest = matmul(u.T, moved) - matmul(inner, vt)
        tangent += matmul(u * share, rest)
    if n > s.size:
        rest = matmul(moved, vt.T) - matmul(u, inner)
        tangent += matmul(rest * share, vt)
    return matmul(u * values, vt), tangent


class Whitening(NamedTuple):
    r"""A second moment $S$ on its range: `inverse` $U$ and `forward` $F$ with $S = F^\top F$, $U = F^+$, so that $U^\top S U$ is one there;
    `projector` on the range; `rank`; `condition` on the range, of $S$ scaled to unit diagonal; `rounding`, the relative error that the
    dtype leaves in $U$.
    """

    inverse: Float[Array, "d d"]
    forward: Float[Array, "d d"]
    projector: Float[Array, "d d"]
    rank: Int[Array, ""]
    condition: Float[Array, ""]
    rounding: Float[Array, ""]


def whiten(second: Float[Array, "d d"]) -> Whitening:
    r"""Whitening of a second moment, scaled to unit diagonal first.

    The scaling $S = D S' D$ is an exact symmetry: strengths apart by many decades do not spoil one another, and the range of $S$
    is $D$ times that of $S'$, whose rank is told by the $d \epsilon$ of its spectrum. Differentiable while the rank stays.
    """
    d, eps = second.shape[-1], jnp.finfo(second.dtype).eps
    variance = jnp.diagonal(second)
    present = variance > 0
    stretch = jnp.where(present, jnp.sqrt(jnp.where(present, variance, 1)), 0)
    scale = jnp.where(present, 1 / jnp.where(present, stretch, 1), 0)
    scaled = jnp.where(jnp.eye(d, dtype=bool), present.astype(second.dtype), scale[:, None] * second * scale[None, :])
    spread, v, _ = eigh(jax.lax.stop_gradient(scaled))
    inside = spread > d * eps * spread[-1]
    rank = jnp.sum(inside)
    least = jnp.min(jnp.where(inside, spread, spread[-1]))
    condition = jnp.where(rank > 0, spread[-1] / jnp.where(least > 0, least, 1), 1)
    inverse = scale[:, None] * psd_power(scaled, -0.5, rank)
    projector = _range_projector(second, stretch, rank, v[:, ::-1])
    on_range, turn = _inverse_on_range(*(jax.lax.stop_gradient(x) for x in (stretch, rank, spread[::-1], v[:, ::-1])))
    # The scaled pseudo-inverse reaches outside the range of a singular S. Its projection has the right derivative, and loses digits.
    projected = matmul(projector, inverse)
    inverse = jnp.where(rank < d, on_range + projected - jax.lax.stop_gradient(projected), inverse)
    return Whitening(
        inverse=inverse,
        forward=psd_power(scaled, 0.5, rank) * stretch[None, :],
        projector=projector,
        rank=rank,
        condition=condition,
        rounding=8 * d * eps * condition * jnp.where(rank < d, turn, 1),
    )


def _basis_of_range(stretch: Array, rank: Array, v: Array) -> tuple[Array, Array]:
    """Orthonormal columns that span the first `rank` of D V, zero beyond; and R, with D V = Q R, the identity beyond."""
    # The first columns of Q span the first of D V, whatever the others are.
    q, r = jnp.linalg.qr(stretch[:, None] * v)
    chosen = jnp.arange(len(stretch)) < rank
    return jnp.where(chosen, q, 0), jnp.where(chosen[:, None] & chosen[None, :], r, jnp.eye(len(stretch), dtype=r.dtype))


def _inverse_on_range(stretch: Array, rank: Array, spread: Array, v: Array) -> tuple[Array, Array]:
    r"""$U = Q R^{-\top} \Lambda^{-1/2} V^\top$ for $S = D V \Lambda V^\top D$ and $D V = Q R$, over the range alone; and the condition of
    $R$ with columns of length one, by which the range is turned.
    """
    q, r = _basis_of_range(stretch, rank, v)
    chosen = jnp.arange(len(stretch)) < rank
    root = jnp.where(chosen, jnp.where(chosen, spread, 1) ** -0.5, 0)
    lower = jax.scipy.linalg.solve_triangular(r.T, jnp.eye(len(stretch), dtype=r.dtype), lower=True)
    length = jnp.sqrt(jnp.sum(r * r, axis=0))
    turn = frobenius(r / jnp.where(length > 0, length, 1)) * frobenius(lower * length[None, :])
    return matmul(matmul(q, lower * root[None, :]), v.T), turn


@jax.custom_jvp
def _range_projector(second: Array, stretch: Array, rank: Array, v: Array) -> Array:
    """The projector on the range of S = D S' D, spanned by the first `rank` columns of D V with the eigenvectors V of S'."""
    q, _ = _basis_of_range(stretch, rank, v)
    return jnp.where(rank < len(stretch), matmul(q, q.T), jnp.eye(len(stretch), dtype=second.dtype))


@_range_projector.defjvp
def _range_projector_jvp(primals, tangents):
    second, _, rank, _ = primals
    moved = jax.jvp(lambda s: psd_power(s, 0.0, rank), (second,), (tangents[0],))[1]
    return _range_projector(*primals), jnp.where(rank < second.shape[-1], moved, 0)
