"""The Barlow Twins loss without normalisation of the outputs."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core.linalg import matmul
from ..moments import Moments
from ._loss import AbstractBatchLoss, AbstractPopulationLoss


def _distance(cross: Float[Array, "p p"]) -> Float[Array, ""]:
    """Squared distance to the identity."""
    return jnp.sum((cross - jnp.eye(cross.shape[0], dtype=cross.dtype)) ** 2)


class UnnormalisedBarlowTwins(AbstractPopulationLoss, AbstractBatchLoss):
    r"""Barlow Twins without normalisation (Simon et al. 2023): the cross moment is to be identity.

    $$\mathcal L = \big\| \tfrac12 E[f(x_1) f(x_2)^\top + f(x_2) f(x_1)^\top] - I \big\|_F^2$$

    The outputs are neither centred nor scaled, and entries off the diagonal count as much as those
    on it. The population form of a linear network is $\|W C W^\top - I\|_F^2$. It does not depend
    on the second moment $S$. The batch form takes the mean over the pairs of the batch; its
    expectation exceeds the population form by the variance of that mean, of order $1/n$.

    !!! example

        ```pycon
        >>> network = pt.DeepLinear([jnp.eye(2)])
        >>> moments = pt.Moments(jnp.diag(jnp.asarray([0.5, 0.8])), jnp.eye(2))
        >>> round(float(pt.losses.unnormalised_barlow_twins(network, moments)), 3)
        0.29

        ```
    """

    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        return _distance(matmul(matmul(matrix, moments.cross), matrix.T))

    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        cross = matmul(y1.T, y2) / y1.shape[0]
        return _distance(cross / 2 + cross.T / 2)


unnormalised_barlow_twins = UnnormalisedBarlowTwins()
