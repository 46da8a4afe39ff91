"""Simulators: train a network and return a `Trajectory`.

Nothing here may import the theory.
"""

from ._batches import in_batches
from ._descent import annealed, gradient_descent
from ._descents import gradient_descents
from ._flow import explicit, gradient_flow, implicit, stabilised
from ._flows import gradient_flows
from ._objective import layer_gradients, trained_gradient
from ._rebalance import Rebalanced, rebalance
from ._stochastic import minibatch, stochastic
from ._trajectory import Ended, Trajectory

__all__ = [
    "Ended",
    "Rebalanced",
    "Trajectory",
    "annealed",
    "explicit",
    "gradient_descent",
    "gradient_descents",
    "gradient_flow",
    "gradient_flows",
    "implicit",
    "in_batches",
    "layer_gradients",
    "minibatch",
    "rebalance",
    "stabilised",
    "stochastic",
    "trained_gradient",
]
