"""Minimisers as functions of the spectrum of the whitened cross moment, or of the cross moment."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ..._core.linalg import (
    diagonal,
    eigh,
    frobenius,
    is_diagonal,
    matmul,
    psd_power,
    spectral_map,
    symmetric,
    whiten,
)
from ...moments import Moments
from ..layers import SpectralMinimiser

Curve = Callable[..., Array]
"""Function of signal fractions and of parameters, entry by entry."""

# Outside every signal fraction, which is at least -1 in a sample: directions without variance.
ABSENT = -2.0


@eqx.filter_jit
def by_signal_fraction(
    curve: Curve, energy: Curve, moments: Moments, width: Array, *parameters: Array
) -> SpectralMinimiser:
    r"""Minimiser $S^{-1/2} g(T) S^{-1/2}$ on the `width` largest eigenvalues of $T$.

    **Arguments:**

    - `curve`: $g$, which rises with the signal fraction. No mode is kept where it is not positive.
    - `energy`: the loss of a kept mode at the minimum, less its loss at weight zero.
    - `moments`: cross and second moment of the views.
    - `width`: from 1 to $d$.
    - `parameters`: further arguments of both functions.
    """
    cross, second = moments.cross, moments.second
    d, eps = moments.dim, jnp.finfo(second.dtype).eps
    w = whiten(second)
    t = symmetric(matmul(matmul(w.inverse.T, cross), w.inverse))
    outside = jnp.eye(d, dtype=t.dtype) - matmul(matmul(w.inverse.T, second), w.inverse)
    t = jnp.where(w.rank < d, symmetric(t + ABSENT * outside), t)
    values, vectors, _ = eigh(t)
    fractions = values[::-1]
    apart = is_diagonal(cross) & is_diagonal(second)
    noise = jnp.where(apart, 16 * eps * jnp.abs(fractions), w.rounding)
    within, there = jnp.arange(d) < width, jnp.arange(d) < w.rank
    outputs = jnp.where(there, curve(fractions, *parameters), 0)
    alive = there & (curve(fractions - noise, *parameters) > 0)
    following = jnp.minimum(width, d - 1)
    cuts = (width < d) & alive[following]
    gap = fractions[width - 1] - fractions[following]
    unique = ~(cuts & (gap <= noise[width - 1]))
    above = jnp.sum(fractions - fractions[width - 1] > noise[width - 1])
    kept = jnp.where(unique, jnp.sum(within & alive), above)
    response = spectral_map(curve, t, kept, *parameters)
    gram = symmetric(matmul(matmul(w.inverse, response), w.inverse.T))
    gap = jnp.where(cuts, gap, jnp.inf)

    # A fraction with an error moves its response by the slope, and one at the cut may turn.
    taken = jnp.arange(d) < kept
    step = jnp.maximum(noise, eps**0.5)
    slopes = (outputs - curve(fractions - step, *parameters)) / step
    slope = jnp.max(jnp.where(taken, slopes, 0))
    relative = jnp.max(jnp.where(taken, slopes * jnp.abs(fractions) / _nonzero(outputs), 1))
    last = jnp.max(jnp.where(jnp.arange(d) == kept - 1, outputs, 0))
    size, everything = frobenius(gram), frobenius(matmul(w.inverse, w.inverse.T))
    turned = jnp.where(unique, last / gap, 0)
    mixed = w.rounding * (2 + (slope + turned) * everything / _nonzero(size))
    within = within & (outputs > 0)
    return SpectralMinimiser(
        gram=gram,
        loss=jnp.sum(jnp.where(within, energy(jnp.where(within, fractions, 0), *parameters), 0)),
        signal_fraction=jnp.maximum(fractions, 0),
        modes=matmul(w.inverse, vectors[:, ::-1]),
        kept=kept,
        unresolved=jnp.sum(within & ~alive)
        + jnp.where(apart, kept - jnp.sum(diagonal(gram) > 0), 0),
        gap=gap,
        unique=unique,
        whitening=w,
        fraction_rounding=noise,
        rounding=jnp.where(apart, 32 * eps * jnp.maximum(relative, 1), mixed),
    )


@eqx.filter_jit
def by_cross_moment(moments: Moments, width: Array) -> SpectralMinimiser:
    r"""Minimiser $C^+$ on the `width` largest eigenvalues of $C$."""
    cross = moments.cross
    d, eps = moments.dim, jnp.finfo(cross.dtype).eps
    w = whiten(moments.second)
    t = symmetric(matmul(matmul(w.inverse.T, cross), w.inverse))
    fractions, vectors, _ = eigh(t)
    values, _, floor = eigh(cross)
    values, within = values[::-1], jnp.arange(d) < width
    alive, following = values > floor, jnp.minimum(width, d - 1)
    cuts = (width < d) & alive[following]
    noise = jnp.where(is_diagonal(cross), 16 * eps * jnp.abs(values), floor)
    gap = values[width - 1] - values[following]
    unique = ~(cuts & (gap <= noise[width - 1]))
    above = jnp.sum(values - values[width - 1] > noise[width - 1])
    kept = jnp.where(unique, jnp.sum(within & alive), above)
    gram = symmetric(psd_power(cross, -1.0, kept))
    least = jnp.min(jnp.where(jnp.arange(d) < kept, values, jnp.inf))
    turned = jnp.where(cuts & unique, 1 / _nonzero(gap), 0)
    mixed = floor * (2 / least + turned) + 32 * eps
    apart = is_diagonal(cross) & is_diagonal(moments.second)
    return SpectralMinimiser(
        gram=gram,
        loss=-jnp.sum(within & alive).astype(cross.dtype),
        signal_fraction=jnp.maximum(fractions[::-1], 0),
        modes=matmul(w.inverse, vectors[:, ::-1]),
        kept=kept,
        unresolved=jnp.sum(within & ~alive & (values > 0)),
        gap=jnp.where(cuts, gap, jnp.inf),
        unique=unique,
        whitening=w,
        fraction_rounding=jnp.where(apart, 16 * eps * jnp.abs(fractions[::-1]), w.rounding),
        rounding=jnp.where(is_diagonal(cross), 32 * eps, mixed),
    )


def _nonzero(x: Array) -> Array:
    return jnp.where(x > 0, x, 1)
