"""Guards and error bounds: each sees what it is for, and is not much wider than it need be."""

import dataclasses
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.runs import still

import projhead_theory as pt
from projhead_theory._core.crossing import first_crossing
from projhead_theory._core.linalg import whiten
from projhead_theory.losses._similarity import unit
from projhead_theory.problems import random_moments
from projhead_theory.simulation import Ended, gradient_flow, stochastic
from projhead_theory.simulation._descent import finish
from projhead_theory.simulation._driver import drive
from projhead_theory.simulation._objective import Objective
from projhead_theory.simulation._trajectory import standing
from projhead_theory.theorems._common.training import (
    DEVIATIONS,
    Run,
    imbalance_rounding,
    local_error,
    rounding_of_steps,
)
from projhead_theory.theorems.downstream.optimal_layer import judge_logarithms
from projhead_theory.theorems.heads.sorted_matching import (
    predict_matching,
    random_matching,
    with_pairing,
)
from projhead_theory.theorems.supervised.shift import ProbeTask
from projhead_theory.theorems.supervised.sl_minimiser import distance_to_minimum, judge_least
from projhead_theory.theory.layers import spectral
from projhead_theory.theory.supervised import regression_minimiser

FRACTIONS = np.array([0.9, 0.6, 0.3, 0.1])


# How a run ends


@pytest.mark.x64
def test_a_run_that_starts_near_a_saddle_learns_the_other_mode():
    """The gradient there is small from the start, in units of the loss; it grows before it
    vanishes.
    """
    fractions = jnp.asarray([0.9, 0.4])
    moments = pt.Moments(jnp.diag(fractions), jnp.eye(2))
    start = pt.DeepLinear([jnp.diag(jnp.sqrt(fractions.at[1].set(1e-8)))])
    run = gradient_flow(start, moments, stationarity=1e-3)
    assert float(run.gradient_norm[0]) < 1e-3
    assert bool(run.ended == Ended.converged)
    # The gradient has fallen to 1e-4 of that at the start, below 1e-7, and the loss is quadratic in
    # it.
    np.testing.assert_allclose(run.loss[-1], -jnp.sum(fractions**2), rtol=1e-12)


def test_noise_of_a_stochastic_run_is_that_of_the_last_half_of_its_grams(eps):
    """Root mean square distance from their mean, in Frobenius norm."""
    problem = pt.ContrastiveProblem(pt.Features([1.0] * 3), pt.AdditiveNoise(0.3))
    network = pt.DeepLinear.init(jax.random.key(0), (3, 3, 2))
    with jax.numpy_dtype_promotion("standard"):
        run = stochastic(
            network,
            problem,
            key=jax.random.key(1),
            learning_rate=1e-2,
            steps=80,
            batch_size=8,
            save_at=9,
        )
    tail = np.asarray(run.grams)[4:, -1]
    want = np.sqrt(((tail - tail.mean(0)) ** 2).sum((1, 2)).mean())
    # Of Grams that differ by less than their size, to the rounding of that size.
    np.testing.assert_allclose(run.noise, want, atol=64 * eps * np.abs(tail).max())


# Rounding of a minimiser: narrow against wide, on the same numbers


def in_dtype(tree, dtype):
    return jax.tree.map(lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x, tree)


def excess(minimise, moments):
    """The stated error of a float32 minimiser over the true one, which is that of float64."""
    narrow = in_dtype(moments, jnp.float32)
    matrix, stated = minimise(narrow)
    exact, _ = minimise(in_dtype(narrow, jnp.float64))
    assert matrix.dtype == stated.dtype == jnp.float32
    return float(stated) * np.linalg.norm(exact) / np.linalg.norm(np.asarray(matrix, float) - exact)


def of_views(moments):
    result = spectral(moments, 2)
    return result.gram, result.rounding


def of_targets(moments):
    result = regression_minimiser(moments, 1, 2)
    return result.matrix, result.rounding


def targets(key, second):
    return pt.moments.TargetMoments(
        jax.random.normal(key, (3, len(second))) @ second, second, jnp.asarray(100.0)
    )


@pytest.mark.x64
def test_rounding_of_minimisers_is_bounded_and_not_by_much():
    """Cut by the width, of moments that do not commute. A bound for the worst case: the dimension
    times the condition times what the gap amplifies, each of some ten, of which hardly anything is
    seen in a case at random.
    """
    ratios = []
    for key in jax.random.split(jax.random.key(0), 12):
        moments = random_moments(key, FRACTIONS, condition=3.0)
        ratios.append([excess(of_views, moments), excess(of_targets, targets(key, moments.second))])
    assert np.min(ratios) >= 1
    assert (np.exp(np.mean(np.log(ratios), axis=0)) < 1e3).all()


@pytest.mark.x64
def test_rounding_of_features_that_do_not_mix_is_a_few_epsilon():
    """Whatever their strengths: nothing is amplified."""
    strength = 10.0 ** np.array([-3, 0, 4])
    result = spectral(pt.Moments(np.diag(FRACTIONS[:3] * strength), np.diag(strength)))
    assert 1 <= float(result.rounding) / np.finfo(float).eps <= 64


# What is lost, and what is zero


@pytest.mark.x64
@pytest.mark.parametrize("depth", [1, 2])
def test_a_target_that_a_layer_drops_is_lost_however_little_of_it(depth):
    """A billionth is far more than rounding; and rounding, of a layer of condition 1e4 in a random
    frame, is no loss.
    """
    basis, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))
    network = pt.DeepLinear(
        [*[jnp.eye(4)] * (depth - 1), jnp.asarray(np.diag([1, 1e-2, 1e-4]) @ basis[:, :3].T)]
    )
    complexity = lambda target: float(
        pt.measure.sample_complexity(network, pt.problems.Downstream(np.eye(4), target))[-1]
    )
    kept = basis[:, :3].sum(1)
    assert np.isfinite(complexity(kept))
    assert np.isinf(complexity(kept + 1e-9 * basis[:, 3]))


def test_a_target_that_a_gram_drops_is_lost_however_little_of_it(eps):
    """Two hundred roundings, of which 24 may be those of the vectors."""
    complexity = lambda rest: pt.theory.downstream.sample_complexity(
        jnp.diag(jnp.asarray([1.0, 1.0, 0.0]))[None],
        pt.problems.Downstream(jnp.eye(3), jnp.asarray([1.0, 1.0, rest])),
    )
    assert np.isinf(complexity(200 * eps)).all()
    assert np.isfinite(complexity(0.0)).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_whatever_has_a_direction_keeps_it(axis, eps):
    """Above the smallest normal number, where the result is zero, and up to there."""
    tiny = jnp.finfo(jnp.result_type(float)).tiny
    y = jnp.asarray([[3.0, -4.0], [1.0, 2.0]])
    np.testing.assert_allclose(unit(y * tiny, axis), unit(y, axis), rtol=8 * eps)
    np.testing.assert_array_equal(unit(jnp.full((2, 2), tiny), axis), 0)
    np.testing.assert_array_equal(unit(0 * y, axis), 0)


# What two runs, or the records of one, say of their errors


def one_layer(*rows):
    return pt.DeepLinear([jnp.asarray(rows)])


def test_the_error_of_a_run_is_its_distance_from_the_coarser_one():
    """Entry by entry, as long as that is."""
    run = Run(still(one_layer([1.0, 2.0])), still(one_layer([1.25, 1.5])))
    np.testing.assert_array_equal(run.error(lambda t: t.final.layers[0]), [[0.25, 0.5]])


@pytest.mark.parametrize(("fine", "coarse", "forced"), [(7, 7, True), (6, 7, True), (8, 7, False)])
def test_runs_in_as_many_steps_are_granted_the_error_of_one(fine, coarse, forced, eps):
    """Their records left no choice of steps, so their difference says nothing of it."""
    toy = still(one_layer([1.0]))
    run = Run(*(dataclasses.replace(toy, steps=jnp.asarray(steps)) for steps in (fine, coarse)))
    want = local_error(toy.times.dtype, 3) if forced else 0
    np.testing.assert_allclose(run.forced_error(3), want, rtol=eps)


@pytest.mark.x64
@pytest.mark.parametrize("bend", [-0.4, 0.1, 0.3])
def test_a_passage_on_a_parabola_is_known_within_its_error(bend):
    """Records without a third derivative: to first order in the change of slope between records,
    the bound is wide by a factor of the square root of 27 where the correction is off most.
    """
    times = np.linspace(0, 2, 9)
    width = times[1]
    exact = 3.5 * width + width / np.sqrt(12)
    logs = lambda t: jnp.asarray(t + bend * t**2 / 2)
    seen = first_crossing(jnp.asarray(times), logs(times)[:, None], logs(exact)[None])
    ratio = float(seen.interpolation[0]) / abs(float(seen.times[0]) - exact)
    assert ratio == pytest.approx(np.sqrt(27), rel=abs(bend) * width / (1 + bend * exact))


@pytest.mark.parametrize("steps", [3, 200])
def test_rounding_of_steps_is_that_of_each_and_of_the_imbalance_formed(steps, eps):
    """Their sum where they are few, as they would be at random where they are many, and once what
    forming an imbalance rounds.
    """
    one = pt.DeepLinear([jnp.asarray([[2.0], [0.0]]), jnp.asarray([[0.5, 0.0]])])
    networks = jax.tree.map(lambda w: jnp.stack([w] * (steps + 1)), one)
    gradients = [0.5 * jnp.ones((steps, *w.shape)) for w in one.layers]
    moved = 0.1 * np.sqrt(2) / 2
    each = 2 * eps * (2 + moved) * (2 + 2 * moved)
    want = min(steps, DEVIATIONS * np.sqrt(steps)) * each + 8 * 2 * eps * 2**2
    np.testing.assert_allclose(
        rounding_of_steps(networks, gradients, jnp.asarray(0.1)), want, rtol=(16 + steps) * eps
    )


def test_noise_of_networks_that_are_not_linear_is_of_the_second_moment_of_outputs():
    """Of the first of both views, over the batch."""
    network, x = (
        pt.ShallowReLU([jnp.eye(2), jnp.ones((2, 2))]),
        jnp.asarray([[1.0, 2.0], [3.0, -4.0], [0.5, 0.0]]),
    )
    y = np.asarray(network(x))
    np.testing.assert_allclose(network.gram(x), y.T @ y / 3, rtol=1e-6)


def test_a_flow_records_as_many_moments_as_asked_for():
    """From the start, geometrically; and the end."""
    one = jnp.eye(2)
    times = gradient_flow(
        pt.DeepLinear([one / 2]), pt.Moments(one / 2, one), t1=3.0, save_at=9
    ).times
    assert (times.size, float(times[0]), float(times[-1])) == (9 + 1, 0.0, 3.0)


def test_no_step_is_taken_after_one_that_is_not_finite():
    """Though every other one is."""
    ones = pt.DeepLinear([jnp.ones((1, 1))])
    step = lambda network, state, i: (
        jax.tree.map(lambda w: jnp.where(i == 2, jnp.inf, w), ones),
        state,
    )
    recorded, _, alive, last = drive(
        step, lambda network, update: update.layers, ones, (), jnp.asarray([0, 5])
    )
    assert (float(recorded.layers[0][-1, 0, 0]), bool(alive), int(last)) == (3.0, False, 2)


@pytest.mark.parametrize("end", [0.0, 1.0])
@pytest.mark.parametrize(
    "margin", [lambda x, end: x - end, lambda x, end: end - x], ids=["rising", "falling"]
)
def test_a_threshold_may_be_an_end_of_its_bracket(end, margin):
    """Where the margin is zero, of either sign."""
    found = float(pt.theory.downstream.boundary(lambda x: margin(x, end), 0.0, 1.0))
    assert abs(found - end) <= jnp.finfo(jnp.result_type(float)).eps


def finished(weights, values, norms):
    """A discrete-time run of one weight, from its two records."""
    records = pt.DeepLinear([jnp.asarray(weights)[:, None, None]])
    moments = pt.Moments([[0.5]], [[1.0]])
    objective = Objective(eqx.filter(records, False), pt.losses.spectral, moments, jnp.zeros(()))
    at, values, norms = jnp.arange(2), jnp.asarray(values), jnp.asarray(norms)
    return finish(
        objective,
        at,
        records,
        values,
        norms,
        jnp.zeros(1),
        jnp.asarray(True),
        jnp.asarray(1),
        jnp.asarray(1e-8, values.dtype),
    )


def test_a_run_is_judged_by_the_size_of_its_last_network():
    """Of one that has fallen by six decades."""
    assert finished([1e6, 1.0], [1.0, 1.0], [1.0, 1e-9]).ended == Ended.converged


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_gradient_that_rounding_leaves_is_in_units_of_the_loss(scale, eps):
    """Ten roundings of the loss over the size of the network, and no less than at the start:
    nothing more can be told.
    """
    gradient, one = jnp.asarray(10 * eps * scale), jnp.asarray(1.0)
    assert (
        standing(gradient, one, one * scale, gradient, one * scale, jnp.asarray(eps**0.5))
        == Ended.rounding
    )


def test_a_run_whose_loss_is_beyond_the_largest_number_has_diverged():
    assert finished([1.0, 1.0], [1.0, np.inf], [1.0, 0.5]).ended == Ended.diverged


# Tolerances of claims


def test_a_gram_whose_least_eigenvalue_is_within_its_error_decides_nothing():
    """The indicator may then be anything: an infinite tolerance, of no part that is not a
    number.
    """
    fractions = jnp.asarray([0.8, 0.01])
    moments, downstream = (
        pt.Moments(jnp.diag(fractions), jnp.eye(2)),
        pt.problems.Downstream(jnp.eye(2), jnp.asarray([0.0, 1.0])),
    )
    run = still(pt.DeepLinear([jnp.diag(jnp.sqrt(fractions))]))
    run = dataclasses.replace(run, noise=1.1 * fractions[1] / 3)
    verdict = judge_logarithms(pt.theory.layers.layerwise(moments, 1), Run(run, run), downstream)
    assert (verdict.name, float(verdict.tolerance[0])) == ("undecidable", np.inf)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_an_error_of_a_gram_is_carried_to_the_logarithm_of_the_indicator(share):
    """Of all Grams within the tolerance, the worst is the one with the least eigenvalue lowest."""
    fractions = jnp.asarray([0.8, 0.01])
    moments, downstream = (
        pt.Moments(jnp.diag(fractions), jnp.eye(2)),
        pt.problems.Downstream(jnp.eye(2), jnp.asarray([0.0, 1.0])),
    )
    run = still(pt.DeepLinear([jnp.diag(jnp.sqrt(fractions))]))
    # The tolerance of the last layer is three times the noise.
    run = dataclasses.replace(run, noise=share * fractions[1] / 3)
    granted = float(
        judge_logarithms(
            pt.theory.layers.layerwise(moments, 1), Run(run, run), downstream
        ).tolerance[0]
    )
    lowest = fractions * jnp.asarray([1, 1 - share])
    needs = [
        jnp.log(pt.theory.downstream.sample_complexity(jnp.diag(x)[None], downstream))[0]
        for x in (lowest, fractions)
    ]
    assert float(needs[0] - needs[1]) <= granted


def regression(signs):
    """Moments whose target has singular values 0.9, 0.6 and 0.2 with these signs, in whitened
    inputs: those of features, if diagonal.
    """
    target, second = (
        jnp.asarray([0.9, 0.6, 0.2]) * jnp.asarray(signs),
        jnp.asarray([1.0, 4.0, 0.25]),
    )
    return pt.moments.TargetMoments(
        jnp.diag(target * jnp.sqrt(second)), jnp.diag(second), jnp.asarray(10.0)
    )


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("signs", [(1.0, 1.0, 1.0), (-1.0, -1.0, -1.0), (1.0, -1.0, 0.0)])
def test_of_all_stationary_maps_only_the_minimum_is_no_saddle(width, signs):
    """Whatever sign a mode has that is not learned, which its singular vectors do not know."""
    moments = regression(signs)
    whitening = whiten(moments.second)
    full = moments.target @ jnp.linalg.inv(moments.second)
    signal = [i for i in range(3) if signs[i]]
    for size in range(width + 1):
        for chosen in itertools.combinations(signal, size):
            kept = jnp.zeros(3).at[jnp.asarray(chosen, int)].set(1)
            *_, saddle = distance_to_minimum(moments, whitening, full * kept, width)
            assert bool(saddle) is not (chosen == tuple(signal[:width])), chosen


def test_a_balanced_start_is_granted_the_rounding_of_every_imbalance():
    """Of three layers two, each as large as forming it may round."""
    moments = regression((1.0, 1.0, 1.0))
    prediction = regression_minimiser(moments, 3)
    gram = prediction.grams[-1]
    run = still(pt.DeepLinear.balanced(jax.random.key(0), (3, 3, 3, 3)))
    granted = judge_least(prediction, Run(run, run)).parts["start"][:3]
    top, total = (
        float(jnp.linalg.norm(gram, 2)) ** (1 / 3),
        2 * float(imbalance_rounding(run.start)),
    )
    want = [np.sqrt(2) * total, np.sqrt(2) * total * (2 * top + total), 0]
    size = jnp.linalg.norm(prediction.grams, axis=(1, 2))
    # Differences of numbers that are some hundred epsilon apart.
    np.testing.assert_allclose(granted * size, want, rtol=0.05)


# Problems and controls of claims


def test_rows_paired_by_weight_are_the_claims_own_pairing(eps):
    """What the controls that pair rows otherwise change is the order alone."""
    problem = random_matching(jax.random.key(0), 3, 4, share=0.2, index=0)
    own = predict_matching(problem)
    paired = with_pairing(lambda p: jnp.argsort(-jnp.sqrt(p.cross) / p.second))(problem, own)
    np.testing.assert_allclose(
        paired.grams, own.grams, rtol=0, atol=64 * eps * float(jnp.max(own.grams))
    )


@pytest.mark.parametrize(("kind", "cross"), [("classes", 1.0), ("views", 1.25)])
def test_probed_networks_see_pairs_of_their_kind(kind, cross, eps):
    """Two classes at -1 and 1; in each, groups half as far to either side of its mean, which views
    keep and classes do not.
    """
    groups = pt.problems.Groups(
        [0.25] * 4, jnp.asarray([[-1.5], [-0.5], [0.5], [1.5]]), 0.1, [0, 0, 1, 1]
    )
    number = jnp.asarray(0.2)
    task = ProbeTask(
        groups, (groups, groups), groups, number, number, number[None], jax.random.key(0), kind, 2
    )
    np.testing.assert_allclose(task.moments.cross, [[cross]], rtol=16 * eps)
