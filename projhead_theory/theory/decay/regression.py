r"""Weight decay on one mode of a regression: shrinkage, threshold or jump, by depth.

With the loss $\frac12 E\|Wx - y\|^2$ and the penalty $\frac\gamma2 \sum_l \|W_l\|_F^2$, mode $i$ of
a balanced aligned network minimises

$$E(s) = \frac q2 s^2 - a s + \frac{\gamma L}{2} s^{2/L}.$$

Here $a$ is the moment of target and input and $q$ the second moment of the input. For $s = u^2$
this is the energy of a feature under the spectral contrastive loss at half the depth, with
$c = a/2$, $q^2 \to q/2$ and twice the decay. In units of the weight without decay, $p = q s / a$, a
stationary point has $(1 - p)\, p^{1 - 2/L} = \frac\gamma a (q/a)^{1 - 2/L}$.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._common.scalars import quotient, scalars
from ..dynamics.scalar_flow import root
from . import minimiser

__all__ = [
    "decay_limit",
    "decay_minimiser",
    "decayed_energy",
    "decayed_weight",
    "extinction_decay",
    "extinction_weight",
]


def decayed_energy(
    weight: ArrayLike, target: ArrayLike, second: ArrayLike, weight_decay: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Contribution of one mode to the squared error and its penalty.

    $$E(s) = \frac q2 s^2 - a s + \frac{\gamma L}{2} s^{2/L}$$

    All arrays broadcast against one another.

    **Arguments:**

    - `weight`: the end-to-end weight $s \ge 0$.
    - `target`: $a \ge 0$.
    - `second`: $q \ge 0$, with $a = 0$ where $q = 0$.
    - `weight_decay`: the weight decay $\gamma \ge 0$.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: sl-extinction.

    Source: beyond the paper.
    """
    depth, numbers = scalars(
        depth, target, second, signal="target", weight=weight, weight_decay=weight_decay
    )
    return _energy(*numbers, depth)


def decayed_weight(
    target: ArrayLike, second: ArrayLike, weight_decay: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Local minimum of `decayed_energy` that continues $a / q$ under decay.

    - $L = 1$: $a / (q + \gamma)$, ridge regression.
    - $L = 2$: $\max(0, a - \gamma) / q$, the soft threshold.
    - $L = 4$: $\frac{4a}{3q} \cos^2\!\big(\tfrac13 \arccos(-\gamma/\gamma_s)\big)$.
    - other $L > 2$: a root between the inflection and $a / q$.

    It is zero once the decay exceeds $\gamma_s$, `decay_limit`. At depths above 2 it is not the
    global minimum for decays between `extinction_decay` and $\gamma_s$. All arrays broadcast
    against one another.

    **Arguments:**

    - `target`: $a \ge 0$.
    - `second`: $q \ge 0$, with $a = 0$ where $q = 0$.
    - `weight_decay`: the weight decay $\gamma \ge 0$.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> decay = jnp.asarray([0.0, 0.4, 0.6, 2.0])
        >>> weight = pt.theory.decay.regression.decayed_weight
        >>> for depth in (1, 2, 3):
        ...     print(np.round(weight(1.0, 1.0, decay, depth), 3))
        [1.    0.714 0.625 0.333]
        [1.  0.6 0.4 0. ]
        [1.    0.494 0.    0.   ]

        ```

    Theorem: sl-extinction.

    Source: beyond the paper.
    """
    depth, numbers = scalars(depth, target, second, signal="target", weight_decay=weight_decay)
    return _weight(*numbers, depth)


def decay_limit(target: ArrayLike, second: ArrayLike, depth: int) -> Float[Array, "..."]:
    r"""The largest weight decay at which a local minimum away from zero exists: the spinodal.

    $$\gamma_s = \frac{L a}{2 (L - 1)} \left( \frac{(L-2)\, a}{2 (L-1)\, q} \right)^{1 - 2/L}$$

    There the minimum merges with the barrier, at $s = \frac{L-2}{2(L-1)} \frac aq$. It is $a$ at
    $L = 2$, and infinite at $L = 1$, where no decay removes a mode with a target. It is zero for a
    mode without a target.

    **Arguments:**

    - `target`: $a \ge 0$.
    - `second`: $q \ge 0$, with $a = 0$ where $q = 0$.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: sl-extinction.

    Source: beyond the paper.
    """
    depth, numbers = scalars(depth, target, second, signal="target")
    return _decay_at(*numbers, depth, _inflection(depth))


def extinction_decay(target: ArrayLike, second: ArrayLike, depth: int) -> Float[Array, "..."]:
    r"""The weight decay above which the global minimum is at weight zero.

    $$\gamma_c = \frac{a}{L-1} \left( \frac{(L-2)\, a}{(L-1)\, q} \right)^{1 - 2/L}$$

    - $L = 1$: infinite. Ridge regression shrinks a mode and never removes it.
    - $L = 2$: $a$. The weight reaches zero continuously, and the second moment does not matter.
    - $L \ge 3$: the weight jumps to zero, from `extinction_weight`.

    In a balanced network the mode becomes extinct in all layers at once. It is zero for a mode
    without a target.

    **Arguments:**

    - `target`: $a \ge 0$.
    - `second`: $q \ge 0$, with $a = 0$ where $q = 0$.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> decay = pt.theory.decay.regression.extinction_decay(1.0, 1.0, depth=3)
        >>> around = decay * jnp.asarray([0.99, 1.01])
        >>> np.round(pt.theory.decay.regression.decay_minimiser(1.0, 1.0, around, depth=3), 3)
        Array([0.507, 0.   ], dtype=float64)

        ```

    Theorem: sl-extinction.

    Source: beyond the paper.
    """
    depth, numbers = scalars(depth, target, second, signal="target")
    return _decay_at(*numbers, depth, _jump(depth))


def extinction_weight(target: ArrayLike, second: ArrayLike, depth: int) -> Float[Array, "..."]:
    r"""The weight from which the global minimum jumps to zero as weight decay grows.

    $$s_c = \frac{L-2}{L-1} \frac aq$$

    It is zero at depths 1 and 2, where there is no jump.

    **Arguments:**

    - `target`: $a \ge 0$.
    - `second`: $q \ge 0$, with $a = 0$ where $q = 0$.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: sl-extinction.

    Source: beyond the paper.
    """
    depth, numbers = scalars(depth, target, second, signal="target")
    return _jump(depth) * _final(*numbers)


def decay_minimiser(
    target: ArrayLike, second: ArrayLike, weight_decay: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""The global minimiser of `decayed_energy`.

    It is `decayed_weight` up to `extinction_decay` and zero beyond. At `extinction_decay`,
    where zero has the same energy, it is the weight before the jump. All arrays broadcast
    against one another.

    **Arguments:**

    - `target`: $a \ge 0$.
    - `second`: $q \ge 0$, with $a = 0$ where $q = 0$.
    - `weight_decay`: the weight decay $\gamma \ge 0$.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: sl-extinction.

    Source: beyond the paper.
    """
    depth, numbers = scalars(depth, target, second, signal="target", weight_decay=weight_decay)
    return _best(*numbers, depth)


def _inflection(depth: int) -> float:
    """Share $p$ of the weight at which minimum and barrier merge."""
    return (depth - 2) / (2 * depth - 2) if depth > 2 else 0.0


def _jump(depth: int) -> float:
    """Share $p$ of the weight from which the global minimum jumps."""
    return (depth - 2) / (depth - 1) if depth > 2 else 0.0


_final = jax.jit(lambda target, second: quotient(*jnp.broadcast_arrays(target, second)))


@partial(jax.jit, static_argnums=4)
def _energy(weight: Array, weight_decay: Array, target: Array, second: Array, depth: int) -> Array:
    penalty = minimiser.least_penalty(weight, weight_decay, depth)
    return second / 2 * weight**2 - target * weight + penalty


@partial(jax.jit, static_argnums=(2, 3))
def _decay_at(target: Array, second: Array, depth: int, p: float) -> Array:
    r"""The decay at which $p$ is stationary, $a (1 - p) (p a / q)^{1 - 2/L}$."""
    target, second = jnp.broadcast_arrays(target, second)
    if depth == 1:
        return jnp.where(target > 0, jnp.inf, jnp.zeros_like(target))
    if depth == 2:
        return target
    weight = p * _final(target, second)
    there = weight > 0
    positive = jnp.where(there, weight, 1)
    return (1 - p) * target * jnp.where(there, positive / root(positive, depth / 2), 0)


@partial(jax.jit, static_argnums=3)
def _best(weight_decay: Array, target: Array, second: Array, depth: int) -> Array:
    alive = weight_decay <= _decay_at(target, second, depth, _jump(depth))
    return jnp.where(alive, _weight(jnp.where(alive, weight_decay, 0), target, second, depth), 0)


@partial(jax.jit, static_argnums=3)
def _weight(weight_decay: Array, target: Array, second: Array, depth: int) -> Array:
    weight_decay, target, second = jnp.broadcast_arrays(weight_decay, target, second)
    if depth == 1:
        return _final(target, second + weight_decay)
    if depth == 2:
        return _final(jnp.maximum(target - weight_decay, 0), second)
    top, limit = _final(target, second), _decay_at(target, second, depth, _inflection(depth))
    ratio, there = minimiser.share_of_limit(weight_decay, limit, top)
    if depth == 4:
        share = 4 / 3 * jnp.cos(jnp.arccos(-ratio) / 3) ** 2
    else:
        share = minimiser.largest_root(ratio, depth / 2)
    return jnp.where(there, top * share, 0)
