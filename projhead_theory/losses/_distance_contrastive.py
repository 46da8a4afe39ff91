"""The contrastive loss whose critic is a squared distance."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core.linalg import matmul
from ._arguments import Number, positive
from ._loss import AbstractBatchLoss


class DistanceContrastive(AbstractBatchLoss):
    r"""InfoNCE with the negative squared distance as critic, and all anchors as negatives.

    $$\mathcal L = \frac{1}{2\tau} E\|f(x_1) - f(x_2)\|^2
    + E_{x_1} \ln E_{x_1'} e^{-\|f(x_1) - f(x_1')\|^2 / 2\tau}$$

    $x_1, x_2$ are a positive pair, and $x_1'$ another first view. The positive is no negative, and
    the anchor is one, so that rows which list all values of the views give the loss for infinitely
    many negatives. Jing et al. (2022) take the first views clean and the second ones noisy.

    **Arguments:**

    - `temperature`: $\tau > 0$.

    **Raises:** `ValueError` if the temperature is not one positive number.

    !!! example

        ```pycon
        >>> network, views = pt.DeepLinear([jnp.eye(2)]), pt.Views(jnp.eye(2), jnp.eye(2))
        >>> round(float(pt.losses.DistanceContrastive(temperature=1.0)(network, views)), 3)
        -0.38

        ```

    Source: Jing et al. (ICLR 2022); as alignment and uniformity, Wang and Isola (ICML 2020).
    """

    temperature: Number

    def __init__(self, temperature: Any = 1.0):
        self.temperature = positive("temperature", temperature)

    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        twice = 2 * jnp.asarray(self.temperature, y1.dtype)
        square = jnp.sum(y1**2, axis=1)
        apart = square[:, None] + square[None, :] - 2 * matmul(y1, y1.T)
        uniformity = jax.nn.logsumexp(-apart / twice, axis=1) - jnp.log(
            jnp.asarray(y1.shape[0], y1.dtype)
        )
        return jnp.mean(jnp.sum((y1 - y2) ** 2, axis=1)) / twice + jnp.mean(uniformity)


distance_contrastive = DistanceContrastive()
