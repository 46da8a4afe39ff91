"""Self-prediction of one feature: times by quadrature, roots of growth, and degenerate inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from helpers.draws import cast
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory.theory.rivals import (
    basin_edge,
    collapse_decay,
    factor_at_time,
    self_prediction_weights,
    surviving_factor,
    time_to_factor,
)

DEPTHS = (1, 2, 3)
MODELS = ((0.8, 1.0, 0.2), (0.5, 1.7, 0.6), (1.0, 1.0, 0.3))


def growth(a, c, q, depth):
    return a ** (2 * depth - 1) * (c - q * a)


@pytest.mark.x64
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("c", "q", "start"), MODELS)
def test_times_are_those_of_quadrature_and_the_weight_is_their_inverse(c, q, start, depth):
    shares = np.array([0.1, 0.5, 0.9, 0.999])
    factors = start + (c / q - start) * shares
    times = np.asarray(time_to_factor(cast(factors), start, c, q, depth))
    speed = lambda a: 1 / (a * growth(a, c, q, depth))
    want = [
        scipy.integrate.quad(speed, start, a, epsabs=0, epsrel=1e-12, limit=200)[0] for a in factors
    ]
    np.testing.assert_allclose(times, want, rtol=1e-11)
    np.testing.assert_allclose(factor_at_time(cast(times), start, c, q, depth), factors, rtol=1e-13)


@pytest.mark.x64
@pytest.mark.parametrize("depth", DEPTHS)
def test_the_course_solves_the_equation(depth):
    """By the derivative of the closed form in time."""
    times = jnp.linspace(0.0, 12.0, 7)
    factor, slope = jax.jvp(
        lambda t: factor_at_time(t, 0.3, 0.8, 1.0, depth), (times,), (jnp.ones_like(times),)
    )
    np.testing.assert_allclose(slope[1:], (factor * growth(factor, 0.8, 1.0, depth))[1:], rtol=1e-9)


@pytest.mark.parametrize("depth", DEPTHS)
def test_degenerate_features(depth, eps):
    times = cast([0.0, 1.0, np.inf])
    np.testing.assert_array_equal(factor_at_time(times, 0.0, 0.8, 1.0, depth), 0)
    np.testing.assert_allclose(factor_at_time(times, 0.8, 0.8, 1.0, depth), 0.8, rtol=4 * eps)
    np.testing.assert_allclose(factor_at_time(times, 0.4, 0.0, 0.0, depth), 0.4, rtol=4 * eps)
    fading = np.asarray(factor_at_time(times, 0.4, 0.0, 1.0, depth))
    want = (0.4 ** (-2.0 * depth) + 2 * depth) ** (-1 / (2 * depth))
    np.testing.assert_allclose(fading, [0.4, want, 0], rtol=64 * eps)
    assert float(time_to_factor(0.4, 0.4, 0.0, 0.0, depth)) == 0
    for factor, start in ((0.9, 0.3), (0.8, 0.3), (0.3, 0.0), (0.0, 0.3)):
        assert np.isinf(time_to_factor(factor, start, 0.8, 1.0, depth))
    assert float(time_to_factor(0.2, 0.3, 0.8, 1.0, depth)) < 0
    np.testing.assert_array_equal(self_prediction_weights(0.0, 0.0, depth), 0)


@pytest.mark.x64
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("c", "q"), [(0.8, 1.0), (0.5, 1.7), (1.0, 1.0)])
def test_roots_balance_growth_and_decay_and_merge_at_the_threshold(c, q, depth):
    threshold = float(collapse_decay(c, q, depth))
    grid = np.linspace(0, c / q, 20_001)
    np.testing.assert_allclose(threshold, growth(grid, c, q, depth).max(), rtol=1e-7)
    decays = threshold * np.array([1e-9, 0.1, 0.5, 0.9, 0.999])
    low, high = (np.asarray(f(c, q, cast(decays), depth)) for f in (basin_edge, surviving_factor))
    peak = (2 * depth - 1) / (2 * depth) * c / q
    assert (low < peak).all()
    assert (high > peak).all()
    for root in (low, high):
        np.testing.assert_allclose(growth(root, c, q, depth), decays, rtol=1e-11, atol=1e-16)
    merged = [float(f(c, q, threshold, depth)) for f in (basin_edge, surviving_factor)]
    np.testing.assert_allclose(merged, peak, rtol=1e-7)
    assert float(surviving_factor(c, q, 1.01 * threshold, depth)) == 0
    assert np.isinf(basin_edge(c, q, 1.01 * threshold, depth))
    assert float(basin_edge(c, q, 0.0, depth)) == 0
    np.testing.assert_allclose(surviving_factor(c, q, 0.0, depth), c / q, rtol=1e-15)
    assert float(surviving_factor(0.0, q, 0.0, depth)) == 0


@given(
    c=st.floats(0.1, 1.0),
    fraction=st.floats(0.2, 1.0),
    start=st.floats(0.2, 1.5),
    time=st.floats(0.0, 50.0),
    unit=st.floats(0.5, 2.0),
)
def test_units_of_time_and_of_the_input(c, fraction, start, time, unit, eps):
    """Both moments times a number make time run so much faster."""
    q = c / fraction
    seen = factor_at_time(time, start, c, q, 2)
    again = factor_at_time(time / unit, start, unit * c, unit * q, 2)
    np.testing.assert_allclose(seen, again, rtol=4096 * eps)
    assert min(start, c / q) * (1 - 1e-5) <= float(seen) <= max(start, c / q) * (1 + 1e-5)


@pytest.mark.usefixtures("untyped")
def test_bad_arguments():
    with pytest.raises(ValueError, match=r"^depth: got 0"):
        self_prediction_weights(0.5, 1.0, 0)
    with pytest.raises(ValueError, match=r"^weight_decay: got -1"):
        basin_edge(0.5, 1.0, -1.0, 1)
    with pytest.raises(ValueError, match=r"^cross: got 0.5"):
        factor_at_time(1.0, 0.1, 0.5, 0.0, 1)
    with pytest.raises(ValueError, match=r"^start: got nan"):
        time_to_factor(0.2, np.nan, 0.5, 1.0, 1)
