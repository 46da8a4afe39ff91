"""`sl-extinction`: near misses of its formula, and the search for the jump."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.measured import by_claim, side
from helpers.misses import Transformation, predicting

from projhead_theory import theory
from projhead_theory.theorems._common.tasks import with_entries

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


@by_claim(["sl-extinction"])
def test_the_largest_ratio_of_gain_to_cost_is_found_to_rounding(name):
    """On trained networks, without a bracket; and the decay is the closed one."""
    problem, found = side(name, 0)
    errors = found.measured.errors
    assert errors["iteration"][0] <= 1e-14
    want = theory.decay.regression.extinction_decay(
        problem.cross[0], problem.second[0], problem.depth
    )
    np.testing.assert_allclose(found.measured.value[0], want, rtol=1e-13)


# Near misses of a / (L - 1) * ((L - 2) a / ((L - 1) q))^(1 - 2/L)


def ending(weight_decay: Callable[[Any, Any, int], Any]) -> Transformation:
    """Another decay of the jump, a function of a, q and L."""
    return predicting(
        lambda p, own: with_entries(own, 0, weight_decay(p.cross[0], p.second[0], p.depth))
    )


def form(a, q, n, m, power):
    """The formula with another number in place of L - 2, and another power."""
    return a / (n - 1) * (m * a / ((n - 1) * q)) ** power


MISSES = {
    "spinodal": ending(lambda a, q, n: theory.decay.regression.decay_limit(a, q, n)),
    "the contrastive decay": ending(
        lambda a, q, n: theory.decay.extinction_decay(a, q**0.5, n) / 2
    ),
    "L - 1 for L - 2": ending(lambda a, q, n: form(a, q, n, n - 1, 1 - 2 / n)),
    "the power 1": ending(lambda a, q, n: form(a, q, n, n - 2, 1)),
    "the power 1 - 1/L": ending(lambda a, q, n: form(a, q, n, n - 2, 1 - 1 / n)),
    "q^2 for q": ending(lambda a, q, n: form(a, q**2, n, n - 2, 1 - 2 / n)),
    "a / L": ending(lambda a, q, n: form(a, q, n, n - 2, 1 - 2 / n) * (n - 1) / n),
    "twice the decay": ending(lambda a, q, n: 2 * form(a, q, n, n - 2, 1 - 2 / n)),
    "the weight below without decay": predicting(
        lambda p, own: with_entries(own, 1, p.cross[0] / p.second[0])
    ),
    "no weight below": predicting(lambda p, own: with_entries(own, 1, 0)),
    "the weight below above the jump": predicting(lambda p, own: with_entries(own, 2, own[1])),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 1.15e-09,
    "iteration": 0,
    "rounding": 9.09e-13,
    "stationarity": 9.62e-09,
}
