"""One feature under gradient flow: closed times and weights, against the hypergeometric formula,
integration, and themselves.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from helpers.draws import cast, some
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory.theory import dynamics
from projhead_theory.theory.dynamics import scalar_flow

mpmath = pytest.importorskip("mpmath")
mpf = mpmath.mpf

DEPTHS = [1, 2, 3, 4, 5, 6]
C, Q = 0.7, 1.3
TOP = np.sqrt(C) / Q

# Places in units of the final weight: far below, midway, at the split of the formula, near
# saturation; and the same above.
BELOW = [1e-100, 1e-12, 1e-3, 0.3, 0.3 * (1 + 1e-12), 0.7, 0.71, 0.95, 1 - 1e-7]
ABOVE = [1e60, 1e6, 3.0, 3.0 * (1 - 1e-12), 1.42, 1.41, 1.05, 1 + 1e-7]
PAIRS = list(itertools.permutations(BELOW, 2)) + list(itertools.permutations(ABOVE, 2))


def antiderivative(s, c, q, depth):
    """4L times the time, up to a constant, at the working precision: hypergeometric below
    saturation, its mirror image above.
    """
    s, c, q = mpf(s), mpf(c), mpf(q)
    a = 3 - mpf(2) / depth
    p = (q * s) ** 2 / c if c else mpmath.inf
    if depth == 1 and c:
        return (mpmath.log(s) - mpmath.log(abs(c - (q * s) ** 2)) / 2) / c
    if p > 1:
        return s ** (-1 - a) / (q**2 * (1 + a)) * mpmath.hyp2f1(1, (1 + a) / 2, (3 + a) / 2, 1 / p)
    return s ** (1 - a) / ((1 - a) * c) * mpmath.hyp2f1(1, (1 - a) / 2, (3 - a) / 2, p)


def exact_time(s, s0, c, q, depth):
    return (antiderivative(s, c, q, depth) - antiderivative(s0, c, q, depth)) / (4 * depth)


def speed(s, c, q, depth):
    return 4 * depth * s ** (3 - 2 / depth) * (c - q**2 * s**2)


LANES = 256


def lanes(function, first, start, cross, second, depth):
    """The function at these points, in batches of one size, so that each depth is compiled once for
    all tests.
    """
    columns = [np.ravel(x) for x in np.broadcast_arrays(first, start, cross, second)]
    padded = [np.resize(x, (-(-x.size // LANES), LANES)) for x in columns]
    values = [function(*(cast(x) for x in batch), depth) for batch in zip(*padded, strict=True)]
    return np.concatenate([np.asarray(v) for v in values])[: columns[0].size]


def check(seen, want, slack):
    """Relative errors within `slack`, entry by entry."""
    seen, want = np.asarray(seen, np.float64), np.asarray(want, np.float64)
    assert np.isfinite(seen).all()
    excess = np.abs(seen - want) / (np.abs(want) * slack)
    assert excess.max() <= 1, (excess.max(), np.argmax(excess))


INF = float("inf")


@functools.cache
def everything(depth):
    """All three functions of the time at once, and their derivatives in all arguments, compiled
    once.
    """

    def stacked(x):
        functions = (dynamics.weight_at_time, dynamics.saturation_gap, dynamics.layer_weights)
        return jnp.concatenate([jnp.atleast_1d(function(*x, depth)) for function in functions])

    return jax.jit(jax.jacrev(stacked))


@functools.cache
def slopes_of_time(depth):
    return jax.jit(jax.grad(lambda x: dynamics.time_to_weight(*x, depth)))


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
@pytest.mark.parametrize("depth", [1, 2, 5])
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


# Along these the second derivatives determine the whole matrix of them.
DIRECTIONS = np.array([u for u in itertools.product([0, 1], repeat=4) if sum(u) in (1, 2)], float)


def first_and_second(function, points):
    """Both derivatives of `function(x, ...)` at each point along each direction, from one
    compilation.
    """

    def along(x, u):
        line = lambda h: function(*(x + h * u))
        slope = lambda h: jax.jvp(line, (h,), (1.0,))[1]
        return jax.jvp(slope, (0.0,), (1.0,))

    return jax.jit(jax.vmap(jax.vmap(along, (None, 0)), (0, None)))(
        np.array(points, float), DIRECTIONS
    )


@pytest.mark.x64
def test_time_has_the_derivatives_of_the_formula(eps):
    """First and second derivatives in weight, start, c and q, against fifty digits: through each
    branch, short and long, both ways.
    """
    points = [
        (0.3, 0.3 * (1 - 1e-9)),
        (0.95, 1e-2),
        (0.99, 0.9),
        (0.2, 0.9),
        (1.05, 3.0),
        (3.0, 2.0),
    ]
    points, depth = [(TOP * s, TOP * s0, C, Q) for s, s0 in points], 3
    first, second = first_and_second(lambda *x: dynamics.time_to_weight(*x, depth), points)
    with mpmath.workdps(50):
        for i, (point, slopes, curves) in enumerate(zip(points, first, second, strict=True)):

            def exact(u, order, point=point):
                return float(
                    mpmath.diff(
                        lambda h: exact_time(
                            *(x + h * mpf(k) for x, k in zip(point, u, strict=True)), depth
                        ),
                        0,
                        order,
                    )
                )

            # Each derivative loses to rounding of the gap, 1/50 at the least, once more than the
            # one before it. Terms of the two ends, of opposite signs, may cancel in a direction
            # that moves both.
            want = [exact(u, 1) for u in DIRECTIONS]
            np.testing.assert_allclose(
                slopes, want, rtol=8 * eps * 50, atol=8 * eps * np.abs(want).max(), err_msg=str(i)
            )
            want = [exact(u, 2) for u in DIRECTIONS]
            np.testing.assert_allclose(
                curves,
                want,
                rtol=8 * eps * 50**2,
                atol=8 * eps * np.abs(want).max(),
                err_msg=str(i),
            )


@pytest.mark.x64
def test_weight_has_the_derivatives_of_an_inverse():
    """Time of the weight at a time is that time for all starts and moments: derivatives 1, 0, 0, 0,
    and none of second order.
    """
    points = [
        (0.3, 0.01, C),
        (3.0, 0.05, C),
        (0.1, 3.0, C),
        (0.2, 3.0, C),
        (0.2, 0.9 * TOP, C),
        (0.0, 0.2, C),
        (0.1, 3.0, 1e-9),
        (0.1, 3.0, 0),
    ]

    def identity(t, s0, c, q):
        return dynamics.time_to_weight(dynamics.weight_at_time(t, s0, c, q, 2), s0, c, q, 2)

    first, second = first_and_second(identity, [(*p, Q) for p in points])
    # What cancels is up to 1e3 in the first and 1e6 in the second derivatives.
    np.testing.assert_allclose(
        first, DIRECTIONS[None, :, 0] * np.ones((len(points), 1)), atol=1e-10
    )
    np.testing.assert_allclose(second, 0, atol=1e-7)


@pytest.mark.x64
@pytest.mark.parametrize("depth", [1, 2])
def test_first_derivatives_obey_the_equation_and_its_symmetries(depth, eps):
    """In reverse mode. Ends move at the speed there; faster by k with (c, q^2) times k; the same in
    other units of the weight.
    """
    for s, s0 in ((0.3, 1e-3), (0.95, 0.1), (0.99, 0.9), (1.1, 3.0), (2.0, 3.0)):
        s, s0 = TOP * s, TOP * s0
        t = float(dynamics.time_to_weight(s, s0, C, Q, depth))
        by_s, by_s0, by_c, by_q = slopes_of_time(depth)(cast([s, s0, C, Q]))
        # The speed near saturation has lost as much as a gap of 1/50 takes.
        np.testing.assert_allclose(
            [by_s, by_s0],
            [1 / speed(s, C, Q, depth), -1 / speed(s0, C, Q, depth)],
            rtol=8 * eps * 50,
        )
        np.testing.assert_allclose(C * by_c + Q / 2 * by_q, -t, rtol=64 * eps * 50)
        scaled = (2 - 2 / depth) * C * by_c + (4 - 2 / depth) * Q / 2 * by_q
        np.testing.assert_allclose(s * by_s + s0 * by_s0, scaled, rtol=64 * eps * 50)
        weight = everything(depth)(cast([t, s0, C, Q]))[0]
        np.testing.assert_allclose(weight[0], speed(s, C, Q, depth), rtol=1e-11)
        np.testing.assert_allclose(
            weight[1:],
            -speed(s, C, Q, depth) * np.array([by_s0, by_c, by_q]),
            rtol=1e-9,
            atol=1e-12,
        )


@pytest.mark.x64
def test_gap_and_weight_have_consistent_derivatives():
    """1 - (q s)^2 / c is the gap, also to first order, where both can be told; at saturation the
    gap still has its derivative.
    """
    for t, s0 in ((0.5, 0.1), (2.0, 0.3), (3.0, 2.0)):
        s = float(dynamics.weight_at_time(t, s0, C, Q, 2))
        weight, gap, *_ = np.asarray(everything(2)(cast([t, s0, C, Q])))
        want = -2 * Q**2 * s / C * weight + np.array([0, 0, (Q * s / C) ** 2, -2 * Q * s**2 / C])
        np.testing.assert_allclose(gap, want, rtol=1e-9, atol=1e-12)
    gap = float(dynamics.saturation_gap(80.0, 0.5, C, Q, 2))
    assert 0 < gap < 1e-100
    assert everything(2)(cast([80.0, 0.5, C, Q]))[1, 0] / gap == pytest.approx(
        -16 * C * TOP, rel=1e-12
    )


@pytest.mark.x64
@pytest.mark.parametrize("depth", [1, 2])
def test_derivative_in_the_signal_exists_without_signal(depth):
    """dt/dc at c = 0 is the integral of 1 / (4 L q^4 s^(a+4)): both arguments of order one, no
    signal to divide by.
    """
    power = 6 - 2 / depth
    seen = slopes_of_time(depth)(cast([0.1, 2.0, 0.0, Q]))[2]
    want = (0.1**-power - 2.0**-power) / (4 * depth * Q**4 * power)
    np.testing.assert_allclose(seen, want, rtol=1e-13)


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


def test_the_derivative_in_the_start_at_zero_and_at_saturation():
    """Linearised flow: at zero it grows like exp(4ct) at depth 1 and not at all at depth 2; at
    saturation it closes like the gap.
    """
    slope = lambda depth, *x: float(everything(depth)(cast(x))[0, 1])
    assert slope(1, 1.0, 0.0, 0.5, 1.0) == pytest.approx(np.exp(2.0), rel=1e-5)
    assert slope(2, 1.0, 0.0, 0.5, 1.0) == pytest.approx(1, rel=1e-5)
    assert slope(2, 0.2, 0.5, 1.0, 2.0) == pytest.approx(np.exp(-8 * 2 * 0.5 * 0.2), rel=1e-5)


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
