"""`absent-features`: near misses of its formula."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from helpers.misses import predictions

from projhead_theory import theory

# Near misses: the claim with one thing in its formula changed


def reaching(reach: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    return lambda problem, own: dataclasses.replace(own, reach=reach)


MISSES = predictions(
    {
        "w_2 for its inverse": reaching(
            lambda w, b: jnp.stack([b[0], b[0] + b[1] * jnp.abs(w[1])]) / jnp.abs(w[0])
        ),
        "b_1 / w_1 left out": reaching(
            lambda w, b: jnp.stack([b[0] / jnp.abs(w[0]), b[1] / jnp.abs(w[0] * w[1])])
        ),
        "b_1 by both weights": reaching(
            lambda w, b: jnp.stack([b[0] / jnp.abs(w[0]), (b[0] + b[1]) / jnp.abs(w[0] * w[1])])
        ),
        "w_1^2": reaching(lambda w, b: theory.thresholds.threshold_reach(w, b) / jnp.abs(w[0])),
        "half of b_2": reaching(
            lambda w, b: theory.thresholds.threshold_reach(w, b.at[1].divide(2))
        ),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "bisection": 2.98e-13,
    "rounding": 3.67e-14,
}
