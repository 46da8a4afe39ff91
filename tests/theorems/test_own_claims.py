"""A user's own claims: conjectures, trained measurements, views."""

import jax
import numpy as np
import pytest
from helpers.examples import example
from helpers.measured import assert_verified

import projhead_theory as pt
from projhead_theory.claims import (
    check,
)
from projhead_theory.theorems import views_claim

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


@pytest.fixture(scope="module")
def conjecture():
    return example("conjecture")


def test_a_true_conjecture_is_verified(conjecture):
    """The example's own claim, in fifteen lines: it holds on the random problems too."""
    assert_verified(check(conjecture.root_law, 1))


def test_a_false_conjecture_is_refuted(conjecture):
    """Not by its fixed problem alone; what it is refuted by is one of its problems with rounder
    numbers, and it says which.
    """
    result = check(conjecture.signal_fraction_law, quick=True)
    assert (result.holds, result.verified, result.outcome) == (False, False, "violated")
    trial = result.counterexample
    assert trial.verdict.name == "violated"
    assert conjecture.signal_fraction_law.judge(trial.problem).name == "violated"
    strength = result.to_dict()["counterexample"]["numbers"]["features.strength"]
    assert strength == [float(f"{x:.1g}") for x in strength]


def test_trained_measures_with_the_error_of_its_run():
    """The integration error is seen by running twice: a loose run has a larger one, and the true
    value within it.
    """
    problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0, 0.5]), pt.AdditiveNoise([1.0, 0.2, 0.1]))
    start = pt.DeepLinear.balanced(jax.random.key(0), (3, 3, 3), scale=0.7)
    truth = pt.theory.layers.layerwise(problem.moments(), depth=2).weights[-1]
    quantity = lambda network: pt.measure.layer_weights(network)[-1]
    fine = pt.theorems.trained(start, problem.moments(), quantity)
    loose = pt.theorems.trained(start, problem.moments(), quantity, stationarity=1e-4)
    for measured in (fine, loose):
        total = sum(measured.errors.values())
        assert bool(measured.converged)
        assert bool(measured.finite)
        assert np.all(np.abs(np.asarray(measured.value - truth)) <= total)
    one, other = (np.asarray(m.errors["integration"]) for m in (loose, fine))
    assert np.all(one[1:] > 10 * other[1:])
    # The strongest feature has long converged: all that is granted to it is the tolerance of a
    # step, in two layers.
    np.testing.assert_allclose(
        (one / np.asarray(truth))[0], 2 * np.finfo(float).eps ** 0.75, rtol=0.1
    )
    stopped = pt.theorems.trained(start, problem.moments(), quantity, t1=0.1)
    assert not bool(stopped.converged)


@pytest.mark.slow
def test_claim_on_views():
    """Correlated views of a sample: the law holds on their moments, whose cross moment need not be
    positive, and controls are caught.
    """
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((5, 5))
    signal = rng.standard_normal((400, 3)) * [2.0, 1.5, 1.0]
    views = [
        np.pad(signal, ((0, 0), (0, 2))) @ mix + 0.7 * rng.standard_normal((400, 5))
        for _ in range(2)
    ]
    moments = pt.Moments.from_views(*views)
    for depth in (1, 2):
        result = check(views_claim(moments, depth, width=2))
        assert result.verified, (
            f"{result.worst}, {[(c.control.name, str(c.verdict)) for c in result.controls]}"
        )


def test_claim_on_views_of_deficient_rank():
    """Pixels that never vary are left out: the problem is restricted to the range of the second
    moment.
    """
    rng = np.random.default_rng(1)
    base = rng.standard_normal((300, 5)) * [2.0, 1.5, 1.0, 0.7, 0.5]
    frame = rng.standard_normal((5, 8))
    views = [(base + 0.5 * rng.standard_normal((300, 5))) @ frame for _ in range(2)]
    assert check(views_claim(pt.Moments.from_views(*views), 2, width=2)).verified
