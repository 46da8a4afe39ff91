"""`vanishing-features`: near misses of its formula."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from helpers.misses import TWENTIETH, Transformation, predicting

from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.dynamics.flow_times import paths
from projhead_theory.theorems.dynamics.vanishing_features import forgetting
from projhead_theory.theory import dynamics

# Near misses of t^-((l/L) / (4 - 2/L))


def forgotten(slope: Callable[[Any, Any], Any]) -> Transformation:
    """Other powers of time at every layer l of L."""

    def wrong(problem, own):
        levels = jnp.arange(1, problem.depth + 1, dtype=own.slopes.dtype)
        return replace(
            own, slopes=-jnp.broadcast_to(slope(levels, problem.depth), own.slopes.shape)
        )

    return predicting(wrong)


def forgotten_path(times: Callable[[Any], Any]) -> Transformation:
    """The right power, another factor before the time."""
    return predicting(
        lambda problem, own: replace(
            own, logs=jnp.log(paths(replace(problem, times=times(problem)))[:, :, -1])
        )
    )


MISSES = {
    "4 + 2/L": forgotten(lambda level, depth: level / depth / (4 + 2 / depth)),
    "2 - 2/L": forgotten(lambda level, depth: level / depth / (2 - 2 / depth)),
    "3 - 2/L": forgotten(lambda level, depth: level / depth / (3 - 2 / depth)),
    "4 - 1/L": forgotten(lambda level, depth: level / depth / (4 - 1 / depth)),
    "l / L dropped": forgotten(lambda level, depth: jnp.full_like(level, 1 / (4 - 2 / depth))),
    "(l + 1) / (L + 1)": forgotten(
        lambda level, depth: (level + 1) / (depth + 1) / (4 - 2 / depth)
    ),
    "2 L for 4 L": forgotten_path(lambda p: p.times / 2),
    "4 for 4 L": forgotten_path(lambda p: p.times / p.depth),
}

# The exponent a twentieth off, either way

MISSES |= {
    f"{factor} of the exponent": lambda claim, factor=factor: dataclasses.replace(
        claim,
        predict=functools.partial(
            forgetting,
            exponent=lambda depth, level: factor * dynamics.vanishing_exponent(depth, level),
        ),
    )
    for factor in TWENTIETH
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "asymptotics": 0.00169,
    "integration": 2.01e-10,
    "rounding": 8.22e-11,
}
