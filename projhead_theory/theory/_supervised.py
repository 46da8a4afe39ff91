"""The minimiser of the mean squared error over linear networks of bounded width, and its layers."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .. import _checks
from .._spectra import (
    Whitening,
    diagonal,
    frobenius,
    matmul,
    psd_power,
    symmetric,
    truncation,
    whiten,
)
from ..moments import TargetMoments
from ._spectral import NonUniqueMinimiserError


class RegressionMinimiser(eqx.Module):
    r"""The linear map $W^\star$ of bounded rank at which the mean squared error is least, and the Grams of its layers.

    - `matrix` `(k, d)`; `grams` `(L, d, d)`: $(W^{\star\top} W^\star)^{l/L}$; `loss`.
    - `correlations`: the singular values of $A S^{-1/2}$, descending; `kept`: the number of them in $W^\star$; `unresolved`: the number
      within the width that are not zero, but less than the dtype can tell from zero: they count as zero.
    - `gap`: $\rho_p - \rho_{p+1}$ (infinite when nothing is cut); `unique`.
    - `whitening`: of $S$, on its range; `rounding`: the error that the dtype leaves in `matrix`, relative in Frobenius norm.
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

    @property
    def depth(self) -> int:
        return self.grams.shape[-3]

    @property
    def weights(self) -> Float[Array, "L d"]:
        """The weight of each input coordinate at each layer."""
        squares = diagonal(self.grams)
        return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def regression_minimiser(
    moments: TargetMoments, depth: int = 1, width: int | None = None, *, throw: bool = True
) -> RegressionMinimiser:
    r"""Minimise $\frac 12 E\|Wx - y\|^2$ over $W = W_L \cdots W_1$ with layers of at least `width` units, and balance them.

    $W^\star = (A S^{-1/2})_p S^{-1/2}$ with the best approximation of rank $p$; $A S^{-1}$ where the rank allows. The metric is that of
    the inputs: what is kept are the combinations of outputs best predicted, not the largest singular values of $A S^{-1}$. The loss is
    $\frac 12 (E\|y\|^2 - \sum_{i \le p} \rho_i^2)$. Balanced layers have the Grams $(W^{\star\top} W^\star)^{l/L}$. Directions without
    variance get weight zero.

    **Arguments:** `moments`; `depth`: $L \ge 1$; `width`: $p \ge 1$, the smallest width of the network, outputs included, $k$ if not
    given; `throw`: raise if the minimiser is not unique. With `throw=False`, `unique` says so, and `matrix` is what all share.

    **Raises:** `ValueError` for a depth or width below 1; `NonUniqueMinimiserError` if $\rho_p = \rho_{p+1} > 0$ to rounding.

    Theorem: sl-minimiser, layerwise-law (paper section 5; Izenman 1975 for the rank).
    """
    depth = _checks.count("depth", depth)
    most = min(moments.target.shape)
    width = most if width is None else min(_checks.count("width", width), most)
    result = _minimise(moments, depth, width)
    unique = _checks.concrete(result.unique)
    if throw and unique is not None and not unique.all():
        raise NonUniqueMinimiserError(
            f"width: got {width}, which cuts between the tied correlations {width} and {width + 1}; "
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
    levels = jnp.arange(1, depth, dtype=gram.dtype) / depth
    grams = jnp.concatenate([jax.vmap(lambda t: psd_power(gram, t, count))(levels), gram[None]])
    size = frobenius(matrix)
    amplified = 1 + correlations[0] / jnp.where(cuts & unique, gap, jnp.inf)
    everything = correlations[0] * frobenius(w.inverse) / jnp.where(size > 0, size, 1)
    return RegressionMinimiser(
        matrix=matrix,
        grams=grams,
        loss=(moments.power - jnp.sum(jnp.where(within, correlations, 0) ** 2)) / 2,
        correlations=correlations,
        kept=count,
        unresolved=jnp.sum(within & ~resolved & (correlations > 0)),
        gap=jnp.where(cuts, gap, jnp.inf),
        unique=unique,
        whitening=w,
        rounding=w.rounding * (1 + amplified * everything),
    )
