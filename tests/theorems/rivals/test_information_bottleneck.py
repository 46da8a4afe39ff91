"""`information-bottleneck`: near misses of its formula, and the counterexample in units."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.measured import side
from helpers.misses import predicting

from projhead_theory.theorems import CLAIMS
from projhead_theory.theorems.rivals.information_bottleneck import LOWER, UPPER, predict

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


def entry(at, change):
    return predicting(lambda problem, own: own.at[at].set(change(problem, own)))


MISSES = {
    "an upper bound that holds": entry(UPPER, lambda p, own: jnp.maximum(own[UPPER], own[0])),
    "data processing for the lower bound": entry(LOWER, lambda p, own: own[1]),
    "the bound without what is passed on": entry(LOWER, lambda p, own: own[LOWER] + own[2]),
    "the target loses nothing": entry(LOWER, lambda p, own: own[LOWER + 1]),
    "equal layers": predicting(lambda p, own: predict(p, jnp.ones_like(p.noise))),
    "the first layer before the head": predicting(
        lambda p, own: predict(p, jnp.full_like(p.noise, 1 / 3))
    ),
    "twice the noise": predicting(
        lambda p, own: predict(dataclasses.replace(p, noise=2 * p.noise))
    ),
    "information in bits": predicting(lambda p, own: own / np.log(2)),
    "no entropy": entry(UPPER, lambda p, own: own[1] - own[2]),
}


def test_the_upper_bound_fails_in_the_units_of_the_first_problem():
    """Of the trained network, without any change of scale."""
    problem, trained = side("information-bottleneck", 0)
    verdict = CLAIMS["information-bottleneck"].compare(
        CLAIMS["information-bottleneck"].predict(problem), trained
    )
    measured = dict(zip(verdict.labels, np.asarray(verdict.measured[:, 0]), strict=True))
    assert measured["upper bound"] < measured["before the head"]
    assert measured["critical scale"] > 1


# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 3.28e-09,
    "rounding": 5.74e-10,
}
