"""`narrow-head`: near misses of its formula, and networks on either side of a boundary."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.measured import by_claim, side
from helpers.misses import predictions

from projhead_theory.theorems import CLAIMS
from projhead_theory.theorems._common.tasks import with_entries

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


@by_claim(["narrow-head"])
def test_trained_networks_of_one_problem_keep_three_different_features(name):
    _, seen = side(name, 0)
    kept = np.argmax(np.asarray(seen.weights), axis=1)
    assert list(kept) == [2, 1, 0, 0]
    _, flipped = side(name, 1)
    assert list(np.argmax(np.asarray(flipped.weights), axis=1)) == [2, 0, 1, 0]


@by_claim(["narrow-head"])
def test_a_narrow_network_stays_narrow(name):
    """The units beyond the width have exactly no weight, at the start and at the end."""
    problem, seen = side(name, 0)
    start = problem.start(problem.width, jnp.ones_like(problem.weight_decay))
    assert problem.width == 1
    assert all(np.all(np.asarray(w)[:, 1:] == 0) for w in start.layers[1:])
    assert np.all(np.sum(np.asarray(seen.weights) > 1e-6, axis=1) == 1)


@pytest.mark.slow
def test_each_boundary_separates_two_problems():
    """A tenth below the boundary the useful feature is kept, a tenth above it is lost."""
    claim = CLAIMS["narrow-head"]
    problems = list(claim.problems(jax.random.key(0)))[4:10]
    kept = [np.asarray(claim.measure(p).weights)[:, 0] > 0.01 for p in problems]
    for row, (near, far) in enumerate(zip(kept[:4:2], kept[1:4:2], strict=True)):
        assert near[row]
        assert not far[row]
    # The strengths alone decide between the last two, for Barlow Twins and PCA.
    assert list(kept[4][2:]) == [False, False]
    assert list(kept[5][2:]) == [True, True]


# Near misses of the four scores, and of the weights


def ranked(row: int, score: Callable[[Any, Any, Any], Any], weight: Callable[..., Any]) -> Any:
    """One objective that keeps the feature of largest score, a function of c, q and phi."""

    def wrong(p, own):
        moments = p.problem.moments()
        c, q = (np.diagonal(np.asarray(m)) for m in (moments.cross, moments.second))
        phi = np.asarray(p.strength)
        best = np.argmax(score(c, q, phi))
        return with_entries(own, row, np.where(np.arange(3) == best, weight(c, q, phi), 0))

    return wrong


MISSES = predictions(
    {
        "joint embedding by c": ranked(0, lambda c, q, phi: c, lambda c, q, phi: c**0.5 / q),
        "joint embedding by c^2 / q": ranked(
            0, lambda c, q, phi: c**2 / q, lambda c, q, phi: c**0.5 / q
        ),
        "reconstruction by c / q": ranked(
            1, lambda c, q, phi: c / q, lambda c, q, phi: c**0.5 * phi / q
        ),
        "reconstruction by c": ranked(1, lambda c, q, phi: c, lambda c, q, phi: c**0.5 * phi / q),
        "reconstruction by q": ranked(1, lambda c, q, phi: q, lambda c, q, phi: c**0.5 * phi / q),
        "the weight of reconstruction by joint embedding": lambda p, own: with_entries(
            own, 1, np.asarray(own[1] > 0) * np.asarray(own[0]).max()
        ),
        "Barlow Twins by c / q": ranked(2, lambda c, q, phi: c / q, lambda c, q, phi: c**-0.5),
        "Barlow Twins by phi": ranked(2, lambda c, q, phi: phi, lambda c, q, phi: c**-0.5),
        "Barlow Twins without decay": lambda p, own: with_entries(
            own,
            2,
            np.where(np.asarray(own[2]) > 0, np.diagonal(p.problem.moments().cross) ** -0.5, 0),
        ),
        "PCA by q": ranked(3, lambda c, q, phi: q / phi**4, lambda c, q, phi: 1.0),
        "PCA by c / q": ranked(3, lambda c, q, phi: c / q, lambda c, q, phi: 1.0),
        "twice the weights": lambda p, own: jnp.multiply(own, 2),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 9.44e-08,
    "rounding": 4.26e-14,
    "stationarity": 3.32e-07,
}
