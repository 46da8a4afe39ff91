"""`mixed-positives`: near misses of its formula."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from helpers.misses import predictions

from projhead_theory.theorems._common.law import with_exponents
from projhead_theory.theorems.supervised.scl_minimiser import with_last

# Near misses: the claim with one thing in its formula changed


def mixed(change: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The mixture at another share."""

    def wrong(problem, own):
        one, none = (projected(problem, share) for share in (1.0, 0.0))
        share = change(problem.share)
        last = jnp.linalg.solve(problem.moments.second, share * one + (1 - share) * none)
        return with_last(own, jnp.linalg.solve(problem.moments.second, last.T))

    return wrong


def projected(problem, share):
    """The cross moment of positives of this share, by sums over groups."""
    g = problem.groups
    inside = (g.labels[:, None] == g.labels[None, :]) / g.class_probability[g.labels]
    pairs = share * g.probability[:, None] * inside * g.probability + (1 - share) * jnp.diag(
        g.probability
    )
    return g.means.T @ pairs @ g.means


MISSES = predictions(
    {
        "the share's root": mixed(jnp.sqrt),
        "the other share": mixed(lambda a: 1 - a),
        "the class alone": mixed(lambda a: 1.0),
        "the views alone": mixed(lambda a: 0.0),
        "(l / L)^2": with_exponents(lambda level, depth: (level / depth) ** 2),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "discretisation": 1.33e-13,
    "noise": 0,
    "rounding": 4.88e-13,
    "start": 3.93e-14,
    "stationarity": 3.03e-11,
}
