"""Objective that every simulator descends: a loss with weight decay."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._core import checks
from .._core.linalg import matmul
from ..losses import AbstractLoss, spectral
from ..moments import Moments, TargetMoments
from ..networks import DeepLinear, Network
from ..problems import Data
from ._absorb import Trained, absorb


def objective(network: Trained, loss: AbstractLoss, data: Data, decay: Array) -> Array:
    r"""Loss with weight decay, in the dtype of the network for data of any dtype.

    $$\mathcal L + \frac{\gamma}{2} \sum_l \|W_l\|_F^2$$

    The gradient of the penalty is $\gamma W_l$.
    """
    data = checks.in_dtype(data, network.layers[0].dtype)
    penalty = sum(jnp.sum(w * w) for w in jax.tree.leaves(network))
    return loss(network, data) + decay / 2 * penalty


def gradient(network: Trained, loss: AbstractLoss, data: Data, decay: Array) -> Trained:
    r"""Gradient of the objective in the parameters of the network.

    $$G_l = W_{L:l+1}^\top G\, W_{l-1:1}^\top + \gamma W_l$$

    Here $G$ is the gradient of the loss in the end-to-end matrix. The population case of linear
    networks is written out: automatic differentiation leaves products with a transposed left
    factor, which are several times slower in batches on a CPU.
    """
    data = checks.in_dtype(data, network.layers[0].dtype)
    if not (isinstance(network, DeepLinear) and isinstance(data, Moments | TargetMoments)):
        return jax.grad(objective)(network, loss, data, decay)
    products, layers = network.products(), network.layers
    above = (
        jax.grad(loss.population)(products[-1], data)
        if isinstance(data, Moments)
        else jax.grad(loss.regression)(products[-1], data)
    )
    gradients = []
    for level in range(len(layers) - 1, 0, -1):
        gradients.append(matmul(above, products[level - 1].T))
        above = matmul(jax.lax.optimization_barrier(layers[level].T), above)
    gradients.append(above)
    decayed = tuple(g + decay * w for g, w in zip(reversed(gradients), layers, strict=True))
    return eqx.tree_at(lambda n: n.layers, network, decayed)


def value_and_gradient(
    network: Trained, loss: AbstractLoss, data: Data, decay: Array
) -> tuple[Array, Trained]:
    """The objective and its gradient."""
    return objective(network, loss, data, decay), gradient(network, loss, data, decay)


def trained_gradient(network: Network, data: Data, loss: AbstractLoss = spectral) -> Trained:
    """Gradient of the loss, without any penalty, in all trained parameters.

    **Returns:** the structure of the trained part of the network. Under a fixed head it is the
    encoder; of a network with frozen numbers it has `None` in their place.
    """
    trained, whole = absorb(network, loss)
    return gradient(trained, whole, data, jnp.zeros((), trained.layers[0].dtype))


def layer_gradients(
    network: Network, data: Data, loss: AbstractLoss = spectral
) -> tuple[Array, ...]:
    r"""Gradient of the loss, without any penalty, in each layer: $G_1, \dots, G_L$."""
    return trained_gradient(network, data, loss).layers
