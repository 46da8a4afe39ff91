"""Barlow Twins without normalisation over time: against integration, and at its edges."""

import numpy as np
import pytest
import scipy.integrate
from helpers.draws import cast

from projhead_theory.theory import dynamics
from projhead_theory.theory.dynamics.barlow_twins import (
    layer_weights,
    loss_at_time,
    time_to_weight,
    weight_at_time,
)

CROSS, START = 0.7, 0.05


def integrated(depth, times):
    """The loss |W C W^T - I|^2 of one direction, differentiated in the layer's own weight."""

    def velocity(_, u):
        s = u[0] ** depth
        slope = 2 * (CROSS * s**2 - 1) * 2 * CROSS * s
        return [-slope * u[0] ** (depth - 1)]

    solution = scipy.integrate.solve_ivp(
        velocity, (0, times[-1]), [START ** (1 / depth)], "DOP853", times, rtol=1e-12, atol=1e-14
    )
    return solution.y[0] ** depth


@pytest.mark.x64
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_weight_follows_the_gradient_of_the_loss(depth):
    wait = float(dynamics.onset_time(START, CROSS, depth))
    times = np.linspace(0, 2 * wait, 9)
    seen = np.asarray(weight_at_time(times, START, CROSS, depth))
    np.testing.assert_allclose(seen, integrated(depth, times), rtol=1e-9)
    # A weight near its end no longer tells the time.
    middle = seen[1:4]
    np.testing.assert_allclose(time_to_weight(middle, START, CROSS, depth), times[1:4], rtol=1e-9)
    np.testing.assert_allclose(
        layer_weights(times, START, CROSS, depth)[:, 0], seen ** (1 / depth), rtol=1e-12
    )


@pytest.mark.x64
def test_one_layer_is_logistic():
    times, start = np.linspace(0, 4, 7), np.array([0.1, 1.0, 3.0])[:, None]
    want = (CROSS + (start**-2 - CROSS) * np.exp(-8 * CROSS * times)) ** -0.5
    np.testing.assert_allclose(weight_at_time(times, start, CROSS, 1), want, rtol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_it_ends_at_the_inverse_root(depth, eps):
    cross = cast([0.02, 1.0, 9.0])
    seen = weight_at_time(cast(np.inf), cast(0.01), cross, depth)
    np.testing.assert_allclose(seen, np.asarray(cross, float) ** -0.5, rtol=8 * eps)
    assert np.all(np.isposinf(np.asarray(time_to_weight(seen, cast(0.01), cross, depth))))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_direction_without_signal_or_weight_stays(depth):
    times = cast([0.0, 1.0, 1e3])
    np.testing.assert_allclose(weight_at_time(times, cast(0.25), cast(0.0), depth), 0.25)
    if depth > 1:
        assert not np.any(np.asarray(weight_at_time(times, cast(0.0), cast(1.0), depth)))
    np.testing.assert_allclose(loss_at_time(times, cast(0.25), cast([0.0, 0.0]), depth, width=3), 3)


@pytest.mark.x64
def test_the_loss_is_the_sum_of_squared_gaps_and_falls_by_one_a_step():
    cross = np.array([1.0, 0.1, 0.01])
    times = np.geomspace(1, 1e5, 60)
    seen = np.asarray(loss_at_time(times, 1e-4, cross, 1, width=4))
    weights = np.asarray(weight_at_time(times[:, None], 1e-4, cross, 1))
    np.testing.assert_allclose(seen, 1 + np.sum((1 - cross * weights**2) ** 2, axis=1), rtol=1e-9)
    assert np.all(np.diff(seen) <= 1e-12)
    for learned in (1, 2):
        # Half way, in the logarithm of time, between two steps.
        between = np.sqrt(cross[learned - 1] * cross[learned]) ** -1 * 2.3
        value = float(loss_at_time(between, 1e-4, cross, 1, width=4))
        assert value == pytest.approx(4 - learned, abs=0.05)


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="cross: got -1"):
        weight_at_time(1.0, 0.1, -1.0, 2)
    with pytest.raises(ValueError, match=r"cross: got shape \(\); want one number a direction"):
        loss_at_time(1.0, 0.1, 1.0, 2)
    with pytest.raises(ValueError, match="width: got 1; want a whole number >= 2"):
        loss_at_time(1.0, 0.1, cast([1.0, 2.0]), 2, width=1)
