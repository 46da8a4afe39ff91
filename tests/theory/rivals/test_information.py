"""Informations of Gaussian features: by determinants, by sampling of units, and in order."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import cast
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory.theory.rivals import information_bounds


def by_determinants(c, q, w1, w2, nu):
    """One feature: all informations from the covariance of (Y, Z1, Z2, R, R of the other view)."""
    h = w2 / w1
    noise = lambda k: [nu if i == k else 0 for i in range(3, 8)]
    y = np.array([c**0.5, 0, 0, *noise(-1)])
    view = np.array([c**0.5, (q - c) ** 0.5, 0, *noise(-1)])
    other = np.array([c**0.5, 0, (q - c) ** 0.5, *noise(-1)])
    z1 = w1 * view + np.array([0, 0, 0, *noise(3)])
    z2 = h * z1 + np.array([0, 0, 0, *noise(4)])
    r = z2 + np.array([0, 0, 0, *noise(5)])
    s = h * (w1 * other + np.array([0, 0, 0, *noise(6)])) + np.array([0, 0, 0, *noise(7)])

    def info(a, b):
        rho = a @ b / np.sqrt(a @ a * (b @ b))
        return -np.log1p(-(rho**2)) / 2

    before, after, passed = info(y, z1), info(y, z2), info(z1, z2)
    entropy = np.log(2 * np.pi * np.e * (z1 @ z1)) / 2
    lower = [info(z1, t) - passed + info(t, y) for t in (r, s)]
    return before, after, passed, entropy, *lower, after - passed + entropy


NAMES = ("before", "after", "passed", "entropy", "lower", "lower_other", "upper")
SQUARES = st.floats(0.1, 2.0)


@pytest.mark.x64
def test_informations_are_those_of_determinants_and_add_over_features():
    rng = np.random.default_rng(0)
    q, w1, w2 = rng.uniform(0.3, 2, (3, 4))
    c = q * rng.uniform(0, 1, 4)
    want = np.sum([by_determinants(*x, 0.3) for x in zip(c, q, w1, w2, strict=True)], axis=0)
    seen = information_bounds(*map(cast, (c, q, w1, w2)), 0.3)
    np.testing.assert_allclose([float(getattr(seen, n)) for n in NAMES], want, rtol=1e-11)


@given(fraction=st.floats(0.0, 1.0), q=SQUARES, w1=SQUARES, w2=st.floats(0.0, 2.0), nu=SQUARES)
def test_the_lower_bounds_are_never_above_data_processing(fraction, q, w1, w2, nu, eps):
    one = lambda v: cast([v])
    at = information_bounds(one(fraction * q), one(q), one(w1), one(w2), nu)
    slack = 1e4 * eps
    for bound in (at.lower, at.lower_other):
        assert float(bound) <= float(at.after) + slack
    assert float(at.after) <= float(at.before) + slack


@given(scale=st.floats(0.2, 5.0))
def test_the_upper_bound_fails_below_the_critical_scale_and_holds_above(scale, eps):
    """Weights and noise before the head times a factor, and the gain of the head divided by it,
    leave all informations as they are.
    """
    c, q, w = cast([0.8, 0.5]), cast([1.0, 1.0]), cast([0.7, 0.9])
    at = information_bounds(c, q, w, w, 0.3)
    bound = float(at.upper) + 2 * np.log(scale * float(at.critical_scale))
    if abs(scale - 1) > 1e-3:
        assert (bound < float(at.before)) == (scale < 1)


def test_a_head_that_hides_everything_leaves_no_information():
    one = jnp.ones(2)
    at = information_bounds(0.5 * one, one, one, 0 * one, 0.1)
    assert float(at.after) == float(at.passed) == float(at.lower) == 0
    assert float(at.before) > 0


@pytest.mark.usefixtures("untyped")
def test_bad_arguments():
    one = jnp.ones(2)
    with pytest.raises(ValueError, match=r"^noise: got 0.0"):
        information_bounds(one, one, one, one, 0.0)
    with pytest.raises(ValueError, match=r"^below: got shape \(3,\)"):
        information_bounds(one, one, jnp.ones(3), one, 1.0)
    with pytest.raises(ValueError, match=r"^cross: got 2 times"):
        information_bounds(2 * one, one, one, one, 1.0)
    with pytest.raises(ValueError, match=r"^second: got 0.0"):
        information_bounds(one, 0 * one, one, one, 1.0)
