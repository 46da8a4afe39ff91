"""`weight-decay-minimiser`: near misses of its formula."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from helpers.misses import Transformation, predicting

from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.decay.weight_decay_minimiser import predict as predict_decayed

# Near misses of -2 c s^2 + q^2 s^4 + (gamma L / 2) s^(2/L)


def other_penalty(change: Callable[[Any], Any]) -> Transformation:
    return predicting(
        lambda problem, own: predict_decayed(replace(problem, weight_decay=change(problem)))
    )


MISSES = {
    "gamma L / 4": other_penalty(lambda p: p.weight_decay / 2),
    "gamma / 2, without L": other_penalty(lambda p: p.weight_decay / p.depth),
    "root of gamma": other_penalty(lambda p: p.weight_decay**0.5),
    "gamma L^2 / 2": other_penalty(lambda p: p.weight_decay * p.depth),
    "gamma (L + 1) / 2": other_penalty(lambda p: p.weight_decay * (p.depth + 1) / p.depth),
    "q for q^2": predicting(lambda p, own: predict_decayed(replace(p, second=p.second**0.5))),
    "half the objective": predicting(lambda p, own: replace(own, objective=own.objective / 2)),
    "layers by (l / L)^2": predicting(
        lambda p, own: replace(
            own,
            weights=own.weights[-1]
            ** (jnp.arange(1, p.depth + 1, dtype=float)[:, None] / p.depth)
            ** 2,
        )
    ),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 4.15e-11,
    "rounding": 1.71e-13,
    "stationarity": 1.31e-12,
}
