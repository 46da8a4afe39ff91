"""The minimiser of the spectral contrastive loss over linear networks of bounded width."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .. import _checks
from .._spectra import frobenius, matmul, psd_power, symmetric
from ..moments import Moments


class NonUniqueMinimiserError(ValueError):
    """The loss has more than one minimiser: the width cuts through tied signal fractions."""


class SpectralMinimiser(eqx.Module):
    r"""The end-to-end Gram $M^\star$ at which the spectral contrastive loss is least, and how well it is determined.

    `gram` `(d, d)`; `loss`, the minimum $-\sum_{i \le p} \lambda_i^2$; `signal_fraction` `(d,)`, the generalised
    eigenvalues of $(C, S)$, descending, zero where there is no variance; `modes` `(d, d)`, columns $u_i$ with
    $C u_i = \lambda_i S u_i$, $u_i^\top S u_i = 1$, so that $M^\star = \sum_{\text{kept}} \lambda_i u_i u_i^\top$;
    `kept`, how many modes $M^\star$ contains; `gap`, $\lambda_p - \max(\lambda_{p+1}, 0)$ (infinite when nothing is
    cut); `unique`; `rounding`, the relative error that the dtype leaves in `gram`.
    """

    gram: Float[Array, "d d"]
    loss: Float[Array, ""]
    signal_fraction: Float[Array, " d"]
    modes: Float[Array, "d d"]
    kept: Int[Array, ""]
    gap: Float[Array, ""]
    unique: Bool[Array, ""]
    rounding: Float[Array, ""]

    @property
    def fraction_rounding(self) -> Float[Array, ""]:
        """The absolute error that the dtype leaves in a signal fraction."""
        return self.rounding / (1 + 1 / jnp.where(self.unique, self.gap, jnp.inf))


def spectral(moments: Moments, width: int | None = None, *, throw: bool = True) -> SpectralMinimiser:
    r"""Minimise $-2\,\mathrm{tr}(CM) + \mathrm{tr}(SMSM)$ over $M \succeq 0$ of rank at most `width`.

    With $T = S^{-1/2} C S^{-1/2}$ and $T_p$ its best PSD truncation of rank $p$: $M^\star = S^{-1/2} T_p S^{-1/2}$.
    What is kept are the $p$ largest *signal fractions*, not the strongest features. Directions without variance get
    weight zero. The second moment is scaled to unit diagonal first, an exact symmetry that keeps strengths apart by
    many decades from spoiling one another.

    **Arguments:** `moments`; `width`: $p \ge 1$, the smallest width of the network, $d$ if not given; `throw`: raise if
    the minimiser is not unique. With `throw=False`, `unique` says so, and `gram` is the part that all minimisers share
    (the modes above the tie).

    **Raises:** `ValueError` for a width below 1; `NonUniqueMinimiserError` if $\lambda_p = \lambda_{p+1} > 0$ to rounding.

    Theorem: spectral-minimiser (paper section 3; HaoChen et al. 2021 for the unconstrained case).
    """
    d = moments.dim
    width = d if width is None else min(_checks.count("width", width), d)
    result = minimise(moments, width)
    if throw:
        complain(result, width)
    return result


def complain(minimiser: SpectralMinimiser, width: int) -> None:
    """Raise if the minimiser of a network of this width is not unique."""
    unique = _checks.concrete(minimiser.unique)
    if unique is not None and not unique.all():
        fractions = _checks.concrete(minimiser.signal_fraction)
        shown = "" if fractions is None or fractions.ndim > 1 else f": both are {fractions[width]:.6g}"
        raise NonUniqueMinimiserError(
            f"width: got {width}, which cuts between the tied signal fractions {width} and {width + 1}{shown}; "
            "want a width at which the minimiser is unique"
        )


@eqx.filter_jit
def minimise(moments: Moments, width: int | Array) -> SpectralMinimiser:
    """`spectral`, at a width from 1 to d that is not checked and may be traced."""
    cross, second = moments.cross, moments.second
    d, eps = moments.dim, jnp.finfo(second.dtype).eps
    variance = jnp.diagonal(second)
    present = variance > 0
    scale = jnp.where(present, jnp.where(present, variance, 1) ** -0.5, 0)
    outer = scale[:, None] * scale[None, :]

    spread = jnp.linalg.eigvalsh(second * outer)
    rank = jnp.sum(spread > d * eps * spread[-1])
    root = psd_power(second * outer, -0.5, rank)
    t = symmetric(matmul(matmul(root, cross * outer), root))
    fractions, vectors = jnp.linalg.eigh(t)
    fractions = fractions[::-1]
    # The scaled pseudo-inverse may reach outside the range of S, where the loss sees nothing: weight zero there, by projection.
    unscale = scale[:, None] * root
    unscale = jnp.where(rank < d, matmul(psd_power(second, 0.0, rank), unscale), unscale)
    modes = matmul(unscale, vectors[:, ::-1])

    # Forward error of T: rounding, amplified by the conditioning of the scaled second moment on its range.
    smallest = spread[jnp.clip(d - rank, 0, d - 1)]
    noise = 8 * d * eps * jnp.maximum(spread[-1] / jnp.where(rank > 0, smallest, 1), 1)
    within = jnp.arange(d) < width
    kept = jnp.sum(within & (fractions > noise))
    below = jnp.where(width < d, jnp.maximum(fractions[jnp.minimum(width, d - 1)], 0), 0)
    gap = fractions[width - 1] - below
    cuts = below > noise
    unique = ~(cuts & (gap <= noise))
    tied = jnp.abs(fractions - fractions[width - 1]) <= noise
    kept = jnp.where(unique, kept, jnp.sum((fractions > fractions[width - 1]) & ~tied))
    gram = symmetric(matmul(matmul(unscale, psd_power(t, 1.0, kept)), unscale.T))
    gap = jnp.where(cuts, gap, jnp.inf)
    return SpectralMinimiser(
        gram=gram,
        loss=-jnp.sum(jnp.where(within, jnp.maximum(fractions, 0), 0) ** 2),
        signal_fraction=jnp.maximum(fractions, 0),
        modes=modes,
        kept=kept,
        gap=gap,
        unique=unique,
        rounding=noise * (1 + 1 / jnp.where(unique, gap, jnp.inf)),
    )


def stationarity_defect(minimiser: SpectralMinimiser, moments: Moments, gram: Float[Array, "d d"]) -> tuple[Array, Array, Array]:
    r"""How far a nearly stationary Gram may be from $M^\star$, from its own residual: a Newton step, no trust in the run.

    In the modes, $\tilde M = U^{-1} M U^{-\top}$ obeys $\tilde M (\tilde M - \Lambda) = R$ with $R = 0$ at a stationary
    point. To first order the kept block of $\tilde M - \Lambda_p$ is $R_{ij} / \lambda_i$, the block between kept $i$
    and dropped $j$ is $R_{ij} / (\lambda_i - \lambda_j)$, and the dropped block $D \succeq 0$ has
    $\|D\|_F^2 \le \mathrm{tr} R$ over it. At a *wrong* stationary point $R$ vanishes, and so does this: the discrepancy
    then stands alone.

    Returns the first-order displacement of $M$ `(d, d)`; a bound on the Frobenius norm of the dropped block's share;
    and the excess loss that goes with both, $\|\tilde M - \Lambda_p\|_F^2$ plus the dropped block's linear term.
    """
    u, fractions = minimiser.modes, minimiser.signal_fraction
    d = fractions.shape[-1]
    whiten = matmul(u.T, moments.second)
    inner = matmul(matmul(whiten, gram), whiten.T)
    signed = jnp.sum(u * matmul(moments.cross, u), axis=0)
    residual = matmul(inner, inner - jnp.diag(signed))
    kept = jnp.arange(d) < minimiser.kept
    floor = minimiser.fraction_rounding + jnp.finfo(gram.dtype).tiny
    block = kept[:, None] & ~kept[None, :]
    separation = jnp.where(block, fractions[:, None] - signed[None, :], fractions[:, None])
    step = jnp.where(kept[:, None], residual / jnp.maximum(separation, floor), 0)
    step = jnp.where(block, step, 0) + jnp.where(block, step, 0).T + symmetric(jnp.where(kept[:, None] & kept[None, :], step, 0))
    spare = jnp.sqrt(jnp.sum(jnp.where(kept, 0, jnp.abs(jnp.diagonal(residual)))))
    # At a cut the kept modes use up the rank, and the dropped block is the Schur complement of the mixed one: second order.
    last = jnp.maximum(fractions[jnp.maximum(minimiser.kept, 1) - 1], jnp.finfo(gram.dtype).tiny)
    schur = jnp.sum(jnp.where(block, step, 0) ** 2) / last
    dropped = jnp.where(jnp.isfinite(minimiser.gap), schur, spare)
    outside = u * jnp.where(kept, 0, 1)
    # tr D, at a cut, is the square of the mixed block over the kept fraction: of second order, like the rest of the excess.
    excess = 3 * jnp.sum(step * step) + 2 * spare**2
    return matmul(matmul(u, step), u.T), dropped * frobenius(matmul(outside, outside.T)), excess
