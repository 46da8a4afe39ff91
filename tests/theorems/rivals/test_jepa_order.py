"""`jepa-order`: near misses of its formula, and its degenerate problems."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.measured import side
from helpers.misses import predicting

from projhead_theory import theory
from projhead_theory.theorems import CLAIMS
from projhead_theory.theorems.rivals.jepa_order import paths

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


def moved(**changes):
    """The paths of a problem with other moments or another start."""
    return predicting(
        lambda problem, own: paths(
            dataclasses.replace(problem, **{name: f(problem) for name, f in changes.items()})
        )
    )


MISSES = {
    "c + c / 100": moved(cross=lambda p: p.cross * 1.01, second=lambda p: p.second * 1.01),
    "q + q / 100": moved(second=lambda p: p.second * 1.01),
    "another start": moved(start_factor=lambda p: p.start_factor * 1.01),
    "power 2 L + 2": predicting(lambda p, own: paths(p, p.depth + 1)),
    "power 2 L - 2": predicting(lambda p, own: paths(p, p.depth - 1)),
    "layers l + 1": predicting(lambda p, own: own[:, [1, 2, 2]]),
    "layers by l / (L + 1)": predicting(
        lambda p, own: own ** (1 / jnp.arange(1, p.depth + 2)[:, None] / (p.depth + 1))
    ),
    "the end at once": predicting(lambda p, own: jnp.broadcast_to(own[-1], own.shape)),
}


def test_features_without_signal_fade_as_a_power_and_those_at_their_end_stay():
    """The claim holds on them too."""
    problem, _ = side("jepa-order", 0)
    idle = dataclasses.replace(
        problem,
        cross=jnp.asarray([0.9, 0.0, 0.4]),
        second=jnp.asarray([1.0, 1.3, 0.5]),
        start_factor=jnp.asarray([0.9, 0.7, 1.2]),
    )
    own = np.asarray(paths(idle))
    np.testing.assert_allclose(own[:, 0, 0], 0.9, rtol=1e-12)
    t = np.asarray(idle.times)
    np.testing.assert_allclose(own[:, 0, 1], (0.7**-4 + 4 * 1.3 * t) ** -0.25, rtol=1e-12)
    run = CLAIMS["jepa-order"].measure(idle)
    apart = np.log(np.asarray(run.fine.weights()[:-1])) - np.log(own)
    assert np.abs(apart).max() < 1e-9


def test_the_encoder_ends_at_powers_of_the_signal_fraction():
    problem, run = side("jepa-order", 0)
    want = theory.rivals.self_prediction_weights(problem.cross, problem.second, problem.depth).T
    np.testing.assert_allclose(run.fine.weights()[-1, :-1], want, rtol=1e-3)


def test_draws_are_problems():
    for draw in CLAIMS["jepa-order"].search:
        problem = draw(jax.random.key(1))
        assert (problem.cross <= problem.second).all()
        assert (jnp.diff(problem.times) > 0).all()


# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 1.69e-11,
    "rounding": 2.87e-13,
}
