"""Roots by bisection, differentiable as implicit functions."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Function = Callable[[Array], Array]


def bisect(
    rising: Function,
    low: Float[Array, "..."],
    high: Float[Array, "..."],
    steps: int,
    search: Function | None = None,
) -> Float[Array, "..."]:
    r"""Root of a rising function between two numbers, entry by entry.

    Bisection has no derivative of its own. The root is differentiated as an implicit function,
    $dx = -\partial_\theta f\, d\theta / \partial_x f$ for $f(x; \theta) = 0$, in both modes and to
    any order. The derivative is zero where $\partial_x f = 0$.

    **Arguments:**

    - `rising`: $x \mapsto f(x)$, entry by entry, of the shape of `low`. Values in its closure may
        be differentiated.
    - `low`, `high`: the ends. Where there is no root between them, one is returned, nearly.
    - `steps`: the number of halvings.
    - `search`: another function with the same roots, cheaper or safer away from them. It is
        bisected in place of `rising`; the derivative is still taken of `rising`.
    """

    def solve(f: Function, guess: Array) -> Array:
        sought = f if search is None else search

        def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            middle = (ends[0] + ends[1]) / 2
            above = sought(middle) > 0
            return jnp.where(above, ends[0], middle), jnp.where(above, middle, ends[1])

        first, last = jax.lax.fori_loop(
            0,
            steps,
            halve,
            (jnp.broadcast_to(low, guess.shape), jnp.broadcast_to(high, guess.shape)),
        )
        return (first + last) / 2

    def tangent(slope_of: Function, y: Array) -> Array:
        slope = slope_of(jnp.ones_like(y))
        return y / jnp.where(slope == 0, jnp.inf, slope)

    return jax.lax.custom_root(rising, (low + high) / 2, solve, tangent)
