"""`subclass-retention`: near misses of its formula."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from helpers.misses import predictions

from projhead_theory.theorems._common.tasks import replace

# Near misses: the claim with one thing in its formula changed


def faded(slope=1.0, rate=1.0) -> Callable[[Any, Any], Any]:
    return lambda problem, own: replace(own, slopes=slope * own.slopes, rate=rate * own.rate)


MISSES = predictions(
    {
        "the exponents of regression": faded(slope=3.0),
        "half the rate": faded(rate=0.5),
        "twice the exponents": faded(slope=2.0),
        "the variance, not its square": lambda p, own: replace(own, rate=jnp.sqrt(own.rate)),
        "e left out of the rate": lambda p, own: replace(own, rate=own.rate / (4 - 2 / p.depth)),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "asymptotics": 0.0267,
    "integration": 9.06e-11,
    "rounding": 4.26e-11,
}
