"""VICReg with a squared covariance term."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core.linalg import matmul
from ..moments import Moments
from ._arguments import Number, positive
from ._loss import AbstractBatchLoss, AbstractPopulationLoss


class SquaredVICReg(AbstractPopulationLoss, AbstractBatchLoss):
    r"""VICReg with a squared covariance term in place of its hinge.

    $$\beta\, E\|z - z^+\|^2 + \|E z z^\top - 1\|_F^2$$

    The population form of a linear network with $p$ outputs is exact for any distribution:

    $$2 \beta\, \mathrm{tr}\, W (S - C) W^\top + \|W S W^\top - 1\|_F^2.$$

    At $\beta = 1$ it is the spectral contrastive loss plus $p$. The batch form takes both means
    over the batch, the second one over both views; its second term is biased upwards by $O(1/n)$.

    **Arguments:**

    - `beta`: $\beta > 0$, the weight of the invariance.

    **Raises:** `ValueError` if `beta` is not one positive number.

    !!! example

        ```pycon
        >>> network = pt.DeepLinear([jnp.eye(2)])
        >>> moments = pt.Moments(jnp.diag(jnp.asarray([0.8, 0.5])), jnp.eye(2))
        >>> round(float(pt.losses.SquaredVICReg(beta=1.0)(network, moments)), 3)
        1.4

        ```
    """

    beta: Number

    def __init__(self, beta: Any = 1.0):
        self.beta = positive("beta", beta)

    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        apart = jnp.sum(matmul(matrix, moments.second - moments.cross) * matrix)
        projected = matmul(matmul(matrix, moments.second), matrix.T)
        return self._sum(2 * apart, projected)

    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        apart = jnp.mean(jnp.sum((y1 - y2) ** 2, axis=1))
        return self._sum(apart, (matmul(y1.T, y1) + matmul(y2.T, y2)) / (2 * len(y1)))

    def _sum(self, apart: Array, projected: Array) -> Array:
        one = jnp.eye(len(projected), dtype=projected.dtype)
        return jnp.asarray(self.beta, apart.dtype) * apart + jnp.sum((projected - one) ** 2)
