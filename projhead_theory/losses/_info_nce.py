"""The InfoNCE and NT-Xent losses."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._arguments import Number, positive
from ._loss import AbstractBatchLoss
from ._similarity import of_pairs, similarity, softmax_over_others, unit


class InfoNCE(AbstractBatchLoss):
    r"""InfoNCE: tell the other view of an input from the views of other inputs.

    The similarity of two outputs is

    $$s_{ij} = \frac 1\tau \frac{f(x_1^i)^\top f(x_2^j)}{\|f(x_1^i)\| \|f(x_2^j)\|}.$$

    The loss is InfoNCE (van den Oord et al. 2018) in its symmetric form, with both views as
    anchors in turn and $n - 1$ negatives:

    $$\frac 12 (\ell(s) + \ell(s^\top)), \qquad
    \ell(s) = -\frac 1n \sum_i \log \frac{\exp s_{ii}}{\sum_j \exp s_{ij}}.$$

    With `within_views` it is NT-Xent, the loss of SimCLR (Chen et al. 2020). The anchors are the
    $2n$ outputs of both views, and the negatives are the $2n - 2$ outputs other than the anchor
    and its other view.

    An output of zero has no direction: its cosine with every output is 0, with zero gradient.

    **Arguments:**

    - `temperature`: $\tau > 0$.
    - `normalise`: use the cosine similarity if True, the inner product if False.
    - `within_views`: use NT-Xent.

    **Raises:** `ValueError` if the temperature is not one positive number.

    !!! example

        ```pycon
        >>> network, views = pt.DeepLinear([jnp.eye(2)]), pt.Views(jnp.eye(2), jnp.eye(2))
        >>> round(float(pt.losses.InfoNCE(temperature=1.0)(network, views)), 3)
        0.313

        ```
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
        return of_pairs(similarity(y1, y2, self.temperature))


info_nce = InfoNCE()
