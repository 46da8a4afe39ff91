"""`scl-minimiser`: near misses of its formula."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from helpers.misses import predictions

from projhead_theory._core.linalg import psd_power
from projhead_theory.theorems._common.law import with_exponents
from projhead_theory.theorems.supervised.scl_minimiser import with_last

# Near misses: the claim with one thing in its formula changed


def class_gram(change: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Another last Gram, from the groups, their classes' cross moment and their second moment."""

    def wrong(problem, own):
        gram = change(problem.groups, problem.moments.cross, problem.moments.second)
        return with_last(own, (gram + gram.T) / 2)

    return wrong


MISSES = predictions(
    {
        "S^-1/2 for S^-1": class_gram(
            lambda g, c, s: psd_power(s, -0.5, len(s)) @ c @ psd_power(s, -0.5, len(s))
        ),
        "the class means alone": class_gram(lambda g, c, s: c),
        "S^-1 on one side": class_gram(lambda g, c, s: jnp.linalg.solve(s, c)),
        "the groups for the classes": class_gram(
            lambda g, c, s: jnp.linalg.solve(s, jnp.linalg.solve(s, g.between).T)
        ),
        "(l / L)^2": with_exponents(lambda level, depth: (level / depth) ** 2),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "discretisation": 1.9e-12,
    "noise": 0,
    "rounding": 4.77e-12,
    "start": 2.69e-13,
    "stationarity": 4.73e-10,
}
