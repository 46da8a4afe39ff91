"""`head-equivalence`: near misses of its formula, and what is particular to the claim."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.measured import by_claim, side
from helpers.misses import predictions

from projhead_theory import theory
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.heads import head_equivalence

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


@by_claim(["head-equivalence"])
def test_every_row_is_a_run_under_its_own_head(name):
    """The same as without the others."""
    problem, ends = side(name, 0)
    for i in range(len(problem.rows)):
        alone = head_equivalence.train(
            problem.key, problem.moments, problem.rows[i : i + 1], jnp.zeros(1)
        )
        np.testing.assert_array_equal(alone.before[0], ends.before[i])


# Near misses: the claim with one thing in its formula changed


def minimiser_of(change: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda problem, own: replace(own, minimiser=change(problem, own.minimiser))


def theory_gram(problem, own):
    """What sorting gives before the second head."""
    return replace(
        own, gram=theory.heads.sorted_matching(problem.moments, problem.rows[1], throw=False).gram
    )


MISSES = predictions(
    {
        "one mode less": minimiser_of(
            lambda p, own: theory.layers.spectral(
                p.moments, min(p.rows.shape[1], p.moments.dim) - 1, throw=False
            )
        ),
        "twice the Gram": minimiser_of(lambda p, own: replace(own, gram=2 * own.gram)),
        "signal fractions not squared": minimiser_of(
            lambda p, own: replace(
                own, loss=-jnp.sum(own.signal_fraction[: min(p.rows.shape[1], p.moments.dim)])
            )
        ),
        "the Gram seen through a head": minimiser_of(lambda p, own: theory_gram(p, own)),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "rounding": 9.45e-13,
    "stationarity": 6.55e-13,
}
