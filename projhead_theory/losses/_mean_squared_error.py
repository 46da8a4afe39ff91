"""The mean squared error."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import checks
from .._core.linalg import matmul
from ..moments import TargetMoments
from ..problems import Targets
from ._arguments import require_numbers
from ._loss import AbstractLabelledLoss, AbstractRegressionLoss


class MeanSquaredError(AbstractRegressionLoss, AbstractLabelledLoss):
    r"""Half the squared distance to the target, summed over outputs and averaged over rows.

    $$\frac 12 E\|f(x) - y\|^2$$

    The population form of a linear network is exact for any distribution, with $S$ and $A$ the
    `second` and `target` moments:

    $$\frac 12 \mathrm{tr}(W S W^\top) - \mathrm{tr}(W A^\top) + \frac 12 E\|y\|^2.$$

    **Raises:** `ValueError` if the targets are not numbers in the shape of the outputs.

    !!! example

        ```pycon
        >>> data = pt.Labelled(jnp.eye(2), jnp.asarray([[1.0, 0.0], [0.0, 3.0]]))
        >>> float(pt.losses.mse(pt.DeepLinear([jnp.eye(2)]), data))
        1.0

        ```
    """

    def regression(self, matrix: Float[Array, "p d"], moments: TargetMoments) -> Float[Array, ""]:
        if matrix.shape != moments.target.shape:
            raise checks.bad(
                "data",
                f"targets with moments {moments.target.shape}",
                f"the shape of the network's outputs, {matrix.shape}",
            )
        half = matmul(matrix, moments.second) / 2 - moments.target
        return jnp.sum(half * matrix) + moments.power / 2

    def labelled(self, outputs: Float[Array, "n p"], targets: Targets) -> Float[Array, ""]:
        require_numbers(outputs, targets)
        return jnp.mean(jnp.sum((outputs - targets.astype(outputs.dtype)) ** 2, axis=1)) / 2


mse = MeanSquaredError()
