r"""Gradient flow of one feature: the time between two weights, and its inverse.

$$\dot s = 4 L s^{3-2/L} (c - q^2 s^2)$$

Both are accurate to rounding on both sides of saturation.

Far from saturation, $p = q^2 s^2 / c \le 1/2$ (below) or $1/p \le 1/2$ (above), a time is a
power of the weight and a geometric series in $p$, integrated term by term. Near saturation the
logarithm of the gap is split off, and the remainder is smooth. Every term is a difference of
two powers or logarithms, taken as one `expm1` or `log1p`, so that short times keep their
digits. The total does not depend on the weight at which the range is split, so that weight
carries no derivative.

Depths may be half-integers: regression is the same flow at half its depth.

All arrays of a call have one shape and one dtype. No element may be at a fixed point;
`dynamics` ensures this.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

# The nearest singularity lies 3 half-lengths from the middle of the interval: 12 nodes err by
# (3 + sqrt 8)^-24 < 1e-18.
NODES, WEIGHTS = (
    (np.polynomial.legendre.leggauss(12)[0] + 1) / 2,
    np.polynomial.legendre.leggauss(12)[1] / 2,
)
# Newton iterations below use coordinates in which the slope of time varies by at most a factor 4.
NEWTON = 8


def root(x: Array, n: float) -> Array:
    r"""Root $x^{1/n}$ for $x > 0$ and $2n$ a whole number.

    `x ** (1 / n)` alone would be off by $|\ln x|$ roundings, from the rounding of the exponent.
    """
    if n != int(n):
        return root(x, int(2 * n)) ** 2
    n = int(n)
    if n <= 2:
        return jnp.sqrt(x) if n == 2 else x
    y = x ** (1 / n)
    return y - (y**n - x) / (n * y ** (n - 1))


def wait(weight: Array, depth: float) -> Array:
    """Factor $s^{-(2 - 2/L)}$ to which times are proportional."""
    return (root(weight, depth) / weight) ** 2


def saturation(cross: Array, second: Array) -> Array:
    r"""Saturation weight $s_\infty = \sqrt c / q$, zero where $c$ or $q$ is zero."""
    there = (cross > 0) & (second > 0)
    return jnp.where(there, jnp.sqrt(jnp.where(there, cross, 1)) / jnp.where(there, second, 1), 0)


def halfway(below: Array, cross: Array, second: Array) -> Array:
    r"""Weight $s_\infty 2^{\mp 1/2}$ that divides the far range from the near one.

    It is a point to split at, without derivatives.
    """
    return jax.lax.stop_gradient(saturation(cross, second) * jnp.where(below, 0.5**0.5, 2**0.5))


def fraction(weight: Array, below: Array, cross: Array, second: Array) -> Array:
    r"""Squared weight over its saturation value, $p = (s / s_\infty)^2$, below it; $1/p$ above."""
    square = (second * weight) ** 2
    return jnp.where(below, square, cross) / jnp.where(below, cross, square)


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def series(p: Array, r: Array, m: Array, k: int = 0) -> Array:
    r"""Geometric series of the time far from saturation, for $0 \le p \le 1/2$ and $m > 0$.

    $$\sum_{j \ge 0} \binom{j+k}{k} p^j\, \frac{1 - e^{-(m + 2j) r}}{m + 2j}$$

    Its derivatives are of the same form, also at $p = 0$, a feature without signal, where
    derivatives of powers are not defined.
    """
    # Each further term halves the remainder: one term for each bit, and a few more for the growth
    # of the binomials.
    count = 2 + jnp.finfo(p.dtype).nmant + 8 * k
    j = jnp.arange(count, dtype=p.dtype)
    weights = jnp.asarray([math.comb(i + k, k) for i in range(count)], p.dtype)
    exponents = m[..., None] + 2 * j
    return jnp.sum(
        weights * p[..., None] ** j * -jnp.expm1(-exponents * r[..., None]) / exponents, axis=-1
    )


@series.defjvp
def _series_jvp(k, primals, tangents):
    p, r, m = primals
    in_r = jnp.exp(-m * r) * (1 - p * jnp.exp(-2 * r)) ** -(k + 1)
    in_p = (k + 1) * series(p, r, m + 2, k + 1)
    return series(p, r, m, k), in_p * tangents[0] + in_r * tangents[1]


def far_time(
    early: Array, late: Array, cross: Array, second: Array, below: Array, depth: float
) -> Array:
    """Time from `early` to `late`, both far from saturation, on the side given by `below`."""
    kappa = 2 - 2 / depth
    low, high = jnp.where(below, early, late), jnp.where(below, late, early)
    r = jnp.log1p((high - low) / low)
    p = fraction(late, below, cross, second)
    # The first term takes powers of the smaller weight: no partial result exceeds the time itself.
    lead = 4 * depth * jnp.where(below, cross, (second * late) ** 2)
    if depth == 1:
        first = jnp.where(below, r, -jnp.expm1(-2 * r) / 2)
    else:
        m = jnp.where(below, kappa, kappa + 2).astype(r.dtype)
        first = -jnp.expm1(-m * r) / m * wait(low, depth)
    rest = jnp.where(below, 2 / depth, 6 - 2 / depth).astype(r.dtype)
    return (first + wait(late, depth) * p * series(p, r, rest)) / lead


def gap(weight: Array, below: Array, cross: Array, second: Array) -> Array:
    """Gap $1 - p$ below saturation, $1 - 1/p$ above it, from the difference of the weights."""
    top = saturation(cross, second)
    larger = jnp.where(below, top, weight)
    return jnp.where(below, 1, -1) * (top - weight) * (top + weight) / larger**2


@jax.custom_jvp
def bend(g: Array, e: Array) -> Array:
    """Quotient $((1 - g)^e - 1) / g$, continued to $g = 0$."""
    nonzero = jnp.where(g == 0, 1, g)
    return jnp.where(g == 0, -e, jnp.expm1(e * jnp.log1p(-g)) / nonzero)


@bend.defjvp
def _bend_jvp(primals, tangents):
    # The quotient as written loses its derivative to rounding as g goes to 0. The integral
    # -e int (1 - g x)^(e - 1) dx does not.
    g, e = primals
    x, w = jnp.asarray(NODES, g.dtype), jnp.asarray(WEIGHTS, g.dtype)
    slope = e * (e - 1) * jnp.sum(w * x * (1 - g[..., None] * x) ** (e[..., None] - 2), axis=-1)
    return bend(g, e), slope * tangents[0]


def bent(least: Array, span: Array, e: Array) -> Array:
    r"""Integral $\int \frac{(1 - g)^e - 1}{g}\,dg$ from `least` to `least + span`."""
    x, w = jnp.asarray(NODES, least.dtype), jnp.asarray(WEIGHTS, least.dtype)
    g = least[..., None] + span[..., None] * x
    return span * jnp.sum(w * bend(g, jnp.broadcast_to(e[..., None], g.shape)), axis=-1)


def near_exponent(below: Array, dtype: jnp.dtype, depth: float) -> Array:
    r"""Exponent $e$ in $8 L c s_\infty^{2-2/L}\, dt = -(1 - g)^e dg / g$."""
    return jnp.where(below, 1 / depth - 2, 1 - 1 / depth).astype(dtype)


def near_rate(cross: Array, second: Array, depth: float) -> Array:
    r"""Rate $8 L c s_\infty^{2-2/L}$ at which the gap finally closes."""
    return 8 * depth * cross / wait(saturation(cross, second), depth)


def near_time(
    early: Array, late: Array, cross: Array, second: Array, below: Array, depth: float
) -> Array:
    """Time from `early` to `late`, both near saturation, on the side given by `below`."""
    least = gap(late, below, cross, second)
    difference = jnp.where(below, late - early, early - late) * (late + early)
    top = saturation(cross, second)
    span = difference * jnp.where(below, 1 / top, top / (early * late)) ** 2
    e = near_exponent(below, early.dtype, depth)
    return (jnp.log1p(span / least) + bent(least, span, e)) / near_rate(cross, second, depth)


def elapsed(
    early: Array, late: Array, cross: Array, second: Array, below: Array, depth: float
) -> Array:
    """Time from `early` to `late`, on the side of saturation given by `below`.

    `late` is between `early` and saturation.
    """
    middle = halfway(below, cross, second)
    starts_far = jnp.where(below, early < middle, early > middle)
    ends_near = jnp.where(below, late > middle, late < middle)
    # An absent part is computed over an empty piece of a regular trajectory, so that its
    # derivatives are finite.
    one = jnp.ones_like(early)
    pick = lambda there, value, other: jnp.where(there, value, other)
    far = far_time(
        pick(starts_far, early, one),
        pick(starts_far, pick(ends_near, middle, late), one),
        pick(starts_far, cross, 4 * one),
        pick(starts_far, second, one),
        below | ~starts_far,
        depth,
    )
    near = near_time(
        pick(ends_near, pick(starts_far, middle, early), one),
        pick(ends_near, late, one),
        pick(ends_near, cross, 4 / 3 * one),
        pick(ends_near, second, one),
        below | ~ends_near,
        depth,
    )
    return pick(starts_far, far, 0) + pick(ends_near, near, 0)


@partial(jax.custom_jvp, nondiff_argnums=(5,))
def far_weight(
    time: Array, start: Array, cross: Array, second: Array, below: Array, depth: float
) -> Array:
    r"""Weight after `time`, far from saturation like the start.

    Newton's method in $\theta$. Below saturation $s = s_0 (1 + e \theta)^{1/e}$ with
    $e = -(2 - 2/L)$; above it $s = s_0 (1 + e \theta)^{-1/e}$ with $e = 4 - 2/L$. This is the
    exact solution except for the factor $1 - p$ in $\dot\theta$. Time is convex in $\theta$, so
    that the iteration descends to the root from an upper bound.
    """
    kappa = 2 - 2 / depth
    middle = halfway(below, cross, second)
    lead = 4 * depth * jnp.where(below, cross, (second * start) ** 2) / wait(start, depth)

    def weight(theta: Array) -> Array:
        decayed = start / root(jnp.maximum(1 + (kappa + 2) * theta, 1), 4 * depth - 2) ** depth
        if depth == 1:
            grown = start * jnp.exp(theta)
        else:
            # From a very small start 1 - kappa theta may round to zero: the time itself then does
            # not resolve the end of the growth.
            grown = (
                start
                / root(
                    jnp.maximum(1 - kappa * theta, jnp.finfo(theta.dtype).eps ** 2), 2 * depth - 2
                )
                ** depth
            )
        return jnp.where(below, jnp.minimum(grown, middle), jnp.maximum(decayed, middle))

    def step(_: ArrayLike, theta: Array) -> Array:
        s = weight(theta)
        late = time - far_time(start, s, cross, second, below, depth)
        return theta + lead * (1 - fraction(s, below, cross, second)) * late

    # The smaller of two upper bounds: theta for p = 0, and the distance to the middle (to zero,
    # if there is no saturation).
    travel = jnp.log(jnp.where(below, middle, start) / jnp.where(below, start, middle))
    grown = travel if depth == 1 else -jnp.expm1(-kappa * travel) / kappa
    most = jnp.where(below, grown, jnp.expm1((kappa + 2) * travel) / (kappa + 2))
    theta = jnp.minimum(lead * time, most)
    return weight(jax.lax.fori_loop(0, NEWTON, step, theta))


@far_weight.defjvp
def _far_weight_jvp(depth, primals, tangents):
    time, start, cross, second, below = primals
    dtime, dstart, dcross, dsecond, _ = tangents
    weight = far_weight(time, start, cross, second, below, depth)
    speed = lambda s: cross - (second * s) ** 2
    power = 3 - 2 / depth
    _, dtaken = jax.jvp(
        lambda c, q: far_time(start, weight, c, q, below, depth), (cross, second), (dcross, dsecond)
    )
    moved = 4 * depth * weight**power * speed(weight) * (dtime - dtaken)
    return weight, moved + (weight / start) ** power * speed(weight) / speed(start) * dstart


@jax.custom_jvp
def near_progress(target: Array, first: Array, e: Array) -> Array:
    r"""Logarithmic decrease $y \ge 0$ of the gap near saturation, from $g_0$ to $g_0 e^{-y}$.

    $$y + \int_{g_0 e^{-y}}^{g_0} \frac{(1-g)^e - 1}{g}\,dg = \text{target}$$

    The slope $(1 - g)^e$ is monotone and within $[1/2, 4]$. One step from zero lands on the
    side from which Newton's method descends (or climbs) to the root.

    **Arguments:**

    - `target`: the right-hand side, a time multiplied by `near_rate`.
    - `first`: the initial gap $g_0$.
    - `e`: the exponent $e$.
    """
    target = jnp.minimum(target, -4 * jnp.log(jnp.finfo(target.dtype).tiny))

    def step(_: ArrayLike, y: Array) -> Array:
        left = first * jnp.exp(-y)
        missing = target - y - bent(left, -first * jnp.expm1(-y), e)
        return jnp.maximum(y + missing * (1 - left) ** -e, 0)

    return jax.lax.fori_loop(0, NEWTON, step, jnp.zeros_like(target))


@near_progress.defjvp
def _near_progress_jvp(primals, tangents):
    target, first, e = primals
    y = near_progress(target, first, e)
    left = first * jnp.exp(-y)
    moved = tangents[0] - (bend(first, e) - jnp.exp(-y) * bend(left, e)) * tangents[1]
    return y, moved * (1 - left) ** -e


def state(
    time: Array, start: Array, cross: Array, second: Array, depth: float
) -> tuple[Array, Array]:
    r"""Weight and $1 - (s/s_\infty)^2$ after a finite time, from a positive start.

    The second moment is positive.
    """
    one = jnp.ones_like(time)
    top = saturation(cross, second)
    below = start < top
    middle = halfway(below, cross, second)
    starts_far = jnp.where(below, start < middle, start > middle)
    signal = cross > 0
    crosses = starts_far & signal
    # Placeholders on a regular trajectory, as in `elapsed`.
    arrival = far_time(
        jnp.where(crosses, start, one),
        jnp.where(crosses, middle, one),
        jnp.where(crosses, cross, 4 * one),
        jnp.where(crosses, second, one),
        below | ~crosses,
        depth,
    )
    far = starts_far & (~signal | (time < arrival))
    weight = far_weight(
        jnp.where(far, time, 0),
        jnp.where(far, start, one),
        jnp.where(far, cross, 4 * one),
        jnp.where(far, second, one),
        below | ~far,
        depth,
    )
    near_cross, near_second = jnp.where(far, 4 / 3 * one, cross), jnp.where(far, one, second)
    near_below, near_top = below | far, saturation(near_cross, near_second)
    first = gap(
        jnp.where(far, one, jnp.where(starts_far, middle, start)),
        near_below,
        near_cross,
        near_second,
    )
    left = jnp.where(far, 0, jnp.maximum(time - jnp.where(crosses, arrival, 0), 0))
    y = near_progress(
        left * near_rate(near_cross, near_second, depth),
        first,
        near_exponent(near_below, time.dtype, depth),
    )
    closing = first * jnp.exp(-y)
    rest = 1 - closing
    near_weight = near_top * jnp.where(near_below, rest, 1 / rest) ** 0.5
    near_gap = jnp.where(near_below, closing, -closing / rest)
    far_gap = jnp.where(signal, 1 - (second * weight) ** 2 / jnp.where(signal, cross, 1), -jnp.inf)
    return jnp.where(far, weight, near_weight), jnp.where(far, far_gap, near_gap)
