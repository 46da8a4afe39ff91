"""Groups and networks of the experiments."""

import jax
import numpy as np

import projhead_theory as pt

KEY = jax.random.key(0)
WEIGHTS, THRESHOLDS = (1.0, 0.8), (0.3, 0.25)
GROUPS = pt.problems.Groups.signs([1.2, 0.9], [0.3, 0.35], [0.0])


def diagonal(weights=WEIGHTS, thresholds=THRESHOLDS, trained=False):
    return pt.ThresholdedDiagonal(
        np.array(weights)[:, None], np.array(thresholds)[:, None], trained
    )


def linear(key):
    return pt.DeepLinear.init(key, (3, 4, 2), 0.4)


def commuting():
    """A core and two spurious features, all of one variance given the label."""
    strength, r = np.array([1.0, 1.2, 1.1]), np.array([0.9, 0.8])
    noise = np.sqrt(0.8 - np.append(0, strength[1:] ** 2 * (1 - r**2)))
    return pt.problems.Groups.signs(strength, noise, r)
