"""Guards and error bounds: each sees what it is for, and is not much wider than it need be."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import projhead_theory as pt
from projhead_theory.losses._similarity import unit
from projhead_theory.problems import random_moments
from projhead_theory.simulation import Ended, gradient_flow, stochastic
from projhead_theory.theory import regression_minimiser, spectral

FRACTIONS = np.array([0.9, 0.6, 0.3, 0.1])


# How a run ends


@pytest.mark.x64
def test_a_run_that_starts_near_a_saddle_learns_the_other_mode():
    """The gradient there is small from the start, in units of the loss; it grows before it vanishes."""
    fractions = jnp.asarray([0.9, 0.4])
    moments = pt.Moments(jnp.diag(fractions), jnp.eye(2))
    start = pt.DeepLinear([jnp.diag(jnp.sqrt(fractions.at[1].set(1e-8)))])
    run = gradient_flow(start, moments, stationarity=1e-3)
    assert float(run.gradient_norm[0]) < 1e-3
    assert bool(run.ended == Ended.converged)
    # The gradient has fallen to 1e-4 of that at the start, below 1e-7, and the loss is quadratic in it.
    np.testing.assert_allclose(run.loss[-1], -jnp.sum(fractions**2), rtol=1e-12)


def test_noise_of_a_stochastic_run_is_that_of_the_last_half_of_its_grams(eps):
    """Root mean square distance from their mean, in Frobenius norm."""
    problem = pt.ContrastiveProblem(pt.Features([1.0] * 3), pt.AdditiveNoise(0.3))
    network = pt.DeepLinear.init(jax.random.key(0), (3, 3, 2))
    with jax.numpy_dtype_promotion("standard"):
        run = stochastic(network, problem, key=jax.random.key(1), step=1e-2, steps=80, batch=8, record=9)
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
    return pt.TargetMoments(jax.random.normal(key, (3, len(second))) @ second, second, jnp.asarray(100.0))


@pytest.mark.x64
def test_rounding_of_minimisers_is_bounded_and_not_by_much():
    """Cut by the width, of moments that do not commute. A bound for the worst case: the dimension times the condition times what the gap
    amplifies, each of some ten, of which hardly anything is seen in a case at random.
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
    """A billionth is far more than rounding; and rounding, of a layer of condition 1e4 in a random frame, is no loss."""
    basis, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))
    network = pt.DeepLinear([*[jnp.eye(4)] * (depth - 1), jnp.asarray(np.diag([1, 1e-2, 1e-4]) @ basis[:, :3].T)])
    complexity = lambda target: float(pt.measure.sample_complexity(network, pt.Downstream(np.eye(4), target))[-1])  # noqa: E731
    kept = basis[:, :3].sum(1)
    assert np.isfinite(complexity(kept))
    assert np.isinf(complexity(kept + 1e-9 * basis[:, 3]))


@pytest.mark.parametrize("axis", [0, 1])
def test_whatever_has_a_direction_keeps_it(axis, eps):
    """Above the smallest normal number, where the result is zero, and up to there."""
    tiny = jnp.finfo(jnp.result_type(float)).tiny
    y = jnp.asarray([[3.0, -4.0], [1.0, 2.0]])
    np.testing.assert_allclose(unit(y * tiny, axis), unit(y, axis), rtol=8 * eps)
    np.testing.assert_array_equal(unit(jnp.full((2, 2), tiny), axis), 0)
    np.testing.assert_array_equal(unit(0 * y, axis), 0)
