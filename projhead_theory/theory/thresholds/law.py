r"""Diagonal networks with thresholds: gradient flow of each feature in closed form.

Features are $\pm\varphi$ with sign flips, and $\rho = (1 - 2\alpha)^2$. Layer $l$ has amplitude
$A_l = \max(|w_l| A_{l-1} - b_l, 0)$ with $A_0 = \varphi$, and the loss of a feature is
$-2\rho A_L^2 + A_L^4$. Weights and thresholds are the initial ones, `(L, d)`; strengths, $\rho$
and amplitudes are `(d,)`.

While a feature is active its weights follow the gradient of $A_L$, up to a factor of time. With
$x = A_1/\varphi$ and the rescaled time $d\theta = \varphi \prod_{k>2} w_k\, d\tau$ they are
known: $x \pm w_2$ is proportional to $e^{\pm\theta}$, and $w_{l+1}^2 - w_l^2$ changes by
$-\frac{2 b_l}{\varphi} \int d\theta / \prod_{3 \le k \le l} w_k$. The integral is $\theta$ for
$l = 2$. For larger $l$, where no threshold is zero, it is not elementary.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._core import checks
from ..._core.bisect import bisect

__all__ = [
    "homogeneity_invariants",
    "threshold_forgetting",
    "threshold_forgetting_slopes",
    "threshold_invariants",
    "threshold_law",
    "threshold_limit",
    "threshold_reach",
    "threshold_speed",
    "threshold_time",
]

NODES, WEIGHTS = (
    (1 + np.polynomial.legendre.leggauss(64)[0]) / 2,
    np.polynomial.legendre.leggauss(64)[1] / 2,
)
FARTHEST, HALVINGS = 40.0, 64


def _numbers(weights: Any, thresholds: Any) -> tuple[Array, Array]:
    w, b = _alike(checks.floating("weights", weights), checks.nonnegative("thresholds", thresholds))
    return jnp.abs(w), b.astype(w.dtype)


def _alike(w: Array, b: Array) -> tuple[Array, Array]:
    """Weights and thresholds, if they are tables of one shape."""
    if w.ndim != 2 or w.shape != b.shape:
        raise checks.bad(
            "thresholds",
            f"shape {b.shape} beside weights {w.shape}",
            "two arrays of equal shape (L, d)",
        )
    return w, b


def threshold_reach(weights: ArrayLike, thresholds: ArrayLike) -> Float[Array, "L d"]:
    r"""Least strength at which a feature is present in each layer.

    $$r_l = \sum_{k \le l} \frac{b_k}{\prod_{j \le k} |w_j|}$$

    In a network of two layers the values are $b_1/w_1$ and $(b_1 + b_2/w_2)/w_1$. A feature of
    strength $\varphi \in (r_l, r_{l+1}]$ is initially present up to layer $l$ and exactly zero
    from layer $l + 1$ on. It stays so for ever, since it has no gradient. Where a weight is
    zero, the values are infinite from the first positive threshold at or above its layer.

    **Raises:** `ValueError` for shapes that differ, or a negative threshold.

    !!! example

        ```pycon
        >>> weights, thresholds = jnp.asarray([[1.0], [0.5]]), jnp.asarray([[0.1], [0.2]])
        >>> np.round(pt.theory.thresholds.threshold_reach(weights, thresholds), 3)
        Array([[0.1],
               [0.5]], dtype=float64)

        ```

    Theorem: absent-features (paper section 3; any depth beyond the paper).
    """
    w, b = _numbers(weights, thresholds)
    slopes = jnp.cumprod(w, axis=0)
    return jnp.cumsum(
        jnp.where(b > 0, b / jnp.where(slopes > 0, slopes, 1) / (slopes > 0).astype(b.dtype), 0),
        axis=0,
    )


def _orbit(theta: Array, w: Array, b: Array, phi: Array) -> tuple[Array, Array]:
    """Weights and amplitudes at the rescaled time `theta`, without the cut at zero.

    `w` and `b` are of one feature or of all.
    """
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
    checks.require(
        "thresholds",
        b[2:-1],
        lambda v: v == 0,
        "zeros in layers 3 to L - 1: with others there is no closed form",
    )
    return w, b, checks.positive("strength", strength).astype(w.dtype)


def _clock(last: Array, w: Array, b: Array, phi: Array) -> Array:
    """Rescaled time at which the last amplitude, which grows with it, is `last`; by bisection."""
    far = jnp.full_like(last, FARTHEST)
    return bisect(lambda theta: _orbit(theta, w, b, phi)[1][-1] - last, -far, far, HALVINGS)


def threshold_law(
    last: ArrayLike, weights: ArrayLike, thresholds: ArrayLike, strength: ArrayLike
) -> Float[Array, "*T L d"]:
    r"""Amplitudes of every layer, given the amplitude of the last one, from any start.

    They are taken at the time of the flow at which the last layer has amplitude `last`.

    In two layers $u = A_1^2$ solves $u^2/\varphi^2 - K u = (A_2 + b_2)^2$ with the initial
    $K = (A_1/\varphi)^2 - w_2^2$. From $A_1/\varphi = w_2$ this is
    $A_1^2 = \varphi (A_2 + b_2)$. At any depth, from equal weights
    $A_1/\varphi = w_2 = \dots = w_L$ and without thresholds between the first layer and the
    last, $A_l = \varphi^{1 - l/L} (A_L + b_L)^{l/L}$: the layer-wise law, with $A_L + b_L$ in
    place of $A_L$. The general case uses `threshold_invariants`, solved by bisection to
    rounding.

    **Arguments:**

    - `last`: the amplitude $A_L \ge 0$ of the last layer, `(*T, d)`.
    - `weights`, `thresholds`: initial values, `(L, d)`, with every feature active.
    - `strength`: $\varphi > 0$, `(d,)`.

    **Raises:** `ValueError` for negative thresholds, strengths that are not positive, or
    thresholds in layers 3 to $L - 1$.

    Theorem: threshold-law (beyond the paper).
    """
    w, b, phi = _check(weights, thresholds, strength)
    last = checks.nonnegative("last", last).astype(w.dtype)
    if len(w) == 1:
        return last[..., None, :]
    one = lambda a: _orbit(_clock(a, w, b, phi), w, b, phi)[1].at[-1].set(a)
    for _ in range(last.ndim - 1):
        one = jax.vmap(one)
    return one(last)


def threshold_invariants(
    weights: ArrayLike, thresholds: ArrayLike, strength: ArrayLike
) -> Float[Array, "J d"]:
    r"""Conserved quantities of an active feature under gradient flow of any loss.

    There is one for each pair of neighbouring layers:

    - layers 1 and 2: $(A_1/\varphi)^2 - w_2^2$.
    - layers 2 and 3: $w_2^2 - w_3^2 - \frac{2 b_2}{\varphi} \ln(A_1/\varphi + w_2)$.
    - further layers: $w_l^2 - w_{l+1}^2$.

    **Arguments:**

    - `weights`, `thresholds`: values at any time, `(L, d)`.
    - `strength`: $\varphi > 0$, `(d,)`.

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
    r"""Final amplitudes of every layer under gradient flow.

    The last layer has $A_L = \sqrt\rho$, and lower layers follow by `threshold_law`. A feature
    that is not active keeps its initial amplitudes. A fully disrupted feature, $\rho = 0$,
    keeps $A_1 = \sqrt{\varphi b_2}$ in two layers that start with equal weights.

    **Arguments:**

    - `weights`, `thresholds`: initial values, `(L, d)`.
    - `strength`: $\varphi > 0$, `(d,)`.
    - `rho`: $(1 - 2\alpha)^2$.

    **Raises:** `ValueError` as `threshold_law`, or for $\rho$ outside [0, 1].

    !!! example

        ```pycon
        >>> weights, thresholds = jnp.ones((2, 2)), jnp.asarray([[0.0, 0.0], [0.25, 0.25]])
        >>> strength, rho = jnp.ones(2), jnp.asarray([1.0, 0.0])
        >>> np.round(pt.theory.thresholds.threshold_limit(weights, thresholds, strength, rho), 3)
        Array([[1.118, 0.5  ],
               [1.   , 0.   ]], dtype=float64)

        ```

    Theorem: threshold-law, retained-when-vanishing, absent-features (beyond the paper).
    """
    w, b, phi = _check(weights, thresholds, strength)
    rho = checks.probability("rho", rho).astype(w.dtype)
    start = [phi]
    for v, cut in zip(w, b, strict=True):
        start.append(jnp.maximum(v * start[-1] - cut, 0))
    active = start[-1] > 0
    # A feature that is not active follows no orbit; a regular orbit in its place keeps derivatives
    # finite.
    orbit = jnp.where(active, w, 1), jnp.where(active, b, 0)
    return jnp.where(
        active,
        threshold_law(jnp.broadcast_to(jnp.sqrt(rho), phi.shape), *orbit, phi),
        jnp.stack(start[1:]),
    )


def threshold_speed(
    last: ArrayLike, weights: ArrayLike, thresholds: ArrayLike, strength: ArrayLike
) -> Float[Array, " d"]:
    r"""Squared norm of the gradient of the last amplitude, which sets the speed of learning.

    $$R = \sum_l (\partial A_L / \partial w_l)^2, \qquad \dot A_L = 4 A_L (\rho - A_L^2) R$$

    In two layers $R = \sqrt{K^2 \varphi^4 + 4 \varphi^2 (A_2 + b_2)^2}$. From equal weights at
    any depth $R = L \varphi^{2/L} (A_L + b_L)^{2 - 2/L}$. At $A_L = 0$, the end of a feature
    without signal, $R$ is positive if $b_L$ is, so that $A_L \simeq (8 R t)^{-1/2}$, whatever
    the depth.

    **Arguments:**

    - `last`, `weights`, `thresholds`, `strength`: as in `threshold_law`.

    **Raises:** `ValueError` as `threshold_law`.

    Theorem: threshold-law, retained-when-vanishing (beyond the paper).
    """
    w, b, phi = _check(weights, thresholds, strength)
    return _speed(checks.nonnegative("last", last).astype(w.dtype), w, b, phi)


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
    r"""Amplitude of the last layer, late in training, of a fully disrupted feature.

    $$A_L \simeq (8 R t)^{-1/2}$$

    This holds at any depth, with $R$ of `threshold_speed` where the feature ends, $A_L = 0$. It
    is the leading term where the last threshold is positive. The next term is smaller by
    $\frac{R'}{R} A_L$, of order $t^{-1/2}$.

    **Arguments:**

    - `time`: $t > 0$, a number or `(T,)`.
    - `weights`, `thresholds`, `strength`: as in `threshold_law`.

    **Raises:** `ValueError` as `threshold_law`, or for a negative time.

    Theorem: retained-when-vanishing (beyond the paper).
    """
    w, b, phi = _check(weights, thresholds, strength)
    t = checks.nonnegative("time", time).astype(w.dtype)
    return (8 * _speed(jnp.zeros_like(phi), w, b, phi) * t[..., None]) ** -0.5


def threshold_forgetting_slopes(
    weights: ArrayLike, thresholds: ArrayLike, strength: ArrayLike
) -> tuple[Float[Array, "L d"], Float[Array, " d"]]:
    r"""Derivatives by the last amplitude, where a fully disrupted feature ends, $A_L = 0$.

    They give the next terms of the late expansion. The amplitudes below differ from their limits by
    $\frac{dA_l}{dA_L} A_L$. The speed $R$ grows with the last amplitude as well: with the leading
    term of $A_L$ on the right, $A_L^{-2} = 8 R t\, (1 + 2 \frac{d \ln R}{d A_L} A_L)$.

    **Arguments:**

    - `weights`, `thresholds`, `strength`: as in `threshold_law`.

    **Returns:** $dA_l / dA_L$, `(L, d)`, and $d \ln R / dA_L$, `(d,)`.

    **Raises:** `ValueError` as `threshold_law`.

    Theorem: retained-when-vanishing (beyond the paper).
    """
    start = _check(weights, thresholds, strength)
    ends, ways = (jnp.zeros_like(start[-1]),), (jnp.ones_like(start[-1]),)
    _, below = jax.jvp(lambda a: threshold_law(a, *start), ends, ways)
    speed, growth = jax.jvp(lambda a: threshold_speed(a, *start), ends, ways)
    return below, growth / speed


def threshold_time(
    last: ArrayLike,
    weights: ArrayLike,
    thresholds: ArrayLike,
    strength: ArrayLike,
    rho: ArrayLike,
) -> Float[Array, "*T d"]:
    r"""Time at which the last layer has amplitude `last`.

    $$t = \int \frac{dA}{4 A (\rho - A^2) R(A)}$$

    The integral runs from the initial amplitude, by Gauss-Legendre quadrature in
    $\frac12 \ln(A^2 / |\rho - A^2|)$, whose speed is $4 \rho R$, or in $\ln A$ where
    $\rho = 0$. It is accurate to rounding while the amplitude or its distance from the final
    value changes by no more than some ten decades. Infinite at the final value itself; NaN for
    an amplitude that the flow never reaches.

    **Arguments:**

    - `last`: the amplitude $A_L \ge 0$ of the last layer, `(*T, d)`.
    - `weights`, `thresholds`: initial values, `(L, d)`, with every feature active.
    - `strength`: $\varphi > 0$, `(d,)`.
    - `rho`: $(1 - 2\alpha)^2$.

    **Raises:** `ValueError` as `threshold_limit`.

    Theorem: threshold-law, retained-when-vanishing (beyond the paper).
    """
    w, b, phi = _check(weights, thresholds, strength)
    rho = jnp.broadcast_to(checks.probability("rho", rho).astype(w.dtype), phi.shape)
    start = phi
    for v, cut in zip(w, b, strict=True):
        start = v * start - cut
    signal = rho > 0
    square = jnp.where(signal, rho, 1)
    below = start**2 < rho

    # One variable for both: y, or ln A. The branch not chosen is evaluated where it and its
    # derivatives are finite.
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
        # Beyond the final value by more than its rounding.
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
    return one(checks.nonnegative("last", last).astype(w.dtype))


def homogeneity_invariants(weights: ArrayLike, thresholds: ArrayLike) -> Float[Array, "J d"]:
    r"""Conserved quantities of gradient flow that trains the thresholds too.

    $$w_l^2 + b_l^2 - w_{l+1}^2, \qquad l = 1, \dots, L - 1$$

    They are conserved for any loss on any data, because $\mathrm{act}$ is homogeneous of degree
    one in weight and threshold together. For an active feature $\pm\varphi$ the first layer
    conserves $w_1 + \varphi b_1$ as well.

    **Raises:** `ValueError` for shapes that differ.

    Theorem: homogeneity (beyond the paper).
    """
    w, b = _alike(checks.floating("weights", weights), checks.floating("thresholds", thresholds))
    return w[:-1] ** 2 + b[:-1] ** 2 - w[1:] ** 2
