r"""Self-prediction with a stopped gradient, one aligned feature at a time, in closed form.

An encoder of $L$ linear layers and a linear predictor descend
$\frac12 E\|V W x_1 - \mathrm{sg}[W x_2]\|^2$. If the cross moment $C$ and the second moment $S$
commute, and all $L + 1$ factors start aligned with their eigenvectors and equal to $a_0$, every
feature evolves alone:

$$\dot a = a^{2L} (c - q a)$$

The common factor $a$ tends to the signal fraction $\lambda = c / q$, and layer $l$ has weight
$a^l$ at every time. In units of the end, $x = a / \lambda$ and $\tau = c \lambda^{2L - 1} t$, the
equation is $dx / d\tau = x^{2L} (1 - x)$. All arrays of a call broadcast against one another.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._core.bisect import bisect
from .._common.scalars import quotient, scalars

__all__ = [
    "basin_edge",
    "collapse_decay",
    "factor_at_time",
    "self_prediction_weights",
    "surviving_factor",
    "time_to_factor",
]

# Halvings of a bracket, down to less than rounding.
HALVINGS = 64


def self_prediction_weights(
    cross: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "... L"]:
    r"""Weights of a feature in the layers of the encoder, after training by self-prediction.

    $$\|W_{l:1} v\| = \lambda^l, \qquad \lambda = c / q, \qquad l = 1, \dots, L$$

    The first layer has the signal fraction whatever the depth, and more layers make the last one
    steeper. Under a contrastive loss the last layer has a weight that does not depend on the depth,
    and more layers make the first one flatter.

    **Arguments:**

    - `cross`: $c \ge 0$.
    - `second`: $q \ge 0$, with $c = 0$ where $q = 0$.
    - `depth`: the number of layers $L \ge 1$ of the encoder, without the predictor.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> np.round(pt.theory.rivals.self_prediction_weights(0.8, 1.0, depth=3), 3)
        Array([0.8  , 0.64 , 0.512], dtype=float64)

        ```

    Theorem: jepa-order (Tian et al. 2021; Littwin et al. 2024).
    """
    depth, numbers = scalars(depth, cross, second)
    return _final(*numbers, depth)


def time_to_factor(
    factor: ArrayLike, start: ArrayLike, cross: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Time from the common factor `start` to the common factor `factor`.

    $$t = \frac{\lambda^{1 - 2L}}{c} \big(F(a / \lambda) - F(a_0 / \lambda)\big), \qquad
    F(x) = \ln\frac{x}{|1 - x|} - \sum_{n=2}^{2L} \frac{x^{1-n}}{n - 1}$$

    Without signal, $c = 0$, it is $(a^{-2L} - a_0^{-2L}) / (2 L q)$. A factor that the feature had
    before gives a negative time. A factor that it reaches only in the limit, or never, gives `inf`.

    **Arguments:**

    - `factor`: $a \ge 0$.
    - `start`: $a_0 \ge 0$.
    - `cross`: $c \ge 0$.
    - `second`: $q \ge 0$, with $c = 0$ where $q = 0$.
    - `depth`: the number of layers $L \ge 1$ of the encoder, without the predictor.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> weights = jnp.asarray([0.1, 0.5, 0.79])
        >>> np.round(pt.theory.rivals.time_to_factor(weights, 0.1, 0.8, 1.0, depth=1), 3)
        Array([ 0.   , 13.839, 20.785], dtype=float64)

        ```

    Theorem: jepa-order (beyond the published expansion for small starts, Littwin et al. 2024).
    """
    depth, numbers = scalars(depth, cross, second, factor=factor, start=start)
    return _time(*numbers, depth)


def factor_at_time(
    time: ArrayLike, start: ArrayLike, cross: ArrayLike, second: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Common factor of a feature after a time of self-prediction, inverse of `time_to_factor`.

    Layer $l$ of the encoder has this to the power $l$, and the predictor has it once. A start at
    zero stays there.

    **Arguments:**

    - `time`: $t \ge 0$, which may be infinite.
    - `start`, `cross`, `second`, `depth`: as in `time_to_factor`.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> times = jnp.asarray([0.0, 10.0, 20.0, jnp.inf])
        >>> np.round(pt.theory.rivals.factor_at_time(times, 0.1, 0.8, 1.0, depth=1), 3)
        Array([0.1  , 0.276, 0.784, 0.8  ], dtype=float64)

        ```

    Theorem: jepa-order.
    """
    depth, numbers = scalars(depth, cross, second, time=time, start=start)
    return _factor(*numbers, depth)


def collapse_decay(cross: ArrayLike, second: ArrayLike, depth: int) -> Float[Array, "..."]:
    r"""Weight decay from which a feature collapses from every start.

    $$\gamma_c = \frac{c}{2L} \left(\frac{(2L - 1)\, c}{2 L q}\right)^{2L - 1}$$

    With decay, $\dot a = a (a^{2L-1} (c - q a) - \gamma)$. Below $\gamma_c$ the bracket has two
    roots, `basin_edge` and `surviving_factor`; they merge there at $\frac{2L - 1}{2L} \lambda$.

    **Arguments:**

    - `cross`: $c \ge 0$.
    - `second`: $q \ge 0$, with $c = 0$ where $q = 0$.
    - `depth`: the number of layers $L \ge 1$ of the encoder, without the predictor.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> round(float(pt.theory.rivals.collapse_decay(0.8, 1.0, depth=1)), 3)
        0.16

        ```

    Theorem: jepa-collapse.

    Source: beyond the published theories; Tian et al. (ICML 2021) have $L = 1$.
    """
    depth, numbers = scalars(depth, cross, second)
    return _threshold(*numbers, depth)


def surviving_factor(
    cross: ArrayLike, second: ArrayLike, weight_decay: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Common factor at which a feature survives weight decay, the larger root of
    $a^{2L-1} (c - q a) = \gamma$.

    It is $\lambda$ without decay, and zero for decays above `collapse_decay`. At $L = 1$ it is
    $(c + \sqrt{c^2 - 4 q \gamma}) / (2q)$.

    **Arguments:**

    - `cross`: $c \ge 0$.
    - `second`: $q \ge 0$, with $c = 0$ where $q = 0$.
    - `weight_decay`: $\gamma \ge 0$, of all layers and the predictor.
    - `depth`: the number of layers $L \ge 1$ of the encoder, without the predictor.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> decay = jnp.asarray([0.0, 0.12, 0.2])
        >>> np.round(pt.theory.rivals.surviving_factor(0.8, 1.0, decay, depth=1), 3)
        Array([0.8, 0.6, 0. ], dtype=float64)

        ```

    Theorem: jepa-collapse.
    """
    depth, numbers = scalars(depth, cross, second, weight_decay=weight_decay)
    return _root(*numbers, depth, True)


def basin_edge(
    cross: ArrayLike, second: ArrayLike, weight_decay: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Common factor below which every start collapses, the smaller root of
    $a^{2L-1} (c - q a) = \gamma$.

    It is zero without decay, and infinite for decays above `collapse_decay`, where every start
    collapses. At $L = 1$ it is $(c - \sqrt{c^2 - 4 q \gamma}) / (2q)$; for small decays about
    $(\gamma / c)^{1 / (2L - 1)}$.

    **Arguments:**

    - `cross`, `second`, `weight_decay`, `depth`: as in `surviving_factor`.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> decay = jnp.asarray([0.0, 0.12, 0.2])
        >>> np.round(pt.theory.rivals.basin_edge(0.8, 1.0, decay, depth=1), 3)
        Array([0. , 0.2, inf], dtype=float64)

        ```

    Theorem: jepa-collapse.
    """
    depth, numbers = scalars(depth, cross, second, weight_decay=weight_decay)
    return _root(*numbers, depth, False)


def fraction(cross: Array, second: Array) -> Array:
    r"""Signal fraction $\lambda = c / q$, zero where there is no variance."""
    return quotient(cross, second)


@partial(jax.jit, static_argnums=2)
def _final(cross: Array, second: Array, depth: int) -> Array:
    top = fraction(cross, second)[..., None]
    return top ** np.arange(1, depth + 1, dtype=top.dtype)


def _terms(x: Array, r: Array, depth: int) -> Array:
    r"""Sum of $(x_0^{1-n} - x^{1-n}) / (n - 1)$ over $n = 2, \dots, 2L$, with $r = \ln(x / x_0)$.

    One `expm1` for each difference, so that short times keep their digits.
    """
    return sum(
        (x ** (1 - n) * jnp.expm1((n - 1) * r) / (n - 1) for n in range(2, 2 * depth + 1)),
        start=jnp.zeros_like(x),
    )


@partial(jax.jit, static_argnums=4)
def _time(factor: Array, start: Array, cross: Array, second: Array, depth: int) -> Array:
    factor, start, cross, second = jnp.broadcast_arrays(factor, start, cross, second)
    top = fraction(cross, second)
    moves = (start > 0) & (factor > 0) & (second > 0)
    a, a0 = (jnp.where(moves, v, 1) for v in (factor, start))
    r = jnp.log1p((a - a0) / a0)
    # Without signal the time is the last term alone, in its own units.
    q = jnp.where(second > 0, second, 1)
    fading = a ** (-2 * depth) * -jnp.expm1(2 * depth * r) / (2 * depth * q)
    signal = cross > 0
    unit = jnp.where(signal, top, 1)
    x, x0 = a / unit, a0 / unit
    same_side = (1 - x) * (1 - x0) > 0
    gap = jnp.log1p(jnp.where(same_side, (x0 - x) / jnp.where(same_side, 1 - x0, 1), 0))
    scaled = r - gap + _terms(x, r, depth)
    learning = scaled * unit ** (1 - 2 * depth) / jnp.where(signal, cross, 1)
    reached = same_side | (a == a0)
    time = jnp.where(signal, jnp.where(reached, learning, jnp.inf), fading)
    return jnp.where(moves, time, jnp.where(factor == start, 0, jnp.inf))


@partial(jax.jit, static_argnums=4)
def _factor(time: Array, start: Array, cross: Array, second: Array, depth: int) -> Array:
    time, start, cross, second = jnp.broadcast_arrays(time, start, cross, second)
    top = fraction(cross, second)
    signal = (top > 0) & (start > 0)
    ends = jnp.isinf(time)
    t = jnp.where(ends, 0, time)
    # Without signal: a power law.
    a0 = jnp.where(start > 0, start, 1)
    fading = a0 * (1 + 2 * depth * second * t * a0 ** (2 * depth)) ** (-1 / (2 * depth))
    fading = jnp.where(ends & (second > 0), 0, fading)
    unit = jnp.where(signal, top, 1)
    x0 = jnp.where(signal, start, 0.5) / unit
    settled = x0 == 1
    x0 = jnp.where(settled, 0.5, x0)
    below = x0 < 1
    tau = t * jnp.where(signal, cross, 1) * unit ** (2 * depth - 1)
    # The coordinate y = ln(x / |1 - x|) resolves both ends. The scaled time grows with it at the
    # rate x^(1 - 2L).
    y0 = jnp.log(x0) - jnp.log(jnp.abs(1 - x0))

    def at(y: Array) -> Array:
        inside = jax.nn.sigmoid(jnp.where(below, y, 0))
        return jnp.where(below, inside, -1 / jnp.expm1(-jnp.where(below, 1, y)))

    def excess(y: Array) -> Array:
        x = at(y)
        return y - y0 + _terms(x, jnp.log(x / x0), depth) - tau

    reach = tau * jnp.where(below, 1, x0) ** (2 * depth - 1)
    # The bracket carries no derivative; the root has that of the equation.
    low = jax.lax.stop_gradient(y0)
    high = jax.lax.stop_gradient(y0 + reach * (1 + 1e-6) + 1e-6)
    learned = unit * at(bisect(excess, low, high, HALVINGS))
    learned = jnp.where(settled | ends, unit, jnp.where(t > 0, learned, start))
    return jnp.where(start > 0, jnp.where(signal, learned, fading), 0)


@partial(jax.jit, static_argnums=2)
def _threshold(cross: Array, second: Array, depth: int) -> Array:
    n = 2 * depth
    return cross / n * ((n - 1) / n * fraction(cross, second)) ** (n - 1)


@partial(jax.jit, static_argnums=(3, 4))
def _root(weight_decay: Array, cross: Array, second: Array, depth: int, upper: bool) -> Array:
    r"""The larger or the smaller $x \lambda$ with $x^{2L-1} (1 - x) = \gamma / (c \lambda^{2L-1})$.

    Bisected in $\ln x$, in which the logarithm of the left side rises up to $(2L-1)/(2L)$ and falls
    beyond it.
    """
    weight_decay, cross, second = jnp.broadcast_arrays(weight_decay, cross, second)
    n = 2 * depth
    top, limit = fraction(cross, second), _threshold(cross, second, depth)
    # A decay equal to the threshold counts as below it, whatever the rounding of either.
    alive = (top > 0) & (weight_decay <= limit * (1 + 8 * jnp.finfo(limit.dtype).eps))
    there = alive & (weight_decay > 0)
    unit = jnp.where(there, cross * top ** (n - 1), 1)
    peak = (n - 1) / n
    share = jnp.where(there, weight_decay, peak ** (n - 1) / n) / unit
    middle = jnp.full_like(share, np.log(peak))
    least = jnp.minimum(jnp.log(share) / (n - 1), middle)
    sign = -1 if upper else 1

    def excess(u: Array) -> Array:
        return sign * ((n - 1) * u + jnp.log(-jnp.expm1(u)) - jnp.log(share))

    ends = (middle, jnp.zeros_like(middle)) if upper else (least, middle)
    low, high = (jax.lax.stop_gradient(x) for x in ends)
    found = top * jnp.exp(bisect(excess, low, high, HALVINGS))
    idle = (
        (top, jnp.zeros_like(top)) if upper else (jnp.zeros_like(top), jnp.full_like(top, jnp.inf))
    )
    return jnp.where(there, found, jnp.where(alive, *idle))
