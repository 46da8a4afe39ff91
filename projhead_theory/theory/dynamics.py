r"""When a feature is learned: gradient flow of the spectral contrastive loss, one feature at a time, in closed form.

From a balanced start aligned with the features each product weight evolves alone,
$\dot s = 4 L s^{3-2/L} (c - q^2 s^2)$, towards $s_\infty = \sqrt c / q$; layer $l$ carries $s^{l/L}$ at every time. Cross
moments $c$, second moments $q$, weights and times broadcast against one another; the dtype is theirs; every function but
the exponents may be jitted, mapped and differentiated, and compiles once for each depth, shape and dtype.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .. import _checks
from . import _scalar_flow as flow
from ._scalars import scalars


def time_to_weight(
    weight: ArrayLike, start: ArrayLike, cross: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Time from product weight `start` to `weight`. With $p = q^2 s^2 / c$ and $v = p^{1/L}$,

    $$t = \frac{s_\infty^{-(2-2/L)}}{8c} \Big[ G(v) - G(v_0) + \int_{v_0}^{v} \frac{dx}{x^L} \Big],
    \quad G(v) = \int_0^v \frac{dx}{1 - x^L} = v\, {}_2F_1(1, 1/L; 1 + 1/L; p).$$

    Accurate to a few roundings of the time and of $c - q^2 s^2$, which close to saturation is what determines it.
    A weight that the feature had before it was at `start` gives a negative time. Nothing is a NaN: a weight that is
    reached in the limit (saturation; zero, if $c = 0$) or never, on the other side of saturation or away from a
    start that stays (zero, saturation, a feature without variance), gives `inf`; the way back to zero below saturation,
    without beginning, `-inf`; `weight` equal to `start`, 0.

    **Arguments:** `weight`: $s \ge 0$; `start`: $s_0 \ge 0$; `cross`: $c \ge 0$; `second`: $q \ge 0$, with $c = 0$ where it
    is zero; `depth`: $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: flow-times (beyond the paper; Saxe et al. 2014 for the regression loss).
    """
    depth, numbers = scalars(depth, cross, second, weight=weight, start=start)
    return _time(*numbers, depth)


def weight_at_time(
    time: ArrayLike, start: ArrayLike, cross: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Product weight of a feature after a time of gradient flow: the inverse of `time_to_weight`.

    Below saturation it grows to $\sqrt c / q$, above it decays to it. With $c = 0$ it is the power law
    $(s_0^{-(4-2/L)} + 4 L (4 - 2/L)\, q^2 t)^{-1/(4-2/L)}$. A start at zero or saturation stays, and so does a feature without
    variance, $q = 0$. The error is a few roundings of the result and of the time: a start of $10^{-6}$ at depth 2 leaves the
    last six digits of the time to the moment of learning.

    **Arguments:** `time`: $t \ge 0$, which may be infinite; the others as in `time_to_weight`.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: flow-times, vanishing-features (beyond the paper).
    """
    depth, numbers = scalars(depth, cross, second, time=time, start=start)
    return _state(*numbers, depth)[0]


def saturation_gap(
    time: ArrayLike, start: ArrayLike, cross: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""$1 - (s(t)/s_\infty)^2 = 1 - q^2 s^2 / c$ after a time of gradient flow: what is still missing from the feature's
    share of the Gram, as a fraction; negative above saturation.

    It falls like $e^{-8 L c\, s_\infty^{2-2/L} t}$ and is accurate relative to itself, also where the weight has no digits left
    to tell it from saturation. `-inf` for $c = 0$, where there is nothing to saturate at; 0 for a feature that never moves
    because it is where it ends: no variance, or $s_0 = c = 0$.

    **Arguments:** as in `weight_at_time`.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: flow-times (beyond the paper).
    """
    depth, numbers = scalars(depth, cross, second, time=time, start=start)
    return _state(*numbers, depth)[1]


def layer_weights(
    time: ArrayLike, start: ArrayLike, cross: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "... L"]:
    r"""Weight of a feature at every layer after a time of gradient flow, $s(t)^{l/L}$ for $l = 1, \dots, L$ on the last axis.

    The layer-wise law holds at every time on the way, not only at the end.

    **Arguments:** as in `weight_at_time`.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: flow-times, layerwise-law.
    """
    depth, numbers = scalars(depth, cross, second, time=time, start=start)
    return _layers(_state(*numbers, depth)[0], depth)


def onset_time(start: ArrayLike, cross: ArrayLike, depth: int) -> Float[Array, "..."]:
    r"""How long a feature waits before it is learned, to leading order in a small start.

    $L \ge 2$: $s_0^{-(2-2/L)} / (8 (L - 1) c)$, at $L = 2$ simply $1 / (8 c s_0)$: the time in which growth without
    the term $q^2 s^2$ reaches any weight however large. $L = 1$: $-\ln(s_0) / (4c)$, the time in which such growth, now
    exponential, reaches weight one; a choice of units, as no scale but that of $s_0$ enters. Neither depends on $q$, so
    features are learned in order of $c$, whatever their final weights; at $L = 1$ the rest, `onset_correction`, has
    $s_\infty$ inside a logarithm. Infinite for $c = 0$ or $s_0 = 0$.

    **Arguments:** `start`: $s_0 \ge 0$; `cross`: $c \ge 0$; `depth`: $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: learning-order (beyond the paper).
    """
    depth, numbers = scalars(depth, cross, start=start)
    return _onset(*numbers, depth)


def onset_correction(
    start: ArrayLike, cross: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""What `onset_time` leaves out of the time to half the final weight, $s_\infty / 2$: exact, and without cancellation.

    $L \ge 2$: $\frac{s_\infty^{-(2-2/L)}}{8c} \left[ G(4^{-1/L}) - G(v_0) - \frac{4^{1-1/L}}{L-1} \right]$ with $G$ and $v$ of
    `time_to_weight`. However small the start, the bracket lies between $-\frac{4^{1-1/L}}{L-1}$ and $\frac43 4^{-1/L}$ above
    that, while `onset_time` grows without bound. $L = 1$: $[\ln s_\infty^2 - \ln 3 + \ln(1 - v_0)] / (8c)$.

    **Arguments:** `start`: $s_0 \ge 0$; from saturation on the correction is `inf`; `cross`: $c \ge 0$, `inf` at 0; `second`:
    $q \ge 0$, with $c = 0$ where it is zero; `depth`: $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: learning-order (beyond the paper).
    """
    depth, numbers = scalars(depth, cross, second, start=start)
    return _correction(*numbers, depth)


def vanishing_exponent(depth: int, layer: int) -> float:
    r"""$\frac{l/L}{4 - 2/L}$: the weight at layer $l$ of a feature with $c = 0$ falls like $t$ to minus this power.

    $t^{-1/3}$ after the head and $t^{-1/6}$ before it at depth 2: lower layers forget more slowly.

    **Arguments:** `depth`: $L \ge 1$; `layer`: $1 \le l \le L$.

    **Raises:** `ValueError` for a depth or layer out of range.

    Theorem: vanishing-features (beyond the paper).
    """
    depth, layer = _checks.count("depth", depth), _checks.count("layer", layer)
    if layer > depth:
        raise _checks.bad("layer", layer, f"at most the depth, {depth}")
    return layer / (4 * depth - 2)


def vanishing_transient(
    time: ArrayLike, start: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""The next term of the power law of a feature with $c = 0$, relative: $u = 1 / (4 L e\, q^2 s_0^e\, t)$ with $e = 4 - 2/L$.

    Its weight is $s(t) = (4 L e\, q^2 t)^{-1/e} (1 + u)^{-1/e}$, so that $\ln s$ is above its asymptote by no less than
    $-u / e$, and its slope in $\ln t$ by no more than $u / e$: the series in $u$ alternates.

    **Arguments:**

    - `time`: $t > 0$.
    - `start`: $s_0 > 0$, the product weight at the start.
    - `second`: $q > 0$.
    - `depth`: $L \ge 1$.

    **Returns:** $u$, without a unit; `inf` where one of the first three is zero.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: vanishing-features (beyond the paper).
    """
    depth, (t, s, q) = scalars(depth, second, signal="second", time=time, start=start)
    e = 4 - 2 / depth
    return 1 / (4 * depth * e * q**2 * s**e * t)


@partial(jax.jit, static_argnums=4)
def _time(weight: Array, start: Array, cross: Array, second: Array, depth: float) -> Array:
    weight, start, cross, second = jnp.broadcast_arrays(weight, start, cross, second)
    top = flow.saturation(cross, second)
    below = start < top
    onward = jnp.where(below, weight >= start, weight <= start)
    within = (
        (weight > 0)
        & (start > 0)
        & (second > 0)
        & jnp.where(below, weight < top, (weight > top) & (start > top))
    )
    early, late = jnp.where(onward, start, weight), jnp.where(onward, weight, start)
    # Where there is no time, an innocent trajectory keeps derivatives finite.
    early, late = jnp.where(within, early, 1), jnp.where(within, late, 1)
    c, q = jnp.where(within, cross, 4), jnp.where(within, second, 1)
    time = flow.elapsed(early, late, c, q, below | ~within, depth)
    back = (weight == 0) & below & (start > 0)
    outside = jnp.where(weight == start, 0, jnp.where(back, -jnp.inf, jnp.inf))
    return jnp.where(within, jnp.where(onward, time, -time), outside)


@partial(jax.jit, static_argnums=4)
def _state(
    time: Array, start: Array, cross: Array, second: Array, depth: float
) -> tuple[Array, Array]:
    time, start, cross, second = jnp.broadcast_arrays(time, start, cross, second)
    moves = (start > 0) & (second > 0)
    ends = jnp.isposinf(time)
    weight, gap = flow.state(
        jnp.where(moves & ~ends, time, 0),
        jnp.where(moves, start, 1),
        jnp.where(moves, cross, 4),
        jnp.where(moves, second, 1),
        depth,
    )
    signal = cross > 0
    weight = jnp.where(moves & ends, flow.saturation(cross, second), weight)
    gap = jnp.where(moves & ends & signal, 0, gap)
    if depth == 1:
        # Escape from zero is exponential at depth 1, so a start at zero has a derivative that grows; at greater depth it is one.
        stays = jnp.where(
            (start == 0) & ~ends,
            start * jnp.exp(jnp.minimum(4 * cross * jnp.where(ends, 0, time), 700)),
            start,
        )
    else:
        stays = start
    return jnp.where(moves, weight, stays), jnp.where(
        moves, gap, jnp.where(signal & (second > 0), 1, 0)
    )


@partial(jax.jit, static_argnums=1)
def _layers(weight: Array, depth: int) -> Array:
    levels = jnp.arange(1, depth + 1, dtype=weight.dtype) / depth
    # The root at zero has no derivative: a feature of weight zero keeps derivative zero.
    positive = jnp.where(weight > 0, weight, 1)[..., None]
    return jnp.where(weight[..., None] > 0, positive**levels, 0)


@partial(jax.jit, static_argnums=2)
def _onset(start: Array, cross: Array, depth: int) -> Array:
    start, cross = jnp.broadcast_arrays(start, cross)
    comes = (start > 0) & (cross > 0)
    s, c = jnp.where(comes, start, 1), jnp.where(comes, cross, 1)
    leading = -jnp.log(s) / (4 * c) if depth == 1 else flow.wait(s, depth) / (8 * (depth - 1) * c)
    return jnp.where(comes, leading, jnp.inf)


@partial(jax.jit, static_argnums=3)
def _correction(start: Array, cross: Array, second: Array, depth: int) -> Array:
    start, cross, second = jnp.broadcast_arrays(start, cross, second)
    kappa = 2 - 2 / depth
    top = flow.saturation(cross, second)
    comes, small = top > 0, start < top / 2
    one = jnp.ones_like(start)
    # From a small start: the leading term taken out of the formula, not out of the number.
    c, q = jnp.where(comes, cross, 4), jnp.where(comes, second, 1)
    half = flow.saturation(c, q) / 2
    small_start = jnp.where(comes & small & (start > 0), start, half)
    bulk = flow.series(one / 4, jnp.log(half / small_start), 2 / depth * one) / 4
    rest = (bulk + jnp.log(half) if depth == 1 else flow.wait(half, depth) * (bulk - 1 / kappa)) / (
        4 * depth * c
    )
    # Otherwise they are of one size.
    large_start = jnp.where(comes & ~small, start, half)
    late = _time(half, large_start, c, q, depth) - _onset(large_start, c, depth)
    return jnp.where(comes, jnp.where(small, rest, late), jnp.inf)
