r"""Gradient flow of the spectral contrastive loss, one feature at a time, in closed form.

From a balanced start aligned with the features each product weight evolves alone, towards
$s_\infty = \sqrt c / q$:

$$\dot s = 4 L s^{3-2/L} (c - q^2 s^2)$$

Layer $l$ has weight $s^{l/L}$ at every time. Cross moments $c$, second moments $q$, weights and
times broadcast against one another and set the dtype. Every function but the exponents may be
jitted, mapped and differentiated, and compiles once for each depth, shape and dtype.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._core import checks
from ..._core.linalg import matmul
from ..._core.powers import layer_powers
from .._common.scalars import scalars
from . import scalar_flow as flow

__all__ = [
    "layer_grams",
    "layer_weights",
    "onset_correction",
    "onset_time",
    "saturation_gap",
    "time_to_weight",
    "vanishing_exponent",
    "vanishing_transient",
    "weight_at_time",
]


def time_to_weight(
    weight: ArrayLike, start: ArrayLike, cross: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Time from product weight `start` to product weight `weight`.

    $$t = \frac{s_\infty^{-(2-2/L)}}{8c} \Big[ G(v) - G(v_0) + \int_{v_0}^{v} \frac{dx}{x^L} \Big],
    \quad G(v) = \int_0^v \frac{dx}{1 - x^L} = v\, {}_2F_1(1, 1/L; 1 + 1/L; p)$$

    Here $p = q^2 s^2 / c$ and $v = p^{1/L}$. The error is a few roundings of the time and of
    $c - q^2 s^2$, which determines the time close to saturation. A weight that the feature had
    before it was at `start` gives a negative time. No result is NaN:

    - `inf` for a weight reached in the limit: saturation, or zero if $c = 0$.
    - `inf` for a weight never reached: on the other side of saturation, or away from a start
      that stays (zero, saturation, a feature without variance).
    - `-inf` for weight zero below saturation, which lies infinitely far back.
    - 0 for `weight` equal to `start`.

    **Arguments:**

    - `weight`: $s \ge 0$.
    - `start`: $s_0 \ge 0$.
    - `cross`: $c \ge 0$.
    - `second`: $q \ge 0$, with $c = 0$ where it is zero.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> time = pt.theory.dynamics.time_to_weight(1.0, 0.001, cross=1.0, second=0.5, depth=2)
        >>> round(float(time), 3)
        124.909

        ```

    Theorem: flow-times (beyond the paper; Saxe et al. 2014 for the regression loss).
    """
    depth, numbers = scalars(depth, cross, second, weight=weight, start=start)
    return _time(*numbers, depth)


def weight_at_time(
    time: ArrayLike, start: ArrayLike, cross: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Product weight of a feature after a time of gradient flow, the inverse of `time_to_weight`.

    Below saturation it grows to $\sqrt c / q$, above it decays to this value. With $c = 0$ it
    is the power law $(s_0^{-(4-2/L)} + 4 L (4 - 2/L)\, q^2 t)^{-1/(4-2/L)}$. A start at zero or
    saturation stays, and so does a feature without variance, $q = 0$.

    The error is a few roundings of the result and of the time. From a start of $10^{-6}$ at
    depth 2, six digits of the time go to the wait before learning, and only the rest resolve
    it.

    **Arguments:**

    - `time`: $t \ge 0$, which may be infinite.
    - `start`, `cross`, `second`, `depth`: as in `time_to_weight`.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> times = jnp.asarray([0.0, 1.0, 2.0, jnp.inf])
        >>> np.round(pt.theory.dynamics.weight_at_time(times, 0.1, 1.0, 0.5, depth=2), 3)
        Array([0.1  , 0.477, 2.   , 2.   ], dtype=float64)

        ```

    Theorem: flow-times, vanishing-features (beyond the paper).
    """
    depth, numbers = scalars(depth, cross, second, time=time, start=start)
    return _state(*numbers, depth)[0]


def saturation_gap(
    time: ArrayLike, start: ArrayLike, cross: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Relative gap between a feature's Gram entry and saturation, after a time of gradient flow.

    $$1 - (s(t)/s_\infty)^2 = 1 - q^2 s^2 / c$$

    This is the fraction still missing from the feature's share of the Gram, negative above
    saturation. It falls like $e^{-8 L c\, s_\infty^{2-2/L} t}$ and is accurate relative to
    itself, also where the weight has no digits left to tell it from saturation. The result is
    `-inf` for $c = 0$, where there is no saturation, and 0 for a feature that never moves
    because it starts at its limit: no variance, or $s_0 = c = 0$.

    **Arguments:**

    - `time`, `start`, `cross`, `second`, `depth`: as in `weight_at_time`.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: flow-times (beyond the paper).
    """
    depth, numbers = scalars(depth, cross, second, time=time, start=start)
    return _state(*numbers, depth)[1]


def layer_weights(
    time: ArrayLike, start: ArrayLike, cross: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "... L"]:
    r"""Weight of a feature at every layer after a time of gradient flow.

    The weights are $s(t)^{l/L}$ for $l = 1, \dots, L$, on the last axis. The layer-wise law
    holds at every time, not only at the end.

    **Arguments:**

    - `time`, `start`, `cross`, `second`, `depth`: as in `weight_at_time`.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: flow-times, layerwise-law.
    """
    depth, numbers = scalars(depth, cross, second, time=time, start=start)
    return _layers(_state(*numbers, depth)[0], depth)


def layer_grams(
    time: Float[Array, " T"],
    start: ArrayLike,
    cross: Float[Array, " d"],
    second: Float[Array, " d"],
    directions: Float[Array, "d d"],
    depth: int,
) -> Float[Array, "T L d d"]:
    r"""Gram of every layer at every time, from a start aligned with orthonormal directions.

    $$M_l(t) = V\, \mathrm{diag}(s_i(t)^{2l/L})\, V^\top$$

    **Arguments:**

    - `time`: times $t \ge 0$, `(T,)`.
    - `start`: $s_0 \ge 0$, one number or one for each direction.
    - `cross`, `second`: $c$ and $q$ along each direction, `(d,)`.
    - `directions`: $V$, a direction in each column.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: flow-times, layerwise-law.
    """
    return _grams(layer_weights(time[:, None], start, cross, second, depth), directions)


def onset_time(start: ArrayLike, cross: ArrayLike, depth: int) -> Float[Array, "..."]:
    r"""Waiting time before a feature is learned, to leading order in a small start.

    - $L \ge 2$: $s_0^{-(2-2/L)} / (8 (L - 1) c)$, at $L = 2$ simply $1 / (8 c s_0)$. In this
      time growth without the term $q^2 s^2$ reaches any weight, however large.
    - $L = 1$: $-\ln(s_0) / (4c)$. In this time such growth, now exponential, reaches weight
      one. This is a choice of units, as $s_0$ is the only scale that enters.

    Neither depends on $q$, so features are learned in order of $c$, whatever their final
    weights. At $L = 1$ the remainder, `onset_correction`, has $s_\infty$ inside a logarithm.
    Infinite for $c = 0$ or $s_0 = 0$.

    **Arguments:**

    - `start`: $s_0 \ge 0$.
    - `cross`: $c \ge 0$.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: learning-order (beyond the paper).
    """
    depth, numbers = scalars(depth, cross, start=start)
    return _onset(*numbers, depth)


def onset_correction(
    start: ArrayLike, cross: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Time to half the final weight, $s_\infty / 2$, minus `onset_time`.

    It is exact and free of cancellation, with $G$ and $v$ of `time_to_weight`:

    - $L \ge 2$:
      $\frac{s_\infty^{-(2-2/L)}}{8c} \left[ G(4^{-1/L}) - G(v_0) - \frac{4^{1-1/L}}{L-1} \right]$.
      However small the start, the bracket is at least $-\frac{4^{1-1/L}}{L-1}$ and at most
      $\frac43 4^{-1/L}$ above this bound, while `onset_time` grows without bound.
    - $L = 1$: $[\ln s_\infty^2 - \ln 3 + \ln(1 - v_0)] / (8c)$.

    **Arguments:**

    - `start`: $s_0 \ge 0$; from saturation on the correction is `inf`.
    - `cross`: $c \ge 0$; the correction is `inf` at 0.
    - `second`: $q \ge 0$, with $c = 0$ where it is zero.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: learning-order (beyond the paper).
    """
    depth, numbers = scalars(depth, cross, second, start=start)
    return _correction(*numbers, depth)


def vanishing_exponent(depth: int, layer: int) -> float:
    r"""Exponent of the power-law decay of a layer's weight, for a feature with $c = 0$.

    $$\frac{l/L}{4 - 2/L}$$

    The weight at layer $l$ falls like $t$ to minus this power: $t^{-1/3}$ after the head and
    $t^{-1/6}$ before it at depth 2. Lower layers forget more slowly.

    **Arguments:**

    - `depth`: the number of layers $L \ge 1$.
    - `layer`: $1 \le l \le L$.

    **Raises:** `ValueError` for a depth or layer out of range.

    !!! example

        ```pycon
        >>> [round(pt.theory.dynamics.vanishing_exponent(2, layer), 3) for layer in (1, 2)]
        [0.167, 0.333]

        ```

    Theorem: vanishing-features (beyond the paper).
    """
    depth, layer = checks.within_depth(depth, "layer", layer)
    return layer / (4 * depth - 2)


def vanishing_transient(
    time: ArrayLike, start: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Relative next term of the power-law decay of a feature with $c = 0$.

    $$u = \frac{1}{4 L e\, q^2 s_0^e\, t}, \qquad e = 4 - 2/L$$

    The product weight is $s(t) = (4 L e\, q^2 t)^{-1/e} (1 + u)^{-1/e}$. Since the series in
    $u$ alternates, $\ln s$ is above its asymptote by no less than $-u / e$, and its slope in
    $\ln t$ by no more than $u / e$.

    **Arguments:**

    - `time`: $t > 0$.
    - `start`: $s_0 > 0$, the product weight at the start.
    - `second`: $q > 0$.
    - `depth`: the number of layers $L \ge 1$.

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
    # Where there is no finite time, a regular trajectory keeps derivatives finite.
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
        # Escape from zero is exponential at depth 1, so the derivative of a start at zero grows; at
        # greater depth it is one.
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


_layers = jax.jit(layer_powers, static_argnums=1)


@jax.jit
def _grams(weights: Float[Array, "T d L"], directions: Float[Array, "d d"]) -> Array:
    squares = jnp.swapaxes(weights, 1, 2)[:, :, None, :] ** 2
    return matmul(directions * squares, directions.T)


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
    # From a small start, the leading term is subtracted in the formula, not in the number.
    c, q = jnp.where(comes, cross, 4), jnp.where(comes, second, 1)
    half = flow.saturation(c, q) / 2
    small_start = jnp.where(comes & small & (start > 0), start, half)
    bulk = flow.series(one / 4, jnp.log(half / small_start), 2 / depth * one) / 4
    rest = (bulk + jnp.log(half) if depth == 1 else flow.wait(half, depth) * (bulk - 1 / kappa)) / (
        4 * depth * c
    )
    # From a larger start the two times are of one size.
    large_start = jnp.where(comes & ~small, start, half)
    late = _time(half, large_start, c, q, depth) - _onset(large_start, c, depth)
    return jnp.where(comes, jnp.where(small, rest, late), jnp.inf)
