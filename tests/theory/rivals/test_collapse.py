"""Collapse under the distance critic: weights by brute force, and degenerate noise."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from helpers.draws import cast
from hypothesis import given
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory.theory.rivals import (
    anchored_growth,
    anchored_square,
    anchored_square_gaussian,
    exchangeable_growth,
)

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def loss(square, phi, sigma, tau, points, weights):
    """Of one feature with these values, clean anchors and negatives."""
    gaps = (points[:, None] - points[None, :]) ** 2 * phi**2
    mean = np.exp(-square * gaps / (2 * tau)) @ weights
    return square * sigma**2 / (2 * tau) + weights @ np.log(mean)


@pytest.mark.x64
@pytest.mark.parametrize("ratio", [0.3, 1.0, 1.9, 2.0, 2.5])
@pytest.mark.parametrize(
    ("function", "points", "weights"),
    [
        (anchored_square, np.array([1.0, -1.0]), np.array([0.5, 0.5])),
        (anchored_square_gaussian, NODES, WEIGHTS),
    ],
    ids=["signs", "Gaussian"],
)
def test_no_weight_has_less_loss(function, points, weights, ratio):
    phi, tau = 1.3, 0.7
    sigma = phi * ratio**0.5
    found = scipy.optimize.minimize_scalar(
        loss,
        bounds=(0, 20),
        args=(phi, sigma, tau, points, weights),
        method="bounded",
        options={"xatol": 1e-10},
    )
    seen = float(function(phi, sigma, tau))
    assert seen == pytest.approx(found.x, abs=2e-5)
    assert (seen == 0) == (ratio >= 2)


@given(phi=st.floats(0.2, 3.0), ratio=st.floats(0.05, 1.99), tau=st.floats(0.1, 5.0))
def test_the_temperature_only_scales_and_the_unit_cancels(phi, ratio, tau, eps):
    sigma = phi * ratio**0.5
    for function in (anchored_square, anchored_square_gaussian):
        own = float(function(phi, sigma, tau))
        assert own > 0
        slack = 256 * eps / (2 - ratio)
        assert float(function(phi, sigma, 1.0)) * tau == pytest.approx(own, rel=slack)
        assert float(function(1.0, sigma / phi, tau)) / phi**2 == pytest.approx(own, rel=slack)


def test_growth_of_views_drawn_alike_is_never_negative():
    for noise in (0.1, 10.0):
        problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise(noise))
        growth = exchangeable_growth(problem.moments(), 0.5)
        np.testing.assert_allclose(growth, np.diag([16.0, 4.0]), rtol=1e-6)
    flipped = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.SignFlip([0.5, 0.2])).moments()
    assert (np.linalg.eigvalsh(np.asarray(exchangeable_growth(flipped))) >= -1e-6).all()


def test_growth_with_clean_anchors_changes_sign_at_twice_the_signal():
    signal, noise = jnp.diag(cast([1.0, 1.0, 1.0])), jnp.diag(cast([1.9, 2.0, 2.1]))
    signs = np.sign(np.round(np.diag(np.asarray(anchored_growth(signal, noise, 2.0))), 6))
    np.testing.assert_array_equal(signs, [1, 0, -1])


@pytest.mark.usefixtures("untyped")
def test_bad_arguments():
    with pytest.raises(ValueError, match=r"^noise: got 0.0"):
        anchored_square(1.0, 0.0)
    with pytest.raises(ValueError, match=r"^strength: got -1.0"):
        anchored_square_gaussian(-1.0, 1.0)
    with pytest.raises(ValueError, match=r"^temperature: got 0.0"):
        exchangeable_growth(pt.Moments(jnp.eye(2), jnp.eye(2)), 0.0)
    with pytest.raises(ValueError, match=r"^noise: got shape \(3, 3\)"):
        anchored_growth(jnp.eye(2), jnp.eye(3))
