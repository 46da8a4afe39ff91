"""`weight-decay-balancing`: near misses of its formula."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from helpers.misses import Transformation, predicting

from projhead_theory.theorems.balance.weight_decay_balancing import decaying

# Near misses of exp(-2 gamma t)


def other_decay(change: Callable[[Any], Any]) -> Transformation:
    return predicting(
        lambda problem, own: decaying(dataclasses.replace(problem, weight_decay=change(problem)))
    )


def algebraic(problem, own):
    """1 / (1 + 2 gamma t) for exp(-2 gamma t)."""
    factor = 1 / (1 + 2 * problem.weight_decay * jnp.append(problem.times, problem.times[-1]))
    return tuple(
        factor[:, None, None] * d[:1] / jnp.exp(-2 * problem.weight_decay * problem.times[0])
        for d in own
    )


MISSES = {
    "exp(-gamma t)": other_decay(lambda p: p.weight_decay / 2),
    "exp(-4 gamma t)": other_decay(lambda p: 2 * p.weight_decay),
    "exp(-2 gamma t / L)": other_decay(lambda p: p.weight_decay / 3),
    "exp(-2 gamma^2 t)": other_decay(lambda p: p.weight_decay**2),
    "1 / (1 + 2 gamma t)": predicting(algebraic),
    "no decay": other_decay(lambda p: 0 * p.weight_decay),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 7.46e-14,
    "rounding": 4.54e-14,
}
