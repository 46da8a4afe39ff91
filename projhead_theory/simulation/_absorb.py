"""What is fixed of a network, in the simulators: absorbed in the loss before training, put back on the record after it."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp

from ..losses import AbstractLoss, FixedPartLoss, HeadedLoss
from ..networks import DeepLinear, Headed, Network, NonlinearNetwork
from ._trajectory import Trajectory

# What is trained: a network of which nothing is fixed, or one with `None` in place of what is.
Trained = DeepLinear | NonlinearNetwork


def absorb(network: Network, loss: AbstractLoss) -> tuple[Trained, AbstractLoss]:
    """What is trained, and on what loss: of a network under a fixed head, the encoder on the loss of the whole; of one with fixed
    thresholds, the weights.
    """
    if isinstance(network, Headed):
        return network.encoder, HeadedLoss(loss, network.rows)
    if isinstance(network, NonlinearNetwork):
        trained, fixed = eqx.partition(network, network.trainable)
        return trained, FixedPartLoss(loss, fixed)
    return network, loss


def restore(network: Network, trajectory: Trajectory) -> Trajectory:
    """The record of what was trained as that of the whole network, with what is fixed at every moment."""
    if isinstance(network, NonlinearNetwork):
        moments = trajectory.times.shape[-1]
        _, fixed = eqx.partition(network, network.trainable)
        fixed = jax.tree.map(lambda x: jnp.broadcast_to(x, (moments, *x.shape)), fixed)
        return dataclasses.replace(trajectory, networks=eqx.combine(trajectory.networks, fixed))
    if not isinstance(network, Headed):
        return trajectory
    networks = eqx.filter_vmap(lambda encoder: Headed(encoder, network.head))(trajectory.networks)
    return dataclasses.replace(trajectory, networks=networks)
