"""InfoNCE with infinitely many negatives, where its expectation has a closed form."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._core import checks
from .._core.linalg import diagonal, matmul
from ..moments import Moments
from ._arguments import Number, positive
from ._loss import AbstractBatchLoss, AbstractPopulationLoss
from ._similarity import of_pairs, similarity

MOST_SIGNS = 16
"""Number of features up to which all their signs are gone through."""


def _by_inner_products(y1: Array, y2: Array, temperature: Number) -> Array:
    return of_pairs(similarity(y1, y2, temperature)) - np.log(len(y1))


def _aligned(matrix: Array, moments: Moments, temperature: Number) -> Array:
    """Mean score of a positive pair, with its sign changed."""
    return -jnp.sum(matmul(matrix, moments.cross) * matrix) / jnp.asarray(temperature, matrix.dtype)


class GaussianInfoNCE(AbstractPopulationLoss, AbstractBatchLoss):
    r"""InfoNCE with inner products, on Gaussian views.

    $$-\frac 1\tau E[z \cdot z^+] + E_z \log E_{z'} \exp(z \cdot z' / \tau)$$

    The population form of a linear network with $M = W^\top W$ is half the spectral contrastive
    loss of $M / \tau$,

    $$-\frac 1\tau \mathrm{tr}(CM) + \frac{1}{2\tau^2} \mathrm{tr}(SMSM).$$

    It is exact if each view is Gaussian: the other view of the pair may be anything. On other views
    it is another loss. The batch form is `InfoNCE` without normalisation, with $n - 1$ negatives,
    less $\log n$.

    **Arguments:**

    - `temperature`: $\tau > 0$.

    **Raises:** `ValueError` if the temperature is not one positive number.

    !!! example

        ```pycon
        >>> network = pt.DeepLinear([jnp.eye(2)])
        >>> moments = pt.Moments(jnp.diag(jnp.asarray([0.8, 0.5])), jnp.eye(2))
        >>> round(float(pt.losses.GaussianInfoNCE(temperature=1.0)(network, moments)), 3)
        -0.3

        ```
    """

    temperature: Number

    def __init__(self, temperature: Any = 1.0):
        self.temperature = positive("temperature", temperature)

    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        projected = matmul(matmul(matrix, moments.second), matrix.T)
        scaled = projected / jnp.asarray(self.temperature, matrix.dtype)
        return _aligned(matrix, moments, self.temperature) + jnp.sum(scaled * scaled) / 2

    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        return _by_inner_products(y1, y2, self.temperature)


class RademacherInfoNCE(AbstractPopulationLoss, AbstractBatchLoss):
    r"""InfoNCE with inner products, on independent features $\pm\varphi_i$ with sign flips.

    $$-\frac 1\tau \mathrm{tr}(CM)
    + E_{x} \sum_j \log \cosh \frac{\varphi_j (Mx)_j}{\tau}$$

    The mean over the $2^d$ inputs is taken one by one. The moments must be diagonal, with
    $\varphi_i^2$ the second moment of feature $i$. `GaussianInfoNCE` has the same batch form.

    **Arguments:**

    - `temperature`: $\tau > 0$.

    **Raises:** `ValueError` if the temperature is not one positive number, for moments that are not
    diagonal, or for more than 16 features.
    """

    temperature: Number

    def __init__(self, temperature: Any = 1.0):
        self.temperature = positive("temperature", temperature)

    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        d = moments.dim
        if d > MOST_SIGNS:
            raise checks.bad("data", f"{d} features", f"at most {MOST_SIGNS}: all signs are tried")
        for name, moment in (("cross", moments.cross), ("second", moments.second)):
            known = checks.concrete(moment)
            if known is not None and np.any(known != np.diag(np.diag(known))):
                raise checks.bad("data", f"a {name} moment that is not diagonal", "single features")
        # The loss is even: the first sign may stay.
        bits = np.arange(2 ** (d - 1))[:, None] >> np.arange(d - 1) & 1
        signs = jnp.asarray(np.c_[np.ones(len(bits)), 1 - 2 * bits], matrix.dtype)
        images = matmul(signs * jnp.sqrt(diagonal(moments.second)), matrix.T)
        scores = matmul(images, matrix) * jnp.sqrt(diagonal(moments.second))
        scores = scores / jnp.asarray(self.temperature, matrix.dtype)
        means = jnp.mean(jnp.logaddexp(scores, -scores), axis=0) - np.log(2)
        return _aligned(matrix, moments, self.temperature) + jnp.sum(means)

    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        return _by_inner_products(y1, y2, self.temperature)


class DistanceInfoNCE(AbstractPopulationLoss, AbstractBatchLoss):
    r"""InfoNCE with the critic $-\|z - z'\|^2 / 2\tau$, on Gaussian views.

    $$\frac{1}{2\tau} E\|z - z^+\|^2 + E_z \log E_{z'} \exp(-\|z - z'\|^2 / 2\tau)$$

    The population form of a linear network, with $A = 1 + W S W^\top / \tau$ of size $p$, is

    $$\frac 1\tau \mathrm{tr}\, W (S - C) W^\top - \frac 12 \log \det A
    - \frac 12 \mathrm{tr}(1 - A^{-1}).$$

    It is exact if each view is Gaussian. The batch form has $n - 1$ negatives, and is less
    $\log n$.

    **Arguments:**

    - `temperature`: $\tau > 0$.

    **Raises:** `ValueError` if the temperature is not one positive number.
    """

    temperature: Number

    def __init__(self, temperature: Any = 1.0):
        self.temperature = positive("temperature", temperature)

    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        tau = jnp.asarray(self.temperature, matrix.dtype)
        apart = jnp.sum(matmul(matrix, moments.second - moments.cross) * matrix) / tau
        one = jnp.eye(len(matrix), dtype=matrix.dtype)
        projected = matmul(matmul(matrix, moments.second), matrix.T) / tau
        lower = jnp.linalg.cholesky(one + projected)
        inverse = jax.scipy.linalg.solve_triangular(lower, one, lower=True)
        # 1 - 1/A as a product with the projection, in which nothing cancels.
        share = jnp.sum(matmul(inverse, projected) * inverse)
        return apart - jnp.sum(jnp.log(diagonal(lower))) - share / 2

    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        squares = jnp.sum((y1[:, None, :] - y2[None, :, :]) ** 2, axis=-1)
        scores = -squares / (2 * jnp.asarray(self.temperature, y1.dtype))
        return of_pairs(scores) - np.log(len(y1))
