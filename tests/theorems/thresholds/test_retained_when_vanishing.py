"""`retained-when-vanishing`: near misses of its formula."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from helpers.misses import POWER, TIMES, TWENTIETH, predictions

from projhead_theory import theory
from projhead_theory.theorems._common.tasks import replace

# Near misses: the claim with one thing in its formula changed


def kept(first: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """Another amplitude that the first layer keeps of a disrupted feature."""
    return lambda p, own: dataclasses.replace(
        own, orbits=dataclasses.replace(own.orbits, limit=own.orbits.limit.at[0].set(first(p)))
    )


def sloping(slope: float) -> Callable[[Any, Any], Any]:
    return lambda problem, own: replace(own, slope=jnp.asarray(slope, own.slope.dtype))


MISSES = predictions(
    {
        "phi b_2": kept(lambda p: p.strength * p.thresholds[1]),
        "b_1 for b_2": kept(lambda p: jnp.sqrt(p.strength * p.thresholds[0])),
        "root of b_2": kept(lambda p: jnp.sqrt(p.thresholds[1])),
        "all of it": kept(lambda p: p.weights[0] * p.strength - p.thresholds[0]),
        "slope -1": sloping(-1.0),
        "slope -1/4": sloping(-0.25),
        "16 for 8": lambda problem, own: dataclasses.replace(
            own,
            orbits=dataclasses.replace(
                own.orbits, time=lambda *x: theory.thresholds.threshold_time(*x) / 2
            ),
        ),
    }
)


# Formulas of the library: what the claim calls, by module and name; how a value is changed by a
# factor; and the factors

FORMULAS = [
    (theory.thresholds, "threshold_limit", TIMES, TWENTIETH),
    (theory.thresholds, "threshold_forgetting", POWER, TWENTIETH),
]

# Each part of the tolerance as a share of the effect

PARTS = {
    "asymptotics": 0.0307,
    "integration": 4.07e-09,
    "rounding": 6.71e-10,
}
