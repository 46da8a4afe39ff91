"""Minimiser of the spectral contrastive loss over linear networks of bounded width."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..._core import checks
from ..._core.linalg import (
    Whitening,
    diagonal,
    eigh,
    is_diagonal,
    matmul,
    psd_power,
    symmetric,
    whiten,
)
from ..._core.tolerance import gram_rounding
from ...moments import Moments

__all__ = [
    "NonUniqueMinimiserError",
    "SpectralMinimiser",
    "spectral",
]


class NonUniqueMinimiserError(ValueError):
    """Error for a loss with several minimisers: the width cuts through tied signal fractions."""


class SpectralMinimiser(eqx.Module):
    r"""End-to-end Gram that minimises a loss, and its accuracy.

    Formulas are of the spectral contrastive loss; `theory.responses` has other losses.

    - `gram` `(d, d)`: the minimiser $M^\star$.
    - `loss`: the minimum $-\sum_{i \le p} \lambda_i^2$.
    - `signal_fraction` `(d,)`: the generalised eigenvalues of $(C, S)$, descending, zero where
      there is no variance.
    - `modes` `(d, d)`: columns $u_i$ with $C u_i = \lambda_i S u_i$ and $u_i^\top S u_i = 1$,
      so that $M^\star = \sum_{\text{kept}} \lambda_i u_i u_i^\top$.
    - `kept`: the number of modes in $M^\star$.
    - `unresolved`: the number of modes within the width that count as zero and are not, because
      the dtype cannot tell their signal fraction, or the square of their weight, from zero.
    - `gap`: $\lambda_p - \max(\lambda_{p+1}, 0)$, infinite when nothing is cut.
    - `unique`: true if there is one minimiser.
    - `whitening`: the whitening of $S$, on its range.
    - `fraction_rounding` `(d,)`: the absolute rounding error of each signal fraction.
    - `rounding`: the rounding error of `gram`, relative in Frobenius norm.
    """

    gram: Float[Array, "d d"]
    loss: Float[Array, ""]
    signal_fraction: Float[Array, " d"]
    modes: Float[Array, "d d"]
    kept: Int[Array, ""]
    unresolved: Int[Array, ""]
    gap: Float[Array, ""]
    unique: Bool[Array, ""]
    whitening: Whitening
    fraction_rounding: Float[Array, " d"]
    rounding: Float[Array, ""]


def spectral(
    moments: Moments, width: int | None = None, *, throw: bool = True
) -> SpectralMinimiser:
    r"""Minimise the spectral contrastive loss over linear networks of bounded width.

    $$M^\star = \arg\min_{M \succeq 0,\ \mathrm{rank}\, M \le p}
    -2\,\mathrm{tr}(CM) + \mathrm{tr}(SMSM) = S^{-1/2} T_p S^{-1/2}$$

    Here $T_p$ is the best PSD truncation of rank $p$ of $T = S^{-1/2} C S^{-1/2}$. It keeps the
    $p$ largest *signal fractions*, not the strongest features. Directions without variance get
    weight zero. The second moment is scaled to unit diagonal first, an exact symmetry that
    keeps strengths apart by many decades from spoiling one another.

    **Arguments:**

    - `moments`: cross and second moment of the views, each `(d, d)`.
    - `width`: the smallest width $p \ge 1$ of the network, $d$ by default.
    - `throw`: raise if the minimiser is not unique. With `throw=False`, `unique` is then
      false, and `gram` is the part that all minimisers share (the modes above the tie).

    **Raises:** `ValueError` for a width below 1; `NonUniqueMinimiserError` if
    $\lambda_p = \lambda_{p+1} > 0$ to rounding.

    !!! example

        ```pycon
        >>> noise = pt.AdditiveNoise([1.0, 0.2])
        >>> moments = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), noise).moments()
        >>> np.round(jnp.diagonal(pt.theory.layers.spectral(moments, width=1).gram), 3)
        Array([0.   , 0.925], dtype=float64)

        ```

    Theorem: spectral-minimiser (paper section 3; HaoChen et al. 2021 for the unconstrained
    case).
    """
    d = moments.dim
    width = d if width is None else min(checks.count("width", width), d)
    result = minimise(moments, jnp.asarray(width, int))
    if throw:
        complain(result, width)
    return result


def complain(minimiser: SpectralMinimiser, width: int) -> None:
    """Raise if the minimiser of a network of this width is not unique."""
    unique = checks.concrete(minimiser.unique)
    if unique is not None and not unique.all():
        fractions = checks.concrete(minimiser.signal_fraction)
        shown = (
            "" if fractions is None or fractions.ndim > 1 else f": both are {fractions[width]:.6g}"
        )
        raise NonUniqueMinimiserError(
            f"width: got {width}, which cuts between the tied signal fractions {width} and "
            f"{width + 1}{shown}; "
            "want a width at which the minimiser is unique"
        )


@eqx.filter_jit
def minimise(moments: Moments, width: Array) -> SpectralMinimiser:
    """Compute `spectral` at an unchecked width from 1 to d, by the same program at every width."""
    cross, second = moments.cross, moments.second
    d, eps = moments.dim, jnp.finfo(second.dtype).eps
    w = whiten(second)
    t = symmetric(matmul(matmul(w.inverse.T, cross), w.inverse))
    values, vectors, _ = eigh(t)
    fractions = values[::-1]
    modes = matmul(w.inverse, vectors[:, ::-1])

    # Features that do not mix have one fraction c / q each, to a few of its own roundings.
    # Otherwise the noise is the forward error of T: rounding, amplified by the condition of the
    # scaled second moment.
    apart = is_diagonal(cross) & is_diagonal(second)
    noise = jnp.where(apart, 16 * eps * jnp.abs(fractions), w.rounding)
    at_cut = noise[width - 1]
    within = jnp.arange(d) < width
    resolved = fractions > noise
    below = jnp.where(width < d, jnp.maximum(fractions[jnp.minimum(width, d - 1)], 0), 0)
    gap = fractions[width - 1] - below
    cuts = below > at_cut
    unique = ~(cuts & (gap <= at_cut))
    kept = jnp.where(
        unique, jnp.sum(within & resolved), jnp.sum(fractions - fractions[width - 1] > at_cut)
    )
    gram = symmetric(matmul(matmul(w.inverse, psd_power(t, 1.0, kept)), w.inverse.T))
    gap = jnp.where(cuts, gap, jnp.inf)
    # The square of a weight may underflow where the weight does not.
    lost = jnp.where(apart, kept - jnp.sum(diagonal(gram) > 0), 0)
    return SpectralMinimiser(
        gram=gram,
        loss=-jnp.sum(jnp.where(within, jnp.maximum(fractions, 0), 0) ** 2),
        signal_fraction=jnp.maximum(fractions, 0),
        modes=modes,
        kept=kept,
        unresolved=jnp.sum(within & ~resolved & (fractions > 0)) + lost,
        gap=gap,
        unique=unique,
        whitening=w,
        fraction_rounding=noise,
        rounding=jnp.where(
            apart, 32 * eps, gram_rounding(gram, w, jnp.where(unique, gap, jnp.inf))
        ),
    )
