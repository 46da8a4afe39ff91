r"""Sums of exponentials with positive amplitudes, $\sum_e a_e e^{r_e t}$.

They are convex, so that there is one best $t$.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._core.bisect import bisect

# Halvings of the bracket, down to less than rounding.
HALVINGS = 64


def total(amplitudes: Float[Array, " k"], rates: Float[Array, " k"], t: Array) -> Float[Array, ""]:
    r"""$\sum_e a_e e^{r_e t}$; a term of amplitude zero is zero whatever its rate."""
    return jnp.sum(amplitudes * jnp.exp(jnp.where(amplitudes > 0, rates, 0) * t))


@jax.jit
def minimiser(
    amplitudes: Float[Array, " k"], rates: Float[Array, " k"], low: Array, high: Array
) -> Float[Array, ""]:
    r"""The $t \in [\text{low}, \text{high}]$ at which $\sum_e a_e e^{r_e t}$ is least.

    Let $P$ and $N$ be the contributions of growing and falling terms to the slope. The
    minimiser is the root of $\ln P - \ln N$, whose own slope is at least
    $s = \min_{r > 0} r + \min_{r < 0} |r|$, so it lies within $|\ln P - \ln N| / s$ of zero. If
    nothing grows it is the upper end, which may be infinite; if the sum is constant, the lower
    end. Differentiable by the implicit function theorem.
    """
    present = amplitudes > 0
    grows, falls = present & (rates > 0), present & (rates < 0)
    both = jnp.any(grows) & jnp.any(falls)

    def side(chosen: Array, sign: int) -> tuple[Array, Array]:
        """Logarithms of the contributions of these terms to the slope, and their rates.

        If one side has no terms, both are placeholders.
        """
        rate = jnp.where(chosen, jnp.abs(rates), 1)
        logarithms = jnp.where(
            chosen, jnp.log(jnp.where(chosen, amplitudes, 1)) + jnp.log(rate), -jnp.inf
        )
        return jnp.where(both, logarithms, 0), sign * jnp.where(both, rate, 1)

    sides = (side(grows, 1), side(falls, -1))

    def slope(t: Array) -> Array:
        up, down = (jax.nn.logsumexp(logarithms + rate * t) for logarithms, rate in sides)
        return up - down

    slowest = sum(jnp.min(jnp.where(chosen, jnp.abs(rates), jnp.inf)) for chosen in (grows, falls))
    # Slightly wider than the bound, which may be attained.
    reach = jax.lax.stop_gradient(
        1.01 * jnp.abs(slope(jnp.zeros((), rates.dtype))) / jnp.where(both, slowest, 1) + 1e-3
    )
    found = bisect(slope, -reach, reach, HALVINGS)
    return jnp.where(both, jnp.clip(found, low, high), jnp.where(jnp.any(falls), high, low))
