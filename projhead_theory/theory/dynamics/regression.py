r"""Gradient flow of the mean squared error, one aligned mode at a time, in closed form.

From a balanced start aligned with the modes each product weight evolves alone, towards
$s_\infty = a / q$:

$$\dot s = L s^{2-2/L} (a - q s)$$

Here $a$ is the moment of target and input and $q$ the second moment of the input. Layer $l$ has
weight $s^{l/L}$ at every time. For $s = u^2$ this is
$\dot u = 4 \ell u^{3-2/\ell} (a/4 - (q/4) u^2)$ with $\ell = L/2$: the flow of `dynamics`, at
half the depth. At $L = 1$ it is linear. Arguments broadcast against one another and set the
dtype. Every function but the exponent may be jitted, mapped and differentiated.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._core import checks
from .._common.scalars import scalars
from . import contrastive

__all__ = [
    "layer_grams",
    "layer_weights",
    "retention_exponent",
    "retention_transient",
    "time_to_weight",
    "weight_at_time",
]


def time_to_weight(
    weight: ArrayLike, start: ArrayLike, target: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Time from product weight `start` to product weight `weight`.

    $$t = \frac{F(s) - F(s_0)}{L}, \qquad
    F(s) = \frac{s^{2/L - 1}}{(2/L - 1) a}\, {}_2F_1(1, 2/L - 1; 2/L; q s / a)$$

    At depth 2 $F(s) = \ln\frac{s}{a - q s} / a$, and at depth 1 $F(s) = -\ln|a - q s| / q$. As
    in `dynamics.time_to_weight`, a weight that the mode had before it was at `start` gives a
    negative time, and a weight that it has only in the limit, or never, gives `inf`.

    **Arguments:**

    - `weight`: $s \ge 0$.
    - `start`: $s_0 \ge 0$.
    - `target`: $a \ge 0$.
    - `second`: $q \ge 0$, with $a = 0$ where it is zero.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: sl-times (beyond the paper; Saxe et al. 2014 for depth 2).
    """
    depth, numbers = scalars(depth, target, second, signal="target", weight=weight, start=start)
    return _time(*numbers, depth)


def weight_at_time(
    time: ArrayLike, start: ArrayLike, target: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Product weight of a mode after a time of gradient flow, the inverse of `time_to_weight`.

    - $L = 1$: $\frac aq + (s_0 - \frac aq) e^{-qt}$.
    - $L = 2$: the sigmoid $\frac{a/q}{1 + (\frac{a}{q s_0} - 1) e^{-2at}}$.
    - $a = 0$ and $L \ge 2$: the power law $(s_0^{-e} + L e\, q t)^{-1/e}$ with $e = 2 - 2/L$.

    A start at zero stays at depth 2 or more.

    **Arguments:**

    - `time`: $t \ge 0$, which may be infinite.
    - `start`, `target`, `second`, `depth`: as in `time_to_weight`.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> times = jnp.asarray([0.0, 1.0, 2.0, jnp.inf])
        >>> np.round(pt.theory.dynamics.regression.weight_at_time(times, 0.1, 2.0, 1.0, depth=2), 3)
        Array([0.1  , 1.484, 1.987, 2.   ], dtype=float64)

        ```

    Theorem: sl-times, sl-retention (beyond the paper; Saxe et al. 2014 for depth 2).
    """
    depth, numbers = scalars(depth, target, second, signal="target", time=time, start=start)
    return _weight(*numbers, depth)


def layer_weights(
    time: ArrayLike, start: ArrayLike, target: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "... L"]:
    r"""Weight of a mode at every layer after a time of gradient flow.

    The weights are $s(t)^{l/L}$ for $l = 1, \dots, L$, on the last axis.

    **Arguments:**

    - `time`, `start`, `target`, `second`, `depth`: as in `weight_at_time`.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: sl-times, layerwise-law.
    """
    depth, numbers = scalars(depth, target, second, signal="target", time=time, start=start)
    return contrastive._layers(_weight(*numbers, depth), depth)


def layer_grams(
    time: Float[Array, " T"],
    start: ArrayLike,
    target: Float[Array, " d"],
    second: Float[Array, " d"],
    directions: Float[Array, "d d"],
    depth: int,
) -> Float[Array, "T L d d"]:
    r"""Gram of every layer at every time, from a start aligned with orthonormal directions.

    $$M_l(t) = V\, \mathrm{diag}(s_i(t)^{2l/L})\, V^\top$$

    **Arguments:**

    - `time`, `start`, `second`, `directions`, `depth`: as in `dynamics.layer_grams`.
    - `target`: $a$ along each direction, `(d,)`.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: sl-times, layerwise-law.
    """
    return contrastive._grams(
        layer_weights(time[:, None], start, target, second, depth), directions
    )


def retention_exponent(depth: int, layer: int) -> float:
    r"""Exponent of the power-law decay of a layer's weight, for a mode with $a = 0$.

    $$\frac{l/L}{2 - 2/L} = \frac{l}{2L - 2}$$

    The weight at layer $l$ falls like $t$ to minus this power: $t^{-1}$ after the head and
    $t^{-1/2}$ before it at depth 2. Infinite at depth 1, where the weight falls exponentially.

    **Arguments:**

    - `depth`: the number of layers $L \ge 1$.
    - `layer`: $1 \le l \le L$.

    **Raises:** `ValueError` for a depth or layer out of range.

    !!! example

        ```pycon
        >>> [pt.theory.dynamics.regression.retention_exponent(2, layer) for layer in (1, 2)]
        [0.5, 1.0]

        ```

    Theorem: sl-retention (beyond the paper).
    """
    depth, layer = checks.within_depth(depth, "layer", layer)
    return layer / (2 * depth - 2) if depth > 1 else float("inf")


def retention_transient(
    time: ArrayLike, start: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Relative next term of the power-law decay of a mode with $a = 0$.

    $$u = \frac{1}{L e\, q\, s_0^e\, t}, \qquad e = 2 - 2/L$$

    The product weight is $s(t) = (L e\, q t)^{-1/e} (1 + u)^{-1/e}$: see
    `dynamics.vanishing_transient`.

    **Arguments:**

    - `time`: $t > 0$.
    - `start`: $s_0 > 0$, the product weight at the start.
    - `second`: $q > 0$.
    - `depth`: the number of layers $L \ge 2$.

    **Returns:** $u$, without a unit; `inf` where one of the first three is zero.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: sl-retention (beyond the paper).
    """
    depth, (t, s, q) = scalars(
        checks.count("depth", depth, 2), second, signal="second", time=time, start=start
    )
    e = 2 - 2 / depth
    return 1 / (depth * e * q * s**e * t)


def _root(x: Array) -> Array:
    """Square root, with derivative zero at zero."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1)), 0)


@partial(jax.jit, static_argnums=4)
def _time(weight: Array, start: Array, target: Array, second: Array, depth: int) -> Array:
    if depth > 1:
        half = depth // 2 if depth % 2 == 0 else depth / 2
        return contrastive._time(_root(weight), _root(start), target / 4, _root(second) / 2, half)
    weight, start, target, second = jnp.broadcast_arrays(weight, start, target, second)
    left = target - second * weight
    # Both weights on one side of the limit, and not at it. A mode without variance has no target
    # either, and stays at its start.
    reached = (target - second * start) * left > 0
    q, gap = jnp.where(reached, second, 1), jnp.where(reached, left, 1)
    time = jnp.log1p(jnp.where(reached, q * (weight - start) / gap, 0)) / q
    return jnp.where(weight == start, 0, jnp.where(reached, time, jnp.inf))


@partial(jax.jit, static_argnums=4)
def _weight(time: Array, start: Array, target: Array, second: Array, depth: int) -> Array:
    if depth > 1:
        half = depth // 2 if depth % 2 == 0 else depth / 2
        return contrastive._state(time, _root(start), target / 4, _root(second) / 2, half)[0] ** 2
    time, start, target, second = jnp.broadcast_arrays(time, start, target, second)
    moves = second > 0
    q = jnp.where(moves, second, 1)
    passed = jnp.where(moves, q * time, 0)
    return start * jnp.exp(-passed) - target / q * jnp.expm1(-passed)
