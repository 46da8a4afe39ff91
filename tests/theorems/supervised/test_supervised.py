"""The claims on classes, regression and read-outs: how exactly they hold, what their premises are,
and the negatives they state.
"""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.measured import by_claim, side

from projhead_theory import measure
from projhead_theory.theorems import CLAIMS, FAMILIES
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.dynamics import _aligned
from projhead_theory.theorems.supervised import _probing
from projhead_theory.theory import dynamics
from projhead_theory.theory.dynamics import regression

pytestmark = pytest.mark.x64

NAMES = [*FAMILIES["supervised"], "sl-times", "sl-retention"]


def test_all_are_registered():
    assert len(set(NAMES)) == 9


@by_claim(["scl-minimiser", "mixed-positives", "sl-minimiser"])
def test_minimisers_agree_with_trained_networks_to_a_millionth(name):
    problem, run = side(name, 0)
    verdict = CLAIMS[name].compare(CLAIMS[name].predict(problem), run)
    assert verdict.name == "holds"
    assert float(verdict.discrepancy.max()) < 1e-6


@by_claim(["sl-times"])
def test_regression_follows_its_closed_form_to_a_hundred_millionth(name):
    problem, run = side(name, 0)
    seen = np.asarray(run.fine.weights())[:-1]
    np.testing.assert_allclose(seen, _aligned.paths(problem), rtol=1e-8)


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


@by_claim(["class-collapse"])
def test_a_collapsed_subclass_is_absent_from_every_layer(name):
    """And where it is not, its weight relative to the class is the same in all of them."""
    for number, collapsed in ((0, True), (1, False)):
        _, run = side(name, number)
        weights = np.asarray(run.fine.weights())[-1]
        ratio = weights[:, 1] / weights[:, 0]
        np.testing.assert_allclose(ratio, ratio[0], atol=1e-9)
        assert (ratio[0] < 1e-9) == collapsed


@by_claim(["shift"])
def test_a_single_output_makes_all_layers_equivalent(name):
    """Whatever the read-out is fitted on; with an output for every direction they differ, and lower
    ones do better if it is refitted.
    """
    for number, equal in ((1, True), (0, False)):
        problem, (_, run) = side(name, number)
        for fitted in problem.fitted:
            seen = np.asarray(
                measure.group_accuracy(run.fine.final, fitted, problem.tested, problem.blur)
            )
            assert (np.abs(seen[0] - seen[-1]).max() < 1e-8) == equal
        refitted = seen @ np.asarray(problem.tested.probability)
        assert equal or refitted[0] > refitted[-1] + 0.05


@by_claim(["coarse-to-fine"])
def test_lower_layers_are_read_better_once_the_subclass_weighs_less(name):
    for number in (0, 1):
        problem, _ = side(name, number)
        accuracy = np.asarray(_probing.predict(problem).average[0])
        assert accuracy[-1, 0] > accuracy[-1, 1] + 0.05
        assert (np.diff(accuracy[-4:], axis=0) < 0).all()


@by_claim(["coarse-to-fine"])
def test_a_subclass_that_agrees_with_the_class_fails_the_premise(name):
    """Unless the variances given the class agree too."""
    problem, run = side(name, 0)
    correlated = replace(problem.trained, probability=jnp.array([0.4, 0.1, 0.1, 0.4]))
    verdict = _probing.judge(_probing.predict(replace(problem, trained=correlated)), run)
    assert verdict.failed == (_probing.COMMUTE,)


@by_claim(["scl-minimiser", "sl-minimiser", "coarse-to-fine"])
def test_simpler_problems_hold_as_well(name):
    """What a shrinking search would offer is a problem of the same kind."""
    problem, _ = side(name, 0)
    *_, offer = problem.shrinks()
    assert CLAIMS[name].judge(offer()).name == "holds"


def test_random_searches_draw_problems_of_the_same_kind():
    for name in NAMES:
        for draw in CLAIMS[name].search:
            one = jax.eval_shape(
                jax.vmap(lambda key, draw=draw: jax.tree.leaves(draw(key))),
                jax.random.split(jax.random.key(0), 2),
            )
            assert all(leaf.shape[0] == 2 for leaf in one)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coarse_to_fine", "shift"])
def test_the_examples_run(name, tmp_path):
    file = Path(__file__).parents[3] / "examples" / f"{name}.py"
    specification = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    with jax.numpy_dtype_promotion("standard"):
        module.main(True, tmp_path / "rows.json")
    assert (tmp_path / "rows.json").stat().st_size > 1000
