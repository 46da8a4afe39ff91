"""Runs made by hand, which stay where they begin."""

import jax
import jax.numpy as jnp
import numpy as np

import projhead_theory as pt
from projhead_theory.simulation import Ended, Trajectory


def problem(strength, dtype):
    """A feature model with noise of like size on every feature."""
    phi = np.asarray(strength, dtype)
    return pt.ContrastiveProblem(
        pt.Features(phi), pt.AdditiveNoise(phi * np.linspace(0.5, 1, len(phi)).astype(dtype))
    ).moments()


def closed(strength, depth, dtype, factor=1.0):
    """The network of the closed form, phi / (phi^2 + sigma^2), with the last weight times a
    factor.
    """
    phi = np.asarray(strength, float)
    weights = 1 / (phi * (1 + np.linspace(0.5, 1, len(phi)) ** 2))
    weights[-1] *= factor
    return pt.DeepLinear([jnp.asarray(np.diag(weights ** (1 / depth)), dtype)] * depth)


def still(network, gradient=0.0):
    """A run that stays where it begins, and reports a gradient of this norm there, or none."""
    zero = jnp.zeros((), network.layers[0].dtype)
    twice = jax.tree.map(lambda w: jnp.stack([w, w]), network)
    pair = jnp.stack([zero, zero])
    return Trajectory(
        pair,
        twice,
        pair,
        pair + gradient,
        Ended.converged,
        zero,
        jnp.zeros((), int),
        jnp.zeros(network.depth - 1, zero.dtype),
        zero,
    )
