"""`kappa-emulation`: near misses of its formula."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from helpers.misses import predictions

from projhead_theory.theorems._common.tasks import replace

# Near misses: the claim with one thing in its formula changed


def layers_to(power: float) -> Callable[[Any, Any], Any]:
    """The Gram below the trained head as another power of that above it."""

    def wrong(problem, own):
        values, v = jnp.linalg.eigh(own.layers.grams[-1])
        return replace(
            own,
            layers=replace(own.layers, grams=own.layers.grams.at[0].set((v * values**power) @ v.T)),
        )

    return wrong


MISSES = predictions(
    {
        "the weights themselves": layers_to(1.0),
        "the cube root": layers_to(1 / 3),
        "the factor squared": lambda problem, own: replace(own, factor=own.factor**2),
        "the root of the factor": lambda problem, own: replace(own, factor=jnp.sqrt(own.factor)),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "rounding": 9.88e-10,
    "start": 7.57e-09,
    "stationarity": 4.13e-08,
}
