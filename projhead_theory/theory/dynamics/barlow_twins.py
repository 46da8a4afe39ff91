r"""Gradient flow of unnormalised Barlow Twins, one aligned direction at a time, in closed form.

The population loss of a linear network, $\|W C W^\top - I\|_F^2$, is the spectral contrastive loss
with the cross moment in place of the second moment, up to a constant. From a balanced start aligned
with the eigenvectors of $C$ each product weight evolves alone, towards $\gamma^{-1/2}$:

$$\dot s = 4 L s^{3-2/L} \gamma (1 - \gamma s^2)$$

Here $\gamma$ is an eigenvalue of $C$. This is the flow of `dynamics` with $c = q = \gamma$, and
layer $l$ has weight $s^{l/L}$ at every time. The noise of the augmentation does not enter.
Eigenvalues, weights and times broadcast against one another and set the dtype.
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
    "layer_weights",
    "loss_at_time",
    "time_to_weight",
    "weight_at_time",
]


def time_to_weight(
    weight: ArrayLike, start: ArrayLike, eigenvalue: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Time from product weight `start` to product weight `weight`.

    At depth 1 it is $\frac{1}{8\gamma} \ln \frac{s^2 (1 - \gamma s_0^2)}{s_0^2 (1 - \gamma s^2)}$;
    at any depth, `dynamics.time_to_weight` with $c = q = \gamma$. A weight that is reached in the
    limit, or never, gives `inf`.

    **Arguments:**

    - `weight`: $s \ge 0$.
    - `start`: $s_0 \ge 0$.
    - `eigenvalue`: $\gamma \ge 0$ of the cross moment.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: barlow-stepwise (Simon et al. 2023 for depth 1; beyond the paper).
    """
    depth, (weight, start, gamma) = scalars(
        depth, eigenvalue, signal="eigenvalue", weight=weight, start=start
    )
    return contrastive._time(weight, start, gamma, gamma, depth)


def weight_at_time(
    time: ArrayLike, start: ArrayLike, eigenvalue: ArrayLike, depth: int
) -> Float[Array, "..."]:
    r"""Product weight along an eigenvector after a time of gradient flow.

    At depth 1 it is $\big( \gamma + (s_0^{-2} - \gamma) e^{-8 \gamma t} \big)^{-1/2}$. A start at
    zero stays, and so does a direction with $\gamma = 0$.

    **Arguments:**

    - `time`: $t \ge 0$, which may be infinite.
    - `start`, `eigenvalue`, `depth`: as in `time_to_weight`.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> times = jnp.asarray([0.0, 1.0, 2.0, jnp.inf])
        >>> flow = pt.theory.dynamics.barlow_twins
        >>> np.round(flow.weight_at_time(times, 0.1, eigenvalue=4.0, depth=2), 3)
        Array([0.1, 0.5, 0.5, 0.5], dtype=float64)

        ```

    Theorem: barlow-stepwise (Simon et al. 2023 for depth 1; beyond the paper).
    """
    depth, (time, start, gamma) = scalars(
        depth, eigenvalue, signal="eigenvalue", time=time, start=start
    )
    return contrastive._state(time, start, gamma, gamma, depth)[0]


def layer_weights(
    time: ArrayLike, start: ArrayLike, eigenvalue: ArrayLike, depth: int
) -> Float[Array, "... L"]:
    r"""Weight along an eigenvector at every layer after a time of gradient flow.

    The weights are $s(t)^{l/L}$ for $l = 1, \dots, L$, on the last axis.

    **Arguments:**

    - `time`, `start`, `eigenvalue`, `depth`: as in `weight_at_time`.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: barlow-stepwise, layerwise-law.
    """
    depth, (time, start, gamma) = scalars(
        depth, eigenvalue, signal="eigenvalue", time=time, start=start
    )
    return contrastive._layers(contrastive._state(time, start, gamma, gamma, depth)[0], depth)


def loss_at_time(
    time: ArrayLike,
    start: ArrayLike,
    eigenvalues: Float[ArrayLike, " d"],
    depth: int,
    width: int | None = None,
) -> Float[Array, "..."]:
    r"""Loss after a time of gradient flow: it falls by one, in a step, for each learned direction.

    $$\mathcal L(t) = p - d + \sum_{i=1}^d \big( 1 - \gamma_i s_i(t)^2 \big)^2$$

    From a small start the step of direction $i$ comes after a time that is proportional to
    $1/\gamma_i$: the largest eigenvalues of the cross moment are learned first.

    **Arguments:**

    - `time`: $t \ge 0$, of any shape.
    - `start`: $s_0 \ge 0$, one number or one for each eigenvalue.
    - `eigenvalues`: $\gamma_i \ge 0$ along the directions of the start, `(d,)`.
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
    depth, (start, gamma) = scalars(depth, eigenvalues, signal="eigenvalues", start=start)
    if gamma.ndim != 1:
        raise checks.bad("eigenvalues", f"shape {gamma.shape}", "one number a direction, (d,)")
    width = gamma.shape[0] if width is None else checks.count("width", width, gamma.shape[0])
    _, (time, _) = scalars(depth, gamma, signal="eigenvalues", time=time)
    return _loss(time, start, gamma, depth, width)


@partial(jax.jit, static_argnums=(3, 4))
def _loss(time: Array, start: Array, gamma: Array, depth: int, width: int) -> Array:
    gaps = contrastive._state(time[..., None], start, gamma, gamma, depth)[1]
    # A direction without signal, whose gap is not defined, stays at one.
    gaps = jnp.where((gamma > 0) & (start > 0), gaps, 1)
    return width - gamma.shape[0] + jnp.sum(gaps**2, axis=-1)
