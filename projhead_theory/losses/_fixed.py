"""A network of which a part is fixed: what is left to train has a loss of its own."""

import equinox as eqx
from jaxtyping import Array, Float

from ..networks import NonlinearNetwork
from ..problems import Data
from ._loss import AbstractLoss


class FixedPartLoss(AbstractLoss):
    r"""The loss of a network as a loss of the part of it that is trained.

    The simulators train a network with fixed numbers, such as thresholds, as the rest of it under this loss, so that those are no
    parameters of anything.

    **Arguments:** `inner`: a loss; `fixed`: the network, with `None` in place of what is trained. It has the forms that `inner` has.
    """

    inner: AbstractLoss
    fixed: NonlinearNetwork

    def __call__(self, network: NonlinearNetwork, data: Data) -> Float[Array, ""]:
        return self.inner(eqx.combine(network, self.fixed), data)
