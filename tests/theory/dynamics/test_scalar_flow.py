"""One feature under gradient flow: closed times and weights, against the hypergeometric formula,
integration, and themselves.
"""

import itertools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from helpers.draws import cast, some
from helpers.one_feature import (
    INF,
    TOP,
    C,
    Q,
    check,
    everything,
    exact_time,
    lanes,
    slopes_of_time,
    speed,
)
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mpf

from projhead_theory.theory import dynamics
from projhead_theory.theory.dynamics import scalar_flow

DEPTHS = [1, 2, 3, 4, 5, 6]

# Places in units of the final weight: far below, midway, at the split of the formula, near
# saturation; and the same above.
BELOW = [1e-100, 1e-12, 1e-3, 0.3, 0.3 * (1 + 1e-12), 0.7, 0.71, 0.95, 1 - 1e-7]
ABOVE = [1e60, 1e6, 3.0, 3.0 * (1 - 1e-12), 1.42, 1.41, 1.05, 1 + 1e-7]
PAIRS = list(itertools.permutations(BELOW, 2)) + list(itertools.permutations(ABOVE, 2))


@pytest.mark.x64
@pytest.mark.parametrize("depth", some(DEPTHS, 0, 1, 3))
def test_time_is_the_hypergeometric_formula_at_fifty_digits(depth, eps):
    """Both ways between all places on both sides; off by a few roundings of the time and of the
    gap, which the numbers given leave open.
    """
    s, s0 = TOP * np.array(PAIRS).T
    with mpmath.workdps(50 + 110):
        want = [float(exact_time(a, b, C, Q, depth)) for a, b in zip(s, s0, strict=True)]
        gaps = [
            float(abs(1 - (mpf(Q) * max(a, b, key=lambda x: -abs(x - TOP))) ** 2 / mpf(C)))
            for a, b in zip(s, s0, strict=True)
        ]
    check(
        lanes(dynamics.time_to_weight, s, s0, C, Q, depth), want, 8 * eps * (1 + 1 / np.array(gaps))
    )


@pytest.mark.x64
@pytest.mark.parametrize("depth", [1, 2])
def test_time_is_elementary_at_small_depths(depth):
    """L = 1 is logistic in s^2; L = 2 has an artanh."""
    s, s0 = 0.9 * TOP, 0.01
    v, v0 = s / TOP, s0 / TOP
    if depth == 1:
        want = (np.log(v**2 / (1 - v**2)) - np.log(v0**2 / (1 - v0**2))) / (8 * C)
    else:
        want = (1 / v0 - 1 / v + np.arctanh(v) - np.arctanh(v0)) / (8 * C * TOP)
    np.testing.assert_allclose(dynamics.time_to_weight(s, s0, C, Q, depth), want, rtol=1e-13)


@pytest.mark.x64
@pytest.mark.parametrize("depth", some(DEPTHS, 0, 1, 3))
def test_weight_is_the_inverse_at_fifty_digits(depth, eps):
    """The weight after the rounded exact time, as accurate as the time it is given allows: its
    roundings times |t ds/dt / s|.
    """
    s, s0 = (
        TOP
        * np.array(
            [
                pair
                for pair in PAIRS
                if abs(pair[0] - 1) < abs(pair[1] - 1) and max(abs(pair[0] - 1), 1) < 1e7
            ]
        ).T
    )
    with mpmath.workdps(50 + 110):
        t = np.array([float(exact_time(a, b, C, Q, depth)) for a, b in zip(s, s0, strict=True)])
    condition = np.abs(t * speed(s, C, Q, depth) / s)
    # Where the time leaves no digit open the slope at the end does not bound the error: from 1e-100
    # only the early times count.
    clear = condition < 1e3
    assert clear.sum() > 20
    check(
        lanes(dynamics.weight_at_time, t, s0, C, Q, depth)[clear],
        s[clear],
        8 * eps * (2 + condition[clear]),
    )


@pytest.mark.x64
@pytest.mark.parametrize("depth", some([1, 2, 5], 1))
def test_gap_is_accurate_down_to_the_smallest_numbers(depth, eps):
    """Relative to itself, where the weight has no digits left: an absolute rounding of the exponent
    is all that is lost.
    """
    rate = 8 * depth * C * TOP ** (2 - 2 / depth)
    for sign, start in ((1, 0.01 * TOP), (-1, 30 * TOP)):
        gaps = sign * 10.0 ** np.array([-1, -8, -17, -300])
        with mpmath.workdps(330):
            top = mpmath.sqrt(mpf(C)) / mpf(Q)
            times = [
                float(exact_time(top * mpmath.sqrt(1 - mpf(g)), start, C, Q, depth)) for g in gaps
            ]
        seen = lanes(dynamics.saturation_gap, times, start, C, Q, depth)
        check(seen, gaps, 8 * eps * (2 + rate * np.array(times)))


@pytest.mark.x64
@pytest.mark.parametrize("depth", [1, 2, 6, 50])
def test_time_of_the_weight_at_a_time_is_that_time(depth, eps):
    """Starts over eighteen decades, times from almost nothing to saturation, dense about the split
    of the formula.
    """
    start = (
        TOP
        * np.concatenate([10.0 ** np.linspace(-12, -0.001, 60), 10.0 ** np.linspace(0.001, 6, 60)])[
            :, None
        ]
    )
    middle = np.where(
        start < TOP,
        np.maximum(TOP / 2**0.5, (start + TOP) / 2),
        np.minimum(TOP * 2**0.5, (start + TOP) / 2),
    )
    share = np.concatenate(
        [[1e-14, 1e-6], 10.0 ** np.linspace(-3, 1, 15), np.linspace(0.97, 1.03, 5)]
    )
    times = lanes(dynamics.time_to_weight, middle, start, C, Q, depth)[:, None] * share
    times, start = times.ravel(), np.broadcast_to(start, times.shape).ravel()
    s = lanes(dynamics.weight_at_time, times, start, C, Q, depth)
    back = lanes(dynamics.time_to_weight, s, start, C, Q, depth)
    # Weights closer to saturation than this are told apart by the gap alone.
    clear = np.abs(s / TOP - 1) > 1e-12
    assert clear.mean() > 0.85
    s, back, times = s[clear], back[clear], times[clear]
    allowed = 2 * (2 + depth) * eps * (times + np.abs(s / speed(s, C, Q, depth)))
    assert (np.abs(back - times) <= allowed).all()


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize(
    ("weight", "start", "cross", "second", "want"),
    [
        (1.0, 0.1, 1.0, 1.0, INF),  # saturation is reached in the limit
        (1.0, 2.0, 1.0, 1.0, INF),
        (2.0, 0.1, 1.0, 1.0, INF),  # beyond it, never
        (0.5, 2.0, 1.0, 1.0, INF),
        (0.0, 0.1, 1.0, 1.0, -INF),  # growth has no beginning
        (0.0, 2.0, 1.0, 1.0, INF),
        (0.0, 2.0, 0.0, 1.0, INF),  # forgetting takes for ever
        (0.5, 1.0, 1.0, 1.0, INF),  # a start at saturation stays
        (0.5, 0.0, 1.0, 1.0, INF),  # so does one at zero
        (0.5, 1.0, 0.0, 0.0, INF),  # and a feature that is not there
        (1.0, 1.0, 1.0, 1.0, 0.0),
        (0.0, 0.0, 1.0, 1.0, 0.0),
        (0.3, 0.3, 1.0, 1.0, 0.0),
        (2.0, 2.0, 0.0, 0.0, 0.0),
    ],
)
def test_time_at_and_beyond_fixed_points(weight, start, cross, second, want, depth):
    assert float(dynamics.time_to_weight(weight, start, cross, second, depth)) == want
    assert np.isfinite(slopes_of_time(depth)(cast([weight, start, cross, second]))).all()


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize(
    ("time", "start", "cross", "second", "weight", "gap"),
    [
        (0.0, 0.2, 1.0, 1.0, 0.2, 0.96),
        (INF, 0.2, 1.0, 2.0, 0.5, 0.0),
        (INF, 9.0, 1.0, 2.0, 0.5, 0.0),
        (INF, 9.0, 0.0, 2.0, 0.0, -INF),
        (1.0, 0.0, 1.0, 1.0, 0.0, 1.0),
        (INF, 0.0, 1.0, 1.0, 0.0, 1.0),
        (1.0, 0.5, 1.0, 2.0, 0.5, 0.0),
        (INF, 0.5, 1.0, 2.0, 0.5, 0.0),
        (1.0, 0.7, 0.0, 0.0, 0.7, 0.0),
        (INF, 0.7, 0.0, 0.0, 0.7, 0.0),
        (1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
        (0.0, 3.0, 0.0, 1.0, 3.0, -INF),
    ],
)
def test_weight_and_gap_at_fixed_points_and_the_ends_of_time(
    time, start, cross, second, weight, gap, depth, eps
):
    x = (time, start, cross, second)
    assert float(dynamics.weight_at_time(*x, depth)) == pytest.approx(weight, rel=4 * eps)
    assert float(dynamics.saturation_gap(*x, depth)) == pytest.approx(gap, rel=4 * eps)
    assert np.isfinite(everything(depth)(cast(x))).all()


positive = st.floats(-2, 2).map(lambda x: 10.0**x)


@given(
    s0=positive, c=positive, q=positive, t=positive, k=positive, depth=st.sampled_from([1, 2, 3])
)
def test_time_and_weight_may_be_measured_in_any_units(s0, c, q, t, k, depth):
    """(c, q^2) times k runs k times faster; weights times k with (c, q^2) divided by k^(2-2/L) and
    k^(4-2/L) run the same.
    """
    eps = float(jnp.finfo(jnp.result_type(float)).eps)
    s = float(dynamics.weight_at_time(t, s0, c, q, depth))
    a = 2 - 2 / depth
    # What rounding of rescaled arguments moves is as much as that of the time, and its logarithmic
    # slope in s is bounded by this.
    slack = (
        256 * eps * (1 + t * abs(speed(s, c, q, depth)) / s + abs(t * speed(s0, c, q, depth) / s0))
    )
    assert float(dynamics.weight_at_time(t / k, s0, k * c, k**0.5 * q, depth)) == pytest.approx(
        s, rel=slack
    )
    seen = float(dynamics.weight_at_time(t, k * s0, k**-a * c, k ** (-a / 2 - 1) * q, depth)) / k
    assert seen == pytest.approx(s, rel=slack)


@given(
    s0=positive,
    c=positive,
    q=positive,
    first=positive,
    then=positive,
    depth=st.sampled_from([1, 2, 3]),
)
def test_a_run_may_be_interrupted(s0, c, q, first, then, depth):
    """Restarting from the weight at some time goes on as if nothing had happened; the weight is
    monotone and stays on its side.
    """
    eps = float(jnp.finfo(jnp.result_type(float)).eps)
    middle, end = (
        float(dynamics.weight_at_time(t, s0, c, q, depth)) for t in (first, first + then)
    )
    resumed = float(dynamics.weight_at_time(then, middle, c, q, depth))
    slack = (
        256
        * eps
        * (
            1
            + sum(
                abs(t * speed(x, c, q, depth)) / x for x in (s0, middle, end) for t in (first, then)
            )
        )
    )
    assert resumed == pytest.approx(end, rel=slack)
    top = c**0.5 / q
    up = 1 if s0 < top else -1
    room = 8 * eps * max(top, s0)
    assert up * (middle - s0) >= -room
    assert up * (end - middle) >= -room
    assert up * (top - end) >= -room


def test_jit_vmap_and_broadcasting_do_not_matter(eps):
    time, start, cross = (
        cast(np.geomspace(0.01, 30, 5))[:, None],
        cast([0.01, 0.5, 2.0]),
        cast([0.7, 0.0, 1.2]),
    )

    function = lambda t, s, c: dynamics.layer_weights(t, s, c, 1.3, 2)
    whole = function(time, start, cross)
    assert whole.shape == (5, 3, 2)
    np.testing.assert_allclose(jax.jit(function)(time, start, cross), whole, rtol=64 * eps)
    mapped = jax.vmap(lambda t: jax.vmap(lambda s, c: function(t, s, c))(start, cross))(time[:, 0])
    np.testing.assert_allclose(mapped, whole, rtol=64 * eps)
    np.testing.assert_allclose(function(time[3, 0], start[2], cross[2]), whole[3, 2], rtol=64 * eps)


@pytest.mark.x64
def test_float32_stays_float32_and_is_as_accurate_as_it_can_be():
    f32, depth = float(jnp.finfo(jnp.float32).eps), 5
    places = [
        (a, b)
        for a, b in PAIRS
        if min(a, b) > 1e-6 and max(a, b) < 1e6 and min(abs(a - 1), abs(b - 1)) > 1e-6 and a != b
    ]
    s, s0 = (TOP * np.array(places).T).astype(np.float32)
    # The same numbers, in twice the digits.
    moments = np.float32(C), np.float32(Q)
    wide = [x.astype(np.float64) for x in (s, s0, *moments)]
    moving = s != s0
    time = dynamics.time_to_weight(s, s0, *moments, depth)
    assert time.dtype == jnp.float32
    want = lanes(dynamics.time_to_weight, *wide, depth)
    gap = np.minimum(*(np.abs(1 - (wide[3] * x) ** 2 / wide[2]) for x in wide[:2]))
    check(time[moving], want[moving], 8 * f32 * (1 + 1 / gap[moving]))
    later = np.asarray(time) > 0
    weight = dynamics.weight_at_time(time[later], s0[later], *moments, depth)
    assert weight.dtype == jnp.float32
    exact = lanes(
        dynamics.weight_at_time,
        np.asarray(time, np.float64)[later],
        *(x[later] if x.ndim else x for x in wide[1:]),
        depth,
    )
    condition = np.abs(np.asarray(time)[later] * speed(exact, *wide[2:], depth) / exact)
    clear = condition < 1e3
    check(np.asarray(weight)[clear], exact[clear], 8 * f32 * (2 + condition[clear]))


def test_new_numbers_compile_nothing_new(monkeypatch):
    """One trace for each function at a shape, dtype and depth, whatever numbers and whether they
    come as floats or arrays.
    """
    traces = []
    for name in ("elapsed", "state"):
        inner = getattr(scalar_flow, name)
        monkeypatch.setattr(
            scalar_flow, name, lambda *x, inner=inner, name=name: traces.append(name) or inner(*x)
        )
    for k in range(1, 5):
        start = cast(np.full(7, 0.01 * k))
        dynamics.time_to_weight(0.1 * k, start, 0.5 * k, 1.5, 2)
        dynamics.weight_at_time(float(k), start, cast(0.5), 1.5 + k, 2)
        dynamics.saturation_gap(cast(k), start, 0.0, 1.5 + k, 2)
    assert sorted(traces) == ["elapsed", "state"]
