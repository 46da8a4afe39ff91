"""Spread of weights before the head, and the sign of the benefit of the head."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory.theory import starts

scales = st.floats(1e-3, 1e3)
weights = st.floats(0.05, 20.0)


@given(scales, scales, weights, weights)
def test_the_exponent_is_between_zero_and_one(a, b, one, other):
    """And is the power between the ratios of the weights."""
    light, heavy = sorted((one, other))
    found = float(starts.spread_exponent(heavy, light, encoder=a, head=b))
    assert 0 <= found <= 1
    before = starts.weights_before_head(jnp.asarray([heavy, light]), encoder=a, head=b)
    eps = float(jnp.finfo(before.dtype).eps)
    np.testing.assert_allclose(before[0] / before[1], (heavy / light) ** found, rtol=256 * eps)


def test_equal_weights_have_the_slope():
    apart = starts.spread_exponent(1.0, 1 - 1e-4, encoder=0.3, head=2.0)
    np.testing.assert_allclose(
        starts.spread_exponent(1.0, 1.0, encoder=0.3, head=2.0), apart, rtol=1e-3
    )


@given(scales, st.floats(1.5, 100.0))
def test_the_exponent_passes_one_half_at_the_stated_weight(a, ratio):
    b = ratio * a
    weight = np.sqrt(a * b) * (b + a) / (b - a)
    at = lambda w: float(starts.spread_exponent(w, w, encoder=a, head=b))
    assert at(weight) == pytest.approx(0.5, rel=1e-4)
    assert at(weight / 2) < 0.5 < at(2 * weight)


@given(weights, st.floats(1.2, 30.0), st.floats(0.05, 0.95), st.floats(1e-3, 10.0))
def test_the_ratio_has_the_exponent(light, spread, exponent, mean):
    heavy = light * spread
    ratio = float(starts.ratio_at_exponent(heavy, light, exponent, mean=mean))
    limit = np.log((heavy**2 + mean**2) / (light**2 + mean**2)) / np.log(spread**2)
    if not np.isfinite(ratio):
        assert exponent > limit * (1 - 1e-4)
    elif ratio < 1e12:
        a, b = mean / ratio**0.5, mean * ratio**0.5
        found = float(starts.spread_exponent(heavy, light, encoder=a, head=b))
        assert found == pytest.approx(exponent, rel=1e-3)


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match=r"^heavier: got .*; want at least `lighter`"):
        starts.spread_exponent(0.5, 1.0, encoder=0.0, head=0.0)
    with pytest.raises(ValueError, match=r"^heavier: got .*; want above `lighter`"):
        starts.ratio_at_exponent(1.0, 1.0, 0.5, mean=1.0)
    with pytest.raises(ValueError, match=r"^exponent: got 1.0; want a number between 0 and 1"):
        starts.ratio_at_exponent(2.0, 1.0, 1.0, mean=1.0)
