"""The self-prediction loss, whose target passes no gradient."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import checks
from .._core.linalg import matmul
from ..moments import Moments
from ..networks import AbstractLinearNetwork, AbstractNetwork
from ..problems import ContrastiveProblem, Data, Views
from ._arguments import Number, nonnegative
from ._loss import AbstractLoss


class SelfPrediction(AbstractLoss):
    r"""Predict the representation of one view from the other view, with a stopped gradient.

    $$\mathcal L = \frac 12 E\|g(x_1) - \mathrm{sg}[r(x_2)]\|^2$$

    The last layer of the network is the predictor: $r$ is the representation before it and
    $g$ the output. $\mathrm{sg}$ passes no gradient, as in BYOL (Grill et al. 2020), SimSiam
    (Chen and He 2021) and joint-embedding predictive architectures. The field that a simulator
    follows is then no gradient of any function, and $\mathcal L$ may grow along a run.

    The population form of a linear network, with encoder $W$ and predictor $V$, is exact for any
    distribution:

    $$\frac 12 \mathrm{tr}(VW S W^\top V^\top) - \mathrm{tr}(VW C\, \mathrm{sg}[W]^\top)
    + \frac 12 \mathrm{tr}(\mathrm{sg}[W S W^\top]).$$

    The batch form averages over the rows of `Views`, for any network.

    **Arguments:**

    - `leak`: the share of its gradient that the target passes: 0 stops it, 1 is the gradient of
      the loss as written, under which all representations collapse.

    **Raises:** `ValueError` if `leak` is not one non-negative number; on a network of one layer, on
    a predictor whose outputs are not as many as its inputs, and on other data.

    !!! example

        ```pycon
        >>> network = pt.DeepLinear([jnp.eye(2), 0.5 * jnp.eye(2)])
        >>> moments = pt.Moments(jnp.diag(jnp.asarray([0.8, 0.5])), jnp.eye(2))
        >>> round(float(pt.losses.self_prediction(network, moments)), 3)
        0.6

        ```

    Source: Tian et al. (ICML 2021); Littwin et al. (NeurIPS 2024).
    """

    leak: Number

    def __init__(self, leak: Any = 0.0):
        self.leak = nonnegative("leak", leak)

    def __call__(self, network: AbstractNetwork, data: Data) -> Float[Array, ""]:
        depth = network.depth
        if depth < 2:
            raise checks.bad("network", f"depth {depth}", "an encoder and a predictor: two layers")
        if network.sizes[-1] != network.sizes[-2]:
            raise checks.bad(
                "network",
                f"a predictor {network.sizes[-2]}-{network.sizes[-1]}",
                "as many outputs of the predictor as inputs",
            )
        if isinstance(data, Views):
            prediction = network.representations(data.first)[depth - 1]
            target = self._target(network.representations(data.second)[depth - 2])
            return jnp.mean(jnp.sum((prediction - target) ** 2, axis=1)) / 2
        linear = isinstance(network, AbstractLinearNetwork)
        if not (linear and isinstance(data, Moments | ContrastiveProblem)):
            raise checks.bad(
                "data",
                f"{type(data).__name__}, for {type(network).__name__}",
                "Views, or Moments or a ContrastiveProblem for a linear network",
            )
        moments = data.moments() if isinstance(data, ContrastiveProblem) else data
        products = network.products()
        prediction, target = products[depth - 1], self._target(products[depth - 2])
        half = matmul(prediction, moments.second) / 2 - matmul(target, moments.cross)
        return jnp.sum(half * prediction) + jnp.sum(matmul(target, moments.second) * target) / 2

    def _target(self, value: Array) -> Array:
        """The same value, with this share of its gradient."""
        fixed = jax.lax.stop_gradient(value)
        return fixed + jnp.asarray(self.leak, value.dtype) * (value - fixed)


self_prediction = SelfPrediction()
