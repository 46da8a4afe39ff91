"""Loss of a network with frozen parameters, as a function of its trained part."""

import equinox as eqx
from jaxtyping import Array, Float

from ..networks import NonlinearNetwork
from ..problems import Data
from ._loss import AbstractLoss


class FixedPartLoss(AbstractLoss):
    r"""Loss of a network as a function of its trained part.

    The simulators train a network with frozen numbers, such as thresholds, by training the rest
    of it under this loss. The frozen numbers are then no parameters of the optimisation.

    **Arguments:**

    - `inner`: the loss of the whole network; its forms are the forms of this loss.
    - `fixed`: the network, with `None` in place of the trained part.
    """

    inner: AbstractLoss
    fixed: NonlinearNetwork

    def __call__(self, network: NonlinearNetwork, data: Data) -> Float[Array, ""]:
        return self.inner(eqx.combine(network, self.fixed), data)
