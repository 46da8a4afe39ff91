"""Shares of features under InfoNCE of cosines: the constrained minimum, and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory.theory.responses import cosine_shares

pytestmark = pytest.mark.x64

FRACTIONS = st.lists(st.floats(0, 1), min_size=4, max_size=4)
TEMPERATURES = st.floats(1e-3, 1e20)


@pytest.mark.parametrize("temperature", [0.1, 0.4, 0.7, 3.0])
def test_shares_are_the_least_of_the_loss_on_outputs_of_length_one(temperature):
    """By a general optimiser, on the loss of inner products with the mean square length held."""
    fraction = np.array([0.9, 0.7, 0.4, 0.1])
    loss = lambda x: -fraction @ x / temperature + x @ x / (2 * temperature**2)
    found = scipy.optimize.minimize(
        loss,
        np.full(4, 0.25),
        bounds=[(0, None)] * 4,
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(cosine_shares(fraction, temperature).share, found.x, atol=1e-6)


@given(fraction=FRACTIONS, temperature=TEMPERATURES)
def test_shares_add_up_and_follow_the_fractions(fraction, temperature):
    result = cosine_shares(fraction, temperature)
    np.testing.assert_allclose(jnp.sum(result.share), 1, rtol=1e-12)
    order = np.argsort(fraction)
    assert (np.diff(np.asarray(result.share)[order]) >= 0).all()
    lost = np.asarray(fraction) < result.extinction - 1e-12
    np.testing.assert_array_equal(np.asarray(result.share)[lost], 0)


def test_inner_products_have_the_same_shares_at_one_temperature():
    fraction = jnp.asarray([0.9, 0.5, 0.1])
    result = cosine_shares(fraction, 1 / jnp.sum(fraction))
    np.testing.assert_allclose(result.share, fraction / jnp.sum(fraction), rtol=1e-14)
    np.testing.assert_allclose(result.extinction, 0, atol=1e-15)


def test_limits_of_the_temperature():
    """Equal shares when cold, the strongest feature alone when hot; ties stay ties."""
    cold, hot = (cosine_shares([0.9, 0.9, 0.5], tau).share for tau in (1e-6, 1e6))
    np.testing.assert_allclose(cold, 1 / 3, atol=1e-6)
    np.testing.assert_allclose(hot, [0.5, 0.5, 0], atol=1e-9)
    np.testing.assert_allclose(cosine_shares([0.3], 5.0).share, [1.0], rtol=1e-14)
    np.testing.assert_allclose(cosine_shares([0.0, 0.0], 5.0).share, [0.5, 0.5], rtol=1e-14)


def test_the_share_has_a_derivative_in_the_temperature():
    share = lambda tau: cosine_shares([0.9, 0.5, 0.1], tau).share
    slope, h = jax.jacfwd(share)(jnp.asarray(0.5)), 1e-6
    np.testing.assert_allclose(slope, (share(0.5 + h) - share(0.5 - h)) / (2 * h), atol=1e-8)


@pytest.mark.parametrize(
    ("fraction", "temperature", "message"),
    [
        ([1.1], 1.0, "fraction: "),
        ([[0.5]], 1.0, r"fraction: got shape \(1, 1\)"),
        ([0.5], 0.0, "temperature: "),
        ([0.5], [1.0, 2.0], r"temperature: got shape \(2,\)"),
    ],
)
def test_bad_arguments_are_named(fraction, temperature, message):
    with pytest.raises(ValueError, match=message):
        cosine_shares(fraction, temperature)
