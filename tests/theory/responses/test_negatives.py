"""Bias of the weights under InfoNCE on finite batches: its series against quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from projhead_theory.theory.responses import negatives_bias, negatives_second_order

pytestmark = pytest.mark.x64


def terms(y, fraction):
    """The two corrections to the loss of one feature, by quadrature over the anchor."""
    moment = lambda k, x: np.exp((k * k - k) / 2 * y * y * x * x)

    def expanded(x):
        own = np.exp((y * fraction - (y * fraction) ** 2 / 2) * x * x)
        squared = np.exp((2 * y * fraction + y * y - 2 * (y * fraction) ** 2) * x * x)
        variance, third = moment(2, x) - 1, moment(3, x) - 3 * moment(2, x) + 2
        first = own - 1 - variance / 2
        second = -(squared - 2 * own + 1) / 2 + variance / 2 + third / 3
        second += (own - 1) * variance - 0.75 * variance**2
        return np.array([first, second]) * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)

    return scipy.integrate.quad_vec(expanded, -30, 30, epsabs=1e-13)[0]


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.35])
def test_both_orders_are_those_of_the_series(fraction):
    h = 1e-3
    low, middle, high = (terms(fraction + k * h, fraction) for k in (-1, 0, 1))
    slope, bend = (high - low) / (2 * h), (high - 2 * middle + low) / h**2
    first = negatives_bias([fraction])[0]
    np.testing.assert_allclose(first, -slope[0], rtol=1e-3)
    second = -(bend[0] * first + slope[1])
    np.testing.assert_allclose(negatives_second_order([fraction])[0], second, rtol=1e-2)


def test_features_share_one_sum_of_scores():
    """The bias of each of two depends on both, and a feature without signal changes nothing."""
    alone, padded = negatives_bias([0.3]), negatives_bias([0.3, 0.0])
    np.testing.assert_allclose(padded, [float(alone[0]), 0], rtol=1e-12)
    assert float(negatives_bias([0.3, 0.4])[0]) > float(alone[0])


def test_small_fractions_have_the_bias_of_their_cube():
    small = jnp.asarray([1e-2, 2e-2])
    np.testing.assert_allclose(negatives_bias(small), small**3, rtol=5e-3)


def test_the_bias_has_no_first_order_from_the_root_of_one_half_on():
    assert np.isinf(negatives_bias([0.3, 0.71])).all()
    assert np.isfinite(negatives_bias([0.3, 0.70])).all()
    assert np.isinf(negatives_second_order([0.41])).all()
    assert np.isfinite(jax.grad(lambda x: negatives_bias(x[None])[0])(jnp.asarray(0.3)))


@pytest.mark.parametrize("wrong", [[1.0], [-0.1], 0.3, [[0.3]]])
def test_bad_input_is_refused(wrong):
    for function in (negatives_bias, negatives_second_order):
        with pytest.raises(ValueError, match="fraction: got"):
            function(wrong)
