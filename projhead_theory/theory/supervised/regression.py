"""Minimiser of the mean squared error over linear networks of bounded width."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..._core import checks
from ..._core.linalg import (
    Whitening,
    diagonal,
    frobenius,
    matmul,
    symmetric,
    truncation,
    whiten,
)
from ..._core.powers import gram_powers
from ...moments import TargetMoments
from ..layers.minimiser import NonUniqueMinimiserError

__all__ = [
    "RegressionMinimiser",
    "regression_minimiser",
]


class RegressionMinimiser(eqx.Module):
    r"""Linear map of bounded rank of least mean squared error, and the Grams of its layers.

    - `matrix` `(k, d)`: the minimiser $W^\star$.
    - `grams` `(L, d, d)`: $(W^{\star\top} W^\star)^{l/L}$ for every layer.
    - `loss`: the minimum of the loss.
    - `correlations`: the singular values $\rho_i$ of $A S^{-1/2}$, descending.
    - `kept`: the number of correlations in $W^\star$.
    - `unresolved`: the number of correlations within the width that are not zero, but less than
      the dtype can tell from zero; they count as zero.
    - `gap`: $\rho_p - \rho_{p+1}$, infinite when nothing is cut.
    - `unique`: true if there is one minimiser.
    - `whitening`: the whitening of $S$, on its range.
    - `rounding`: the rounding error of `matrix`, relative in Frobenius norm.
    - `moments`: the problem from which it was computed.
    """

    matrix: Float[Array, "k d"]
    grams: Float[Array, "L d d"]
    loss: Float[Array, ""]
    correlations: Float[Array, " m"]
    kept: Int[Array, ""]
    unresolved: Int[Array, ""]
    gap: Float[Array, ""]
    unique: Bool[Array, ""]
    whitening: Whitening
    rounding: Float[Array, ""]
    moments: TargetMoments

    @property
    def depth(self) -> int:
        return self.grams.shape[-3]

    @property
    def weights(self) -> Float[Array, "L d"]:
        """Weight of each input coordinate at each layer."""
        squares = diagonal(self.grams)
        return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def regression_minimiser(
    moments: TargetMoments, depth: int = 1, width: int | None = None, *, throw: bool = True
) -> RegressionMinimiser:
    r"""Minimise the mean squared error over linear networks of bounded width.

    $$\min_{W = W_L \cdots W_1} \tfrac 12 E\|Wx - y\|^2, \qquad W^\star = (A S^{-1/2})_p S^{-1/2}$$

    Layers have at least `width` units, and $(\cdot)_p$ is the best approximation of rank $p$.
    Where the rank allows, $W^\star = A S^{-1}$. The metric is the second moment of the inputs:
    the combinations of outputs that are predicted best are kept, not the largest singular
    values of $A S^{-1}$. The loss is $\frac 12 (E\|y\|^2 - \sum_{i \le p} \rho_i^2)$. The
    layers are balanced, with Grams $(W^{\star\top} W^\star)^{l/L}$. Directions without variance get
    weight zero.

    **Arguments:**

    - `moments`: moment $A$ of target and input `(k, d)`, second moment $S$ of the input
      `(d, d)`.
    - `depth`: the number of layers $L \ge 1$.
    - `width`: the smallest width $p \ge 1$ of the network, outputs included, $k$ by default.
    - `throw`: raise if the minimiser is not unique. With `throw=False`, `unique` is then
      false, and `matrix` is the part that all minimisers share.

    **Raises:** `ValueError` for a depth or width below 1; `NonUniqueMinimiserError` if
    $\rho_p = \rho_{p+1} > 0$ to rounding.

    !!! example

        ```pycon
        >>> moments = pt.moments.TargetMoments([[2.0, 1.0]], jnp.diag(jnp.asarray([4.0, 1.0])))
        >>> np.round(pt.theory.supervised.regression_minimiser(moments, depth=2).matrix, 3)
        Array([[0.5, 1. ]], dtype=float64)

        ```

    Theorem: sl-minimiser, layerwise-law (paper section 5; Izenman 1975 for the rank).
    """
    depth = checks.count("depth", depth)
    most = min(moments.target.shape)
    width = most if width is None else min(checks.count("width", width), most)
    result = _minimise(moments, depth, width)
    unique = checks.concrete(result.unique)
    if throw and unique is not None and not unique.all():
        raise NonUniqueMinimiserError(
            f"width: got {width}, which cuts between the tied correlations {width} and "
            f"{width + 1}; "
            "want a width at which the minimiser is unique"
        )
    return result


@eqx.filter_jit
def _minimise(moments: TargetMoments, depth: int, width: int) -> RegressionMinimiser:
    a, s = moments.target, moments.second
    w = whiten(s)
    whitened = matmul(a, w.inverse)
    correlations = jnp.linalg.svd(whitened, compute_uv=False)
    small = w.rounding * correlations[0]
    within = jnp.arange(correlations.size) < width
    below = correlations[width] if width < correlations.size else jnp.zeros_like(small)
    gap = correlations[width - 1] - below
    cuts = below > small
    unique = ~(cuts & (gap <= small))
    tied = jnp.abs(correlations - correlations[width - 1]) <= small
    resolved = correlations > small
    count = jnp.sum(within & resolved & (unique | ~tied))
    matrix = matmul(truncation(whitened, count), w.inverse.T)
    gram = symmetric(matmul(matrix.T, matrix))
    size = frobenius(matrix)
    amplified = 1 + correlations[0] / jnp.where(cuts & unique, gap, jnp.inf)
    everything = correlations[0] * frobenius(w.inverse) / jnp.where(size > 0, size, 1)
    return RegressionMinimiser(
        matrix=matrix,
        grams=gram_powers(gram, count, depth),
        loss=(moments.power - jnp.sum(jnp.where(within, correlations, 0) ** 2)) / 2,
        correlations=correlations,
        kept=count,
        unresolved=jnp.sum(within & ~resolved & (correlations > 0)),
        gap=jnp.where(cuts, gap, jnp.inf),
        unique=unique,
        whitening=w,
        rounding=w.rounding * (1 + amplified * everything),
        moments=moments,
    )
