"""The supervised contrastive loss."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from ..problems import Targets
from ._arguments import Number, positive, require_labels
from ._loss import AbstractLoss
from ._similarity import similarity, softmax_over_others, unit


class SupervisedContrastive(AbstractLoss):
    r"""InfoNCE with every other input of the class as a positive: $\mathcal L_{out}$ of Khosla et al. (2020, equation 2),
    $-\frac{1}{|P(i)|} \sum_{p \in P(i)} \log \frac{\exp s_{ip}}{\sum_{a \ne i} \exp s_{ia}}$, averaged over the anchors
    $i$, with $s_{ij} = \frac 1\tau \frac{f(x^i)^\top f(x^j)}{\|f(x^i)\| \|f(x^j)\|}$ and $P(i)$ the other inputs with
    the label of $i$.

    Anchors without positives are left out of the average; if none has any, the loss is zero. Where each label is that of
    one input's two views, stacked, it is NT-Xent.

    **Arguments:** `temperature`: $\tau > 0$; `normalise`: cosine similarity, or, if False, the inner product. An output
    of zero has no direction: its cosine with anything is 0, with zero gradient.

    **Raises:** `ValueError` if the temperature is not one positive number, or the targets are not class labels.
    """

    temperature: Number
    normalise: bool = eqx.field(static=True)

    def __init__(self, temperature: Any = 0.1, *, normalise: bool = True):
        self.temperature, self.normalise = positive("temperature", temperature), normalise

    def labelled(self, outputs: Float[Array, "n p"], targets: Targets) -> Float[Array, ""]:
        require_labels(outputs, targets)
        y = unit(outputs) if self.normalise else outputs
        return softmax_over_others(
            similarity(y, y, self.temperature), targets[:, None] == targets[None, :]
        )


supervised_contrastive = SupervisedContrastive()
