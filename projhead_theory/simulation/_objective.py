"""Objective that every simulator descends: a loss with weight decay."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import checks
from ..losses import AbstractLoss, AbstractPopulationLoss, AbstractRegressionLoss, spectral
from ..moments import Moments, TargetMoments
from ..networks import AbstractLinearNetwork, AbstractNetwork
from ..problems import Data

# A network with `None` in place of its frozen arrays.
Trained = Any


def norm(tree: Any) -> Float[Array, ""]:
    """Euclidean norm of all arrays of a tree together."""
    return jnp.sqrt(sum(jnp.sum(x * x) for x in jax.tree.leaves(tree)))


class Objective(eqx.Module):
    r"""Loss with weight decay, as a function of the trained part of a network.

    $$\mathcal L + \frac{\gamma}{2} \sum_l \|W_l\|_F^2$$

    - `frozen`: the network with `None` in place of its trained part. It is never moved, never
      decayed and no part of gradient norms.
    - `loss`, `data`: the loss, and data of any dtype.
    - `weight_decay`: $\gamma$.
    """

    frozen: Any
    loss: AbstractLoss
    data: Data
    weight_decay: Array

    def whole(self, trained: Trained) -> Any:
        """Network with this trained part."""
        return eqx.combine(trained, self.frozen)

    def recorded(self, trained: Trained) -> AbstractNetwork:
        """Networks of a record, from its trained parts: frozen arrays repeat at every save time."""
        saves = jax.tree.leaves(trained)[0].shape[0]
        repeat = lambda x: jnp.broadcast_to(x, (saves, *x.shape))
        return eqx.combine(trained, jax.tree.map(repeat, self.frozen))

    def value(self, trained: Trained) -> Array:
        """The objective, in the dtype of the network."""
        network = self.whole(trained)
        data = checks.in_dtype(self.data, network.dtype)
        penalty = sum(jnp.sum(w * w) for w in jax.tree.leaves(trained))
        return self.loss(network, data) + self.weight_decay / 2 * penalty

    def gradient(self, trained: Trained) -> Trained:
        r"""Gradient of the objective in every trained array; the penalty's is $\gamma W$."""
        network = self.whole(trained)
        data = checks.in_dtype(self.data, network.dtype)
        exact = (
            isinstance(network, AbstractLinearNetwork)
            and isinstance(data, Moments | TargetMoments)
            # Only such a loss is a function of the end-to-end matrix.
            and isinstance(self.loss, AbstractPopulationLoss | AbstractRegressionLoss)
        )
        if not exact:
            return jax.grad(self.value)(trained)
        # Written out, which is faster; see `layer_gradients` of the network.
        _, pull_back = jax.vjp(lambda t: self.whole(t).layers, trained)
        above = jax.grad(self.loss.linear)(network.matrix, data)
        slope = pull_back(network.layer_gradients(above))[0]
        return jax.tree.map(lambda g, w: g + self.weight_decay * w, slope, trained)

    def value_and_gradient(self, trained: Trained) -> tuple[Array, Trained]:
        """The objective and its gradient."""
        return self.value(trained), self.gradient(trained)

    def size(self, trained: Trained) -> Array:
        """Euclidean norm of all layers together."""
        return norm(self.whole(trained).layers)

    def layer_changes(self, trained: Trained, update: Trained) -> tuple[Array, ...]:
        """Change of every layer by an update of the trained part, to first order."""
        return jax.jvp(lambda t: self.whole(t).layers, (trained,), (update,))[1]


def trained_gradient(
    network: AbstractNetwork, data: Data, loss: AbstractLoss = spectral
) -> AbstractNetwork:
    """Gradient of the loss, without any penalty, in all trained parameters.

    **Returns:** the structure of the network, with `None` in place of frozen arrays.
    """
    objective, trained = _without_penalty(network, data, loss)
    return objective.gradient(trained)


def layer_gradients(
    network: AbstractNetwork, data: Data, loss: AbstractLoss = spectral
) -> tuple[Array, ...]:
    r"""Gradient of the loss, without any penalty, in each layer: $G_1, \dots, G_L$.

    The layers of the network must be its parameters, up to fixed shifts.
    """
    objective, trained = _without_penalty(network, data, loss)
    return objective.layer_changes(trained, objective.gradient(trained))


def _without_penalty(
    network: AbstractNetwork, data: Data, loss: AbstractLoss
) -> tuple[Objective, Trained]:
    trained, frozen = eqx.partition(network, network.trainable)
    return Objective(frozen, loss, data, jnp.zeros((), network.dtype)), trained
