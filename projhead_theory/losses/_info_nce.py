"""The InfoNCE loss, and NT-Xent."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._spectra import diagonal
from ._arguments import Number, positive
from ._loss import AbstractLoss
from ._similarity import similarity, softmax_over_others, unit


class InfoNCE(AbstractLoss):
    r"""Tell an input's other view from those of the other inputs, with similarity
    $s_{ij} = \frac 1\tau \frac{f(x_1^i)^\top f(x_2^j)}{\|f(x_1^i)\| \|f(x_2^j)\|}$.

    InfoNCE (van den Oord et al. 2018) in its symmetric form, both views being anchors in turn, with $n - 1$ negatives:
    $\frac 12 (\ell(s) + \ell(s^\top))$, where $\ell(s) = -\frac 1n \sum_i \log \frac{\exp s_{ii}}{\sum_j \exp s_{ij}}$.

    With `within_views` it is NT-Xent, the loss of SimCLR (Chen et al. 2020): with the $2n$ outputs of both views as
    anchors, the negatives are the $2n - 2$ outputs that are neither the anchor nor its other view.

    **Arguments:** `temperature`: $\tau > 0$; `normalise`: cosine similarity, or, if False, the inner product;
    `within_views`. An output of zero has no direction: its cosine with anything is 0, with zero gradient.

    **Raises:** `ValueError` if the temperature is not one positive number.
    """

    temperature: Number
    normalise: bool = eqx.field(static=True)
    within_views: bool = eqx.field(static=True)

    def __init__(
        self, temperature: Any = 0.1, *, normalise: bool = True, within_views: bool = False
    ):
        self.temperature = positive("temperature", temperature)
        self.normalise, self.within_views = normalise, within_views

    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        if self.normalise:
            y1, y2 = unit(y1), unit(y2)
        if self.within_views:
            n, y = y1.shape[0], jnp.concatenate([y1, y2])
            return softmax_over_others(
                similarity(y, y, self.temperature), jnp.roll(jnp.eye(2 * n, dtype=bool), n, axis=1)
            )
        scores = similarity(y1, y2, self.temperature)
        log_shares = [diagonal(jax.nn.log_softmax(scores, axis=axis)) for axis in (1, 0)]
        return -(jnp.mean(log_shares[0]) + jnp.mean(log_shares[1])) / 2


info_nce = InfoNCE()
