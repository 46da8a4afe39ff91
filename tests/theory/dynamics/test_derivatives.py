"""Derivatives of the closed forms of one feature over time: those of the formula and of its
inverse, also at fixed points.
"""

import itertools

import jax
import mpmath
import numpy as np
import pytest
from helpers.draws import cast
from helpers.one_feature import TOP, C, Q, everything, exact_time, slopes_of_time, speed
from mpmath import mpf

from projhead_theory.theory import dynamics

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


def test_the_derivative_in_the_start_at_zero_and_at_saturation():
    """Linearised flow: at zero it grows like exp(4ct) at depth 1 and not at all at depth 2; at
    saturation it closes like the gap.
    """
    slope = lambda depth, *x: float(everything(depth)(cast(x))[0, 1])
    assert slope(1, 1.0, 0.0, 0.5, 1.0) == pytest.approx(np.exp(2.0), rel=1e-5)
    assert slope(2, 1.0, 0.0, 0.5, 1.0) == pytest.approx(1, rel=1e-5)
    assert slope(2, 0.2, 0.5, 1.0, 2.0) == pytest.approx(np.exp(-8 * 2 * 0.5 * 0.2), rel=1e-5)
