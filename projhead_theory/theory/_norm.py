r"""The least sum of squared norms of the layers that multiply to a given matrix."""

import itertools
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import _checks
from .._spectra import matmul


def least_norm(matrix: Float[Array, "p d"], depth: int) -> Float[Array, ""]:
    r"""$\min \sum_l \|W_l\|_F^2$ over $W_L \cdots W_1 = W$ with inner widths of at least the rank:
    $L \sum_i s_i(W)^{2/L}$, attained exactly by balanced factorisations.

    Singular values that rounding cannot tell from zero count as zero: a root would make much of them.

    **Arguments:** `matrix`: $W$; `depth`: $L \ge 1$.

    **Raises:** `ValueError` for a depth below 1.

    Theorem: min-norm (paper section 3, for depth 2; Shang et al. 2016).
    """
    return _norm(matrix, _checks.count("depth", depth))


def least_norm_factors(
    matrix: Float[Array, "p d"], depth: int, widths: Sequence[int] | None = None
) -> tuple[Float[Array, "..."], ...]:
    r"""Layers $W_1, \dots, W_L$ that multiply to `matrix` with the least sum of squared norms: a balanced factorisation.

    With $W = U \Sigma V^\top$: $W_1 = \Sigma^{1/L} V^\top$, $W_L = U \Sigma^{1/L}$, $\Sigma^{1/L}$ between, each padded with
    zeros to its widths. Every other least factorisation differs by orthogonal maps between the layers.

    **Arguments:** `matrix`: $W$, `(p, d)`; `depth`: $L \ge 1$; `widths`: the inner widths $p_1, \dots, p_{L-1}$, each at least
    the rank of $W$; `min(p, d)` if not given.

    **Returns:** the layers, $W_l$ of shape `(p_l, p_{l-1})` with $p_0 = d$ and $p_L = p$.

    **Raises:** `ValueError` for a depth below 1, the wrong number of widths, or a width below the rank.

    Theorem: min-norm (paper section 3, for depth 2; Shang et al. 2016).
    """
    depth = _checks.count("depth", depth)
    inner = (
        [min(matrix.shape)] * (depth - 1)
        if widths is None
        else [_checks.count("widths", width) for width in widths]
    )
    if len(inner) != depth - 1:
        raise _checks.bad(
            "widths", f"{len(inner)} numbers", f"{depth - 1}: one between each two layers"
        )
    if depth == 1:
        return (matrix,)
    u, values, vt = jnp.linalg.svd(matrix, full_matrices=False)
    kept = _kept(values, matrix.shape)
    rank = _checks.concrete(jnp.sum(kept))
    if rank is not None and min(inner) < rank:
        raise _checks.bad("widths", min(inner), f"at least {rank}, the rank of the matrix")
    roots = jnp.where(kept, jnp.where(kept, values, 1) ** (1 / depth), 0)
    spectra = [_diagonal(roots, m, n) for n, m in itertools.pairwise(inner)]
    first = matmul(_diagonal(roots, inner[0], roots.size), vt)
    last = matmul(u, _diagonal(roots, roots.size, inner[-1]))
    return (first, *spectra, last)


@partial(jax.jit, static_argnums=1)
def _norm(matrix: Array, depth: int) -> Array:
    values = jnp.linalg.svd(matrix, compute_uv=False)
    kept = _kept(values, matrix.shape)
    return depth * jnp.sum(jnp.where(kept, jnp.where(kept, values, 1) ** (2 / depth), 0))


def _kept(values: Array, shape: tuple[int, ...]) -> Array:
    return jax.lax.stop_gradient(values > max(shape) * jnp.finfo(values.dtype).eps * values[0])


def _diagonal(values: Array, rows: int, columns: int) -> Array:
    n = min(rows, columns, values.size)
    at = jnp.arange(n)
    return jnp.zeros((rows, columns), values.dtype).at[at, at].set(values[:n])
