r"""Functions of symmetric matrices through their spectra, with derivatives that survive ties.

The derivative of $A \mapsto V f(\Lambda) V^\top$ is, in the eigenbasis, the tangent times the
divided differences $f[\lambda_i, \lambda_j]$ (Daleckii-Krein). Differentiating `eigh` itself
divides by $\lambda_i - \lambda_j$ and breaks at ties, which feature models have all the time.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def matmul(a: Array, b: Array) -> Array:
    """Matrix product at the highest precision.

    Accelerators default to fewer bits than the dtype has.
    """
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


@jax.jit
def symmetric(a: Float[Array, "*b d d"]) -> Float[Array, "*b d d"]:
    """Symmetric part of a matrix."""
    return a / 2 + jnp.swapaxes(a, -1, -2) / 2


def diagonal(a: Float[Array, "*b d d"]) -> Float[Array, "*b d"]:
    """Diagonal entries, taken as every (d + 1)-th entry of the flattened matrix.

    This is one step of a program, where `jnp.diagonal` takes forty.
    """
    d = a.shape[-1]
    return jnp.reshape(a, (*a.shape[:-2], d * d))[..., :: d + 1]


@jax.jit
def frobenius(a: Float[Array, "*b n m"]) -> Float[Array, "*b"]:
    """Frobenius norm, in units of the largest entry: no square overflows or underflows."""
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(a), axis=(-1, -2), keepdims=True, initial=0))
    unit = jnp.where((size > 0) & jnp.isfinite(size), size, 1)
    return jnp.sqrt(jnp.sum((a / unit) ** 2, axis=(-1, -2))) * unit[..., 0, 0]


def explained(cross: Float[Array, "p d"], second: Float[Array, "p p"]) -> Float[Array, " d"]:
    r"""Variance of unit-variance variables explained by the best linear readout.

    The diagonal of $C^\top S^+ C$, with $C$ the cross moment of the representation with the
    variables and $S$ the second moment of the representation.
    """
    values, v = jnp.linalg.eigh(second)
    kept = values > len(values) * jnp.finfo(values.dtype).eps * values[-1]
    along = matmul(v.T, cross)
    return jnp.sum(
        jnp.where(kept[:, None], along**2, 0) / jnp.where(kept, values, 1)[:, None], axis=0
    )


@jax.jit
def is_diagonal(a: Float[Array, "d d"]) -> Bool[Array, ""]:
    """True if every entry off the diagonal is zero."""
    return jnp.all((a == 0) | jnp.eye(a.shape[-1], dtype=bool))


def nonzero(size: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """A size, none of which is below zero, as a divisor: with one in place of zero."""
    return jnp.where(size > 0, size, 1)


class Spectrum(NamedTuple):
    """Spectrum of a symmetric matrix.

    - `values`: eigenvalues, ascending.
    - `vectors`: orthonormal eigenvectors, in columns.
    - `floor`: the least eigenvalue that can be told from zero.
    """

    values: Float[Array, " d"]
    vectors: Float[Array, "d d"]
    floor: Float[Array, ""]


def eigh(a: Float[Array, "d d"]) -> Spectrum:
    r"""Compute the spectrum of a symmetric matrix.

    Eigenvalues err by $\epsilon$ times the largest, so that the smallest may have no digits left.
    The eigenvalues of a diagonal matrix are exact.
    """
    values, vectors = jnp.linalg.eigh(a)
    floor = a.shape[-1] * jnp.finfo(a.dtype).eps * jnp.maximum(values[-1], 0)
    return Spectrum(values, vectors, jnp.where(is_diagonal(a), 0, floor))


def _powers(eigenvalues: Array, exponent: Array, kept: Array) -> tuple[Array, Array]:
    base = jnp.where(kept, eigenvalues, 1)
    return jnp.where(kept, base**exponent, 0), jnp.where(kept, exponent * base ** (exponent - 1), 0)


@jax.jit
def _spectral_power(
    a: Array, exponent: Any, rank: Any
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Power of a matrix, with the parts of its spectrum that the derivative needs.

    **Returns:** the power, then eigenvalues, eigenvectors, the mask of the kept eigenvalues, their
    powers and the slopes of the powers.
    """
    d, exponent, rank = a.shape[-1], jnp.asarray(exponent, a.dtype), jnp.asarray(rank)
    eigenvalues, v = jnp.linalg.eigh(a)
    kept = (jnp.arange(d) >= d - rank) & (eigenvalues > 0)
    values, slopes = _powers(eigenvalues, exponent, kept)
    # A diagonal matrix is its own spectrum, over the whole range of the dtype.
    own = diagonal(a)
    plain = jnp.diag(_powers(own, exponent, (_order(own) < rank) & (own > 0))[0])
    return (
        jnp.where(is_diagonal(a), plain, matmul(v * values, v.T)),
        eigenvalues,
        v,
        kept,
        values,
        slopes,
    )


@jax.custom_jvp
def psd_power(a: Float[Array, "d d"], exponent: Any, rank: Any) -> Float[Array, "d d"]:
    r"""Power of a symmetric matrix over its largest positive eigenvalues; the others give zero.

    $$\sum_{i \le \text{rank}} \lambda_i^{t} v_i v_i^\top$$

    With $t = -1/2$ and the numerical rank it is the pseudo-inverse root, with $t = 1$ the best PSD
    truncation. Exact, entry by entry, if the matrix is diagonal. Differentiable in `a` (not in
    `exponent` or `rank`), wherever the rank-th eigenvalue is separated from the next.
    """
    return _spectral_power(a, exponent, rank)[0]


@psd_power.defjvp
def _psd_power_jvp(primals, tangents):
    a, exponent, rank = primals
    power, eigenvalues, v, kept, values, slopes = _spectral_power(a, exponent, rank)
    gap = eigenvalues[:, None] - eigenvalues[None, :]
    # Near a tie the quotient loses all digits; the mean slope is then accurate to second order in
    # the gap.
    near = jnp.abs(gap) <= jnp.finfo(a.dtype).eps ** 0.5 * (
        jnp.abs(eigenvalues)[:, None] + jnp.abs(eigenvalues)[None, :]
    )
    near = near & (kept[:, None] == kept[None, :])
    quotient = (values[:, None] - values[None, :]) / jnp.where(gap == 0, 1, gap)
    divided = jnp.where(near, (slopes[:, None] + slopes[None, :]) / 2, quotient)
    inner = matmul(matmul(v.T, symmetric(tangents[0])), v)
    return power, matmul(matmul(v, divided * inner), v.T)


def _order(own: Array) -> Array:
    """Number of entries that come before each one, the largest first."""
    d = own.shape[-1]
    first = jnp.arange(d)[None, :] < jnp.arange(d)[:, None]
    return jnp.sum((own[None, :] > own[:, None]) | ((own[None, :] == own[:, None]) & first), axis=1)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def spectral_map(
    function: Callable[..., Array], a: Float[Array, "d d"], rank: Any, *parameters: Array
) -> Float[Array, "d d"]:
    r"""Function of a symmetric matrix over its largest eigenvalues; the others give zero.

    $$\sum_{i \le \text{rank}} g(\lambda_i)\, v_i v_i^\top$$

    Differentiable in the matrix and in the parameters, at ties as well, if the rank-th eigenvalue
    is separated from the next.

    **Arguments:**

    - `function`: $g$, of numbers and of the parameters, entry by entry and finite everywhere.
    - `a`: the matrix.
    - `rank`: the number of eigenvalues.
    - `parameters`: further arguments of the function.
    """
    values, v = jnp.linalg.eigh(a)
    kept, own = jnp.arange(len(values)) >= len(values) - rank, diagonal(a)
    mapped = lambda x, mask: jnp.where(mask, function(x, *parameters), 0)
    # A diagonal matrix is its own spectrum, over the whole range of the dtype.
    plain = jnp.diag(mapped(own, _order(own) < rank))
    return jnp.where(is_diagonal(a), plain, matmul(v * mapped(values, kept), v.T))


@spectral_map.defjvp
def _spectral_map_jvp(function, primals, tangents):
    a, rank, *parameters = primals
    values, v = jnp.linalg.eigh(a)
    kept = jnp.arange(len(values)) >= len(values) - rank

    def mapped(x: Array, *given: Array) -> Array:
        return jnp.where(kept, function(x, *given), 0)

    one, still = jnp.ones_like(values), [jnp.zeros_like(p) for p in parameters]
    outputs, slopes = jax.jvp(mapped, (values, *parameters), (one, *still))
    own = jax.jvp(mapped, (values, *parameters), (0 * one, *tangents[2:]))[1]
    gap = values[:, None] - values[None, :]
    near = jnp.abs(gap) <= jnp.finfo(a.dtype).eps ** 0.5 * (
        jnp.abs(values)[:, None] + jnp.abs(values)[None, :]
    )
    near = near & (kept[:, None] == kept[None, :])
    quotient = (outputs[:, None] - outputs[None, :]) / jnp.where(gap == 0, 1, gap)
    divided = jnp.where(near, (slopes[:, None] + slopes[None, :]) / 2, quotient)
    inner = divided * matmul(matmul(v.T, symmetric(tangents[0])), v) + jnp.diag(own)
    return spectral_map(function, a, rank, *parameters), matmul(matmul(v, inner), v.T)


@jax.custom_jvp
def truncation(a: Float[Array, "n m"], rank: Any) -> Float[Array, "n m"]:
    """Best approximation of a given rank: the `rank` largest singular values are kept.

    Differentiable in `a`, at ties as well, wherever the rank-th singular value is separated from
    the next.
    """
    u, s, vt = jnp.linalg.svd(a, full_matrices=False)
    return matmul(u * jnp.where(jnp.arange(s.size) < rank, s, 0), vt)


@truncation.defjvp
def _truncation_jvp(primals, tangents):
    # Divided differences of an odd function of the singular values. In their basis the symmetric
    # part of the tangent is multiplied by the divided difference between s and s', and the
    # antisymmetric part by the one between s and -s'. The part outside the basis is multiplied by
    # the one between s and zero.
    a, rank = primals
    n, m = a.shape
    u, s, vt = jnp.linalg.svd(a, full_matrices=False)
    kept = jnp.arange(s.size) < rank
    values = jnp.where(kept, s, 0)
    same = kept[:, None] == kept[None, :]
    quotient = lambda change, gap: change / jnp.where(gap == 0, 1, gap)
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
    r"""Whitening of a second moment $S$ on its range.

    - `inverse`: $U = F^+$, so that $U^\top S U$ is one on the range.
    - `forward`: $F$ with $S = F^\top F$.
    - `projector`: the projector on the range.
    - `rank`: the rank of $S$.
    - `condition`: the condition number on the range, with $S$ scaled to unit diagonal.
    - `rounding`: the relative error that the dtype leaves in $U$.
    """

    inverse: Float[Array, "d d"]
    forward: Float[Array, "d d"]
    projector: Float[Array, "d d"]
    rank: Int[Array, ""]
    condition: Float[Array, ""]
    rounding: Float[Array, ""]


def _unit_diagonal(second: Array) -> tuple[Array, Array, Array]:
    """$S'$ with unit diagonal and $S = D S' D$, and the diagonals of $D$ and $D^+$.

    The diagonal of $S'$ is zero at coordinates without variance.
    """
    variance = diagonal(second)
    present = variance > 0
    stretch = jnp.where(present, jnp.sqrt(jnp.where(present, variance, 1)), 0)
    scale = jnp.where(present, 1 / jnp.where(present, stretch, 1), 0)
    scaled = scale[:, None] * second * scale[None, :]
    return (
        jnp.where(jnp.eye(len(second), dtype=bool), present.astype(second.dtype), scaled),
        stretch,
        scale,
    )


def _axes(rows: Float[Array, "n d"]) -> Float[Array, "d d"]:
    """Orthonormal axes, as rows, by Gram-Schmidt: the largest remaining row comes first.

    Axes are zero once nothing remains.
    """
    d = rows.shape[1]

    def along(k: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        left, axes = state
        axis = left[jnp.argmax(jnp.sum(left**2, axis=1))]
        for _ in range(2):
            axis = axis - matmul(matmul(axes, axis), axes)
            size = jnp.linalg.norm(axis)
            axis = axis / jnp.where(size > 0, size, 1)
        return left - matmul(left, axis)[:, None] * axis, axes.at[k].set(axis)

    return jax.lax.fori_loop(0, d, along, (rows, jnp.zeros((d, d), rows.dtype)))[1]


@jax.custom_jvp
def whiten(second: Float[Array, "d d"]) -> Whitening:
    r"""Whitening of a second moment, scaled to unit diagonal first.

    The scaling $S = D S' D$ is an exact symmetry: strengths apart by many decades do not spoil one
    another. The range of $S$ is $D$ times the range of $S' = V \Lambda V^\top$, whose rank counts
    the eigenvalues above $d \epsilon$ times the largest. With $D V Z^\top = Q R$ over the range,
    $Z$ orthogonal, $U = Q R^{-\top} Z \Lambda^{-1/2} V^\top$. Differentiable while the rank stays.
    """
    d, eps = second.shape[-1], jnp.finfo(second.dtype).eps
    scaled, stretch, scale = _unit_diagonal(second)
    spread, v = jnp.linalg.eigh(scaled)
    spread, v = spread[::-1], v[:, ::-1]
    inside = spread > d * eps * spread[0]
    rank = jnp.sum(inside)
    spread = jnp.where(inside, spread, 1)
    # The error of Householder's QR in each row is the rounding of that row, if strong rows come
    # first and the axes are rotated to them.
    order = jnp.argsort(-stretch)
    axes = _axes(jnp.where(inside, stretch[:, None] * v, 0))
    turned = jnp.where(inside, matmul(v, axes.T), v)
    # The first columns of Q span the range, the others its orthogonal complement.
    q, r = jnp.linalg.qr((stretch[:, None] * turned)[order])
    q, r = (
        q[jnp.argsort(order)],
        jnp.where(inside[:, None] & inside[None, :], r, jnp.eye(d, dtype=r.dtype)),
    )
    away, q = jnp.where(inside, 0, q), jnp.where(inside, q, 0)
    lower = matmul(
        jax.scipy.linalg.solve_triangular(r.T, jnp.eye(d, dtype=r.dtype), lower=True), axes
    )
    lifted = matmul(q, lower)
    root = jnp.where(inside, jnp.sqrt(spread), 0)
    # Errors of the rows of D V, relative to the length of each row, move the pseudoinverse within
    # the range and out of it.
    stretched = lambda a: frobenius(stretch[:, None] * a)
    turn = jnp.where(rank < d, stretched(lifted) + stretched(away) * frobenius(lifted), 1)
    condition = jnp.where(rank > 0, spread[0] / jnp.min(jnp.where(inside, spread, jnp.inf)), 1)
    return Whitening(
        inverse=matmul(
            jnp.where(rank < d, lifted, scale[:, None] * v)
            * jnp.where(inside, 1 / jnp.sqrt(spread), 0),
            v.T,
        ),
        forward=matmul(v * root, v.T) * stretch,
        projector=jnp.where(rank < d, matmul(q, q.T), jnp.eye(d, dtype=second.dtype)),
        rank=rank,
        condition=condition,
        rounding=8 * d * eps * condition * turn,
    )


@whiten.defjvp
def _whiten_jvp(primals, tangents):
    # F is differentiated through the root of S', a function of a spectrum. Its pseudoinverse, of
    # constant rank, is differentiated by Golub and Pereyra (1973).
    value = whiten(*primals)

    def root(second: Array) -> Array:
        scaled, stretch, _ = _unit_diagonal(second)
        return psd_power(scaled, 0.5, value.rank) * stretch

    u, f = value.inverse, value.forward
    turned = jax.jvp(root, primals, tangents)[1]
    inward, outward = (
        turned.T - matmul(matmul(turned.T, f), u),
        turned.T - matmul(value.projector, turned.T),
    )
    within, singular = -matmul(matmul(u, turned), u), value.rank < len(u)
    moved = within + jnp.where(
        singular, matmul(matmul(u, u.T), inward) + matmul(outward, matmul(u.T, u)), 0
    )
    projected = jnp.where(singular, matmul(moved, f) + matmul(u, turned), 0)
    still = jnp.zeros(value.rank.shape, jax.dtypes.float0)
    zero = jnp.zeros_like(value.condition)
    return value, Whitening(moved, turned, projected, still, zero, zero)
