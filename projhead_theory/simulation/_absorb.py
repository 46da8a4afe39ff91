"""Fixed heads in the simulators: absorbed in the loss before training, put back on the record after it."""

import dataclasses

import equinox as eqx

from ..losses import AbstractLoss, HeadedLoss
from ..networks import DeepLinear, Headed, LinearNetwork
from ._trajectory import Trajectory


def absorb(network: LinearNetwork, loss: AbstractLoss) -> tuple[DeepLinear, AbstractLoss]:
    """What is trained, and on what loss: of a network under a fixed head, the encoder on the loss of the whole."""
    if isinstance(network, Headed):
        return network.encoder, HeadedLoss(loss, network.rows)
    return network, loss


def restore(network: LinearNetwork, trajectory: Trajectory) -> Trajectory:
    """The record of what was trained as that of the whole network, with its head at every moment."""
    if not isinstance(network, Headed):
        return trajectory
    networks = eqx.filter_vmap(lambda encoder: Headed(encoder, network.head))(trajectory.networks)
    return dataclasses.replace(trajectory, networks=networks)
