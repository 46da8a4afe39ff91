"""First crossings of levels by recorded curves."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .tolerance import epsilons


class Crossing(eqx.Module):
    """First crossing of each level, from a parabola through the records.

    - `times`: the times of the crossings.
    - `interpolation`: the errors of these times.
    - `slope`: the slope at the crossing.
    - `around`: the times of two records around it.
    """

    times: Float[Array, "*d"]
    interpolation: Float[Array, "*d"]
    slope: Float[Array, "*d"]
    around: Float[Array, "*d 2"]


def first_crossing(
    times: Float[Array, " T"], values: Float[Array, "T d"], levels: Float[Array, " d"]
) -> Crossing:
    """First crossing of a level by each recorded curve, from below.

    A chord is off by at most an eighth of the squared step times the second derivative. The
    parabola is off by twice the change of that derivative from end to end, and by its rounding; the
    correction of the chord, by the relative change of the slope.
    """

    def one(column: Array, level: Array) -> Crossing:
        i = jnp.clip(jnp.argmax(column > level), 2, column.shape[0] - 2)
        slope = (column[i] - column[i - 1]) / (times[i] - times[i - 1])
        at = times[i - 1] + (level - column[i - 1]) / slope
        near, when = (jax.lax.dynamic_slice_in_dim(x, i - 2, 4) for x in (column, times))
        steps = jnp.diff(when)
        second = 2 * jnp.diff(jnp.diff(near) / steps) / (steps[1:] + steps[:-1])
        bend = jnp.mean(second)
        corrected = at - bend / 2 * (at - when[1]) * (at - when[2]) / slope
        chord = steps[1] ** 2 / 8 / slope
        rounding = (
            epsilons(4, column.dtype)
            * jnp.max(jnp.abs(near))
            / jnp.min(steps)
            / (jnp.min(steps) + steps[1])
        )
        left = chord * (
            2 * jnp.abs(second[1] - second[0]) + 2 * rounding + bend**2 * steps[1] / slope
        )
        return Crossing(corrected, left, slope, when[jnp.asarray([0, 3])])

    return jax.vmap(one, in_axes=(1, 0))(values, levels)
