r"""Gradient flow of unnormalised Barlow Twins, one aligned direction at a time, in closed form.

The population loss of a linear network, $\|W C W^\top - I\|_F^2$, is the spectral contrastive loss
with the cross moment in place of the second moment, up to a constant. From a balanced start aligned
with the eigenvectors of $C$ each product weight evolves alone, towards $c^{-1/2}$:

$$\dot s = 4 L s^{3-2/L} c (1 - c s^2)$$

Here $c$ is an eigenvalue of $C$. This is the flow of `dynamics` with $q = c$, and layer $l$ has
weight $s^{l/L}$ at every time. The noise of the augmentation does not enter. Eigenvalues `cross`,
weights and times broadcast against one another and set the dtype.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._core import checks
from .._common.scalars import scalars
from . import contrastive

__all__ = [
    "layer_weights",
    "loss_at_time",
    "time_to_weight",
    "weight_at_time",
]


def time_to_weight(
    weight: ArrayLike, start: ArrayLike, cross: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Time from product weight `start` to product weight `weight`.

    At depth 1 it is $\frac{1}{8c} \ln \frac{s^2 (1 - c s_0^2)}{s_0^2 (1 - c s^2)}$; at any depth,
    `dynamics.time_to_weight` with $q = c$. A weight that is reached in the limit, or never, gives
    `inf`.

    **Arguments:**

    - `weight`: $s \ge 0$.
    - `start`: $s_0 \ge 0$.
    - `cross`: an eigenvalue $c \ge 0$ of the cross moment.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: barlow-stepwise (Simon et al. 2023 for depth 1; beyond the paper).
    """
    depth, (weight, start, cross) = scalars(depth, cross, weight=weight, start=start)
    return contrastive._time(weight, start, cross, cross, depth)


def weight_at_time(
    time: ArrayLike, start: ArrayLike, cross: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Product weight along an eigenvector after a time of gradient flow.

    At depth 1 it is $\big( c + (s_0^{-2} - c) e^{-8 c t} \big)^{-1/2}$. A start at
    zero stays, and so does a direction with $c = 0$.

    **Arguments:**

    - `time`: $t \ge 0$, which may be infinite.
    - `start`, `cross`, `depth`: as in `time_to_weight`.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> times = jnp.asarray([0.0, 1.0, 2.0, jnp.inf])
        >>> flow = pt.theory.dynamics.barlow_twins
        >>> np.round(flow.weight_at_time(times, 0.1, cross=0.5, depth=2), 3)
        Array([0.1  , 0.166, 0.457, 1.414], dtype=float64)

        ```

    Theorem: barlow-stepwise (Simon et al. 2023 for depth 1; beyond the paper).
    """
    depth, (time, start, cross) = scalars(depth, cross, time=time, start=start)
    return contrastive._state(time, start, cross, cross, depth)[0]


def layer_weights(
    time: ArrayLike, start: ArrayLike, cross: ArrayLike, depth: int
) -> Float[Array, "... L"]:
    r"""Weight along an eigenvector at every layer after a time of gradient flow.

    The weights are $s(t)^{l/L}$ for $l = 1, \dots, L$, on the last axis.

    **Arguments:**

    - `time`, `start`, `cross`, `depth`: as in `weight_at_time`.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: barlow-stepwise, layerwise-law.
    """
    depth, (time, start, cross) = scalars(depth, cross, time=time, start=start)
    return contrastive._layers(contrastive._state(time, start, cross, cross, depth)[0], depth)


def loss_at_time(
    time: ArrayLike,
    start: ArrayLike,
    cross: Any,
    depth: int,
    width: int | None = None,
) -> Float[Array, "..."]:
    r"""Loss after a time of gradient flow: it falls by one, in a step, for each learned direction.

    $$\mathcal L(t) = p - d + \sum_{i=1}^d \big( 1 - c_i s_i(t)^2 \big)^2$$

    From a small start the step of direction $i$ comes after a time that is proportional to
    $1/c_i$: the directions of largest cross moment are learned first.

    **Arguments:**

    - `time`: $t \ge 0$, of any shape.
    - `start`: $s_0 \ge 0$, one number or one for each direction.
    - `cross`: eigenvalues $c_i \ge 0$ along the directions of the start, `(d,)`.
    - `depth`: the number of layers $L \ge 1$.
    - `width`: the number of outputs $p \ge d$, by default $d$.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> flow = pt.theory.dynamics.barlow_twins
        >>> times = jnp.asarray([0.0, 4.0, 40.0])
        >>> np.round(flow.loss_at_time(times, 1e-4, jnp.asarray([1.0, 0.1]), depth=1), 3)
        Array([2., 1., 0.], dtype=float64)

        ```

    Theorem: barlow-stepwise (beyond the paper).
    """
    depth, (start, cross) = scalars(depth, cross, start=start)
    if cross.ndim != 1:
        raise checks.bad("cross", f"shape {cross.shape}", "one number a direction, (d,)")
    width = cross.shape[0] if width is None else checks.count("width", width, cross.shape[0])
    _, (time, _) = scalars(depth, cross, time=time)
    return _loss(time, start, cross, depth, width)


@partial(jax.jit, static_argnums=(3, 4))
def _loss(time: Array, start: Array, cross: Array, depth: int, width: int) -> Array:
    gaps = contrastive._state(time[..., None], start, cross, cross, depth)[1]
    # A direction without signal, whose gap is not defined, stays at one.
    gaps = jnp.where((cross > 0) & (start > 0), gaps, 1)
    return width - cross.shape[0] + jnp.sum(gaps**2, axis=-1)
