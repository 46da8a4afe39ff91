"""Features learned and forgotten by the contrastive loss: onsets, powers of time, layers."""

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.integrate
from helpers.draws import cast
from helpers.one_feature import INF, TOP, C, Q, check, exact_time, lanes, speed
from mpmath import mpf

from projhead_theory.theory import dynamics


@pytest.mark.x64
@pytest.mark.parametrize("method", ["DOP853", "Radau"])
@pytest.mark.parametrize(
    ("depth", "start", "cross"),
    [(1, 0.02, C), (2, 0.01, C), (3, 2.0, C), (5, 0.1, C), (3, 0.8, 0.0)],
)
def test_layers_trained_one_by_one_follow_the_formula(depth, start, cross, method):
    """Gradient flow of the loss of one feature in its L layer weights, integrated by SciPy, which
    knows no closed form.
    """

    def field(_, u):
        s = np.prod(u)
        slope = -4 * cross * s + 4 * Q**2 * s**3
        return np.array([-slope * np.prod(np.delete(u, i)) for i in range(depth)])

    scale = 8 * depth * C * TOP ** (2 - 2 / depth)
    end = 3 / scale + (
        lanes(dynamics.time_to_weight, TOP / 2, start, C, Q, depth)[0] if start < TOP / 2 else 0
    )
    times = np.linspace(0, end, 9)
    tolerance = 1e-12 if method == "DOP853" else 1e-9
    run = scipy.integrate.solve_ivp(
        field,
        (0, end),
        np.full(depth, start ** (1 / depth)),
        method=method,
        t_eval=times,
        rtol=tolerance,
        atol=1e-3 * tolerance,
    )
    layers = np.cumprod(run.y, axis=0).T
    # Local errors of the integration grow with the weight itself, at most by the ratio of the
    # speeds at the end and the start.
    growth = max(1.0, *(speed(run.y.prod(0), cross, Q, depth) / speed(start, cross, Q, depth)))
    want = lanes(dynamics.layer_weights, times, start, cross, Q, depth)
    assert want.shape == (9, depth)
    np.testing.assert_allclose(layers, want, rtol=100 * tolerance * growth)


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("start", [1e-3, 1.0, 1e3])
def test_feature_without_signal_decays_by_a_power_law(depth, start, eps):
    e = 4 - 2 / depth
    t = np.concatenate([[0.0], np.geomspace(1e-6, 1e12, 19)])
    want = (start**-e + 4 * depth * e * Q**2 * t) ** (-1 / e)
    np.testing.assert_allclose(
        lanes(dynamics.weight_at_time, t, start, 0.0, Q, depth), want, rtol=64 * eps
    )
    back = lanes(dynamics.time_to_weight, want[1:], start, 0.0, Q, depth)
    # The weight, rounded, has the time only to within a rounding of itself over its speed.
    assert (
        np.abs(back - t[1:]) <= 64 * eps * (t + np.abs(want / speed(want, 0.0, Q, depth)))[1:]
    ).all()


@pytest.mark.x64
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_lower_layers_forget_more_slowly_by_the_vanishing_exponent(depth):
    """Late log-log slopes of a feature without signal, at every layer."""
    late = lanes(dynamics.layer_weights, [1e12, 1e14], 1.0, 0.0, Q, depth)
    slopes = -np.log(late[1] / late[0]) / np.log(100)
    want = [dynamics.vanishing_exponent(depth, layer) for layer in range(1, depth + 1)]
    np.testing.assert_allclose(slopes, want, rtol=1e-9)
    np.testing.assert_allclose(
        want, [layer / depth / (4 - 2 / depth) for layer in range(1, depth + 1)]
    )


def test_vanishing_exponents_at_depth_two_are_a_third_and_a_sixth():
    assert dynamics.vanishing_exponent(2, 2) == pytest.approx(1 / 3)
    assert dynamics.vanishing_exponent(2, 1) == pytest.approx(1 / 6)


def test_a_small_signal_is_remembered_and_none_is_forgotten():
    """The control of the power law: any c > 0 ends at sqrt(c)/q, after following the law for c = 0
    until it gets there.
    """
    times = cast([0.1, 2e3])
    none, little = (lanes(dynamics.weight_at_time, times, 1.0, c, 1.0, 2) for c in (0.0, 1e-2))
    assert float(little[0] / none[0]) == pytest.approx(1, abs=0.02)
    assert float(little[1]) == pytest.approx(0.1, rel=1e-5)
    assert float(none[1]) < 0.03


@pytest.mark.x64
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_onset_and_its_correction_add_up_to_the_time_to_half_the_final_weight(depth, eps):
    """At fifty digits, from tiny starts, where the correction is far below the rounding of the
    whole, to starts beyond half.
    """
    starts = TOP * np.array([1e-100, 1e-12, 1e-4, 0.1, 0.49, 0.51, 0.9])
    seen = dynamics.onset_correction(starts, C, Q, depth)
    with mpmath.workdps(300):
        power = 2 - mpf(2) / depth
        half = mpmath.sqrt(mpf(C)) / mpf(Q) / 2
        onset = [
            -mpmath.log(mpf(s)) / (4 * mpf(C))
            if depth == 1
            else mpf(s) ** -power / (8 * (depth - 1) * mpf(C))
            for s in starts
        ]
        want = [
            float(exact_time(half, s, C, Q, depth) - o) for s, o in zip(starts, onset, strict=True)
        ]
    check(dynamics.onset_time(starts, C, depth), [float(o) for o in onset], 8 * eps)
    check(seen, want, 128 * eps)
    if depth > 1:
        unit = TOP ** (2 / depth - 2) / (8 * C)
        low = -(4 ** (1 - 1 / depth)) / (depth - 1)
        assert (seen[:5] >= unit * low).all()
        assert (seen[:5] <= unit * (low + 4 / 3 * 4 ** (-1 / depth))).all()


@pytest.mark.parametrize("depth", [2, 5])
def test_features_are_learned_in_order_of_their_signal(depth):
    """A feature of larger c comes first although its final weight is the smaller: from a small
    start, not from a large one.
    """
    cross, second = cast([1.0, 0.5]), cast([4.0, 0.6])
    final = jnp.sqrt(cross) / second
    assert float(final[0]) < float(final[1])
    times = lanes(dynamics.time_to_weight, final / 2, 1e-3, cross, second, depth)
    assert float(times[0]) < float(times[1])
    np.testing.assert_allclose(times / dynamics.onset_time(1e-3, cross, depth), 1, atol=0.05)
    # From a large start the leading term is no guide: it is off by its own size.
    late = lanes(dynamics.time_to_weight, final / 2, 0.1, cross, second, depth)
    assert float(jnp.max(jnp.abs(late / dynamics.onset_time(0.1, cross, depth) - 1))) > 0.3


def test_without_signal_or_start_onset_never_comes():
    assert float(dynamics.onset_time(0.1, 0.0, 2)) == INF
    assert float(dynamics.onset_time(0.0, 1.0, 1)) == INF
    assert float(dynamics.onset_correction(0.1, 0.0, 1.0, 2)) == INF
    assert float(dynamics.onset_correction(2.0, 1.0, 1.0, 2)) == INF


def test_layers_carry_roots_of_the_weight_at_all_times(eps):
    times = cast([0.0, 0.5, 2.0, INF])
    weight, layers = (
        lanes(function, times, 0.05, C, Q, 3)
        for function in (dynamics.weight_at_time, dynamics.layer_weights)
    )
    np.testing.assert_allclose(layers, weight[:, None] ** (np.arange(1, 4) / 3), rtol=16 * eps)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: dynamics.time_to_weight(-1.0, 1.0, 1.0, 1.0, 2),
            r"^weight: got -1\.0; want non-negative finite numbers",
        ),
        (
            lambda: dynamics.time_to_weight(1.0, np.array([1.0, INF]), 1.0, 1.0, 2),
            r"^start: got inf at index 1; want non-negative",
        ),
        (
            lambda: dynamics.time_to_weight(1.0, 1.0, -0.5, 1.0, 2),
            r"^cross: got -0\.5; want non-negative",
        ),
        (
            lambda: dynamics.time_to_weight(1.0, 1.0, 1.0, np.nan, 2),
            r"^second: got nan; want non-negative",
        ),
        (
            lambda: dynamics.time_to_weight(1.0, 1.0, 1.0, 0.0, 2),
            r"^cross: got 1\.0; want 0 where the second moment is 0",
        ),
        (
            lambda: dynamics.weight_at_time(-1.0, 1.0, 1.0, 1.0, 2),
            r"^time: got -1\.0; want non-negative numbers",
        ),
        (
            lambda: dynamics.weight_at_time(np.nan, 1.0, 1.0, 1.0, 2),
            r"^time: got nan; want non-negative numbers",
        ),
        (
            lambda: dynamics.saturation_gap(1.0, -1.0, 1.0, 1.0, 2),
            r"^start: got -1\.0; want non-negative finite",
        ),
        (
            lambda: dynamics.weight_at_time(1.0, 1.0, 1.0, 1.0, 0),
            r"^depth: got 0; want a whole number >= 1",
        ),
        (
            lambda: dynamics.layer_weights(1.0, 1.0, 1.0, 1.0, -1),
            r"^depth: got -1; want a whole number >= 1",
        ),
        (lambda: dynamics.onset_time(-0.5, 1.0, 2), r"^start: got -0\.5; want non-negative"),
        (lambda: dynamics.onset_correction(0.1, 1.0, 0.0, 2), r"^cross: got 1\.0; want 0 where"),
        (lambda: dynamics.vanishing_exponent(0, 1), r"^depth: got 0; want a whole number >= 1"),
        (lambda: dynamics.vanishing_exponent(2, 0), r"^layer: got 0; want a whole number >= 1"),
        (lambda: dynamics.vanishing_exponent(2, 3), r"^layer: got 3; want at most the depth, 2"),
    ],
)
def test_arguments_out_of_range_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
