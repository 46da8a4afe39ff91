"""`barlow-stepwise`: near misses of its formula, and the steps of the loss."""

import itertools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.measured import by_claim, side
from helpers.misses import predictions

from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theory import dynamics

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


@by_claim(["barlow-stepwise"])
def test_the_trained_loss_falls_by_one_for_each_direction_in_order(name):
    """Between the steps it is nearly a whole number."""
    problem, run = side(name, 0)
    loss, weights = np.asarray(run.fine.loss)[:-1], np.asarray(run.fine.weights())[:-1, -1]
    shares = np.asarray(problem.cross) * weights**2
    middle = [int(np.argmax(share > 0.5)) for share in shares.T]
    assert middle == sorted(middle)
    for learned, (first, second) in enumerate(itertools.pairwise(middle), 1):
        between = loss[(first + second) // 2]
        assert between == pytest.approx(3 - learned, abs=0.1)
    assert loss[-1] < 0.05


# Near misses of ds/dt = 4 L s^(3 - 2/L) c (1 - c s^2)


def flowing(change: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """The path of the flow of another cross and second moment, or at other times."""

    def wrong(p, own):
        times, cross, second, depth = change(p.times, p.cross, p.depth)
        last = dynamics.weight_at_time(times[:, None], p.start_weight, cross, second, depth)
        shares = jnp.arange(1, p.depth + 1) / p.depth
        return replace(own, paths=last[:, None] ** shares[:, None])

    return wrong


MISSES = predictions(
    {
        "2 L for 4 L": flowing(lambda t, c, n: (t / 2, c, c, n)),
        "8 L for 4 L": flowing(lambda t, c, n: (2 * t, c, c, n)),
        "c^2 for c": flowing(lambda t, c, n: (t, c**2, c**2, n)),
        "one for c": flowing(lambda t, c, n: (t, c, jnp.ones_like(c), n)),
        "root of c for q": flowing(lambda t, c, n: (t, c, c**0.5, n)),
        "one layer less": flowing(lambda t, c, n: (t, c, c, n - 1)),
        "one and the same weight in all layers": lambda p, own: replace(
            own, paths=jnp.broadcast_to(own.paths[:, -1:], own.paths.shape)
        ),
        "half the loss": lambda p, own: replace(own, loss=own.loss / 2),
        "steps of another size": lambda p, own: replace(own, loss=own.loss**0.5),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 1.32e-10,
    "rounding": 3.88e-13,
}
