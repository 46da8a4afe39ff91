"""`coarse-to-fine`: near misses of its formula, and what is particular to the claim."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.measured import by_claim, side
from helpers.misses import predictions, read

from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.supervised import shift

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


@by_claim(["coarse-to-fine"])
def test_lower_layers_are_read_better_once_the_subclass_weighs_less(name):
    for number in (0, 1):
        problem, _ = side(name, number)
        accuracy = np.asarray(shift.predict(problem).average[0])
        assert accuracy[-1, 0] > accuracy[-1, 1] + 0.02
        assert (np.diff(accuracy[-4:], axis=0) < 0).all()


@by_claim(["coarse-to-fine"])
def test_a_subclass_that_agrees_with_the_class_fails_the_premise(name):
    """Unless the variances given the class agree too."""
    problem, run = side(name, 0)
    correlated = replace(problem.trained, probability=jnp.array([0.4, 0.1, 0.1, 0.4]))
    verdict = shift.judge(shift.predict(replace(problem, trained=correlated)), run)
    assert verdict.failed == (shift.COMMUTE,)


# Near misses: the claim with one thing in its formula changed

MISSES = predictions(
    {
        "twice the blur": read(lambda p: replace(p, blur=2 * p.blur)),
        "blur squared": read(lambda p: replace(p, blur=p.blur**2)),
        "twice the time": read(lambda p: replace(p, times=2 * p.times)),
        "a start twice as large": read(lambda p: replace(p, start_weight=2 * p.start_weight)),
        "the worst for the average": lambda p, own: replace(
            own, average=own.worst, worst=own.average
        ),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 1.5e-09,
    "rounding": 4.49e-10,
    "start": 1.29e-11,
    "stationarity": 0,
}
