"""Moments and heads that the tests of fixed heads share."""

import jax.numpy as jnp
import numpy as np

from helpers.draws import cast
from projhead_theory import Moments

FRACTIONS = np.array([0.9, 0.7, 0.5, 0.3])
CROSS, SECOND = np.array([1.0, 0.6, 0.3]), np.array([2.0, 0.8, 0.5])
WEIGHTS = np.sqrt(CROSS) / SECOND


def features(cross=CROSS, second=SECOND):
    """A feature model with these moments."""
    return Moments(jnp.diag(cast(cross)), jnp.diag(cast(second)))


def powers(kappa, p):
    """Entries of a reweighting head."""
    return cast(kappa ** -np.arange(p))
