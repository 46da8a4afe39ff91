"""The Barlow Twins loss."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core.linalg import matmul
from ._arguments import Number, nonnegative
from ._loss import AbstractBatchLoss
from ._similarity import unit


def _standard(y: Float[Array, "n p"]) -> Float[Array, "n p"]:
    """Centred columns of unit norm.

    A column that is constant, up to the rounding of its mean, becomes zero.
    """
    rounding = y.shape[0] * jnp.finfo(y.dtype).eps * jnp.max(jnp.abs(y), axis=0, keepdims=True)
    return unit(
        y - jnp.mean(y, axis=0), axis=0, floor=jnp.maximum(rounding, jnp.finfo(y.dtype).tiny)
    )


class BarlowTwins(AbstractBatchLoss):
    r"""Barlow Twins loss (Zbontar et al. 2021, equations 1 and 2).

    $$\sum_i (1 - c_{ii})^2 + \lambda \sum_{i \ne j} c_{ij}^2$$

    Here $c_{ij}$ is the correlation over the batch of output $i$ on one view with output $j$ on
    the other.

    Outputs are standardised over the batch without any number added to the variance, so the loss
    does not depend on their scale. An output that is constant over the batch has correlation 0
    with every output, with zero gradient.

    **Arguments:**

    - `off_diagonal`: the weight $\lambda \ge 0$ of the correlations between different outputs.

    **Raises:** `ValueError` if `off_diagonal` is not one non-negative number.
    """

    off_diagonal: Number

    def __init__(self, off_diagonal: Any = 5e-3):
        self.off_diagonal = nonnegative("off_diagonal", off_diagonal)

    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        correlation = matmul(_standard(y1).T, _standard(y2))
        same = jnp.eye(y1.shape[1], dtype=bool)
        return jnp.sum(
            jnp.where(
                same,
                (1 - correlation) ** 2,
                jnp.asarray(self.off_diagonal, y1.dtype) * correlation**2,
            )
        )


barlow_twins = BarlowTwins()
