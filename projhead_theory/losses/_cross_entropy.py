"""The cross-entropy loss."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import checks
from ..problems import Targets
from ._arguments import require_labels, require_numbers
from ._loss import AbstractLabelledLoss


class CrossEntropy(AbstractLabelledLoss):
    r"""Softmax cross-entropy, with the outputs as logits.

    $$-E \sum_k q_k(y) \log \frac{\exp f_k(x)}{\sum_j \exp f_j(x)}$$

    Targets are class labels, $q_k(y) = 1_{k = y}$, or `(n, p)` class probabilities $q_k$, whose
    rows should sum to one.

    **Raises:** `ValueError` if the targets are neither labels nor probabilities, or a label has
    no output. Under `jit`, and so in the simulators, the labels are not known in time: the loss
    is then not a number, and the run ends as diverged.

    !!! example

        ```pycon
        >>> data = pt.Labelled(jnp.eye(2), jnp.asarray([0, 1]))
        >>> [round(float(pt.losses.cross_entropy(pt.DeepLinear([w]), data)), 3)
        ...     for w in (jnp.zeros((2, 2)), 3 * jnp.eye(2))]
        [0.693, 0.049]

        ```
    """

    def labelled(self, outputs: Float[Array, "n p"], targets: Targets) -> Float[Array, ""]:
        log_share = jax.nn.log_softmax(outputs, axis=1)
        if targets.ndim == 2:
            require_numbers(outputs, targets)
            return -jnp.mean(jnp.sum(targets.astype(outputs.dtype) * log_share, axis=1))
        require_labels(outputs, targets)
        p = outputs.shape[1]
        checks.require(
            "targets",
            targets,
            lambda v: (v >= 0) & (v < p),
            f"class labels from 0 to {p - 1}, one for each output",
        )
        # A label out of range makes the gradient NaN too, so that no run continues without it.
        there = jnp.where((targets >= 0) & (targets < p), jnp.ones((), outputs.dtype), jnp.nan)
        return -jnp.mean(
            there * jnp.take_along_axis(log_share, targets[:, None], axis=1, mode="clip")[:, 0]
        )


cross_entropy = CrossEntropy()
