"""The VICReg loss."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core.linalg import diagonal, matmul
from ._arguments import Number, nonnegative, positive
from ._loss import AbstractBatchLoss


class VICReg(AbstractBatchLoss):
    r"""VICReg loss: variance, invariance and covariance (Bardes et al. 2022, equations 1 to 6).

    $$\lambda\, s(Y_1, Y_2) + \mu\, (v(Y_1) + v(Y_2)) + \nu\, (c(Y_1) + c(Y_2))$$

    The terms, with rows $y^i \in \mathbb R^p$ and $\mathrm{Cov}$ the unbiased covariance over the
    batch, are

    $$s = \frac 1n \sum_i \|y_1^i - y_2^i\|^2, \qquad
    v = \frac 1p \sum_j \max(0, \gamma - \sqrt{\mathrm{Cov}_{jj} + \epsilon}), \qquad
    c = \frac 1p \sum_{i \ne j} \mathrm{Cov}_{ij}^2.$$

    This is the paper's loss; its authors' code averages $s$ over outputs too, and halves $v$.

    **Arguments:**

    - `invariance`: $\lambda \ge 0$.
    - `variance`: $\mu \ge 0$.
    - `covariance`: $\nu \ge 0$.
    - `target`: $\gamma > 0$, the standard deviation below which an output is pushed apart.
    - `epsilon`: $\epsilon > 0$.

    **Raises:** `ValueError` if an argument is not one such number.
    """

    invariance: Number
    variance: Number
    covariance: Number
    target: Number
    epsilon: Number

    def __init__(
        self,
        invariance: Any = 25.0,
        variance: Any = 25.0,
        covariance: Any = 1.0,
        *,
        target: Any = 1.0,
        epsilon: Any = 1e-4,
    ):
        self.invariance, self.variance = (
            nonnegative("invariance", invariance),
            nonnegative("variance", variance),
        )
        self.covariance = nonnegative("covariance", covariance)
        self.target, self.epsilon = positive("target", target), positive("epsilon", epsilon)

    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        numbers = (self.invariance, self.variance, self.covariance, self.target, self.epsilon)
        invariance, variance, covariance, target, epsilon = (
            jnp.asarray(x, y1.dtype) for x in numbers
        )
        n, p = y1.shape
        total = invariance * jnp.sum((y1 - y2) ** 2) / n
        for y in (y1, y2):
            centred = y - jnp.mean(y, axis=0)
            moment = matmul(centred.T, centred) / (n - 1)
            hinge = jax.nn.relu(target - jnp.sqrt(diagonal(moment) + epsilon))
            apart = jnp.where(jnp.eye(p, dtype=bool), 0, moment)
            total += variance * jnp.mean(hinge) + covariance * jnp.sum(apart**2) / p
        return total


vicreg = VICReg()
