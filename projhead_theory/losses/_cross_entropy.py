"""The cross-entropy loss."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import _checks
from ..problems import Targets
from ._arguments import require_labels, require_numbers
from ._loss import AbstractLoss


class CrossEntropy(AbstractLoss):
    r"""$-E \sum_k q_k(y) \log \frac{\exp f_k(x)}{\sum_j \exp f_j(x)}$: softmax cross-entropy, the outputs being logits.

    Targets are class labels, $q_k(y) = 1_{k = y}$, or `(n, p)` class probabilities $q_k$, whose rows should sum to one.

    **Raises:** `ValueError` if the targets are neither, or a label has no output. Where the labels are not known yet,
    under `jit` and so in the simulators, the loss is then not a number, and a run ends as diverged.
    """

    def labelled(self, outputs: Float[Array, "n p"], targets: Targets) -> Float[Array, ""]:
        log_share = jax.nn.log_softmax(outputs, axis=1)
        if targets.ndim == 2:
            require_numbers(outputs, targets)
            return -jnp.mean(jnp.sum(targets.astype(outputs.dtype) * log_share, axis=1))
        require_labels(outputs, targets)
        p = outputs.shape[1]
        _checks.require(
            "targets",
            targets,
            lambda v: (v >= 0) & (v < p),
            f"class labels from 0 to {p - 1}, one for each output",
        )
        # A label out of range spoils the gradient too, so that no run goes on without it.
        there = jnp.where((targets >= 0) & (targets < p), jnp.ones((), outputs.dtype), jnp.nan)
        return -jnp.mean(
            there * jnp.take_along_axis(log_share, targets[:, None], axis=1, mode="clip")[:, 0]
        )


cross_entropy = CrossEntropy()
