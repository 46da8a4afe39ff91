"""Split a network into trained and frozen parts, and join them after training."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp

from ..losses import AbstractLoss, FixedPartLoss, HeadedLoss
from ..networks import DeepLinear, Headed, Network, NonlinearNetwork
from ._trajectory import Trajectory

# The trained part: a network without frozen numbers, or one with `None` in their place.
Trained = DeepLinear | NonlinearNetwork


def absorb(network: Network, loss: AbstractLoss) -> tuple[Trained, AbstractLoss]:
    """Move the frozen part of a network into its loss.

    Under a fixed head the trained part is the encoder; of a network with fixed thresholds it is
    the weights.

    **Returns:** the trained part, and the loss of the whole network as a function of it.
    """
    if isinstance(network, Headed):
        return network.encoder, HeadedLoss(loss, network.rows)
    if isinstance(network, NonlinearNetwork):
        trained, fixed = eqx.partition(network, network.trainable)
        return trained, FixedPartLoss(loss, fixed)
    return network, loss


def restore(network: Network, trajectory: Trajectory) -> Trajectory:
    """Put the frozen part of a network back at every save time of a trajectory."""
    if isinstance(network, NonlinearNetwork):
        moments = trajectory.times.shape[-1]
        _, fixed = eqx.partition(network, network.trainable)
        fixed = jax.tree.map(lambda x: jnp.broadcast_to(x, (moments, *x.shape)), fixed)
        return dataclasses.replace(trajectory, networks=eqx.combine(trajectory.networks, fixed))
    if not isinstance(network, Headed):
        return trajectory
    networks = eqx.filter_vmap(lambda encoder: Headed(encoder, network.head))(trajectory.networks)
    return dataclasses.replace(trajectory, networks=networks)
