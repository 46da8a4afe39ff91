"""InfoNCE in expectation over batches of Gaussian pairs of one feature, by quadrature."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...losses import AbstractPopulationLoss
from ...moments import Moments

FINE, COARSE = (14, 28, 0.35), (10, 20, 0.5)
"""Nodes of the anchor, nodes of a view, and step of the trapezoidal rule."""

# Below, the integrand is a rounding error; above, its two terms vanish.
ENDS = -30.0, 4.5


class ExpectedInfoNCE(AbstractPopulationLoss):
    r"""InfoNCE with inner products, in expectation over batches of $n$ Gaussian pairs.

    $$-\frac 1\tau E[z \cdot z^+] + E \log \frac 1n \Big( e^{z \cdot z^+/\tau}
    + \sum_{k < n} e^{z \cdot z_k / \tau} \Big)$$

    Given the anchor the exponentials are independent, so with
    $\log A = \int_0^\infty (e^{-t} - e^{-tA})\, dt / t$ the second term is an integral over $t$ of
    products of means over a single view. Gauss-Hermite rules give these and the mean over the
    anchor, and a trapezoidal rule in $\log t$ the rest.

    - `size`: $n$.
    - `positive`: 1, or 0 to leave the positive pair out of the sum, for $n - 1$ negatives.
    - `rule`: the nodes, as in `FINE`.
    """

    size: Float[Array, ""]
    temperature: Float[Array, ""]
    positive: Float[Array, ""]
    rule: tuple[int, int, float] = eqx.field(static=True)

    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        cross, second = moments.cross[0, 0], moments.second[0, 0]
        fraction = cross / second
        y = jnp.sum(matrix**2) * second / self.temperature
        anchors, anchor_chance, views, chance, t = (
            jnp.asarray(x, y.dtype) for x in _nodes(*self.rule)
        )
        count = self.size - 1 + self.positive
        # Scores less the logarithm of their mean exponential.
        mean = (y * anchors[:, None]) ** 2 / 2
        scores = y * anchors[:, None] * views - mean
        beside = fraction * anchors[:, None] + jnp.sqrt(1 - fraction**2) * views
        own = y * anchors[:, None] * beside - mean

        def logarithm(scores: Array) -> Array:
            """Logarithm of the mean of exp(-t e^s / n), for each t and anchor."""
            inner = jnp.expm1(-t[:, None, None] / count * jnp.exp(scores))
            return jnp.log1p(jnp.sum(chance * inner, axis=-1))

        together = self.positive * logarithm(own) + (self.size - 1) * logarithm(scores)
        left = -jnp.exp(-t)[:, None] * jnp.expm1(together + t[:, None])
        excess = self.rule[2] * jnp.sum(left * anchor_chance)
        return -fraction * y + y**2 / 2 + excess


def _nodes(anchors: int, views: int, step: float) -> tuple[Any, ...]:
    """Nodes and probabilities of an anchor, positive by symmetry, and of a view; and of t."""
    a, a_chance = np.polynomial.hermite_e.hermegauss(2 * anchors)
    x, x_chance = np.polynomial.hermite_e.hermegauss(views)
    return (
        a[anchors:],
        a_chance[anchors:] / a_chance[anchors:].sum(),
        x,
        x_chance / x_chance.sum(),
        np.exp(np.arange(*ENDS, step)),
    )
