"""`jepa-collapse`: near misses of its formula."""

import dataclasses

import jax.numpy as jnp
import pytest
from helpers.misses import predicting

from projhead_theory import theory
from projhead_theory.theorems.rivals.jepa_collapse import DIM, predict

pytestmark = pytest.mark.x64


def collapsing(decay):
    """Another decay of the collapse, a function of c, q and 2 L."""
    return predicting(lambda p, own: own.at[0].set(decay(p.cross[-1], p.second[-1], 2 * p.depth)))


def changed(**changes):
    """The prediction for another problem."""
    return predicting(
        lambda problem, own: predict(
            dataclasses.replace(problem, **{name: f(problem) for name, f in changes.items()})
        )
    )


MISSES = {
    "n for n - 1 inside": collapsing(lambda c, q, n: c / n * (c / q) ** (n - 1)),
    "power n": collapsing(lambda c, q, n: c / n * ((n - 1) * c / (n * q)) ** n),
    "c for c / n": collapsing(lambda c, q, n: c * ((n - 1) * c / (n * q)) ** (n - 1)),
    "q^2 for q": collapsing(lambda c, q, n: c / n * ((n - 1) * c / (n * q**2)) ** (n - 1)),
    "one layer more": collapsing(lambda c, q, n: theory.rivals.collapse_decay(c, q, n // 2 + 1)),
    "twice the decay": changed(weight_decay=lambda p: p.weight_decay / 2),
    "the roots exchanged": predicting(
        lambda p, own: jnp.concatenate([own[:1], own[1 + DIM :], own[1 : 1 + DIM]])
    ),
    "no decay": changed(weight_decay=lambda p: 0 * p.weight_decay),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "bisection": 4.67e-05,
    "rounding": 5.46e-12,
    "stationarity": 2.37e-09,
}
