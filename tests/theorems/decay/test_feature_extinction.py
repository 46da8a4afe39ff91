"""`feature-extinction`: near misses of its formula."""

from collections.abc import Callable
from typing import Any

from helpers.misses import Transformation, predicting

from projhead_theory import theory

# Near misses of 4 c / (2 L - 1) * ((2 L - 2) c / ((2 L - 1) q^2))^(1 - 1/L)


def ending(weight_decay: Callable[[Any, Any, int], Any]) -> Transformation:
    """Another decay of the jump, a function of c, q and L."""
    return predicting(
        lambda problem, own: own.at[0].set(
            weight_decay(problem.cross, problem.second, problem.depth)
        )
    )


MISSES = {
    "spinodal": ending(lambda c, q, n: theory.decay.decay_limit(c, q, n)),
    "2 L + 1 for 2 L - 1": ending(
        lambda c, q, n: (
            4 * c / (2 * n + 1) * ((2 * n - 2) * c / ((2 * n + 1) * q**2)) ** (1 - 1 / n)
        )
    ),
    "2 L - 1 for 2 L - 2": ending(lambda c, q, n: 4 * c / (2 * n - 1) * (c / q**2) ** (1 - 1 / n)),
    "the power 1": ending(
        lambda c, q, n: 4 * c / (2 * n - 1) * (2 * n - 2) * c / ((2 * n - 1) * q**2)
    ),
    "the power 1/L - 1": ending(
        lambda c, q, n: (
            4 * c / (2 * n - 1) * ((2 * n - 2) * c / ((2 * n - 1) * q**2)) ** (1 / n - 1)
        )
    ),
    "c for the power of c": ending(lambda c, q, n: 4 * c / (2 * n - 1) * c),
    "q for q^2": ending(
        lambda c, q, n: 4 * c / (2 * n - 1) * ((2 * n - 2) * c / ((2 * n - 1) * q)) ** (1 - 1 / n)
    ),
    "2 c for 4 c": predicting(lambda p, own: own.at[0].divide(2)),
    "the weight below without decay": predicting(
        lambda p, own: own.at[1].set(p.cross**0.5 / p.second)
    ),
    "no weight below": predicting(lambda p, own: own.at[1].set(0)),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "bisection": 5.33e-11,
    "integration": 1.19e-10,
    "rounding": 4.59e-13,
    "stationarity": 6.78e-12,
}
