"""The objective every simulator descends: a loss, with weight decay."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..losses import AbstractLoss, spectral
from ..moments import Moments
from ..networks import DeepLinear
from ..problems import Views


def objective(network: DeepLinear, loss: AbstractLoss, data: Moments | Views, decay: Array) -> Array:
    r"""$\mathcal L + \frac{\gamma}{2} \sum_l \|W_l\|_F^2$, so that the gradient of the penalty is $\gamma W_l$."""
    penalty = sum(jnp.sum(w * w) for w in jax.tree.leaves(network))
    return loss(network, data) + decay / 2 * penalty


value_and_gradient = jax.value_and_grad(objective)
gradient = jax.grad(objective)


def layer_gradients(network: DeepLinear, data: Moments | Views, loss: AbstractLoss = spectral) -> tuple[Array, ...]:
    """The gradient of the loss, without any penalty, in each layer: $G_1, \\dots, G_L$."""
    return gradient(network, loss, data, jnp.zeros((), network.layers[0].dtype)).layers
