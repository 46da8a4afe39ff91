"""The Barlow Twins loss without normalisation."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core.linalg import matmul
from ..moments import Moments
from ._loss import AbstractBatchLoss, AbstractPopulationLoss


class UnnormalisedBarlowTwins(AbstractPopulationLoss, AbstractBatchLoss):
    r"""Barlow Twins without normalisation, all entries of equal weight (Simon et al. 2023).

    $$\|E z z^{+\top} - 1\|_F^2$$

    The population form of a linear network is exact for any distribution:
    $\|W C W^\top - 1\|_F^2$. The batch form symmetrises the mean over the two views; it
    is biased upwards by $O(1/n)$.

    !!! example

        ```pycon
        >>> network = pt.DeepLinear([jnp.eye(2)])
        >>> moments = pt.Moments(jnp.diag(jnp.asarray([0.8, 0.5])), jnp.eye(2))
        >>> round(float(pt.losses.unnormalised_barlow_twins(network, moments)), 3)
        0.29

        ```
    """

    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        return _from_identity(matmul(matmul(matrix, moments.cross), matrix.T))

    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        cross = matmul(y1.T, y2) / len(y1)
        return _from_identity((cross + cross.T) / 2)


def _from_identity(correlation: Array) -> Array:
    return jnp.sum((correlation - jnp.eye(len(correlation), dtype=correlation.dtype)) ** 2)


unnormalised_barlow_twins = UnnormalisedBarlowTwins()
