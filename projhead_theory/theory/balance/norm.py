"""Least sum of squared layer norms over the factorisations of a matrix."""

import itertools
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._core import checks
from ..._core.linalg import matmul

__all__ = [
    "least_norm",
    "least_norm_factors",
]


def least_norm(matrix: Float[Array, "p d"], depth: int) -> Float[Array, ""]:
    r"""Least sum of squared norms of layers that multiply to a matrix.

    $$\min_{W_L \cdots W_1 = W} \sum_l \|W_l\|_F^2 = L \sum_i s_i(W)^{2/L}$$

    The inner widths are at least the rank of $W$. Balanced factorisations, and no others,
    attain the minimum. Singular values that rounding cannot tell from zero count as zero,
    because the root would enlarge them.

    **Arguments:**

    - `matrix`: the product $W$, `(p, d)`.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for a depth below 1.

    !!! example

        ```pycon
        >>> matrix = jnp.diag(jnp.asarray([4.0, 1.0]))
        >>> round(float(pt.theory.balance.least_norm(matrix, depth=2)), 3)
        10.0

        ```

    Theorem: min-norm (paper section 3, for depth 2; Shang et al. 2016).
    """
    return _norm(matrix, checks.count("depth", depth))


def least_norm_factors(
    matrix: Float[Array, "p d"], depth: int, widths: Sequence[int] | None = None
) -> tuple[Float[Array, "..."], ...]:
    r"""Balanced factorisation of a matrix into layers, with the least sum of squared norms.

    With $W = U \Sigma V^\top$, the first layer is $W_1 = \Sigma^{1/L} V^\top$, the last is
    $W_L = U \Sigma^{1/L}$, and every layer between is $\Sigma^{1/L}$, each padded with zeros to
    its widths. Every other least factorisation differs by orthogonal maps between the layers.

    **Arguments:**

    - `matrix`: the product $W$, `(p, d)`.
    - `depth`: the number of layers $L \ge 1$.
    - `widths`: the inner widths $p_1, \dots, p_{L-1}$, each at least the rank of $W$; by
      default all are `min(p, d)`.

    **Returns:** the layers, $W_l$ of shape `(p_l, p_{l-1})` with $p_0 = d$ and $p_L = p$.

    **Raises:** `ValueError` for a depth below 1, the wrong number of widths, or a width below
    the rank.

    !!! example

        ```pycon
        >>> first, last = pt.theory.balance.least_norm_factors(jnp.asarray([[3.0, 4.0]]), depth=2)
        >>> np.round(last @ first, 3)
        Array([[3., 4.]], dtype=float64)
        >>> round(float(jnp.sum(first**2) + jnp.sum(last**2)), 3)
        10.0

        ```

    Theorem: min-norm (paper section 3, for depth 2; Shang et al. 2016).
    """
    depth = checks.count("depth", depth)
    inner = (
        [min(matrix.shape)] * (depth - 1)
        if widths is None
        else [checks.count("widths", width) for width in widths]
    )
    if len(inner) != depth - 1:
        raise checks.bad(
            "widths", f"{len(inner)} numbers", f"{depth - 1}: one between each two layers"
        )
    if depth == 1:
        return (matrix,)
    u, values, vt = jnp.linalg.svd(matrix, full_matrices=False)
    kept = _kept(values, matrix.shape)
    rank = checks.concrete(jnp.sum(kept))
    if rank is not None and min(inner) < rank:
        raise checks.bad("widths", min(inner), f"at least {rank}, the rank of the matrix")
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
