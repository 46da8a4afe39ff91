"""Loss of a network under a fixed head, as a function of its encoder."""

from jaxtyping import Array, Float

from ..moments import Moments, TargetMoments
from ..problems import Targets
from ._loss import AbstractLoss


class HeadedLoss(AbstractLoss):
    r"""Loss of $H f$ as a loss of $f$, for a fixed diagonal head $H$.

    The simulators train a `Headed` network as its encoder under this loss. The head is then no
    parameter of the optimisation.

    **Arguments:**

    - `inner`: the loss of the whole network; its forms are the forms of this loss.
    - `rows`: `(p,)`, the diagonal of $H$.
    """

    inner: AbstractLoss
    rows: Float[Array, " p"]

    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        return self.inner.population(self.rows[:, None] * matrix, moments)

    def regression(self, matrix: Float[Array, "p d"], moments: TargetMoments) -> Float[Array, ""]:
        return self.inner.regression(self.rows[:, None] * matrix, moments)

    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        return self.inner.batch(y1 * self.rows, y2 * self.rows)

    def labelled(self, outputs: Float[Array, "n p"], targets: Targets) -> Float[Array, ""]:
        return self.inner.labelled(outputs * self.rows, targets)
