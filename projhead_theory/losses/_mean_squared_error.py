"""The mean squared error."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..problems._labelled import Targets
from ._arguments import require_numbers
from ._loss import AbstractLoss


class MeanSquaredError(AbstractLoss):
    r"""$\frac 12 E\|f(x) - y\|^2$: half the squared distance to the target, summed over outputs, averaged over rows.

    **Raises:** `ValueError` if the targets are not numbers in the shape of the outputs.
    """

    def labelled(self, outputs: Float[Array, "n p"], targets: Targets) -> Float[Array, ""]:
        require_numbers(outputs, targets)
        return jnp.mean(jnp.sum((outputs - targets.astype(outputs.dtype)) ** 2, axis=1)) / 2


mse = MeanSquaredError()
