"""The spectral contrastive loss."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core.linalg import matmul
from ..moments import Moments
from ._loss import AbstractBatchLoss, AbstractPopulationLoss


@jax.custom_jvp
def _spectral(w: Array, cross: Array, second: Array) -> Array:
    projected = matmul(matmul(w, second), w.T)
    return -2 * jnp.sum(matmul(w, cross) * w) + jnp.sum(projected * projected)


@_spectral.defjvp
def _spectral_jvp(primals, tangents):
    # The gradients share two products with the value: half the work of differentiating the
    # expression as written.
    w, cross, second = primals
    dw, dcross, dsecond = tangents
    ws, wc = matmul(w, second), matmul(w, cross)
    projected = matmul(ws, w.T)
    value = -2 * jnp.sum(wc * w) + jnp.sum(projected * projected)
    gram = matmul(w.T, w)
    tangent = jnp.sum(4 * (matmul(projected, ws) - wc) * dw)
    tangent += -2 * jnp.sum(gram * dcross) + 2 * jnp.sum(
        matmul(matmul(w.T, projected), w) * dsecond
    )
    return value, tangent


class SpectralContrastive(AbstractPopulationLoss, AbstractBatchLoss):
    r"""Spectral contrastive loss (HaoChen et al. 2021).

    $$\mathcal L = -2\,E[f(x_1)^\top f(x_2)] + E[(f(x)^\top f(x'))^2]$$

    Here $x_1, x_2$ are a positive pair, and $x, x'$ independent views.

    The population form of a linear network with $M = W^\top W$ is exact for any distribution:

    $$-2\,\mathrm{tr}(CM) + \mathrm{tr}(SMSM).$$

    The batch form is

    $$-\frac 2n \sum_i f(x_1^i)^\top f(x_2^i) +
    \frac{1}{n(n-1)} \sum_{i \ne j} (f(x_1^i)^\top f(x_2^j))^2.$$

    It is an unbiased estimate: the views of different inputs are independent, and the diagonal,
    which is not, is left out. It costs $O(np^2)$, never $n^2$.

    !!! example

        ```pycon
        >>> network = pt.DeepLinear([jnp.eye(2)])
        >>> moments = pt.Moments(jnp.diag(jnp.asarray([0.8, 0.5])), jnp.eye(2))
        >>> round(float(pt.losses.spectral(network, moments)), 3)
        -0.6

        ```
    """

    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        return _spectral(matrix, moments.cross, moments.second)

    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        n = y1.shape[0]
        positive = jnp.sum(y1 * y2, axis=1)
        everything = jnp.sum(matmul(y1.T, y1) * matmul(y2.T, y2))
        return -2 * jnp.mean(positive) + (everything - jnp.sum(positive**2)) / (n * (n - 1))


spectral = SpectralContrastive()
