r"""One feature under gradient flow, $\dot s = 4 L s^{3-2/L} (c - q^2 s^2)$: the time between two weights and its inverse, to
rounding on both sides of saturation.

Far from saturation, $p = q^2 s^2 / c \le 1/2$ (below) or $1/p \le 1/2$ (above), times are a power of the weight and a
geometric series in $p$ integrated term by term. Near it, the logarithm of the gap is split off and what is left is smooth.
Every term is a difference of two powers or logarithms, taken as one `expm1` or `log1p`, so that short times keep their
digits; and as the split is a number that the total does not depend on, it carries no derivative.

Depths may be half-integers: regression is the same flow at half its depth.

All arrays of a call have one shape and one dtype; no lane may be at a fixed point (`dynamics` sees to that).
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

# The nearest singularity lies 3 half-lengths from the middle of the interval: 12 nodes err by (3 + sqrt 8)^-24 < 1e-18.
NODES, WEIGHTS = (
    (np.polynomial.legendre.leggauss(12)[0] + 1) / 2,
    np.polynomial.legendre.leggauss(12)[1] / 2,
)
# Newton's methods below run in coordinates in which the slope of time varies by a factor of 4 at most.
NEWTON = 8


def root(x: Array, n: float) -> Array:
    r"""$x^{1/n}$ for $x > 0$ and $2n$ a whole number. `x ** (1 / n)` alone would be off by $|\ln x|$ roundings, those of the exponent."""
    if n != int(n):
        return root(x, int(2 * n)) ** 2
    n = int(n)
    if n <= 2:
        return jnp.sqrt(x) if n == 2 else x
    y = x ** (1 / n)
    return y - (y**n - x) / (n * y ** (n - 1))


def wait(weight: Array, depth: float) -> Array:
    r"""$s^{-(2 - 2/L)}$: what times are proportional to."""
    return (root(weight, depth) / weight) ** 2


def saturation(cross: Array, second: Array) -> Array:
    r"""$s_\infty = \sqrt c / q$, zero where either is."""
    there = (cross > 0) & (second > 0)
    return jnp.where(there, jnp.sqrt(jnp.where(there, cross, 1)) / jnp.where(there, second, 1), 0)


def halfway(below: Array, cross: Array, second: Array) -> Array:
    r"""Where far ends and near begins, $s_\infty 2^{\mp 1/2}$. A place to split at, without derivatives."""
    return jax.lax.stop_gradient(saturation(cross, second) * jnp.where(below, 0.5**0.5, 2**0.5))


def fraction(weight: Array, below: Array, cross: Array, second: Array) -> Array:
    r"""$p = (s / s_\infty)^2$ below saturation, $1/p$ above it."""
    square = (second * weight) ** 2
    return jnp.where(below, square, cross) / jnp.where(below, cross, square)


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def series(p: Array, r: Array, m: Array, k: int = 0) -> Array:
    r"""$\sum_{j \ge 0} \binom{j+k}{k} p^j\, \frac{1 - e^{-(m + 2j) r}}{m + 2j}$ for $0 \le p \le 1/2$, $m > 0$.

    Its derivatives are of the same form, also at $p = 0$, a feature without signal, where those of powers are not defined.
    """
    # Half of what follows is left out at each term, so a bit each, and a few for the growth of the binomials.
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
    r"""Time from `early` to `late`, both far from saturation, on the side `below` says."""
    kappa = 2 - 2 / depth
    low, high = jnp.where(below, early, late), jnp.where(below, late, early)
    r = jnp.log1p((high - low) / low)
    p = fraction(late, below, cross, second)
    # Powers are of the smaller weight in the first term: no partial result is larger than the time itself.
    lead = 4 * depth * jnp.where(below, cross, (second * late) ** 2)
    if depth == 1:
        first = jnp.where(below, r, -jnp.expm1(-2 * r) / 2)
    else:
        m = jnp.where(below, kappa, kappa + 2).astype(r.dtype)
        first = -jnp.expm1(-m * r) / m * wait(low, depth)
    rest = jnp.where(below, 2 / depth, 6 - 2 / depth).astype(r.dtype)
    return (first + wait(late, depth) * p * series(p, r, rest)) / lead


def gap(weight: Array, below: Array, cross: Array, second: Array) -> Array:
    r"""$1 - p$ below saturation, $1 - 1/p$ above it, from the difference of the weights."""
    top = saturation(cross, second)
    larger = jnp.where(below, top, weight)
    return jnp.where(below, 1, -1) * (top - weight) * (top + weight) / larger**2


@jax.custom_jvp
def bend(g: Array, e: Array) -> Array:
    r"""$((1 - g)^e - 1) / g$, continued to $g = 0$."""
    nonzero = jnp.where(g == 0, 1, g)
    return jnp.where(g == 0, -e, jnp.expm1(e * jnp.log1p(-g)) / nonzero)


@bend.defjvp
def _bend_jvp(primals, tangents):
    # The quotient as written loses its derivative to rounding as g goes to 0; the integral -e int (1 - g x)^(e - 1) dx does not.
    g, e = primals
    x, w = jnp.asarray(NODES, g.dtype), jnp.asarray(WEIGHTS, g.dtype)
    slope = e * (e - 1) * jnp.sum(w * x * (1 - g[..., None] * x) ** (e[..., None] - 2), axis=-1)
    return bend(g, e), slope * tangents[0]


def bent(least: Array, span: Array, e: Array) -> Array:
    r"""$\int \frac{(1 - g)^e - 1}{g}\,dg$ from `least` to `least + span`."""
    x, w = jnp.asarray(NODES, least.dtype), jnp.asarray(WEIGHTS, least.dtype)
    g = least[..., None] + span[..., None] * x
    return span * jnp.sum(w * bend(g, jnp.broadcast_to(e[..., None], g.shape)), axis=-1)


def near_exponent(below: Array, dtype: jnp.dtype, depth: float) -> Array:
    r"""$e$ in $8 L c s_\infty^{2-2/L}\, dt = -(1 - g)^e dg / g$."""
    return jnp.where(below, 1 / depth - 2, 1 - 1 / depth).astype(dtype)


def near_rate(cross: Array, second: Array, depth: float) -> Array:
    r"""$8 L c s_\infty^{2-2/L}$, the rate at which the gap closes in the end."""
    return 8 * depth * cross / wait(saturation(cross, second), depth)


def near_time(
    early: Array, late: Array, cross: Array, second: Array, below: Array, depth: float
) -> Array:
    r"""Time from `early` to `late`, both near saturation, on the side `below` says."""
    least = gap(late, below, cross, second)
    difference = jnp.where(below, late - early, early - late) * (late + early)
    top = saturation(cross, second)
    span = difference * jnp.where(below, 1 / top, top / (early * late)) ** 2
    e = near_exponent(below, early.dtype, depth)
    return (jnp.log1p(span / least) + bent(least, span, e)) / near_rate(cross, second, depth)


def elapsed(
    early: Array, late: Array, cross: Array, second: Array, below: Array, depth: float
) -> Array:
    r"""Time from `early` to `late`: `late` between `early` and saturation, on the side `below` says."""
    middle = halfway(below, cross, second)
    starts_far = jnp.where(below, early < middle, early > middle)
    ends_near = jnp.where(below, late > middle, late < middle)
    # A part that is not there is taken over an empty piece of an innocent trajectory, so that its derivatives are finite.
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
    r"""The weight after `time`, far from saturation like the start.

    Newton's method in $\theta$ with $s = s_0 (1 + e \theta)^{\mp 1/e}$, $e = -(2 - 2/L)$ below and $4 - 2/L$ above, the exact solution
    but for the factor $1 - p$ in $\dot\theta$. Time is convex in $\theta$, so from an upper bound it descends to the root.
    """
    kappa = 2 - 2 / depth
    middle = halfway(below, cross, second)
    lead = 4 * depth * jnp.where(below, cross, (second * start) ** 2) / wait(start, depth)

    def weight(theta: Array) -> Array:
        decayed = start / root(jnp.maximum(1 + (kappa + 2) * theta, 1), 4 * depth - 2) ** depth
        if depth == 1:
            grown = start * jnp.exp(theta)
        else:
            # From a very small start 1 - kappa theta may round to zero: then the time itself cannot tell when growth is over.
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

    # The least of two upper bounds: as if p = 0, and the way to the middle (to zero, if there is no saturation).
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
    r"""$y \ge 0$ with $y + \int_{g_0 e^{-y}}^{g_0} \frac{(1-g)^e - 1}{g}\,dg$ equal to `target`: the gap closes by $e^{-y}$.

    The slope $(1 - g)^e$ is monotone and within $[1/2, 4]$; one step from zero lands on the side from which Newton's
    method descends (or climbs) to the root.
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
    r"""Weight and $1 - (s/s_\infty)^2$ after a finite time, from a start above zero, with variance."""
    one = jnp.ones_like(time)
    top = saturation(cross, second)
    below = start < top
    middle = halfway(below, cross, second)
    starts_far = jnp.where(below, start < middle, start > middle)
    signal = cross > 0
    crosses = starts_far & signal
    # Innocent stand-ins, as in `elapsed`.
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
