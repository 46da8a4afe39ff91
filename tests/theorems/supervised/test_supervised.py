"""The claims on classes, regression and readouts: how exactly they hold, what their premises are,
and the negatives they state.
"""

import jax
import numpy as np
import pytest
from helpers.examples import example
from helpers.measured import by_claim, side

from projhead_theory.theorems import CLAIMS, FAMILIES
from projhead_theory.theory import dynamics
from projhead_theory.theory.dynamics import regression

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]

NAMES = [*FAMILIES["supervised"], "sl-times", "sl-retention"]


def test_all_are_registered():
    assert len(set(NAMES)) == 10


@by_claim(["scl-minimiser", "mixed-positives", "sl-minimiser"])
def test_minimisers_agree_with_trained_networks_to_a_millionth(name):
    problem, run = side(name, 0)
    verdict = CLAIMS[name].compare(CLAIMS[name].predict(problem), run)
    assert verdict.name == "holds"
    assert float(verdict.discrepancy.max()) < 1e-6


@by_claim(["sl-retention", "subclass-retention"])
def test_exponents_fitted_over_two_decades_are_those_of_the_law(name):
    """Within two per cent, at every layer, by a straight line through all records of the last two
    decades.
    """
    problem, run = side(name, 0)
    times, weights = np.asarray(run.fine.times[:-1]), np.asarray(run.fine.weights())[:-1, :, -1]
    late = times >= 0.999 * times[-1] / 100
    exponent = (
        regression.retention_exponent if name == "sl-retention" else dynamics.vanishing_exponent
    )
    for layer in range(problem.depth):
        slope = np.polyfit(np.log(times[late]), np.log(weights[late, layer]), 1)[0]
        assert slope == pytest.approx(-exponent(problem.depth, layer + 1), rel=0.02)


def test_random_searches_draw_problems_of_the_same_kind():
    for name in NAMES:
        for draw in CLAIMS[name].search:
            one = jax.eval_shape(
                jax.vmap(lambda key, draw=draw: jax.tree.leaves(draw(key))),
                jax.random.split(jax.random.key(0), 2),
            )
            assert all(leaf.shape[0] == 2 for leaf in one)


@pytest.mark.deep
@pytest.mark.parametrize("name", ["coarse_to_fine", "shift"])
def test_the_examples_run(name, tmp_path):
    with jax.numpy_dtype_promotion("standard"):
        example(name).main(True, tmp_path / "rows.json")
    assert (tmp_path / "rows.json").stat().st_size > 1000
