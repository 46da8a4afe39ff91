"""The claims on fixed heads: what their errors and premises are, and that simpler problems are of
the same kind.
"""

import importlib.util
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.measured import by_claim, side

from projhead_theory import theory
from projhead_theory._core.linalg import frobenius
from projhead_theory.theorems import CLAIMS, FAMILIES
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.heads import _training, best_kappa, sorted_matching

pytestmark = pytest.mark.x64


@by_claim(["sorted-matching"])
def test_a_decay_beyond_the_limit_of_sorting_is_a_failed_premise(name):
    problem, measured = side(name, 0)
    large = replace(
        problem, decay=2 * theory.matching_limit(problem.cross, problem.second, problem.rows)
    )
    verdict = sorted_matching.CLAIM.compare(sorted_matching.predict_matching(large), measured)
    assert verdict.name == "premise_failed"
    assert verdict.failed == ("the sorted pairing is the best",)


@by_claim(["head-equivalence"])
def test_every_row_is_a_run_under_its_own_head(name):
    """The same as without the others."""
    problem, ends = side(name, 0)
    for i in range(len(problem.rows)):
        alone = _training.train(problem.key, problem.moments, problem.rows[i : i + 1], jnp.zeros(1))
        np.testing.assert_array_equal(alone.before[0], ends.before[i])


@by_claim(["sorted-matching"])
def test_newtons_step_says_how_far_a_run_has_still_to_go(name):
    """To a tenth of it, against the closed form: what is left is of second order. So the tolerance
    follows the run's own residual.
    """
    problem, ends = side(name, 0)
    predicted = sorted_matching.predict_matching(problem)
    left = np.asarray(frobenius(ends.before - predicted.grams[:2]))
    twice, rounding = sorted_matching.off(ends)
    np.testing.assert_allclose(twice / 2, left, rtol=0.1, atol=float(jnp.max(rounding)))


@by_claim(["sorted-matching"])
def test_errors_are_carried_along_the_derivative_of_a_number(name):
    """Of the number <A, M>: twice what the step moves it by, whatever A; and for A along what is
    poorly determined, more of rounding.
    """
    problem, ends = side(name, 0)
    moved = jnp.swapaxes(ends.layer, -1, -2) @ ends.step
    gram_step = moved + jnp.swapaxes(moved, -1, -2)
    for seed in range(3):
        a = np.random.default_rng(seed).standard_normal((3, 3))
        slopes = jnp.broadcast_to(jnp.asarray(a + a.T), ends.before.shape)
        left, rounding = ends.moved(slopes)
        np.testing.assert_allclose(
            left, 2 * np.abs(np.sum(slopes * gram_step, axis=(1, 2))), rtol=1e-3
        )
        whole = sorted_matching.off(ends)[1] * frobenius(slopes)
        assert np.all(rounding <= whole * (1 + 1e-9))
    # The features' own directions are determined by the loss, what turns them into one another by
    # the weak decay alone.
    own, turning = (
        problem.basis @ jnp.asarray(m) @ problem.basis.T
        for m in (np.diag([1.0, 0, 0]), np.eye(3)[:, [1, 0, 2]])
    )
    sizes = [ends.moved(jnp.broadcast_to(m, ends.before.shape))[1][0] for m in (own, turning)]
    assert sizes[1] > 3 * sizes[0]


@by_claim(["sorted-matching"])
def test_a_wrong_pairing_is_stationary_and_no_minimum(name):
    """Newton's step is zero there, and the curvature says that training has not ended: a run that
    stays is not settled.
    """
    p, _ = side(name, 0)
    for order, minimum in (
        (jnp.argsort(-jnp.sqrt(p.cross) / p.second), True),
        (jnp.argsort(jnp.sqrt(p.cross) / p.second), False),
    ):
        weights = jnp.sqrt(p.cross[order] - p.decay / (4 * p.rows**2)) / (p.rows * p.second[order])
        step, inverse, _ = _training._newton(
            weights[:, None] * p.basis.T[order], p.rows, p.decay, p.moments
        )
        assert bool(jnp.all(jnp.diagonal(inverse) > 0)) == minimum
        assert float(jnp.max(jnp.abs(step))) < 1e-9 or not minimum


@by_claim(["sorted-matching"])
def test_the_continued_gram_is_that_of_no_decay(name):
    """A straight line through two decays loses nothing: the squared weights are linear in the
    decay.
    """
    problem, ends = side(name, 0)
    none, _ = sorted_matching.continued(ends)
    matched = theory.sorted_matching(problem.moments, problem.rows)
    np.testing.assert_allclose(none, matched.gram, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES["heads"])
def test_simpler_problems_hold_as_well(name):
    """What a shrinking search would offer is a problem of the same kind; moments that are none are
    passed over.
    """
    problem, _ = side(name, 0)
    *_, offer = problem.shrinks()
    assert CLAIMS[name].judge(offer()).name == "holds"


def test_the_vertex_of_exponentials_is_found_to_the_fourth_order():
    """A fifth of the spacing: an error 5^4 times less."""
    want = np.log(2 * 2.0 / (4 * 0.3)) / 6
    errors = []
    for spacing in (0.05, 0.01):
        t = want + spacing * (np.arange(5) - 2 + 0.4)
        values = 0.3 * np.exp(4 * t) + 1 + 2.0 * np.exp(-2 * t)
        errors.append(abs(float(best_kappa._least(jnp.asarray(t), jnp.asarray(values))) - want))
    assert errors[0] < 1e-4
    assert 200 < errors[0] / errors[1] < 2000


def test_the_tournament_of_the_example_has_the_limits_that_are_stated():
    """By signal fraction for rows far apart; by cross moment where that has the same order; in
    between it is neither of the two.
    """
    path = Path(__file__).parents[3] / "examples" / "matching.py"
    spec = importlib.util.spec_from_file_location("matching", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    rng = np.random.default_rng(0)
    for _ in range(20):
        cross, fraction = rng.uniform(0.2, 1, 3), rng.uniform(0.2, 0.95, 3)
        assert example.tournament(cross, cross / fraction, 1e4 ** -np.arange(3.0)) == example.by(
            fraction
        )
        fraction = np.sort(fraction)[np.argsort(np.argsort(cross))]
        for kappa in (1.05, 1.5, 4.0):
            assert example.tournament(
                cross, cross / fraction, kappa ** -np.arange(3.0)
            ) == example.by(cross)
            assert (
                0
                < example.spilling(cross, cross / fraction, kappa ** -np.arange(3.0))
                <= 1 - kappa**-2
            )
