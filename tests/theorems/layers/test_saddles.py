"""Saddles of the spectral contrastive loss are told from its minimum, by the run alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from helpers.draws import some
from helpers.runs import still

import projhead_theory as pt
from projhead_theory._core.linalg import psd_power, whiten
from projhead_theory.losses import MeanSquaredError, spectral
from projhead_theory.problems import random_moments
from projhead_theory.simulation import layer_gradients
from projhead_theory.theorems._common.comparison import nearest_stationary, reported_share

FRACTIONS = jnp.asarray([0.9, 0.6, 0.5, 0.2])


def near(moments, gram, width):
    """What the claims say of a network of this Gram."""
    whitening = whiten(moments.second)
    return nearest_stationary(
        moments, whitening, psd_power(gram, 0.5, len(gram)), width, whitening.rounding
    )


def at_saddle(moments, gram, width):
    return near(moments, gram, width).saddle


def stationary(moments, chosen):
    """The stationary Gram that keeps the modes of these numbers."""
    minimiser = pt.theory.layers.spectral(moments)
    modes = minimiser.modes[:, jnp.asarray(chosen, int)]
    return (modes * minimiser.signal_fraction[jnp.asarray(chosen, int)]) @ modes.T


def second_moment(moments, strengths):
    """The same signal fractions, with directions of other strengths."""
    scale = jnp.diag(jnp.asarray(strengths))
    return pt.Moments(scale @ moments.cross @ scale, scale @ moments.second @ scale)


@pytest.mark.parametrize("width", some(range(1, 5), 1))
@pytest.mark.parametrize("strengths", [(1.0, 1.0, 1.0, 1.0), (300.0, 1.0, 0.03, 10.0)])
def test_of_all_stationary_points_only_the_minimum_is_none(width, strengths):
    """Every set of at most `width` modes is stationary; the loss falls from all but the largest,
    over strengths decades apart too.
    """
    moments = second_moment(random_moments(jax.random.key(0), FRACTIONS, condition=3.0), strengths)
    for size in range(width + 1):
        for chosen in itertools.combinations(range(4), size):
            best = chosen == tuple(range(width))
            assert bool(at_saddle(moments, stationary(moments, chosen), width)) is not best, (
                width,
                chosen,
            )


@pytest.mark.x64
@pytest.mark.parametrize("gap", some([1e-2, 1e-5, 1e-8], 1))
def test_of_two_nearly_tied_modes_the_larger_is_kept_at_the_minimum(gap):
    """The residual is zero at both."""
    moments = random_moments(jax.random.key(1), jnp.asarray([0.9, 0.5, 0.5 - gap]), condition=3.0)
    assert not at_saddle(moments, stationary(moments, (0, 1)), 2)
    assert at_saddle(moments, stationary(moments, (0, 2)), 2)


def test_modes_without_signal_are_not_missed():
    """Vanishing signal fractions: a minimum that has fewer modes than the width allows."""
    second = jnp.diag(jnp.asarray([4.0, 1.0, 2.0]))
    moments = pt.Moments(jnp.diag(jnp.asarray([2.0, 0.0, 0.0])), second)
    only = jnp.diag(jnp.asarray([2.0 / 16.0, 0.0, 0.0]))
    for width in (1, 2, 3):
        assert not at_saddle(moments, only, width)
        assert at_saddle(moments, jnp.zeros((3, 3)), width)


def test_directions_without_variance_do_not_count():
    second = jnp.diag(jnp.asarray([1.0, 0.0]))
    moments = pt.Moments(jnp.diag(jnp.asarray([0.5, 0.0])), second)
    assert not at_saddle(moments, jnp.diag(jnp.asarray([0.5, 0.0])), 2)


def test_a_run_that_stops_in_the_units_of_the_strongest_feature_has_not_converged():
    """The weak feature is still at the saddle when the gradient of the strong one, a million times
    larger, has vanished.
    """
    moments = pt.Moments(jnp.diag(jnp.asarray([0.9e6, 0.8])), jnp.diag(jnp.asarray([1e6, 1.0])))
    start = pt.DeepLinear.balanced(jax.random.key(0), (2, 2, 2), scale=1e-3)
    options = {"solver": pt.simulation.implicit(), "stationarity": 1e-3, "save_at": 4}
    early = pt.simulation.gradient_flow(start, moments, t1=1e-2, **options)
    prediction = pt.theory.layers.layerwise(moments, 2)
    assert pt.compare(prediction, early).name == "not_converged"
    assert np.asarray(early.weights())[-1, -1, 1] < 0.01


def test_strengths_any_number_of_decades_apart_hide_no_saddle():
    """The range of S is that of S scaled to unit diagonal: a weak feature that is not learned is
    one more direction to fall along.
    """
    for decades in (4, 8, 12) if jnp.result_type(float) == jnp.float64 else (4,):
        strength = jnp.asarray([10.0 ** (decades / 2), 10.0 ** (-decades / 2)])
        moments = pt.ContrastiveProblem(pt.Features(strength), pt.AdditiveNoise(strength)).moments()
        best = pt.theory.layers.spectral(moments).gram
        assert not at_saddle(moments, best, 2)
        assert at_saddle(moments, best * jnp.asarray([[1, 0], [0, 0.1]]), 2)


def test_step_vanishes_at_every_stationary_point_and_is_the_way_back_near_the_minimiser(eps):
    moments = random_moments(jax.random.key(6), FRACTIONS, condition=3.0)
    u, gram = (
        np.asarray(pt.theory.layers.spectral(moments).modes),
        pt.theory.layers.spectral(moments).gram,
    )
    for chosen in ([0, 1, 2, 3], [0, 2], []):
        found = near(moments, stationary(moments, chosen), 4)
        assert np.abs(found.step).max() <= 1024 * eps
        assert np.abs(found.left).max() <= 1024 * eps
        assert found.excess <= 1024 * eps
        assert int(found.learned) == len(chosen)
    errors = []
    for h in (2 * eps**0.25, eps**0.25):
        inner = np.array(
            [
                [1.0, 0.4, -0.3, 0.1],
                [0.4, -0.5, 0.2, 0.3],
                [-0.3, 0.2, 0.8, 0.0],
                [0.1, 0.3, 0.0, -0.6],
            ]
        )
        moved = h * u @ inner @ u.T
        # At full width the loss is a square: the step is the way back, exactly.
        np.testing.assert_allclose(near(moments, gram + moved, 4).step, -moved, atol=1024 * eps)
        # Below it the first order: halving the distance quarters the error.
        best = stationary(moments, (0, 1))
        turn = scipy.linalg.expm(h * (np.tril(inner, -1) - np.triu(inner, 1)))
        turned = turn @ np.asarray(best) @ turn.T
        errors.append(
            np.linalg.norm(
                np.asarray(near(moments, jnp.asarray(turned, u.dtype), 2).step) + turned - best
            )
        )
    assert 3 < errors[0] / errors[1] < 5


@pytest.mark.x64
@pytest.mark.parametrize("width", some(range(1, 5), 1))
def test_excess_bounds_the_loss_above_the_minimum(width):
    """It is three squares of the step, of which a turn towards a dropped mode costs the gap over
    the fraction, and all else one.
    """
    for seed in range(4):
        moments = random_moments(jax.random.key(seed), FRACTIONS, condition=3.0)
        cross, second = np.asarray(moments.cross), np.asarray(moments.second)
        loss = lambda m, c=cross, s=second: np.sum((s @ m) * (s @ m).T) - 2 * np.sum(c * m)
        best = np.asarray(stationary(moments, tuple(range(width))))
        values, vectors = np.linalg.eigh(best)
        root = (vectors * np.sqrt(np.maximum(values, 0)))[:, -width:].T
        moved = root + 1e-3 * np.random.default_rng(seed).standard_normal(root.shape)
        whitening = whiten(moments.second)
        found = nearest_stationary(
            moments, whitening, jnp.asarray(moved), width, whitening.rounding
        )
        cost = [*np.asarray(FRACTIONS), 0.0]
        share = float(found.excess) / (loss(moved.T @ moved) - loss(best))
        # To first order in the distance, 1e-3, which is multiplied by the inverse of a gap of 0.1
        # at most.
        assert (
            0.9 * 3
            <= share
            <= 1.1 * 3 * cost[width - 1] / (cost[width - 1] - (cost[width] if width < 4 else 0))
        )


def test_what_is_left_in_a_direction_without_signal_is_not_learned(eps):
    """Nothing pulls it to zero but itself: it stands apart from the step, with its loss."""
    moments = pt.Moments(
        jnp.diag(jnp.asarray([2.0, 0.0, 0.0])), jnp.diag(jnp.asarray([4.0, 1.0, 2.0]))
    )
    found = near(moments, jnp.diag(jnp.asarray([2.0 / 16.0, 1e-2, 0.0])), 3)
    np.testing.assert_allclose(found.left, np.diag([0, 1e-2, 0]), atol=64 * eps)
    assert np.abs(found.step).max() <= 64 * eps
    assert int(found.learned) == 1
    assert not found.saddle
    assert float(found.excess) == pytest.approx(2e-4, rel=1024 * eps / 1e-2)


@pytest.mark.x64
@pytest.mark.parametrize(("value", "left"), [(1e-12, 1e-24), (1e-30, 0.0)])
def test_a_singular_value_below_the_rounding_of_the_largest_is_none(value, left):
    """A decomposition returns it or zero, as it happens, and the layers below would be granted its
    root.
    """
    moments = pt.Moments(jnp.diag(jnp.asarray([0.5, 0.0])), jnp.eye(2))
    whitening = whiten(moments.second)
    found = nearest_stationary(
        moments, whitening, jnp.diag(jnp.asarray([0.5**0.5, value])), 2, whitening.rounding
    )
    np.testing.assert_allclose(found.left, np.diag([0.0, left]), rtol=1e-12)


@pytest.mark.parametrize("loss", [spectral, MeanSquaredError()], ids=["contrastive", "regression"])
def test_a_run_is_granted_the_share_of_its_gradient_that_it_reports(loss, eps):
    """At most all of it: a run of another objective may report more, or none where this one still
    has a gradient.
    """
    pair = jnp.asarray([[0.5, 0.1], [0.1, 0.3]]), jnp.asarray([[1.0, 0.2], [0.2, 0.8]])
    data = pt.Moments(*pair) if loss is spectral else pt.moments.TargetMoments(*pair)
    network = pt.DeepLinear.balanced(jax.random.key(0), (2, 2, 2), scale=0.7)
    own = float(jnp.sqrt(sum(jnp.sum(g**2) for g in layer_gradients(network, data, loss))))
    for gradient, share in ((0.0, 0.0), (own / 4, 0.25), (own * 2, 1.0), (np.inf, 1.0)):
        assert float(reported_share(still(network, gradient), data, loss)) == pytest.approx(
            share, rel=16 * eps
        )
    dead = pt.DeepLinear([jnp.zeros((2, 2))] * 2)
    assert float(reported_share(still(dead), data, loss)) == 1
