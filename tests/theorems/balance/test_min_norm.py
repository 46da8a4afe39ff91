"""`min-norm`: near misses of its formula."""

import jax.numpy as jnp
from helpers.misses import predicting

from projhead_theory.theorems.balance.min_norm import with_power

# Near misses of L sum s^(2/L)


def of_frobenius(problem, own):
    """The factors of a multiple of an isometry: as if the norm went by the Frobenius norm of the
    product.
    """
    depth, matrix = problem.network.depth, problem.network.matrix
    return depth * jnp.sum(matrix**2) ** (1 / depth)


MISSES = {
    "the power 1/L": predicting(with_power(lambda depth: 1 / depth)),
    "the power 2": predicting(with_power(lambda depth: 2.0)),
    "the power 2 / (L - 1)": predicting(with_power(lambda depth: 2 / (depth - 1))),
    "the power 2 / (L + 1)": predicting(with_power(lambda depth: 2 / (depth + 1))),
    "the factor L dropped": predicting(with_power(lambda depth: 2 / depth, lambda depth: 1.0)),
    "L - 1 for L": predicting(with_power(lambda depth: 2 / depth, lambda depth: depth - 1.0)),
    "the Frobenius norm of the product": predicting(of_frobenius),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 8.39e-12,
    "rounding": 3.24e-13,
    "stationarity": 2.06e-10,
}
