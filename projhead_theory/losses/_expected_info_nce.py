"""InfoNCE in expectation over batches of Gaussian pairs of one feature, by quadrature."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._core import checks
from ..moments import Moments
from ._arguments import Number, nonnegative
from ._arguments import positive as above_zero
from ._loss import AbstractPopulationLoss

FINE = (14, 28, 0.35)
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
    anchor, and a trapezoidal rule in $\log t$ the rest. It is the loss of inputs with one feature.

    **Arguments:**

    - `size`: $n$, the number of pairs of a batch.
    - `temperature`: $\tau > 0$.
    - `positive`: 1, or 0 to leave the positive pair out of the sum, for $n - 1$ negatives.
    - `rule`: nodes of the anchor, nodes of a view, and step of the trapezoidal rule.

    **Raises:** `ValueError` if size or temperature is not one positive number, or for moments of
    more than one feature.

    !!! example

        ```pycon
        >>> network = pt.DeepLinear([[[0.5]]])
        >>> moments = pt.Moments([[0.3]], [[1.0]])
        >>> round(float(pt.losses.ExpectedInfoNCE(size=100)(network, moments)), 5)
        -0.04328
        >>> round(float(pt.losses.GaussianInfoNCE()(network, moments)), 5)
        -0.04375

        ```
    """

    size: Number
    temperature: Number
    positive: Number
    rule: tuple[int, int, float] = eqx.field(static=True)

    def __init__(
        self,
        size: Any,
        temperature: Any = 1.0,
        positive: Any = 1.0,
        rule: tuple[int, int, float] = FINE,
    ):
        self.size = above_zero("size", size)
        self.temperature = above_zero("temperature", temperature)
        self.positive = nonnegative("positive", positive)
        self.rule = rule

    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        if moments.dim != 1:
            raise checks.bad("moments", f"{moments.dim} features", "one")
        cross, second = moments.cross[0, 0], moments.second[0, 0]
        fraction, dtype = cross / second, matrix.dtype
        size, temperature, positive = (
            jnp.asarray(x, dtype) for x in (self.size, self.temperature, self.positive)
        )
        y = jnp.sum(matrix**2) * second / temperature
        anchors, anchor_chance, views, chance, t = (
            jnp.asarray(x, dtype) for x in _nodes(self.rule)
        )
        count = size - 1 + positive
        # Scores less the logarithm of their mean exponential.
        mean = (y * anchors[:, None]) ** 2 / 2
        scores = y * anchors[:, None] * views - mean
        beside = fraction * anchors[:, None] + jnp.sqrt(1 - fraction**2) * views
        own = y * anchors[:, None] * beside - mean

        def logarithm(scores: Array) -> Array:
            """Logarithm of the mean of exp(-t e^s / n), for each t and anchor."""
            inner = jnp.expm1(-t[:, None, None] / count * jnp.exp(scores))
            return jnp.log1p(jnp.sum(chance * inner, axis=-1))

        together = positive * logarithm(own) + (size - 1) * logarithm(scores)
        left = -jnp.exp(-t)[:, None] * jnp.expm1(together + t[:, None])
        excess = self.rule[2] * jnp.sum(left * anchor_chance)
        return -fraction * y + y**2 / 2 + excess


def _nodes(rule: tuple[int, int, float]) -> tuple[Any, ...]:
    """Nodes and probabilities of an anchor, positive by symmetry, and of a view; and of t."""
    anchors, views, step = rule
    a, a_chance = np.polynomial.hermite_e.hermegauss(2 * anchors)
    x, x_chance = np.polynomial.hermite_e.hermegauss(views)
    return (
        a[anchors:],
        a_chance[anchors:] / a_chance[anchors:].sum(),
        x,
        x_chance / x_chance.sum(),
        np.exp(np.arange(*ENDS, step)),
    )
