"""`homogeneity`: near misses of its formula."""

from collections.abc import Callable
from typing import Any

from helpers.misses import Transformation, conserving

# Near misses of w_l^2 + b_l^2 - w_(l+1)^2


def keeping(quantity: Callable[[Any, Any, Any], Any]) -> Transformation:
    """The claim that another function of the weights and thresholds below, and the weights above,
    is conserved.
    """

    def pairs(network):
        w, b = network.weights, network.thresholds
        return tuple(quantity(w[i], b[i], w[i + 1])[:, None] for i in range(len(w) - 1))

    return conserving(pairs)


MISSES = {
    "thresholds left out": keeping(lambda w, b, above: w**2 - above**2),
    "minus for plus": keeping(lambda w, b, above: w**2 - b**2 - above**2),
    "2 b^2": keeping(lambda w, b, above: w**2 + 2 * b**2 - above**2),
    "b for b^2": keeping(lambda w, b, above: w**2 + b - above**2),
    "2 for the weights above": keeping(lambda w, b, above: w**2 + b**2 - 2 * above**2),
    "the sum": keeping(lambda w, b, above: w**2 + b**2 + above**2),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 2.42e-13,
    "rounding": 1.55e-13,
}
