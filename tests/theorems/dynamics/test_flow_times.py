"""`flow-times`: near misses of its formula."""

from collections.abc import Callable
from typing import Any

from helpers.misses import Transformation, predicting

from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.dynamics.flow_times import paths

# Near misses of ds/dt = 4 L s^(3 - 2/L) (c - q^2 s^2)


def flowing(**fields: Callable[[Any], Any]) -> Transformation:
    """The path of a problem in which some numbers are others."""
    return predicting(
        lambda problem, own: paths(
            replace(problem, **{name: f(problem) for name, f in fields.items()})
        )
    )


def another_exponent(shift: int) -> Transformation:
    """The exponent of another depth with the factor 4 L of one's own."""

    def wrong(problem, own):
        share = problem.depth / (problem.depth + shift)
        return paths(replace(problem, times=problem.times * share), problem.depth + shift)

    return predicting(wrong)


MISSES = {
    "2 L for 4 L": flowing(times=lambda p: p.times / 2),
    "8 L for 4 L": flowing(times=lambda p: p.times * 2),
    "4 for 4 L": flowing(times=lambda p: p.times / p.depth),
    "the exponent of one layer more": another_exponent(1),
    "the exponent of one layer less": another_exponent(-1),
    "one layer less": predicting(lambda problem, own: paths(problem, problem.depth - 1)),
    "q for q^2": flowing(second=lambda p: p.second**0.5),
    "c^2 for c": flowing(cross=lambda p: p.cross**2),
    "layers by l / (L + 1)": predicting(lambda p, own: own ** (p.depth / (p.depth + 1))),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 6.76e-11,
    "rounding": 3.52e-13,
}
