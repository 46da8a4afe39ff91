"""The interface of all losses: a scalar function of a network and of data."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import checks
from ..moments import Moments, TargetMoments
from ..networks import DeepLinear, Headed, Network, ThresholdedDiagonal
from ..problems import ContrastiveProblem, Data, Labelled, Targets, Views

# Form -> type of the data it is evaluated on.
_FORMS = {
    "population": "Moments",
    "regression": "TargetMoments",
    "batch": "Views",
    "labelled": "Labelled",
}


class AbstractLoss(eqx.Module):
    """Scalar function of a network and of data, `loss(network, data)`.

    The type of the data selects the form:

    - `Moments`: the population loss of a linear network.
    - `ContrastiveProblem`: the population loss of a network whose outputs have moments in closed
      form.
    - `TargetMoments`: the population loss of a linear network on inputs with targets.
    - `Views`: the loss of a batch of positive pairs.
    - `Labelled`: the loss of labelled inputs.

    A new loss implements some of four methods. `population` and `regression` are functions of the
    end-to-end matrix, for a population loss that depends on the moments alone. `batch` is a
    function of the outputs on both views, `labelled` of the outputs and the targets.
    Hyper-parameters are array fields, so that another value does not recompile.

    **Raises:** `ValueError` on data for which the loss has no form.
    """

    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        """Population loss of a linear network, from its end-to-end matrix."""
        raise self._lacks("population")

    def regression(self, matrix: Float[Array, "p d"], moments: TargetMoments) -> Float[Array, ""]:
        """Population loss of a linear network with targets, from its end-to-end matrix."""
        raise self._lacks("regression")

    def batch(self, y1: Float[Array, "n p"], y2: Float[Array, "n p"]) -> Float[Array, ""]:
        """Loss of a batch, from the network's outputs on both views."""
        raise self._lacks("batch")

    def labelled(self, outputs: Float[Array, "n p"], targets: Targets) -> Float[Array, ""]:
        """Loss of labelled inputs, from the network's outputs and the targets."""
        raise self._lacks("labelled")

    def __call__(self, network: Network, data: Data) -> Float[Array, ""]:
        if isinstance(data, ContrastiveProblem):
            if isinstance(network, ThresholdedDiagonal):
                # The outputs are the inputs of the identity.
                moments = network.output_moments(data)
                return self.population(jnp.eye(moments.dim, dtype=moments.second.dtype), moments)
            if not isinstance(network, DeepLinear | Headed):
                raise checks.bad(
                    "data",
                    f"a ContrastiveProblem, for {type(network).__name__}",
                    "Views of it: no closed form exists",
                )
            data = data.moments()
        if isinstance(data, Moments | TargetMoments):
            if not isinstance(network, DeepLinear | Headed):
                wanted = (
                    "a problem, Views or Labelled: "
                    "the loss of a non-linear network is no function of the moments"
                )
                raise checks.bad(
                    "data", f"{type(data).__name__}, for {type(network).__name__}", wanted
                )
            return (
                self.population(network.matrix, data)
                if isinstance(data, Moments)
                else self.regression(network.matrix, data)
            )
        if isinstance(data, Views):
            return self.batch(network(data.first), network(data.second))
        if isinstance(data, Labelled):
            return self.labelled(network(data.inputs), data.targets)
        wanted = (
            "Moments or a ContrastiveProblem (population loss), TargetMoments (the same, with "
            "targets), Views (batch loss) or Labelled (supervised loss)"
        )
        raise checks.bad("data", type(data).__name__, wanted)

    def _lacks(self, form: str) -> ValueError:
        has = [
            data
            for name, data in _FORMS.items()
            if getattr(type(self), name) is not getattr(AbstractLoss, name)
        ]
        wanted = f"{' or '.join(has) or 'another loss'}: this loss has no {form} form"
        return checks.bad("data", f"{_FORMS[form]}, for {type(self).__name__}", wanted)
