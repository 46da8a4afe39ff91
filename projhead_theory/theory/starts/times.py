r"""Gradient flow of the spectral contrastive loss from an isotropic start, one feature at a time.

$$\dot s = 4 s\, (c - q^2 s^2) \sqrt{(a + b)^2 + 4 s^2}$$

The scales of the start enter through their sum $a + b$ alone. At $a + b = 0$ it is the flow of
`dynamics` at depth 2.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._common.scalars import scalars

__all__ = [
    "time_to_weight",
]

# The integrand of `_cubic` has its nearest singularity at a distance of 2 from the interval [0, 1]:
# 16 nodes err by less than rounding.
NODES, WEIGHTS = (
    (np.polynomial.legendre.leggauss(16)[0] + 1) / 2,
    np.polynomial.legendre.leggauss(16)[1] / 2,
)


def time_to_weight(
    weight: ArrayLike,
    start: ArrayLike,
    cross: ArrayLike,
    second: ArrayLike,
    *,
    encoder: ArrayLike,
    head: ArrayLike,
) -> Float[Array, "..."]:
    r"""Time from product weight `start` to product weight `weight`, on the set of the start law.

    With $C = a + b$, $R(s) = \sqrt{C^2 + 4 s^2}$ and $R_\infty = R(\sqrt c / q)$,

    $$t = \frac{\Phi(s) - \Phi(s_0)}{4 c}, \qquad
    \Phi(s) = \frac{1}{R_\infty} \operatorname{artanh} \frac{R(s)}{R_\infty}
    - \frac1C \operatorname{artanh} \frac{C}{R(s)}.$$

    While $s \ll C$ a feature grows exponentially, at the rate $4 c C$, where a small balanced
    start waits for a time $1 / (8 c s_0)$. A feature without signal, $c = 0$, falls like
    $(8 q^2 C t)^{-1/2}$ there, and $C$ makes forgetting faster. The error is a few roundings of
    the larger $\Phi$ over $4c$. Values without a finite time are as in
    `dynamics.time_to_weight`.

    **Arguments:**

    - `weight`: $s \ge 0$.
    - `start`: $s_0 \ge 0$.
    - `cross`: $c \ge 0$.
    - `second`: $q \ge 0$, with $c = 0$ where it is zero.
    - `encoder`: $a \ge 0$.
    - `head`: $b \ge 0$.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> time = pt.theory.starts.time_to_weight
        >>> scales = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]
        >>> [round(float(time(1.0, 0.001, 1.0, 0.5, encoder=a, head=b)), 3) for a, b in scales]
        [124.909, 1.628, 0.855]

        ```

    Theorem: start-law.

    Source: beyond the paper.
    """
    _, numbers = scalars(2, cross, second, weight=weight, start=start, encoder=encoder, head=head)
    return _time(*numbers)


@jax.jit
def _time(
    weight: Array, start: Array, encoder: Array, head: Array, cross: Array, second: Array
) -> Array:
    weight, start, total, cross, second = jnp.broadcast_arrays(
        weight, start, encoder + head, cross, second
    )
    signal = (cross > 0) & (second > 0)
    c, q = jnp.where(signal, cross, 1), jnp.where(second > 0, second, 1)
    top = jnp.where(signal, jnp.sqrt(c) / q, 0)
    below = start < top
    within = (
        (weight > 0)
        & (start > 0)
        & (second > 0)
        & jnp.where(below, weight < top, (weight > top) & (start > top))
    )
    # Where there is no finite time, a regular trajectory keeps derivatives finite.
    regular = jnp.where(signal, top, 1)
    s = jnp.where(within, weight, regular / 2)
    s0 = jnp.where(within, start, regular / 2)
    peak = jnp.where(signal, top, 2 * jnp.maximum(s, s0))
    learned = (_towards(s, peak, total) - _towards(s0, peak, total)) / (4 * c)
    forgotten = (_cubic(s, total) - _cubic(s0, total)) / (4 * q**2)
    back = (weight == 0) & below & (start > 0)
    outside = jnp.where(weight == start, 0, jnp.where(back, -jnp.inf, jnp.inf))
    return jnp.where(within, jnp.where(signal, learned, forgotten), outside)


def _towards(s: Array, top: Array, total: Array) -> Array:
    r"""The function $\Phi$ of `time_to_weight`.

    $\operatorname{artanh}(x / y) = \operatorname{arsinh}(x / \sqrt{y^2 - x^2})$ keeps the digits of
    what is left to learn.
    """
    root, end = (jnp.sqrt(total**2 + 4 * x**2) for x in (s, top))
    gap = 2 * jnp.sqrt(jnp.abs(top - s) * (top + s))
    return jnp.arcsinh(jnp.minimum(root, end) / gap) / end - _ratio(total / (2 * s)) / (2 * s)


def _ratio(x: Array) -> Array:
    r"""$\operatorname{arsinh}(x) / x$, continued to $x = 0$."""
    small = x < 1e-4
    return jnp.where(small, 1 - x**2 / 6, jnp.arcsinh(x) / jnp.where(small, 1, x))


def _cubic(s: Array, total: Array) -> Array:
    r"""The integral of $d\sigma / (\sigma^3 R(\sigma))$ from $s$ to infinity.

    $$\frac{1}{2 s^3} \int_0^1 \frac{v^2\, dv}{\sqrt{1 + x^2 v^2}}, \qquad x = \frac{C}{2 s}$$

    Beyond $x = 1/2$ the integral is taken in closed form.
    """
    x = total / (2 * s)
    near = jnp.minimum(x, 0.5)[..., None]
    nodes, weights = jnp.asarray(NODES, s.dtype), jnp.asarray(WEIGHTS, s.dtype)
    series = jnp.sum(weights * nodes**2 / jnp.sqrt(1 + (near * nodes) ** 2), axis=-1)
    far = jnp.maximum(x, 0.5)
    closed = (jnp.sqrt(1 + far**-2) - jnp.arcsinh(far) / far**2) / (2 * far)
    return jnp.where(x < 0.5, series, closed) / (2 * s**3)
