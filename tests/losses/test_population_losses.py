"""Losses with closed population forms: batch and population agree, and what is refused.

The population forms are compared with their definitions in the tests of their minimisers.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import projhead_theory as pt
from projhead_theory import losses
from projhead_theory.problems import SignFlip
from projhead_theory.simulation import layer_gradients

W = np.array([[0.5, -0.2], [0.1, 0.4], [0.0, 0.3]])
MOMENTS = pt.Moments([[0.7, 0.1], [0.1, 0.4]], [[1.0, 0.2], [0.2, 0.8]])
MADE = (
    losses.SquaredVICReg(1.7),
    losses.GaussianInfoNCE(0.6),
    losses.DistanceInfoNCE(0.6),
    losses.RademacherInfoNCE(0.6),
    losses.unnormalised_barlow_twins,
)
names = lambda loss: type(loss).__name__


def pairs(n, signs=False):
    strength = jnp.asarray([1.0, 0.8])
    features = pt.Features(strength, "rademacher" if signs else "gaussian")
    problem = pt.ContrastiveProblem(features, SignFlip([0.1, 0.2]))
    return problem, problem.sample_pairs(jax.random.key(0), n)


@pytest.mark.x64
@pytest.mark.parametrize("loss", MADE, ids=names)
def test_a_large_batch_has_the_population_loss(loss):
    """Within five standard errors, from the scatter of eight batches, and the bias of 1/n."""
    problem, views = pairs(2**14, isinstance(loss, losses.RademacherInfoNCE))
    network = pt.DeepLinear([W])
    parts = zip(*(jnp.split(x, 8) for x in views), strict=True)
    values = np.array([loss(network, pt.Views(*part)) for part in parts])
    wanted = float(loss(network, problem.moments()))
    error = np.std(values, ddof=1) / 8**0.5
    assert abs(values.mean() - wanted) < 5 * error + 4 / 2**11


@pytest.mark.x64
@pytest.mark.parametrize("loss", MADE, ids=names)
def test_gradient_is_that_of_central_differences(loss):
    moments = MOMENTS
    if isinstance(loss, losses.RademacherInfoNCE):
        moments = pt.Moments(np.diag([0.7, 0.4]), np.diag([1.0, 0.8]))
    way = np.random.default_rng(0).normal(size=W.shape)
    at = lambda h: float(loss(pt.DeepLinear([W + h * way]), moments))
    (gradient,) = layer_gradients(pt.DeepLinear([W]), moments, loss)
    np.testing.assert_allclose(np.sum(gradient * way), (at(1e-5) - at(-1e-5)) / 2e-5, rtol=1e-7)


@pytest.mark.x64
def test_population_forms_by_hand():
    """For one output of variance v and correlation r of its views."""
    w = np.array([[0.5, -0.2]])
    v, r = ((w @ np.asarray(m) @ w.T).item() for m in (MOMENTS.second, MOMENTS.cross))
    network, tau = pt.DeepLinear([w]), 0.6
    value = lambda loss: float(loss(network, MOMENTS))
    assert value(losses.SquaredVICReg(1.7)) == pytest.approx(2 * 1.7 * (v - r) + (v - 1) ** 2)
    assert value(losses.unnormalised_barlow_twins) == pytest.approx((r - 1) ** 2)
    assert value(losses.GaussianInfoNCE(tau)) == pytest.approx(-r / tau + (v / tau) ** 2 / 2)
    x = v / tau
    by_distance = (v - r) / tau - np.log1p(x) / 2 - x / (1 + x) / 2
    assert value(losses.DistanceInfoNCE(tau)) == pytest.approx(by_distance)


@pytest.mark.x64
def test_vicreg_at_one_is_spectral_plus_the_number_of_outputs():
    network = pt.DeepLinear([W])
    own = losses.SquaredVICReg(1.0)(network, MOMENTS)
    np.testing.assert_allclose(own, losses.spectral(network, MOMENTS) + 3, rtol=1e-14)


@pytest.mark.x64
def test_gaussian_infonce_is_half_the_spectral_loss_of_the_scaled_gram():
    network, scaled = pt.DeepLinear([W]), pt.DeepLinear([W / 0.6**0.5])
    own = losses.GaussianInfoNCE(0.6)(network, MOMENTS)
    np.testing.assert_allclose(own, losses.spectral(scaled, MOMENTS) / 2, rtol=1e-14)


@pytest.mark.x64
def test_rademacher_infonce_is_the_mean_over_all_signs():
    """Anchors and negatives alike, each with the same chance."""
    moments = pt.Moments(np.diag([0.7, 0.4]), np.diag([1.0, 0.8]))
    x = np.array(list(itertools.product([-1, 1], repeat=2))) * np.sqrt([1.0, 0.8])
    scores = x @ W.T @ W @ x.T / 0.6
    wanted = -np.trace(W @ np.diag([0.7, 0.4]) @ W.T) / 0.6
    wanted += np.mean(np.log(np.mean(np.exp(scores), axis=1)))
    own = losses.RademacherInfoNCE(0.6)(pt.DeepLinear([W]), moments)
    np.testing.assert_allclose(own, wanted, rtol=1e-13)


@pytest.mark.x64
def test_the_batch_form_is_infonce_less_the_logarithm_of_the_batch():
    _, views = pairs(16)
    network = pt.DeepLinear([W])
    plain = losses.InfoNCE(0.6, normalise=False)(network, views) - np.log(16)
    for loss in (losses.GaussianInfoNCE(0.6), losses.RademacherInfoNCE(0.6)):
        np.testing.assert_allclose(loss(network, views), plain, rtol=1e-13)


@pytest.mark.x64
def test_infonce_of_another_distribution_with_the_same_moments_is_another_loss():
    """The spectral loss is the same."""
    gauss, signs = (pairs(2**14, kind) for kind in (False, True))
    np.testing.assert_allclose(gauss[0].moments().cross, signs[0].moments().cross)
    network, loss = pt.DeepLinear([3 * W]), losses.InfoNCE(0.6, normalise=False)
    split = lambda views: [
        pt.Views(*p) for p in zip(*(jnp.split(x, 8) for x in views), strict=True)
    ]
    value = lambda loss, views: np.array([loss(network, v) for v in split(views)])
    own, other = (value(loss, v) for _, v in (gauss, signs))
    assert abs(own.mean() - other.mean()) > 10 * np.hypot(own.std(), other.std()) / 8**0.5
    own, other = (value(losses.spectral, v) for _, v in (gauss, signs))
    assert abs(own.mean() - other.mean()) < 5 * np.hypot(own.std(), other.std()) / 8**0.5


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: losses.SquaredVICReg(0.0), "beta: got 0.0"),
        (lambda: losses.GaussianInfoNCE(0.0), "temperature: got 0.0"),
        (lambda: losses.DistanceInfoNCE(-1.0), "temperature: got -1.0"),
        (lambda: losses.RademacherInfoNCE("hot"), "temperature: got 'hot'"),
        (
            lambda: losses.RademacherInfoNCE(1.0)(pt.DeepLinear([W]), MOMENTS),
            "data: got a cross moment that is not diagonal",
        ),
        (
            lambda: losses.RademacherInfoNCE(1.0)(
                pt.DeepLinear([np.eye(17)]), pt.Moments(np.eye(17) / 2, np.eye(17))
            ),
            "data: got 17 features; want at most 16",
        ),
    ],
)
def test_bad_input_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
