"""`class-collapse`: near misses of its formula, and what is particular to the claim."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.measured import by_claim, side
from helpers.misses import predictions

from projhead_theory.theorems._common.tasks import replace

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


@by_claim(["class-collapse"])
def test_a_collapsed_subclass_is_absent_from_every_layer(name):
    """And where it is not, its weight relative to the class is the same in all of them."""
    for number, collapsed in ((0, True), (1, False)):
        _, run = side(name, number)
        weights = np.asarray(run.fine.weights())[-1]
        ratio = weights[:, 1] / weights[:, 0]
        np.testing.assert_allclose(ratio, ratio[0], atol=1e-9)
        assert (ratio[0] < 1e-9) == collapsed


# Near misses: the claim with one thing in its formula changed


def pair_weights(change: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """Another weight of the subclass relative to that of the class, alike in all layers."""

    def wrong(p, own):
        ratio = jnp.abs(change(p.strength[0], p.strength[1], p.noise[0], p.noise[1], p.correlation))
        return replace(own, weights=own.weights.at[:, 1].set(ratio * own.weights[:, 0]))

    return wrong


MISSES = predictions(
    {
        "sigma_s for sigma_c": pair_weights(
            lambda pc, ps, sc, ss, r: r * ps * ss**2 / (pc * (ps**2 * (1 - r**2) + sc**2))
        ),
        "the class means": pair_weights(lambda pc, ps, sc, ss, r: r * ps / pc),
        "no correlation needed": pair_weights(lambda pc, ps, sc, ss, r: ps / (ps**2 + ss**2)),
        "noise of the subclass left out": pair_weights(
            lambda pc, ps, sc, ss, r: r * ps * (sc**2 + ss**2) / (pc * ps**2)
        ),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "discretisation": 0,
    "noise": 0,
    "rounding": 2.57e-11,
    "start": 0,
    "stationarity": 3.37e-09,
}
