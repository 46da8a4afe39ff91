"""`learning-order`: near misses of its formula."""

from collections.abc import Callable
from typing import Any

from helpers.misses import Transformation, predicting

from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theory import dynamics

# Near misses of t = s_0^-(2 - 2/L) / (4 L (2 - 2/L) c)


def onset(change: Callable[[Any, Any], Any]) -> Transformation:
    """Another leading term; what it leaves out of the onset is as it was."""

    def wrong(problem, own):
        leading = change(problem, own.leading)
        return replace(own, onset=own.onset + (leading - own.leading), leading=leading)

    return predicting(wrong)


MISSES = {
    "c^2 for c": onset(lambda p, own: dynamics.onset_time(p.start_weight, p.cross**2, p.depth)),
    "root of c": onset(lambda p, own: dynamics.onset_time(p.start_weight, p.cross**0.5, p.depth)),
    "q for c": onset(lambda p, own: dynamics.onset_time(p.start_weight, p.second, p.depth)),
    "2 - 2/L dropped from the factor": onset(lambda p, own: own * (2 - 2 / p.depth) / 2),
    "2 L for 4 L": onset(lambda p, own: own * 2),
    "4 for 4 L": onset(lambda p, own: own * p.depth),
    "the power 2 - 1/L": onset(lambda p, own: own * p.start_weight ** (-1 / p.depth)),
    "the power 1 - 1/L": onset(lambda p, own: own * p.start_weight ** (1 - 1 / p.depth)),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "counting": 0.167,
    "integration": 6.44e-11,
    "interpolation": 1.51e-05,
    "rounding": 3.47e-13,
}
