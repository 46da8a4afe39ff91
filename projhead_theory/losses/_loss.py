"""The one interface of all losses: a scalar of a network and of data."""

import abc

import equinox as eqx
from jaxtyping import Array, Float

from .. import _checks
from ..moments import Moments
from ..networks import DeepLinear
from ..problems import Views


class AbstractLoss(eqx.Module):
    """`loss(network, data)` is a scalar. On `Views` it is the batch loss; on `Moments` the population loss, where one
    exists.

    A new loss states `batch`, a function of the two views' outputs; one whose population value depends on the moments
    alone also states `population`, a function of the end-to-end matrix.
    """

    @abc.abstractmethod
    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        """The loss of a batch, from the network's outputs on both views."""

    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        """The population loss of a linear network, from its end-to-end matrix."""
        raise _checks.bad("data", f"Moments, for {type(self).__name__}", "Views: this loss has no population form in the moments")

    def __call__(self, network: DeepLinear, data: Moments | Views) -> Float[Array, ""]:
        if isinstance(data, Moments):
            return self.population(network.matrix, data)
        if isinstance(data, Views):
            return self.batch(network(data.first), network(data.second))
        raise _checks.bad("data", type(data).__name__, "Moments (population loss) or Views (batch loss)")
