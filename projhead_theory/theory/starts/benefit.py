"""Spread of weights before the head for any start, and the start that leaves a given spread."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._core import checks
from ..._core.isotropic import gained

__all__ = [
    "ratio_at_exponent",
    "spread_exponent",
]


def spread_exponent(
    heavier: ArrayLike, lighter: ArrayLike, *, encoder: ArrayLike, head: ArrayLike
) -> Float[Array, "..."]:
    r"""Power to which the ratio of two weights is raised before the head.

    $$\frac{v_i}{v_j} = \Big( \frac{w_i}{w_j} \Big)^e, \qquad 0 \le e \le 1$$

    It is $1/2$ after a balanced start. At 0 both features have the same weight before the head,
    whatever their weights after it. At 1 the weights before the head are as unequal as after it,
    and the head is of no use. Of two equal weights, the exponent is the slope of $\ln v$ over
    $\ln w$. It exceeds $1/2$ for weights above $\sqrt{ab}\, (b + a) / (b - a)$, with $b > a$.

    **Arguments:**

    - `heavier`, `lighter`: weights after the head, $w_i \ge w_j > 0$.
    - `encoder`: $a \ge 0$.
    - `head`: $b \ge 0$.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> exponent = pt.theory.starts.spread_exponent
        >>> starts = [(4.0, 0.25), (0.0, 0.0), (0.01, 4.0)]
        >>> [round(float(exponent(1.0, 0.2, encoder=a, head=b)), 3) for a, b in starts]
        [0.016, 0.5, 0.78]

        ```

    Theorem: start-law.

    Source: beyond the paper.
    """
    return _exponent(
        *_pair(heavier, lighter),
        checks.nonnegative("encoder", encoder),
        checks.nonnegative("head", head),
    )


def _pair(heavier: Any, lighter: Any) -> tuple[Array, Array]:
    """Two weights, of which the first is at least the second."""
    heavier, lighter = checks.floating("heavier", heavier), checks.positive("lighter", lighter)
    checks.require("heavier", heavier - lighter, lambda v: v >= 0, "at least `lighter`")
    return heavier, lighter


@jax.jit
def _exponent(heavier: Array, lighter: Array, encoder: Array, head: Array) -> Array:
    high, low, total = heavier**2, lighter**2, encoder + head
    above, below = gained(high, total), gained(low, total)
    step = (heavier - lighter) * (heavier + lighter)
    # Differences of eigenvalues are quotients of differences of the Gram: no digits are lost.
    grown = step / (above + below + total)
    spread, before = jnp.log1p(step / low), jnp.log1p(grown / (encoder + below))
    tied = step == 0
    slope = low / ((encoder + below) * (2 * below + total))
    return jnp.where(tied, slope, before / jnp.where(tied, 1, spread))


def ratio_at_exponent(
    heavier: ArrayLike, lighter: ArrayLike, exponent: ArrayLike, *, mean: ArrayLike
) -> Float[Array, "..."]:
    r"""Ratio $b / a$ of head to encoder scale at which two weights have a given spread exponent.

    At a fixed geometric mean $g = \sqrt{ab}$ of the scales the exponent rises with $b / a$, from
    zero towards a limit, where $v^2$ is proportional to $g^2 + w^2$. With
    $R = (w_i / w_j)^{2e}$,

    $$v_j^2 = \sqrt{\frac{w_i^2 + g^2 - R\,(w_j^2 + g^2)}{R\,(R - 1)}}, \qquad
    b - a = \frac{w_j^2 + g^2}{v_j^2} - v_j^2.$$

    From the ratio at exponent $1/2$ on, the weights before the head are less equal than in a
    balanced network; from the ratio at an exponent near 1 on, the benefit of the head is gone.

    **Arguments:**

    - `heavier`, `lighter`: weights after the head, $w_i > w_j > 0$.
    - `exponent`: $e$, between 0 and 1.
    - `mean`: $g > 0$.

    **Returns:** $b / a$, infinite if the exponent is beyond the limit.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> ratio = pt.theory.starts.ratio_at_exponent
        >>> [round(float(ratio(1.0, 0.2, e, mean=0.05)), 2) for e in (0.5, 0.9, 0.99)]
        [1.35, 932.57, inf]

        ```

    Theorem: start-law.

    Source: beyond the paper.
    """
    heavier, lighter = _pair(heavier, lighter)
    checks.require("heavier", heavier - lighter, lambda v: v > 0, "above `lighter`")
    exponent = checks.floating("exponent", exponent)
    checks.require("exponent", exponent, lambda v: (v > 0) & (v < 1), "a number between 0 and 1")
    return _ratio(heavier, lighter, exponent, checks.positive("mean", mean))


@jax.jit
def _ratio(heavier: Array, lighter: Array, exponent: Array, mean: Array) -> Array:
    high, low, product = heavier**2, lighter**2, mean**2
    spread = jnp.log(heavier / lighter)
    factor, less = jnp.exp(2 * exponent * spread), jnp.expm1(2 * exponent * spread)
    left = high - factor * low - less * product
    reached = left > 0
    before = jnp.sqrt(jnp.where(reached, left, 1) / (factor * less))
    # b / g and g / a are both e^u, with sinh u the difference of the scales over 2 g.
    u = jnp.arcsinh(((low + product) / before - before) / (2 * mean))
    return jnp.where(reached, jnp.exp(2 * u), jnp.inf)
