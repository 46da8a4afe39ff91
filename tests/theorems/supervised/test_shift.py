"""`shift`: near misses of its formula, and what is particular to the claim."""

import numpy as np
import pytest
from helpers.measured import by_claim, side
from helpers.misses import predictions, read

from projhead_theory import measure
from projhead_theory.theorems._common.tasks import replace

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


@by_claim(["shift"])
def test_a_single_output_makes_all_layers_equivalent(name):
    """Whatever the readout is fitted on; with an output for every direction they differ, and lower
    ones do better if it is refitted.
    """
    for number, equal in ((1, True), (0, False)):
        problem, (_, run) = side(name, number)
        for fitted in problem.fitted:
            seen = np.asarray(
                measure.group_accuracy(run.fine.final, fitted, problem.tested, problem.blur)
            )
            assert (np.abs(seen[0] - seen[-1]).max() < 1e-8) == equal
        refitted = seen @ np.asarray(problem.tested.probability)
        assert equal or refitted[0] > refitted[-1] + 0.05


# Near misses: the claim with one thing in its formula changed

MISSES = predictions(
    {
        "twice the blur": read(lambda p: replace(p, blur=2 * p.blur)),
        "twice the time": read(lambda p: replace(p, times=2 * p.times)),
        "readouts swapped": read(lambda p: replace(p, fitted=p.fitted[::-1])),
        "tested where the readout is refitted": read(lambda p: replace(p, tested=p.fitted[1])),
        "the worst for the average": lambda p, own: replace(
            own, average=own.worst, worst=own.average
        ),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 8.85e-11,
    "rounding": 5.12e-10,
    "start": 3.62e-11,
    "stationarity": 0,
}
