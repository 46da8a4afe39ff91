"""The supervised contrastive loss."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from ..problems import Targets
from ._arguments import Number, positive, require_labels
from ._loss import AbstractLabelledLoss
from ._similarity import similarity, softmax_over_others, unit


class SupervisedContrastive(AbstractLabelledLoss):
    r"""Supervised contrastive loss: InfoNCE with every other input of the class as a positive.

    It is $\mathcal L_{out}$ of Khosla et al. (2020, equation 2),

    $$-\frac{1}{|P(i)|} \sum_{p \in P(i)} \log \frac{\exp s_{ip}}{\sum_{a \ne i} \exp s_{ia}},
    \qquad s_{ij} = \frac 1\tau \frac{f(x^i)^\top f(x^j)}{\|f(x^i)\| \|f(x^j)\|},$$

    averaged over the anchors $i$, with $P(i)$ the other inputs with the label of $i$.

    Anchors without positives are left out of the average; if no anchor has a positive, the loss
    is zero. If each label belongs to the two views of one input, stacked, the loss is NT-Xent.
    An output of zero has no direction: its cosine with every output is 0, with zero gradient.

    **Arguments:**

    - `temperature`: $\tau > 0$.
    - `normalise`: use the cosine similarity if True, the inner product if False.

    **Raises:** `ValueError` if the temperature is not one positive number, or the targets are not
    class labels.

    !!! example

        ```pycon
        >>> network, x = pt.DeepLinear([jnp.eye(2)]), jnp.repeat(jnp.eye(2), 2, axis=0)
        >>> loss = pt.losses.SupervisedContrastive(temperature=1.0)
        >>> [round(float(loss(network, pt.Labelled(x, labels))), 3)
        ...     for labels in (jnp.asarray([0, 0, 1, 1]), jnp.asarray([0, 1, 0, 1]))]
        [0.551, 1.551]

        ```
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
