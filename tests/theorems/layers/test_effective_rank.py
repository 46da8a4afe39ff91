"""`effective-rank`: near misses of its formula, and the properties of an effective rank."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.misses import EXPONENTS, predicting
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory.moments import Moments
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theory.layers import effective_rank, layerwise


def transposed(problem, own):
    """The last layer's rank first."""
    return replace(own, grams=own.grams[::-1])


MISSES = EXPONENTS | {"reversed": predicting(transposed)}

WEIGHTS = st.lists(st.floats(0.1, 3.0), min_size=4, max_size=4)


@given(weights=WEIGHTS, unit=st.floats(0.1, 10.0))
def test_ranks_lie_between_one_and_the_dimension_fall_and_have_no_unit(weights, unit, eps):
    """From moments with sqrt(c) / q the weights."""
    w = jnp.asarray(weights)
    moments = Moments(jnp.diag(0.09 / w**2 / 9), jnp.diag(0.1 / w**2))
    grams = layerwise(moments, 3).grams
    ranks = np.asarray(effective_rank(grams))
    assert (ranks <= 4 * (1 + 16 * eps)).all()
    assert (ranks >= 1 - 16 * eps).all()
    assert (np.diff(ranks) <= 64 * eps).all()
    np.testing.assert_allclose(effective_rank(unit * grams), ranks, rtol=256 * eps)


@pytest.mark.parametrize(
    ("diagonal", "rank"),
    [([0.0, 0.0], 0.0), ([0.0, 3.0], 1.0), ([2.0, 2.0], 2.0), ([1.0, 3.0], 1.6), ([1e-300, 0], 1)],
)
def test_small_cases(diagonal, rank):
    assert float(effective_rank(jnp.diag(jnp.asarray(diagonal)))) == pytest.approx(rank)


# Each part of the tolerance as a share of the effect

PARTS = {
    "discretisation": 1.6e-11,
    "noise": 0,
    "rounding": 2.46e-10,
    "start": 3.19e-12,
    "stationarity": 6.62e-09,
}
