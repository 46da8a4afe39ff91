"""`layerwise-compression`: near misses of its formula."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.measured import side
from helpers.misses import predicting

from projhead_theory.theorems import CLAIMS
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.rivals.layerwise_compression import ratios
from projhead_theory.theory.rivals import compression_rate, geometric_law

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


def with_ratios(change):
    return predicting(lambda problem, own: replace(own, ratios=change(problem, own)))


MISSES = {
    "geometric": with_ratios(lambda p, own: geometric_law(own.ratios)),
    "all variance for that within": with_ratios(lambda p, own: own.ratios + 1),
    "between over within": with_ratios(lambda p, own: 1 / own.ratios),
    "roots of the variances": with_ratios(lambda p, own: own.ratios**0.5),
    "the last layer in every layer": with_ratios(
        lambda p, own: jnp.broadcast_to(own.ratios[-1], own.ratios.shape)
    ),
    "reversed": with_ratios(lambda p, own: own.ratios[::-1]),
    "within and between exchanged": predicting(
        lambda p, own: replace(own, ratios=ratios(own.law, own.between, own.within).ratios)
    ),
}


def test_two_classes_compress_less_and_less():
    """Class means on a line that is no eigenvector still leave a curvature of their own; on an
    eigenvector the log ratio is convex.
    """
    problem, _ = side("layerwise-compression", 0)
    own = CLAIMS["layerwise-compression"].predict(problem)
    gram = own.law.grams[-1]
    _, vectors = np.linalg.eigh(np.asarray(gram))
    best = jnp.asarray(np.outer(vectors[:, -1], vectors[:, -1]))
    for share in (1 / 3, 2 / 3, 1.0):
        at = compression_rate(gram, problem.task.moments.second, best, share)
        assert float(at.bend) > 0
        assert float(at.rate) < 0


# Each part of the tolerance as a share of the effect

PARTS = {
    "discretisation": 1.59e-11,
    "noise": 0,
    "rounding": 1.98e-10,
    "start": 1.99e-12,
    "stationarity": 3.77e-09,
}
