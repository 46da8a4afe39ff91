"""`sl-times`: near misses of its formula, and what is particular to the claim."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.measured import by_claim, side
from helpers.misses import predictions

from projhead_theory.theorems.dynamics import flow_times
from projhead_theory.theory.dynamics import regression

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


@by_claim(["sl-times"])
def test_regression_follows_its_closed_form_to_a_hundred_millionth(name):
    problem, run = side(name, 0)
    seen = np.asarray(run.fine.weights())[:-1]
    np.testing.assert_allclose(seen, flow_times.paths(problem), rtol=1e-8)


# Near misses: the claim with one thing in its formula changed


def mode_paths(change: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """The paths of modes of other moments, or at other times."""

    def wrong(p, own):
        times, target, second = change(p.times, p.cross, p.second)
        last = regression.weight_at_time(times[:, None], p.start_weight, target, second, p.depth)
        return last[:, None] ** (jnp.arange(1, p.depth + 1) / p.depth)[:, None]

    return wrong


MISSES = predictions(
    {
        "twice the time": mode_paths(lambda t, a, q: (2 * t, a, q)),
        "q for q^2": mode_paths(lambda t, a, q: (t, a, q**2)),
        "L left out": mode_paths(lambda t, a, q: (t / 3, a, q)),
        "half the target": mode_paths(lambda t, a, q: (t, a / 2, q)),
        "one and the same weight in all layers": lambda p, own: jnp.broadcast_to(
            own[:, -1:], own.shape
        ),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 1.27e-11,
    "rounding": 2.49e-13,
}
