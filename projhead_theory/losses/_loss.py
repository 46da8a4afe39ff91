"""The interface of all losses: a scalar function of a network and of data."""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from .._core import checks
from ..moments import Moments, TargetMoments
from ..networks import AbstractNetwork
from ..problems import ContrastiveProblem, Data, Labelled, Targets, Views


class AbstractLoss(eqx.Module):
    """Scalar function of a network and of data, `loss(network, data)`.

    The type of the data selects the form:

    - `Moments`: the population loss of a linear network.
    - `ContrastiveProblem`: the population loss of a network whose outputs have moments in closed
      form.
    - `TargetMoments`: the population loss of a linear network on inputs with targets.
    - `Views`: the loss of a batch of positive pairs.
    - `Labelled`: the loss of labelled inputs.

    A new loss is a subclass of its forms, one or more of `AbstractPopulationLoss`,
    `AbstractRegressionLoss`, `AbstractBatchLoss` and `AbstractLabelledLoss`, and implements the
    method of each. Hyper-parameters are array fields, so that another value does not recompile.

    **Raises:** `ValueError` on data for which the loss has no form.
    """

    def __call__(self, network: AbstractNetwork, data: Data) -> Float[Array, ""]:
        if isinstance(data, Views):
            loss = self._as(AbstractBatchLoss)
            return loss.batch(network(data.first), network(data.second))
        if isinstance(data, Labelled):
            return self._as(AbstractLabelledLoss).labelled(network(data.inputs), data.targets)
        if isinstance(data, Moments | TargetMoments | ContrastiveProblem):
            return self.linear(*network.closed_form(data))
        wanted = (
            "Moments or a ContrastiveProblem (population loss), TargetMoments (the same, with "
            "targets), Views (batch loss) or Labelled (supervised loss)"
        )
        raise checks.bad("data", type(data).__name__, wanted)

    def linear(
        self, matrix: Float[Array, "p d"], moments: Moments | TargetMoments
    ) -> Float[Array, ""]:
        """Population loss of the linear map with this matrix, for either kind of moments."""
        if isinstance(moments, Moments):
            return self._as(AbstractPopulationLoss).population(matrix, moments)
        return self._as(AbstractRegressionLoss).regression(matrix, moments)

    def _as(self, form: Any) -> Any:
        """Return this loss, if it has the form."""
        if isinstance(self, form):
            return self
        has = [data for kind, (_, data) in _FORMS.items() if isinstance(self, kind)]
        name, data = _FORMS[form]
        wanted = f"{' or '.join(has) or 'another loss'}: this loss has no {name} form"
        raise checks.bad("data", f"{data}, for {type(self).__name__}", wanted)


class AbstractPopulationLoss(AbstractLoss):
    """Loss with a population form, a function of the moments of positive pairs alone."""

    @abc.abstractmethod
    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        """Population loss of a linear network, from its end-to-end matrix."""


class AbstractRegressionLoss(AbstractLoss):
    """Loss with a population form on targets, a function of their moments with the inputs."""

    @abc.abstractmethod
    def regression(self, matrix: Float[Array, "p d"], moments: TargetMoments) -> Float[Array, ""]:
        """Population loss of a linear network with targets, from its end-to-end matrix."""


class AbstractBatchLoss(AbstractLoss):
    """Loss of a batch of positive pairs."""

    @abc.abstractmethod
    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        """Loss of a batch, from the network's outputs on both views."""


class AbstractLabelledLoss(AbstractLoss):
    """Loss of labelled inputs."""

    @abc.abstractmethod
    def labelled(self, outputs: Float[Array, "n p"], targets: Targets) -> Float[Array, ""]:
        """Loss of labelled inputs, from the network's outputs and the targets."""


# Form -> its name, and the type of the data it is evaluated on.
_FORMS = {
    AbstractPopulationLoss: ("population", "Moments"),
    AbstractRegressionLoss: ("regression", "TargetMoments"),
    AbstractBatchLoss: ("batch", "Views"),
    AbstractLabelledLoss: ("labelled", "Labelled"),
}
