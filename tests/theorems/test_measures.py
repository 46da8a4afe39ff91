"""Measures, moments and losses on inputs so small that the value is known by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from helpers.runs import still

import projhead_theory as pt
from projhead_theory._core.linalg import whiten
from projhead_theory._core.tolerance import power_rounding
from projhead_theory.losses import mse, spectral
from projhead_theory.measure import GROUPS, feature_weights, group_accuracy, homogeneity
from projhead_theory.theorems._common.training import Run
from projhead_theory.theorems.thresholds.threshold_law import Orbits, ThresholdTask, orbit_rounding

# What a network weights


def test_the_error_of_an_estimate_is_the_jackknife_over_its_groups(eps):
    """Each group left out in turn, and the mean over all pairs of different groups that are
    left.
    """
    network, key = (
        pt.ShallowReLU([jnp.asarray([[1.0, 0.5], [-1.0, 1.0]]), jnp.ones((1, 2))]),
        jax.random.key(0),
    )
    features = pt.Features([1.0, 2.0])
    found = feature_weights(
        network, pt.ContrastiveProblem(features, pt.AdditiveNoise(0.1)), key=key, samples=2 * GROUPS
    )
    u = jax.vmap(lambda k: features.sample(k, 2))(jax.random.split(key, GROUPS))
    # Two draws a group, and each group's covariance of units with features, in units of the latter.
    means = np.einsum("gnp,gni->gpi", jax.vmap(network)(u), u) / 2 / np.asarray([1.0, 4.0])
    products = np.einsum("api,bpi->abi", means, means) * ~np.eye(GROUPS, dtype=bool)[..., None]
    over = lambda left: products[np.ix_(left, left)].sum((0, 1)) / (len(left) * (len(left) - 1))
    without = np.stack([over([g for g in range(GROUPS) if g != out]) for out in range(GROUPS)])
    np.testing.assert_allclose(found.square[-1], over(list(range(GROUPS))), rtol=256 * eps)
    np.testing.assert_allclose(
        found.error[-1], np.sqrt((GROUPS - 1) * without.var(0)), rtol=1e4 * eps
    )


@pytest.mark.parametrize("trained", [False, True])
def test_a_threshold_counts_for_what_is_conserved_only_if_it_is_trained(trained):
    """Of one unit with weights 3 and 4 into it, 2 out of it and a threshold of 0.5."""
    network = pt.networks.ShallowThresholded(
        [jnp.asarray([[3.0, 4.0]]), jnp.asarray([[2.0]])], [jnp.asarray([0.5])], trained
    )
    np.testing.assert_array_equal(homogeneity(network)[0], [25 - 4 + 0.25 * trained])


def test_a_read_out_weighs_coordinates_by_their_noise_and_the_blur(eps):
    """Means of plus and minus one in both coordinates, of which one has noise; the blur adds a half
    to either variance.
    """
    groups = pt.problems.Groups([0.5, 0.5], [[-1.0, -1.0], [1.0, 1.0]], [0.0, 1.0], [0, 1])
    # A sixth of the mean square length, which is 1 + 1 + 1.
    found = group_accuracy(pt.DeepLinear([jnp.eye(2)]), groups, groups, blur=6**-0.5)
    np.testing.assert_allclose(
        found, np.full((1, 2), scipy.stats.norm.cdf(np.sqrt(1 / 0.5 + 1 / 1.5))), rtol=64 * eps
    )


# What moments allow, and what their rounding leaves


@pytest.mark.parametrize("entry", [2.0, -2.0, 0.5])
def test_targets_have_at_least_the_power_of_their_linear_part(entry):
    """The square of their correlation with an input of variance one."""
    assert float(pt.moments.TargetMoments([[entry]], [[1.0]]).power) == entry**2
    pt.moments.TargetMoments([[entry]], [[1.0]], 1.01 * entry**2)
    with pytest.raises(ValueError, match=r"^power: got .*; want at least tr\(A S\^\+ A\^T\)"):
        pt.moments.TargetMoments([[entry]], [[1.0]], 0.99 * entry**2)


@pytest.mark.parametrize("ratio", [1.0, 1e3])
def test_one_direction_without_variance_turns_what_is_whitened(ratio, eps):
    """Of two coordinates that are one input in units of this ratio: by 2 if they are alike, by the
    square root of 2 if far from it.
    """
    w = whiten(jnp.asarray([[1.0, ratio], [ratio, ratio**2]]))
    turn = (np.sqrt(2 * (1 + ratio**4)) + 2 * ratio) / (1 + ratio**2)
    assert int(w.rank) == 1
    np.testing.assert_allclose(w.rounding / (8 * 2 * eps * w.condition), turn, rtol=1024 * eps)


def test_an_error_as_large_as_the_gram_may_take_all_of_every_layer(eps):
    """Of the identity, lost altogether: the bound is one at each level, and is attained."""
    found = power_rounding(jnp.stack([jnp.eye(4)] * 3), jnp.asarray(4), jnp.asarray(1.0))
    np.testing.assert_allclose(found, 1, rtol=16 * eps)


# Closed forms of losses


def test_a_fixed_head_multiplies_the_map_whose_error_is_asked_for(eps):
    """Half of 2^2 + 4, less 2 + 2, and half of the power."""
    moments = pt.moments.TargetMoments(
        jnp.diag(jnp.asarray([1.0, 2.0])), jnp.diag(jnp.asarray([1.0, 4.0])), 10.0
    )
    encoder = pt.DeepLinear([jnp.diag(jnp.asarray([1.0, 2.0]))])
    network = pt.Headed(encoder, pt.networks.DiagonalHead([2.0, 0.5]))
    np.testing.assert_allclose(mse(network, moments), 4 - 4 + 5, rtol=8 * eps)


def test_the_loss_of_outputs_with_moments_is_that_of_a_network_that_passes_them_on(eps):
    """Outputs of 1.5 and 1, of which the views share all and a quarter."""
    problem = pt.ContrastiveProblem(pt.Features([2.0, 2.0]), pt.SignFlip([0.0, 0.25]))
    network = pt.ThresholdedDiagonal([[1.0, 1.0]], [[0.5, 1.0]])
    want = 1.5**4 - 2 * 1.5**2 + 1 - 2 * 0.25
    np.testing.assert_allclose(spectral(network, problem), want, rtol=16 * eps)


# What rounding is granted to amplitudes


def test_rounding_of_amplitudes_grows_with_the_steps_and_with_what_thresholds_cut(eps):
    """Nine steps count as three, beside the one of the law; a threshold cuts at most twice what it
    leaves below the last layer.
    """
    column = lambda *x: jnp.asarray(x)[:, None]
    weights, thresholds = column(1.0, 1.0), column(1.0, 3.0)
    problem = ThresholdTask(jnp.ones(1), jnp.zeros(1), weights, thresholds, jnp.ones(1))
    orbits = Orbits(problem, column(1.5, 9.0), problem)
    run = dataclasses.replace(still(pt.DeepLinear([jnp.eye(1)])), steps=jnp.asarray(9))
    np.testing.assert_allclose(
        orbit_rounding(orbits, Run(run, run)), 64 * (1 + 3) * (1 + 2) * eps, rtol=16 * eps
    )
