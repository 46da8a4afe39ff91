"""Judges of claims on runs made by hand: what each grants, and what it must be able to see."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.runs import closed, problem, still

import projhead_theory as pt
from projhead_theory.simulation import Ended
from projhead_theory.theorems._common.tasks import FeatureTask
from projhead_theory.theorems._common.training import DEVIATIONS, RECORDS, Run
from projhead_theory.theorems.balance.balancedness import judge_kept
from projhead_theory.theorems.decay.weight_decay_minimiser import Decayed, Finished, judge_decayed
from projhead_theory.theorems.dynamics.learning_order import closer_records
from projhead_theory.theorems.supervised.subclass_retention import (
    DECADE,
    RETENTION_RECORDS,
    Fading,
    judge_fading,
)


def recorded(times, *layers):
    """A run whose layers are diagonal, with these entries at each of the times."""
    networks = pt.DeepLinear(
        [jnp.asarray(w)[:, :, None] * jnp.eye(w.shape[1]) for w in map(np.asarray, layers)]
    )
    times = jnp.asarray(times)
    last = pt.DeepLinear([w[-1] for w in networks.layers])
    zero = jnp.zeros_like(times)
    return dataclasses.replace(
        still(last), times=times, networks=networks, loss=zero, gradient_norm=zero
    )


@pytest.mark.parametrize(
    ("predicted", "effect"),
    [([-3.0, -3.0], 24.0), ([-3.0, -1.5], 1.5)],
    ids=["constant", "shrinking"],
)
def test_an_imbalance_is_seen_to_move_as_far_as_predicted_or_else_as_the_layers_do(
    predicted, effect
):
    """From its start, however large it is there: squared weights go from 4 to 9 and from 1 to 25,
    the largest of all.
    """
    run = recorded([0.0, 1.0], [[2.0], [3.0]], [[1.0], [5.0]])
    verdict = judge_kept((jnp.asarray(predicted)[:, None, None],), Run(run, run))
    np.testing.assert_allclose(verdict.effect, [effect / 25], rtol=1e-6)


@pytest.mark.parametrize("apart", [0.0, 1e-3])
def test_rounding_of_a_fading_weight_is_that_of_the_largest_logarithm_in_every_layer(apart, eps):
    """By 64 epsilon, and what a hundred steps leave at random; the same, however large the error of
    integration beside it is.
    """
    times = np.append(np.geomspace(2.0, 2000.0, RETENTION_RECORDS), 2000.0)
    run = lambda factor: dataclasses.replace(
        recorded(times, *2 * [np.stack([np.ones_like(times), factor * times**-0.5], axis=1)]),
        steps=jnp.asarray(100),
    )
    verdict = judge_fading(
        Fading(jnp.asarray([-1 / 6, -1 / 3]), jnp.asarray(1.0)), Run(run(1.0), run(1.0 + apart))
    )
    rounding = (64 + DEVIATIONS * 10) * 2 * eps * (1 + np.log(2000.0))
    # A slope is a difference over that of log time, a rate one of weights to the power -6 and -3,
    # twice.
    span = np.log(times[-1] / times[-2 - 2 * DECADE])
    want = np.array([2 / span, 2 / span, 2 * 6, 2 * 3]) * rounding
    np.testing.assert_allclose(verdict.parts["rounding"], want, rtol=1e-3)


@pytest.mark.parametrize(
    ("ended", "name"),
    [
        (Ended.converged, "violated"),
        (Ended.limit, "not_converged"),
        (Ended.rounding, "not_converged"),
        (Ended.solver_failed, "not_converged"),
        (Ended.diverged, "diverged"),
    ],
)
def test_only_a_run_that_says_it_has_converged_violates_a_prediction(ended, name):
    """Of a network that is far off, is at no saddle, and whose modes are not tied."""
    dtype = jnp.result_type(float)
    prediction = pt.theory.layers.layerwise(problem([2.0, 1.0], dtype), 2)
    run = dataclasses.replace(still(closed([2.0, 1.0], 2, dtype, 1.5)), ended=ended)
    assert pt.compare(prediction, run).name == name


def test_noise_is_carried_to_a_layer_through_the_slope_at_the_least_eigenvalue_kept():
    """That of M to the power l / L, largest there, times three root mean squares."""
    fractions, noise, depth = np.array([0.64, 0.04, 0.01]), 1e-3, 3
    prediction = pt.theory.layers.layerwise(
        pt.Moments(jnp.diag(jnp.asarray(fractions)), jnp.eye(3)), depth, width=2
    )
    root = jnp.diag(jnp.asarray(fractions[:2] ** (0.5 / depth)))
    run = still(pt.DeepLinear([jnp.pad(root, ((0, 0), (0, 1))), root, root]))
    verdict = pt.compare(prediction, dataclasses.replace(run, noise=jnp.asarray(noise)))
    levels = np.arange(1, depth + 1) / depth
    size = np.linalg.norm(fractions[:2] ** levels[:, None], axis=1)
    np.testing.assert_allclose(
        verdict.parts["noise"], levels * 0.04 ** (levels - 1) * 3 * noise / size, rtol=1e-4
    )


def test_the_integration_error_of_an_objective_is_that_at_the_end():
    """Whatever it was before: 0.5 of 2."""
    fine = dataclasses.replace(recorded([0.0, 1.0], [[3.0], [1.0]]), loss=jnp.asarray([5.0, -2.0]))
    run = Run(fine, dataclasses.replace(fine, loss=jnp.asarray([9.0, -2.5])))
    verdict = judge_decayed(
        Decayed(jnp.ones((1, 1)), jnp.asarray(-2.0), jnp.asarray(2.0)), Finished(run, jnp.zeros(1))
    )
    np.testing.assert_allclose(verdict.parts["integration"][-1], 0.25, rtol=1e-6)


@pytest.mark.parametrize("d", [1, 3])
def test_features_that_are_learned_together_have_their_records_side_by_side(d):
    """All within the bracket that they share, and no two closer than an even part of the distance
    between those of one feature.
    """
    times = np.linspace(0.0, 1.0, RECORDS)
    run = recorded(np.append(times, 1.0), np.append(0.5 + 1.5 * times, 2.0)[:, None] * np.ones(d))
    ones = jnp.ones(d)
    task = FeatureTask(ones, ones, ones, jnp.asarray(times), jnp.asarray(0.0), 1)
    closer, levels = closer_records(task, Run(run, run))
    np.testing.assert_allclose(levels, 0, atol=1e-6)
    # Weights end at 2, and pass 1 at a third: records around it, the last two before and the first
    # two after.
    after = int(np.argmax(times > 1 / 3))
    low, high = times[after - 2], times[after + 1]
    each = (RECORDS - 1) // d
    near = np.asarray(closer.times)[: each * d]
    assert low < near[0]
    assert near[-1] < high
    assert np.diff(near).min() > 0.98 * (high - low) / each / (d + 1)
