"""The threshold law, against the differential equation solved by SciPy, and against what it must
reduce to.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.compiling import compiling
from helpers.draws import some
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from projhead_theory import theory

pytestmark = pytest.mark.x64

PHI = np.array([1.0, 1.4, 0.8])
RHO = np.array([0.64, 0.0, 0.25])


def start(depth):
    """Unequal weights; thresholds but in layers 3 to L - 1. All features are active."""
    w = np.array([[1.1, 0.9, 1.5], [0.8, 1.2, 1.0], [1.0, 0.7, 1.2], [0.9, 1.1, 0.8]])[:depth]
    b = np.array([[0.1, 0.2, 0.05], [0.05, 0.1, 0.2], [0.1, 0.0, 0.05], [0.02, 0.1, 0.1]])[:depth]
    b[2:-1] = 0
    return w, b


def forward(w, b, phi):
    a = [phi]
    for v, cut in zip(w, b, strict=True):
        a.append(np.maximum(v * a[-1] - cut, 0))
    return a


def integrate(w, b, phi, rho, times):
    """Amplitudes (T, L) of one feature and its weights, by the flow of the weights as it stands."""

    def field(t, w):
        a = forward(w, b, phi)
        slope = (-4 * rho * a[-1] + 4 * a[-1] ** 3) * (a[-1] > 0)
        above, rates = 1.0, []
        for level in reversed(range(len(w))):
            rates.append(-slope * above * a[level])
            above *= w[level]
        return rates[::-1]

    solution = solve_ivp(
        field, (0, times[-1]), w, method="DOP853", t_eval=times, rtol=1e-12, atol=1e-14
    )
    return np.array([forward(y, b, phi)[1:] for y in solution.y.T]), solution.y.T


@pytest.mark.parametrize("depth", some([1, 2, 3, 4], 0, 2))
def test_law_time_invariants_and_limit_against_the_differential_equation(depth):
    """From an unbalanced start: all amplitudes at the last one's, when that is, what stays, and
    where it ends.
    """
    (w, b), times = start(depth), np.array([0.0, 0.05, 0.2, 0.6])
    seen, weights = zip(
        *(integrate(w[:, i], b[:, i], PHI[i], RHO[i], times) for i in range(3)), strict=True
    )
    amplitudes, weights = np.stack(seen, axis=-1), np.stack(weights, axis=-1)
    last = jnp.asarray(amplitudes[:, -1])
    np.testing.assert_allclose(
        theory.thresholds.threshold_law(last, w, b, PHI), amplitudes, rtol=1e-9
    )
    np.testing.assert_allclose(
        theory.thresholds.threshold_time(last, w, b, PHI, RHO),
        times[:, None] * np.ones(3),
        rtol=1e-8,
        atol=1e-10,
    )
    if depth > 1:
        kept = jax.vmap(lambda v: theory.thresholds.threshold_invariants(v, b, PHI))(weights)
        np.testing.assert_allclose(kept, jnp.broadcast_to(kept[0], kept.shape), atol=1e-10)
    ends = np.array(
        [integrate(w[:, i], b[:, i], PHI[i], RHO[i], [0.0, 200.0])[0][-1] for i in (0, 2)]
    ).T
    np.testing.assert_allclose(
        np.asarray(theory.thresholds.threshold_limit(w, b, PHI, RHO))[:, [0, 2]], ends, rtol=1e-8
    )


def test_two_layers_in_closed_form():
    """u^2/phi^2 - K u = (A + b)^2 and R = sqrt(K^2 phi^4 + 4 phi^2 (A + b)^2)."""
    w, b = start(2)
    last = np.array([0.3, 0.2, 0.5])
    first = np.asarray(theory.thresholds.threshold_law(last, w, b, PHI))[0]
    k = (w[0] - b[0] / PHI) ** 2 - w[1] ** 2
    u = PHI**2 / 2 * (k + np.sqrt(k**2 + 4 * (last + b[1]) ** 2 / PHI**2))
    np.testing.assert_allclose(first, np.sqrt(u), rtol=1e-13)
    speed = np.sqrt(k**2 * PHI**4 + 4 * PHI**2 * (last + b[1]) ** 2)
    np.testing.assert_allclose(
        theory.thresholds.threshold_speed(last, w, b, PHI), speed, rtol=1e-13
    )


@given(st.floats(0.2, 3.0), st.floats(0.3, 2.0), st.floats(0.0, 0.5), st.integers(2, 4))
def test_from_equal_weights_the_layer_wise_law_returns(phi, equal, cut, depth):
    """A_l = phi^(1 - l/L) (A_L + b_L)^(l/L); b_1 never matters, and without b_L it is the linear
    root law.
    """
    b = np.zeros((depth, 1))
    b[0], b[-1] = 0.3, cut
    w = np.full((depth, 1), equal)
    w[0] += 0.3 / phi
    last = np.array([0.4])
    levels = np.arange(1, depth + 1)[:, None] / depth
    expected = phi ** (1 - levels) * (last + cut) ** levels
    expected[-1] = last
    np.testing.assert_allclose(
        theory.thresholds.threshold_law(last, w, b, np.array([phi])), expected, rtol=1e-11
    )
    speed = depth * phi ** (2 / depth) * (last + cut) ** (2 - 2 / depth)
    np.testing.assert_allclose(
        theory.thresholds.threshold_speed(last, w, b, np.array([phi])), speed, rtol=1e-10
    )


def test_a_disrupted_feature_is_kept_below():
    """sqrt(phi b_2), from equal weights; and its last amplitude goes as (8 R t)^(-1/2)."""
    phi, cut = np.array([1.3]), 0.2
    w, b = np.array([[1.0], [1.0]]), np.array([[0.0], [cut]])
    limit = theory.thresholds.threshold_limit(w, b, phi, np.zeros(1))
    np.testing.assert_allclose(limit, [[np.sqrt(1.3 * cut)], [0.0]], rtol=1e-12)
    late = np.array([1e-4])
    time = theory.thresholds.threshold_time(late, w, b, phi, np.zeros(1))
    np.testing.assert_allclose(
        late,
        (8 * theory.thresholds.threshold_speed(np.zeros(1), w, b, phi) * time) ** -0.5,
        rtol=2e-3,
    )


def test_reach_by_brute_force():
    """The strengths at which each layer starts to respond, on a fine grid; the window of two layers
    as in the paper.
    """
    w, b = start(4)
    b[2] = 0.07
    reach = np.asarray(theory.thresholds.threshold_reach(w, b))
    grid = np.linspace(0, 2, 200_001)
    for i in range(3):
        responds = [np.argmax(a > 0) for a in forward(w[:, i], b[:, i], grid)[1:]]
        np.testing.assert_allclose(reach[:, i], grid[responds], atol=2e-5)
    np.testing.assert_allclose(reach[:2], [b[0] / w[0], (b[0] + b[1] / w[1]) / w[0]], rtol=1e-14)
    assert np.isinf(
        np.asarray(
            theory.thresholds.threshold_reach(np.array([[1.0], [0.0]]), np.array([[0.1], [0.1]]))
        )
    )[1, 0]
    np.testing.assert_array_equal(
        theory.thresholds.threshold_reach(np.array([[1.0], [0.0]]), np.zeros((2, 1))),
        np.zeros((2, 1)),
    )


def test_a_feature_that_is_not_active_keeps_its_start():
    w, b, phi = np.array([[1.0], [0.5]]), np.array([[0.1], [0.3]]), np.array([0.5])
    np.testing.assert_allclose(
        theory.thresholds.threshold_limit(w, b, phi, np.ones(1)), [[0.4], [0.0]]
    )


def test_between_layers_beyond_the_second_squares_are_not_conserved():
    """A threshold in layer 3 of 4: no combination w_3^2 - w_4^2 + c ln(x + w_2) stays, so the
    statement ends where it says.
    """
    w, b = start(4)
    b[2] = 0.2
    _, weights = integrate(w[:, 0], b[:, 0], 1.0, 0.64, np.array([0.0, 0.1, 0.2, 0.4]))
    squares, logs = (
        weights[:, 2] ** 2 - weights[:, 3] ** 2,
        np.log(weights[:, 0] - b[0, 0] + weights[:, 1]),
    )
    rates = np.diff(squares) / np.diff(logs)
    assert np.ptp(rates) > 1e-2 * abs(rates).max() > 1e-4
    with pytest.raises(
        ValueError,
        match=r"^thresholds: got .*; want zeros in layers 3 to L - 1: "
        "with others there is no closed form",
    ):
        theory.thresholds.threshold_law(np.ones(3), w, b, PHI)


def test_bad_arguments_are_named():
    w, b = start(2)
    with pytest.raises(ValueError, match=r"^thresholds: got -0.1"):
        theory.thresholds.threshold_reach(w, -np.full_like(b, 0.1))
    with pytest.raises(ValueError, match=r"^thresholds: got shape"):
        theory.thresholds.threshold_reach(w, b[:1])
    with pytest.raises(ValueError, match=r"^strength: got 0"):
        theory.thresholds.threshold_law(np.ones(3), w, b, np.zeros(3))
    with pytest.raises(ValueError, match=r"^rho: got 1.5"):
        theory.thresholds.threshold_limit(w, b, PHI, np.full(3, 1.5))
    with pytest.raises(ValueError, match=r"^thresholds: got shape"):
        theory.thresholds.homogeneity_invariants(w, b[:1])


def test_dtype_is_kept_and_nothing_recompiles():
    w, b = (x.astype(np.float32) for x in start(3))
    phi, rho = PHI.astype(np.float32), RHO.astype(np.float32)
    law = jax.jit(theory.thresholds.threshold_law)
    assert law(phi / 4, w, b, phi).dtype == jnp.float32
    x, y = phi / 3, b / 2
    assert compiling(lambda: law(x, w, y, phi))[1] == []
    assert (
        jax.eval_shape(theory.thresholds.threshold_time, phi / 4, w, b, phi, rho).dtype
        == jnp.float32
    )
    assert theory.thresholds.threshold_reach(w, b).dtype == jnp.float32
