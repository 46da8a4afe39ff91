"""What a run may still be off by: how far it is from its end, and when its records say that a level
was passed.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory import theory
from projhead_theory._core.crossing import first_crossing
from projhead_theory.theorems.decay.weight_decay_minimiser import left_to_go

CROSS, SECOND = jnp.asarray([0.5, 0.3, 0.2]), jnp.asarray([1.0, 0.4, 0.25])
MOMENTS = pt.Moments(jnp.diag(CROSS), jnp.diag(SECOND))


def ended(depth, weight_decay, shares):
    """A network at the minimum under weight decay, every layer of feature i off by a share of
    it.
    """
    weight = (
        theory.decay.decayed_weight(CROSS, SECOND, weight_decay, depth)
        * (1 + jnp.asarray(shares)) ** depth
    )
    return pt.DeepLinear.aligned(jnp.eye(3), weight, (3,) * (depth + 1))


@pytest.mark.x64
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@given(st.lists(st.floats(-1e-4, 1e-4), min_size=3, max_size=3))
def test_what_is_left_is_the_distance_to_the_minimum(depth, shares):
    """To second order, from gradient and curvature of the loss alone; every feature by itself."""
    weight_decay = jnp.asarray(0.02)
    left = np.asarray(left_to_go(ended(depth, weight_decay, shares), MOMENTS, weight_decay))
    np.testing.assert_allclose(left, np.abs(shares), rtol=2e-3 * depth, atol=1e-12)


def test_nothing_is_left_of_a_feature_without_weight():
    network = pt.DeepLinear.aligned(jnp.eye(3), jnp.asarray([0.7, 0.0, 0.0]), (3, 3, 3))
    assert np.all(np.isfinite(np.asarray(left_to_go(network, MOMENTS, jnp.asarray(0.02)))))


def test_where_the_objective_is_not_convex_anything_may_be_left():
    """Between the barrier and the inflection a Newton step means nothing."""
    weight_decay = 0.9 * float(theory.decay.decay_limit(CROSS[:1], SECOND[:1], 2)[0])
    barrier = 0.3 * float(jnp.sqrt(CROSS[0]) / SECOND[0])
    network = pt.DeepLinear.aligned(jnp.eye(1), jnp.asarray([barrier]), (1, 1, 1))
    moments = pt.Moments(MOMENTS.cross[:1, :1], MOMENTS.second[:1, :1])
    assert np.isinf(np.asarray(left_to_go(network, moments, jnp.asarray(weight_decay)))[0])


@pytest.mark.x64
@given(
    st.integers(12, 60),
    st.floats(0.3, 3.0),
    st.floats(-1.5, 1.5),
    st.integers(0, 2**31 - 1),
)
def test_a_passage_is_known_within_its_error(count, pace, where, seed):
    """A logistic curve, recorded at uneven times: the level is passed when the parabola says,
    within the error it states.
    """
    times = np.sort(np.random.default_rng(seed).uniform(-4, 4, count)) + np.arange(count) * 1e-3
    logs = -np.log1p(np.exp(-pace * times))
    exact = where
    level = -np.log1p(np.exp(-pace * exact))
    if not times[3] < exact < times[-3]:
        return
    seen = first_crossing(jnp.asarray(times), jnp.asarray(logs)[:, None], jnp.asarray([level]))
    # The error takes the third derivative for what four records show of it, as they do while they
    # resolve the curve.
    if pace * np.diff(times)[np.searchsorted(times, exact) - 1] < 0.7:
        assert abs(float(seen.times[0]) - exact) <= float(seen.interpolation[0]) + 1e-12


def test_records_that_resolve_more_say_more():
    """The error falls as the cube of the spacing."""
    errors = []
    for count in (64, 128, 256):
        times = jnp.linspace(-4.0, 4.0, count)
        logs = -jnp.log1p(jnp.exp(-times))
        errors.append(
            float(first_crossing(times, logs[:, None], jnp.asarray([-1.0])).interpolation[0])
        )
    assert errors[0] / errors[1] > 3
    assert errors[1] / errors[2] > 3


@pytest.mark.x64
@pytest.mark.parametrize("depth", [2, 3, 4, 7])
def test_the_weight_at_the_limit_is_a_number_however_it_is_compiled(depth):
    """There slope and residual vanish together, and rounding decides which first: here each
    operation rounds by itself.
    """
    rng = np.random.default_rng(0)
    cross = rng.uniform(0.1, 2, 40)
    second = cross / rng.uniform(0.1, 1, 40)
    limit = theory.decay.decay_limit(cross, second, depth)
    with jax.disable_jit():
        weight = theory.decay.decayed_weight(cross, second, limit, depth)
    expected = np.sqrt((depth - 1) / (2 * depth - 1) * cross) / second
    np.testing.assert_allclose(weight, expected, rtol=1e-6)
