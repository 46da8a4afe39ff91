"""Rounding of an imbalance."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array

from ..._core import CHAIN, epsilons
from ...networks import AbstractNetwork
from ...simulation import Trajectory

# Rounding alone exceeds 6.4 standard deviations, either way, with probability below 1e-8.
DEVIATIONS = 6.4


def largest(networks: AbstractNetwork) -> Array:
    r"""Largest $\|W_l\|_F^2$ over the layers and, if the networks are stacked, over the stack."""
    return jnp.max(jnp.stack([jnp.max(jnp.sum(w * w, axis=(-1, -2))) for w in networks.layers]))


def imbalance_rounding(networks: AbstractNetwork) -> Array:
    """Rounding of an imbalance: a few epsilon, times inner dimension, times squared norm."""
    size = largest(networks)
    return epsilons(8 * max(networks.sizes), size.dtype) * size


def flow_rounding(trajectory: Trajectory) -> Array:
    """Relative rounding of the weights of a flow.

    Over many steps, roundings of random sign add up as the root of their number.
    """
    weights = trajectory.networks.layers[0]
    steps = jnp.sqrt(trajectory.steps.astype(weights.dtype))
    return (CHAIN + DEVIATIONS * steps) * epsilons(trajectory.networks.depth, weights.dtype)


def accumulated(each: Array) -> Array:
    r"""Bound on the sum of rounding errors of these sizes, of random signs.

    It is within $6.4 \sqrt{\sum_t e_t^2}$ (Higham and Mary 2019), and never beyond $\sum_t e_t$.
    """
    return jnp.minimum(jnp.sum(each), DEVIATIONS * jnp.sqrt(jnp.sum(each**2)))


def rounding_of_steps(
    networks: AbstractNetwork, gradients: Sequence[Array], learning_rate: Array
) -> Array:
    r"""Rounding of an imbalance over all the steps of a run.

    Step `t` rounds every weight by half an epsilon of its size, and its gradient by $p$ times as
    much. An imbalance then moves by at most
    $e_t = 2 \epsilon \max_l (\|W_l\|_F + \eta \|G_l\|_F)(\|W_l\|_F + p\, \eta \|G_l\|_F)$.
    This holds for decays with $|1 - \eta\gamma| \le 1$; beyond, old errors grow as well.
    """
    norm = lambda w: jnp.sqrt(jnp.sum(w * w, axis=(-1, -2)))
    width = max(networks.sizes)
    pairs = [
        (norm(w)[:-1], learning_rate * norm(g))
        for w, g in zip(networks.layers, gradients, strict=True)
    ]
    each = 2 * jnp.max(jnp.stack([(w + g) * (w + width * g) for w, g in pairs]), axis=0)
    return accumulated(epsilons(1, each.dtype) * each) + imbalance_rounding(networks)
