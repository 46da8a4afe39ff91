r"""Diagonal networks with thresholds: what training makes of every feature by itself, in closed form.

Features are $\pm\varphi$ with sign flips, $\rho = (1 - 2\alpha)^2$; layer $l$ has amplitude $A_l = \max(|w_l| A_{l-1} - b_l, 0)$,
$A_0 = \varphi$, and the loss is $-2\rho A_L^2 + A_L^4$ a feature. Weights and thresholds are `(L, d)`, those of the start; strengths,
$\rho$ and amplitudes `(d,)`.

While a feature is active its weights follow the gradient of $A_L$, up to a factor of time. With $x = A_1/\varphi$ and the clock
$d\theta = \varphi \prod_{k>2} w_k\, d\tau$ they are known: $x \pm w_2$ is proportional to $e^{\pm\theta}$, and
$w_{l+1}^2 - w_l^2$ changes by $-\frac{2 b_l}{\varphi} \int d\theta / \prod_{3 \le k \le l} w_k$. That integral is $\theta$ for $l = 2$;
beyond, where no threshold is zero, it is not elementary.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .. import _checks
from .._bisect import bisect

NODES, WEIGHTS = (
    (1 + np.polynomial.legendre.leggauss(64)[0]) / 2,
    np.polynomial.legendre.leggauss(64)[1] / 2,
)
FARTHEST, HALVINGS = 40.0, 64


def _numbers(weights: Any, thresholds: Any) -> tuple[Array, Array]:
    w, b = _checks.floating("weights", weights), _checks.nonnegative("thresholds", thresholds)
    if w.ndim != 2 or w.shape != b.shape:
        raise _checks.bad(
            "thresholds",
            f"shape {b.shape} beside weights {w.shape}",
            "two arrays of equal shape (L, d)",
        )
    return jnp.abs(w), b.astype(w.dtype)


def threshold_reach(weights: ArrayLike, thresholds: ArrayLike) -> Float[Array, "L d"]:
    r"""The least strength that each layer shows: $r_l = \sum_{k \le l} b_k / \prod_{j \le k} |w_j|$; $b_1/w_1$ and $(b_1 + b_2/w_2)/w_1$
    in a network of two layers.

    A feature of strength $\varphi \in (r_l, r_{l+1}]$ is present up to layer $l$ and exactly zero from layer $l + 1$ on, in the start; and
    for ever, since it has no gradient. Infinite from a weight of zero on, under a positive threshold there or above.

    **Raises:** `ValueError` for shapes that differ, or a negative threshold.

    Theorem: absent-features (paper section 3; any depth beyond the paper).
    """
    w, b = _numbers(weights, thresholds)
    slopes = jnp.cumprod(w, axis=0)
    return jnp.cumsum(
        jnp.where(b > 0, b / jnp.where(slopes > 0, slopes, 1) / (slopes > 0).astype(b.dtype), 0),
        axis=0,
    )


def _orbit(theta: Array, w: Array, b: Array, phi: Array) -> tuple[Array, Array]:
    """Weights and amplitudes at the clock, without the cut at zero; `w`, `b` are of one feature or of all."""
    x, rest = w[0] - b[0] / phi, w[1:]
    if len(rest) == 0:
        return (x + theta)[None], (phi * (x + theta))[None]
    up, down = (x + rest[0]) * jnp.exp(theta), (x - rest[0]) * jnp.exp(-theta)
    x, second = (up + down) / 2, (up - down) / 2
    gained = second**2 - rest[0] ** 2 - (2 * b[1] / phi * theta if len(rest) > 1 else 0)
    upper = [jnp.sqrt(jnp.maximum(v**2 + gained, 0)) for v in rest[1:]]
    weights, amplitudes = [x, second, *upper], [phi * x]
    for v, cut in zip(weights[1:], b[1:], strict=True):
        amplitudes.append(v * amplitudes[-1] - cut)
    return jnp.stack(weights), jnp.stack(amplitudes)


def _check(weights: Any, thresholds: Any, strength: Any) -> tuple[Array, Array, Array]:
    w, b = _numbers(weights, thresholds)
    _checks.require(
        "thresholds",
        b[2:-1],
        lambda v: v == 0,
        "zeros in layers 3 to L - 1: with others there is no closed form",
    )
    return w, b, _checks.positive("strength", strength).astype(w.dtype)


def _clock(last: Array, w: Array, b: Array, phi: Array) -> Array:
    """The clock at which the last amplitude is this: it grows with it, so by bisection."""
    far = jnp.full_like(last, FARTHEST)
    return bisect(lambda theta: _orbit(theta, w, b, phi)[1][-1] - last, -far, far, HALVINGS)


def threshold_law(
    last: ArrayLike, weights: ArrayLike, thresholds: ArrayLike, strength: ArrayLike
) -> Float[Array, "*T L d"]:
    r"""The amplitudes of every layer at the moment of the flow at which that of the last layer is `last`, from any start.

    In two layers $u = A_1^2$ solves $u^2/\varphi^2 - K u = (A_2 + b_2)^2$ with $K = (A_1/\varphi)^2 - w_2^2$ of the start: from
    $A_1/\varphi = w_2$ it is $A_1^2 = \varphi (A_2 + b_2)$. At any depth, from equal weights $A_1/\varphi = w_2 = \dots = w_L$ and without
    thresholds between the first layer and the last, $A_l = \varphi^{1 - l/L} (A_L + b_L)^{l/L}$: the layer-wise law, with $A_L + b_L$ in
    place of $A_L$. In general by `threshold_invariants`, solved by bisection to rounding.

    **Arguments:** `last`: $A_L \ge 0$; `weights`, `thresholds`: of the start; `strength`: $\varphi > 0$. The feature is active in the
    start.

    **Raises:** `ValueError` for negative thresholds, strengths that are not positive, or thresholds in layers 3 to $L - 1$.

    Theorem: threshold-law (beyond the paper).
    """
    w, b, phi = _check(weights, thresholds, strength)
    last = _checks.nonnegative("last", last).astype(w.dtype)
    if len(w) == 1:
        return last[..., None, :]
    one = lambda a: _orbit(_clock(a, w, b, phi), w, b, phi)[1].at[-1].set(a)
    for _ in range(last.ndim - 1):
        one = jax.vmap(one)
    return one(last)


def threshold_invariants(
    weights: ArrayLike, thresholds: ArrayLike, strength: ArrayLike
) -> Float[Array, "J d"]:
    r"""What gradient flow of any loss conserves of an active feature, one number for each pair of neighbouring layers:
    $(A_1/\varphi)^2 - w_2^2$; $w_2^2 - w_3^2 - \frac{2 b_2}{\varphi} \ln(A_1/\varphi + w_2)$; and $w_l^2 - w_{l+1}^2$ for further ones.

    **Arguments:** `weights`, `thresholds`: of any moment.

    **Raises:** `ValueError` as `threshold_law`.

    Theorem: threshold-law (beyond the paper).
    """
    w, b, phi = _check(weights, thresholds, strength)
    x = w[0] - b[0] / phi
    lower = jnp.concatenate([x[None], w[1:]])
    result = lower[:-1] ** 2 - lower[1:] ** 2
    return result if len(w) < 3 else result.at[1].add(-2 * b[1] / phi * jnp.log(x + w[1]))


def threshold_limit(
    weights: ArrayLike, thresholds: ArrayLike, strength: ArrayLike, rho: ArrayLike
) -> Float[Array, "L d"]:
    r"""The amplitudes in the end: $A_L = \sqrt\rho$, below it by `threshold_law`; those of the start for a feature that is not active.

    A fully disrupted feature, $\rho = 0$, keeps $A_1 = \sqrt{\varphi b_2}$ in two layers that start with equal weights.

    **Arguments:** `rho`: $(1 - 2\alpha)^2$.

    **Raises:** `ValueError` as `threshold_law`, or for $\rho$ outside [0, 1].

    Theorem: threshold-law, retained-when-vanishing, absent-features (beyond the paper).
    """
    w, b, phi = _check(weights, thresholds, strength)
    rho = _checks.probability("rho", rho).astype(w.dtype)
    start = [phi]
    for v, cut in zip(w, b, strict=True):
        start.append(jnp.maximum(v * start[-1] - cut, 0))
    active = start[-1] > 0
    # A feature that is not active follows no orbit; an innocent one in its place keeps derivatives finite.
    orbit = jnp.where(active, w, 1), jnp.where(active, b, 0)
    return jnp.where(
        active,
        threshold_law(jnp.broadcast_to(jnp.sqrt(rho), phi.shape), *orbit, phi),
        jnp.stack(start[1:]),
    )


def threshold_speed(
    last: ArrayLike, weights: ArrayLike, thresholds: ArrayLike, strength: ArrayLike
) -> Float[Array, " d"]:
    r"""$R = \sum_l (\partial A_L / \partial w_l)^2$, which sets the pace: $\dot A_L = 4 A_L (\rho - A_L^2) R$.

    In two layers $R = \sqrt{K^2 \varphi^4 + 4 \varphi^2 (A_2 + b_2)^2}$; from equal weights at any depth
    $R = L \varphi^{2/L} (A_L + b_L)^{2 - 2/L}$. Where a feature without signal ends it is positive if $b_L$ is, so that
    $A_L \simeq (8 R t)^{-1/2}$, whatever the depth.

    **Arguments:** as in `threshold_law`.

    **Raises:** `ValueError` as `threshold_law`.

    Theorem: threshold-law, retained-when-vanishing (beyond the paper).
    """
    w, b, phi = _check(weights, thresholds, strength)
    return _speed(_checks.nonnegative("last", last).astype(w.dtype), w, b, phi)


def _speed(last: Array, w: Array, b: Array, phi: Array) -> Array:
    if len(w) == 1:
        return jnp.broadcast_to(phi**2, last.shape)
    weights, amplitudes = _orbit(_clock(last, w, b, phi), w, b, phi)
    above, total = jnp.ones_like(last), jnp.zeros_like(last)
    for level in range(len(w) - 1, -1, -1):
        total += (above * (amplitudes[level - 1] if level else phi)) ** 2
        above = above * weights[level]
    return total


def threshold_forgetting(
    time: ArrayLike, weights: ArrayLike, thresholds: ArrayLike, strength: ArrayLike
) -> Float[Array, "*T d"]:
    r"""The amplitude of the last layer, late in training, of a fully disrupted feature: $A_L \simeq (8 R t)^{-1/2}$ at any depth, with $R$
    of `threshold_speed` where the feature ends, $A_L = 0$.

    The leading term where the last threshold is positive; the next is smaller by $\frac{R'}{R} A_L$, of order $t^{-1/2}$.

    **Arguments:**

    - `time`: $t > 0$, a number or `(T,)`.
    - `weights`, `thresholds`, `strength`: as in `threshold_law`.

    **Raises:** `ValueError` as `threshold_law`, or for a negative time.

    Theorem: retained-when-vanishing (beyond the paper).
    """
    w, b, phi = _check(weights, thresholds, strength)
    t = _checks.nonnegative("time", time).astype(w.dtype)
    return (8 * _speed(jnp.zeros_like(phi), w, b, phi) * t[..., None]) ** -0.5


def threshold_time(
    last: ArrayLike,
    weights: ArrayLike,
    thresholds: ArrayLike,
    strength: ArrayLike,
    rho: ArrayLike,
) -> Float[Array, "*T d"]:
    r"""When the amplitude of the last layer is `last`: $\int dA / (4 A (\rho - A^2) R(A))$ from that of the start.

    By Gauss-Legendre quadrature in $\frac12 \ln(A^2 / |\rho - A^2|)$, whose speed is $4 \rho R$, or in $\ln A$ where $\rho = 0$: to
    rounding while the amplitude or its distance from the end changes by no more than some ten decades. Infinite at the end itself; NaN
    where the flow never leads.

    **Arguments:** as in `threshold_limit`; the feature is active in the start.

    **Raises:** `ValueError` as `threshold_limit`.

    Theorem: threshold-law, retained-when-vanishing (beyond the paper).
    """
    w, b, phi = _check(weights, thresholds, strength)
    rho = jnp.broadcast_to(_checks.probability("rho", rho).astype(w.dtype), phi.shape)
    start = phi
    for v, cut in zip(w, b, strict=True):
        start = v * start - cut
    signal = rho > 0
    square = jnp.where(signal, rho, 1)
    below = start**2 < rho

    # One variable for both: y, or ln A. What is not chosen is taken where it is finite, and so are its derivatives.
    def to(a: Array) -> Array:
        inside = jnp.where(signal, a, 0.5)
        return jnp.where(signal, jnp.log(inside**2 / jnp.abs(square - inside**2)) / 2, jnp.log(a))

    def back(y: Array) -> Array:
        side = jnp.where(below | ~signal, 1, -1)
        return jnp.where(
            signal,
            jnp.sqrt(square / (1 + side * jnp.exp(-2 * y))),
            jnp.exp(jnp.where(signal, 0, y)),
        )

    x, share = jnp.asarray(NODES, w.dtype), jnp.asarray(WEIGHTS, w.dtype)

    def one(given: Array) -> Array:
        # Beyond the end by more than its rounding.
        crossed = jnp.where(below, 1, -1) * (given**2 - rho) > 8 * jnp.finfo(w.dtype).eps * rho
        a = jnp.where(crossed, start, given)
        first, span = to(start), to(a) - to(start)

        def piece(total: Array, node: tuple[Array, Array]) -> tuple[Array, None]:
            y = first + node[0] * span
            amplitude = back(y)
            pace = _speed(amplitude, w, b, phi) * jnp.where(signal, 4 * rho, -4 * amplitude**2)
            return total + node[1] * span / pace, None

        total = jax.lax.scan(piece, jnp.zeros_like(span), (x, share))[0]
        return jnp.where(crossed, jnp.nan, total)

    for _ in range(jnp.ndim(last) - 1):
        one = jax.vmap(one)
    return one(_checks.nonnegative("last", last).astype(w.dtype))


def homogeneity_invariants(weights: ArrayLike, thresholds: ArrayLike) -> Float[Array, "J d"]:
    r"""$w_l^2 + b_l^2 - w_{l+1}^2$ for $l = 1, \dots, L - 1$: what gradient flow of any loss on any data conserves if it trains the
    thresholds too.

    Because $\mathrm{act}$ is homogeneous of degree one in weight and threshold together. Of an active feature $\pm\varphi$ the first layer
    conserves $w_1 + \varphi b_1$ as well.

    **Raises:** `ValueError` for shapes that differ.

    Theorem: homogeneity (beyond the paper).
    """
    w, b = _checks.floating("weights", weights), _checks.floating("thresholds", thresholds)
    if w.ndim != 2 or w.shape != b.shape:
        raise _checks.bad(
            "thresholds",
            f"shape {b.shape} beside weights {w.shape}",
            "two arrays of equal shape (L, d)",
        )
    return w[:-1] ** 2 + b[:-1] ** 2 - w[1:] ** 2
