"""`sl-retention`: near misses of its formula."""

import dataclasses
import functools

import jax.numpy as jnp
from helpers.misses import TWENTIETH, predictions

from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.dynamics.vanishing_features import forgetting
from projhead_theory.theory.dynamics import regression

# Near misses: the claim with one thing in its formula changed

MISSES = predictions(
    {
        "the exponent of the spectral loss": lambda p, own: replace(own, slopes=own.slopes / 3),
        "the same slope in all layers": lambda p, own: replace(
            own, slopes=jnp.full_like(own.slopes, own.slopes[0])
        ),
        "twice the exponents": lambda p, own: replace(own, slopes=2 * own.slopes),
        "half the logarithm": lambda p, own: replace(own, logs=own.logs / 2),
    }
)

# The exponent a twentieth off, either way

MISSES |= {
    f"{factor} of the exponent": lambda claim, factor=factor: dataclasses.replace(
        claim,
        predict=functools.partial(
            forgetting,
            exponent=lambda depth, level: factor * regression.retention_exponent(depth, level),
            transient=regression.retention_transient,
        ),
    )
    for factor in TWENTIETH
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "asymptotics": 0.00102,
    "integration": 3.58e-11,
    "rounding": 1.05e-10,
}
