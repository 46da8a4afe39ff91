r"""Weight decay on one feature: its minimum, its extinction, and the decay of imbalance.

With the penalty $\frac\gamma2 \sum_l \|W_l\|_F^2$ feature $i$ minimises
$E(s) = -2 c s^2 + q^2 s^4 + \frac{\gamma L}{2} s^{2/L}$. In units of the weight without decay,
$p = q^2 s^2 / c$, a stationary point has $(1 - p)\, p^{1 - 1/L} = m$ with
$m = \frac{\gamma}{4c} (q^2 / c)^{1 - 1/L}$.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._core import checks
from .._common.scalars import scalars
from ..dynamics.scalar_flow import root, saturation

__all__ = [
    "decay_limit",
    "decay_minimiser",
    "decayed_energy",
    "decayed_imbalance",
    "decayed_weight",
    "extinction_decay",
    "extinction_weight",
]

# Enough iterations at any depth; the method has order three, at the double root too.
STEPS = 10


def decayed_energy(
    weight: ArrayLike, cross: ArrayLike, second: ArrayLike, weight_decay: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Contribution of one feature to the loss and its penalty, in an aligned balanced network.

    $$E(s) = -2 c s^2 + q^2 s^4 + \frac{\gamma L}{2} s^{2/L}$$

    All arrays broadcast against one another.

    **Arguments:**

    - `weight`: the end-to-end weight $s \ge 0$.
    - `cross`: $c \ge 0$.
    - `second`: $q \ge 0$, with $c = 0$ where $q = 0$.
    - `weight_decay`: the weight decay $\gamma \ge 0$.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: weight-decay-minimiser.

    Source: beyond the paper.
    """
    depth, numbers = scalars(depth, cross, second, weight=weight, weight_decay=weight_decay)
    return _energy(*numbers, depth)


def decayed_weight(
    cross: ArrayLike, second: ArrayLike, weight_decay: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Local minimum of `decayed_energy` that continues $\sqrt c / q$ under decay.

    It is the largest stationary point.

    - $L = 1$: $\sqrt{\max(0, (c - \gamma/4) / q^2)}$.
    - $L = 2$: the largest root of $q^2 s^3 - c s + \gamma/4 = 0$, which is
      $2 \sqrt{c / (3 q^2)} \cos\!\big(\tfrac13 \arccos(-\gamma / \gamma_s)\big)$.
    - $L > 2$: a root between the inflection and $\sqrt c / q$.

    It is zero once the decay exceeds $\gamma_s$, `decay_limit`. At depths above 1 it is not the
    global minimum for decays between `extinction_decay` and $\gamma_s$. At $\gamma_s$ its
    derivative is infinite. All arrays broadcast against one another.

    **Arguments:**

    - `cross`: $c \ge 0$.
    - `second`: $q \ge 0$, with $c = 0$ where $q = 0$.
    - `weight_decay`: the weight decay $\gamma \ge 0$.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> decay = jnp.asarray([0.0, 1.0, 1.5, 2.0])
        >>> np.round(pt.theory.decay.decayed_weight(1.0, 1.0, decay, depth=2), 3)
        Array([1.   , 0.838, 0.651, 0.   ], dtype=float64)
        >>> round(float(pt.theory.decay.decay_limit(1.0, 1.0, depth=2)), 3)
        1.54

        ```

    Theorem: weight-decay-minimiser.

    Source: beyond the paper.
    """
    depth, numbers = scalars(depth, cross, second, weight_decay=weight_decay)
    return _weight(*numbers, depth)


def decay_limit(cross: ArrayLike, second: ArrayLike, depth: int) -> Float[Array, "..."]:
    r"""The largest weight decay at which a local minimum away from zero exists: the spinodal.

    $$\gamma_s = \frac{4 L c}{2L - 1} \left( \frac{(L-1)\, c}{(2L-1)\, q^2} \right)^{1 - 1/L}$$

    There the minimum merges with the barrier, at $s^2 = \frac{L-1}{2L-1} \frac{c}{q^2}$. It is
    $4c$ at $L = 1$ and $8 c^{3/2} / (3 \sqrt 3\, q)$ at $L = 2$; zero for a feature without
    signal.

    **Arguments:**

    - `cross`: $c \ge 0$.
    - `second`: $q \ge 0$, with $c = 0$ where $q = 0$.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: weight-decay-minimiser.

    Source: beyond the paper.
    """
    depth, numbers = scalars(depth, cross, second)
    return _decay_at(*numbers, depth, (depth - 1) / (2 * depth - 1))


def extinction_decay(cross: ArrayLike, second: ArrayLike, depth: int) -> Float[Array, "..."]:
    r"""The weight decay above which the global minimum is at weight zero.

    $$\gamma_c = \frac{4c}{2L-1} \left( \frac{(2L-2)\, c}{(2L-1)\, q^2} \right)^{1 - 1/L}$$

    It is $4c$ at $L = 1$, where the weight reaches zero continuously, and $2 (2c/3)^{3/2} / q$
    at $L = 2$. Its ratio to `decay_limit` is $2^{1-1/L} / L$. In a balanced network the feature
    becomes extinct in all layers at once.

    **Arguments:**

    - `cross`: $c \ge 0$.
    - `second`: $q \ge 0$, with $c = 0$ where $q = 0$.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> decay = pt.theory.decay.extinction_decay(1.0, 1.0, depth=2)
        >>> around = decay * jnp.asarray([0.99, 1.01])
        >>> np.round(pt.theory.decay.decay_minimiser(1.0, 1.0, around, depth=2), 3)
        Array([0.819, 0.   ], dtype=float64)

        ```

    Theorem: feature-extinction.

    Source: beyond the paper.
    """
    depth, numbers = scalars(depth, cross, second)
    return _decay_at(*numbers, depth, (2 * depth - 2) / (2 * depth - 1))


def extinction_weight(cross: ArrayLike, second: ArrayLike, depth: int) -> Float[Array, "..."]:
    r"""The weight from which the global minimum jumps to zero as weight decay grows.

    $$\sqrt{\frac{2L-2}{2L-1}} \frac{\sqrt c}{q}$$

    It is zero at $L = 1$.

    **Arguments:**

    - `cross`: $c \ge 0$.
    - `second`: $q \ge 0$, with $c = 0$ where $q = 0$.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: feature-extinction.

    Source: beyond the paper.
    """
    depth, numbers = scalars(depth, cross, second)
    return ((2 * depth - 2) / (2 * depth - 1)) ** 0.5 * _final(*numbers)


def decay_minimiser(
    cross: ArrayLike, second: ArrayLike, weight_decay: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""The global minimiser of `decayed_energy`.

    It is `decayed_weight` up to `extinction_decay` and zero beyond. At `extinction_decay`,
    where zero has the same energy, it is the weight before the jump. All arrays broadcast
    against one another.

    **Arguments:**

    - `cross`: $c \ge 0$.
    - `second`: $q \ge 0$, with $c = 0$ where $q = 0$.
    - `weight_decay`: the weight decay $\gamma \ge 0$.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: weight-decay-minimiser, feature-extinction.

    Source: beyond the paper.
    """
    depth, numbers = scalars(depth, cross, second, weight_decay=weight_decay)
    return _best(*numbers, depth)


def decayed_imbalance(
    imbalance: Sequence[Float[Array, "..."]], weight_decay: ArrayLike, time: ArrayLike
) -> tuple[Float[Array, "..."], ...]:
    r"""Imbalance after a time of gradient flow with weight decay, for any loss of $f$.

    $$D_l(t) = e^{-2\gamma t} D_l(0)$$

    **Arguments:**

    - `imbalance`: $D_1, \dots, D_{L-1}$ at the start.
    - `weight_decay`: the weight decay $\gamma \ge 0$.
    - `time`: $t \ge 0$.

    **Returns:** $D_1, \dots, D_{L-1}$ at time $t$.

    **Raises:** `ValueError` for a decay or time that is negative or infinite.

    !!! example

        ```pycon
        >>> start = [jnp.asarray([[1.0]])]
        >>> later = pt.theory.decay.decayed_imbalance(start, weight_decay=0.1, time=5.0)
        >>> np.round(later[0], 3)
        Array([[0.368]], dtype=float64)

        ```

    Theorem: weight-decay-balancing.

    Source: beyond the paper; without decay, Arora, Cohen and Hazan (ICML 2018).
    """
    exponent = (
        -2 * checks.nonnegative("weight_decay", weight_decay) * checks.nonnegative("time", time)
    )
    return tuple(jnp.exp(exponent).astype(d.dtype) * d for d in imbalance)


def least_penalty(weight: Array, weight_decay: Array, depth: int) -> Array:
    r"""Penalty $\frac{\gamma L}{2} s^{2/L}$ of the balanced layers with product $s$."""
    there = weight > 0
    return (
        weight_decay
        * depth
        / 2
        * jnp.where(there, root(jnp.where(there, weight, 1), depth) ** 2, 0)
    )


def share_of_limit(weight_decay: Array, limit: Array, top: Array) -> tuple[Array, Array]:
    """Weight decay over `decay_limit`, at most 1, and true where it is within the limit.

    A decay equal to the limit counts as within it, whatever the rounding of either. A feature of
    weight zero without decay, `top`, has the share zero.
    """
    ratio = jnp.where(top > 0, weight_decay, 0) / jnp.where(top > 0, limit, 1)
    there = ratio <= 1 + 8 * jnp.finfo(ratio.dtype).eps
    return jnp.where(there, jnp.minimum(ratio, 1), 0), there


_final = jax.jit(lambda cross, second: saturation(*jnp.broadcast_arrays(cross, second)))


@partial(jax.jit, static_argnums=4)
def _energy(weight: Array, weight_decay: Array, cross: Array, second: Array, depth: int) -> Array:
    penalty = least_penalty(weight, weight_decay, depth)
    return -2 * cross * weight**2 + (second * weight**2) ** 2 + penalty


@partial(jax.jit, static_argnums=(2, 3))
def _decay_at(cross: Array, second: Array, depth: int, p: float) -> Array:
    r"""The decay at which $p$ is stationary, $4 c\, (1 - p)\, (p c / q^2)^{1 - 1/L}$.

    At depth 1, where $p$ is zero, it is $4 c$.
    """
    if depth == 1:
        return 4 * jnp.broadcast_arrays(cross, second)[0]
    square = p * saturation(cross, second) ** 2
    there = square > 0
    positive = jnp.where(there, square, 1)
    return 4 * (1 - p) * cross * jnp.where(there, positive / root(positive, depth), 0)


@partial(jax.jit, static_argnums=3)
def _best(weight_decay: Array, cross: Array, second: Array, depth: int) -> Array:
    alive = weight_decay <= _decay_at(cross, second, depth, (2 * depth - 2) / (2 * depth - 1))
    return jnp.where(alive, _weight(jnp.where(alive, weight_decay, 0), cross, second, depth), 0)


@partial(jax.jit, static_argnums=3)
def _weight(weight_decay: Array, cross: Array, second: Array, depth: int) -> Array:
    weight_decay, cross, second = jnp.broadcast_arrays(weight_decay, cross, second)
    top = saturation(cross, second)
    if depth == 1:
        left = cross - weight_decay / 4
        there = (left > 0) & (top > 0)
        return jnp.where(
            there, jnp.sqrt(jnp.where(there, left, 1)) / jnp.where(there, second, 1), 0
        )
    limit = _decay_at(cross, second, depth, (depth - 1) / (2 * depth - 1))
    ratio, there = share_of_limit(weight_decay, limit, top)
    if depth == 2:
        return jnp.where(there, 2 / 3**0.5 * top * jnp.cos(jnp.arccos(-ratio) / 3), 0)
    return jnp.where(there, top * jnp.sqrt(largest_root(ratio, depth)), 0)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def largest_root(ratio: Array, depth: float) -> Array:
    r"""The largest $p$ with $h(p) = (1 - p)\, p^{1 - 1/L}$ equal to `ratio` times its maximum.

    The maximum is at $p_s = (L-1)/(2L-1)$, and $h$ is concave from there to 1. The parabola
    through value, slope and curvature is therefore a good model on that interval, also where
    slope and residual vanish together and Newton's method would be slow. It is exact at the
    turning point. The depth may be half a whole number above 1: a regression's at half its depth.
    """
    least = (depth - 1) / (2 * depth - 1)
    peak, _, _ = _balance(jnp.full_like(ratio, least), depth)

    def step(_: ArrayLike, p: Array) -> Array:
        h, slope, curvature = _balance(p, depth)
        residual = h - ratio * peak
        under = jnp.maximum(slope**2 - 2 * curvature * residual, 0)
        # At the turning point slope and residual may both round to zero: no step is taken.
        divisor = jnp.sqrt(under) - slope
        return jnp.clip(
            p + jnp.where(divisor > 0, 2 * residual / jnp.where(divisor > 0, divisor, 1), 0),
            least,
            1,
        )

    return jax.lax.fori_loop(0, STEPS, step, least + (1 - least) * jnp.sqrt(1 - ratio))


@largest_root.defjvp
def _largest_root_jvp(depth, primals, tangents):
    (ratio,), (moved,) = primals, tangents
    p = largest_root(ratio, depth)
    peak, _, _ = _balance(jnp.full_like(ratio, (depth - 1) / (2 * depth - 1)), depth)
    return p, peak / _balance(p, depth)[1] * moved


def _balance(p: Array, depth: float) -> tuple[Array, Array, Array]:
    r"""Value, slope and curvature of $(1 - p)\, p^b$ with $b = 1 - 1/L$."""
    b = 1 - 1 / depth
    power = p / root(p, depth)
    return (
        (1 - p) * power,
        power * (b * (1 - p) - p) / p,
        power * b * (-2 * p - (1 - b) * (1 - p)) / p**2,
    )
