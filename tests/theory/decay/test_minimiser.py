"""Weight decay on one feature: the minimum it moves, the two decays at which it goes, and the
imbalance it removes.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
from helpers.draws import cast
from hypothesis import given
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory.theory.decay import (
    decay_limit,
    decay_minimiser,
    decayed_energy,
    decayed_imbalance,
    decayed_weight,
    extinction_decay,
    extinction_weight,
)

mpmath = pytest.importorskip("mpmath")

DEPTHS = [1, 2, 3, 4, 6, 20]
MODELS = [(1.0, 1.0), (0.7, 1.3), (0.02, 4.0), (30.0, 31.0)]


def largest_stationary_point(c, q, weight_decay, depth):
    """At forty digits: in w = s^(2/L), 4 q^2 w^(2L-1) - 4 c w^(L-1) + decay is a polynomial, and
    its largest root is the minimum.
    """
    with mpmath.workdps(40):
        polynomial = [mpmath.mpf(0)] * (2 * depth)
        polynomial[0], polynomial[depth], polynomial[-1] = (
            4 * mpmath.mpf(q) ** 2,
            -4 * mpmath.mpf(c),
            mpmath.mpf(weight_decay),
        )
        if depth == 1:
            polynomial = [4 * mpmath.mpf(q) ** 2, mpmath.mpf(weight_decay) - 4 * mpmath.mpf(c)]
        roots = mpmath.polyroots(polynomial, maxsteps=500, extraprec=400)
        real = [
            mpmath.re(w)
            for w in roots
            if abs(mpmath.im(w)) < mpmath.mpf(10) ** -25 and mpmath.re(w) > 0
        ]
        return float(max(real) ** (mpmath.mpf(depth) / 2)) if real else 0.0


@pytest.mark.x64
@pytest.mark.parametrize(
    ("depth", "c", "q"),
    [(depth, *model) for depth in (1, 2, 3, 4) for model in MODELS] + [(6, 0.7, 1.3)],
)
def test_weight_is_the_largest_root_of_the_stationary_polynomial(depth, c, q, eps):
    """To a few roundings, and more only where the root itself moves: by its slope in the decay,
    infinite at the limit.
    """
    limit = float(decay_limit(c, q, depth))
    decays = limit * np.array([0.0, 1e-12, 1e-3, 0.2, 0.5, 0.8, 0.99, 0.99999])
    seen = np.asarray(decayed_weight(c, q, decays, depth))
    want = np.array(
        [largest_stationary_point(c, q, weight_decay, depth) for weight_decay in decays]
    )
    p = (q * want) ** 2 / c
    slope = np.abs(depth * p / ((2 * depth - 1) * p - (depth - 1))) * (1 - p) / p
    assert (np.abs(seen - want) <= 4 * eps * (1 + slope) * want).all()


@pytest.mark.parametrize("depth", DEPTHS)
def test_without_decay_it_is_the_spectral_minimiser(depth, eps):
    c, q = np.array(MODELS).T
    for function in (decayed_weight, decay_minimiser):
        np.testing.assert_allclose(
            function(cast(c), cast(q), 0.0, depth), np.sqrt(c) / q, rtol=8 * eps
        )


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_energy_is_the_loss_and_penalty_of_an_aligned_network(depth, eps):
    """Summed over the features: the population loss of a real network, with half the decay times
    the squared norms of its layers.
    """
    problem = pt.ContrastiveProblem(pt.Features([0.5, 1.0, 2.0]), pt.AdditiveNoise([0.3, 1.0, 0.5]))
    moments = problem.moments()
    weights, weight_decay = cast([0.2, 0.9, 0.4]), 0.3
    network = pt.DeepLinear.aligned(jnp.eye(3), weights, (3,) * (depth + 1))
    want = pt.losses.spectral.population(network.matrix, moments) + weight_decay / 2 * sum(
        jnp.sum(w**2) for w in network.layers
    )
    seen = decayed_energy(
        weights, jnp.diagonal(moments.cross), jnp.diagonal(moments.second), weight_decay, depth
    ).sum()
    np.testing.assert_allclose(seen, want, rtol=64 * eps, atol=64 * eps)


@pytest.mark.x64
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize(("c", "q"), MODELS)
def test_no_weight_on_a_grid_or_refined_from_it_has_less_energy(c, q, depth):
    """Brute force over the weight finds the minimiser on both sides of extinction, and the energy
    no lower anywhere.
    """
    grid = np.concatenate([[0.0], np.geomspace(1e-6, 2, 4000)]) * np.sqrt(c) / q
    for share in (0.0, 0.3, 0.9, 0.999, 1.001, 1.3, 4.0):
        weight_decay = share * float(extinction_decay(c, q, depth))
        energy = lambda s, weight_decay=weight_decay: (
            -2 * c * s**2 + q**2 * s**4 + weight_decay * depth / 2 * s ** (2 / depth)
        )
        best = grid[np.argmin(energy(grid))]
        if best > 0:
            around = scipy.optimize.minimize_scalar(
                energy,
                bounds=(0.99 * best, 1.01 * best),
                method="bounded",
                options={"xatol": 1e-12 * best},
            )
            best = around.x
        seen = float(decay_minimiser(c, q, weight_decay, depth))
        # A minimum is found by its energy to the root of its rounding.
        assert seen == pytest.approx(best, rel=1e-6, abs=1e-12)
        assert (
            float(decayed_energy(seen, c, q, weight_decay, depth))
            <= energy(grid).min() + 1e-14 * c**2 / q**2
        )
        np.testing.assert_allclose(
            decayed_energy(grid, c, q, weight_decay, depth),
            energy(grid),
            rtol=1e-12,
            atol=1e-13 * c**2 / q**2,
        )


@pytest.mark.x64
@pytest.mark.parametrize("depth", DEPTHS)
def test_at_extinction_two_minima_are_as_good_and_the_weight_jumps(depth):
    """The weight just before is the one stated, its energy that of zero; just after it is zero,
    while the local minimum lives on.
    """
    c, q = 0.7, 1.3
    weight_decay, weight = (
        float(extinction_decay(c, q, depth)),
        float(extinction_weight(c, q, depth)),
    )
    assert float(decayed_energy(weight, c, q, weight_decay, depth)) == pytest.approx(0, abs=1e-14)
    before, after = (
        float(decay_minimiser(c, q, weight_decay * (1 + h), depth)) for h in (-1e-9, 1e-9)
    )
    assert after == 0
    if depth == 1:
        assert weight == 0
        assert before == pytest.approx(0, abs=1e-4)  # continuous, as the root of the distance
        assert float(decay_limit(c, q, 1)) == pytest.approx(weight_decay)
    else:
        assert before == pytest.approx(weight, rel=1e-8)
        assert weight > 0.8 * np.sqrt(c) / q
        assert float(decayed_weight(c, q, weight_decay * (1 + 1e-9), depth)) == pytest.approx(
            weight, rel=1e-8
        )
        # What the controls claim is told apart: the spinodal is at a larger decay, and no
        # continuous curve ends here.
        assert weight_decay / float(decay_limit(c, q, depth)) == pytest.approx(
            2 ** (1 - 1 / depth) / depth
        )
        assert weight_decay < 0.95 * float(decay_limit(c, q, depth))


@pytest.mark.x64
@pytest.mark.parametrize("depth", DEPTHS)
def test_at_the_limit_minimum_and_barrier_merge(depth):
    """Slope and curvature of the energy vanish together there; the local minimum exists just before
    and not just after.
    """
    c, q = 0.7, 1.3
    limit = float(decay_limit(c, q, depth))
    inflection = ((depth - 1) / (2 * depth - 1) * c) ** 0.5 / q
    before, after = (float(decayed_weight(c, q, limit * (1 + h), depth)) for h in (-1e-12, 1e-12))
    assert after == 0
    assert before == pytest.approx(inflection, abs=1e-5)
    assert float(decayed_weight(c, q, limit, depth)) == pytest.approx(inflection, abs=1e-7)
    if depth > 1:
        a = 2 / depth
        slope = -4 * c * inflection + 4 * q**2 * inflection**3 + limit * inflection ** (a - 1)
        curvature = -4 * c + 12 * q**2 * inflection**2 + limit * (a - 1) * inflection ** (a - 2)
        np.testing.assert_allclose([slope, curvature], 0, atol=1e-13)


@pytest.mark.x64
def test_depth_two_is_the_trigonometric_formula_and_its_limits_are_those_stated():
    c, q = 0.7, 1.3
    assert float(decay_limit(c, q, 2)) == pytest.approx(8 * c**1.5 / (3 * 3**0.5 * q), rel=1e-14)
    assert float(extinction_decay(c, q, 2)) == pytest.approx(2 * (2 * c / 3) ** 1.5 / q, rel=1e-14)
    assert float(extinction_decay(c, q, 1)) == pytest.approx(4 * c, rel=1e-14)
    weight_decay = 0.3
    want = (
        2
        * (c / (3 * q**2)) ** 0.5
        * np.cos(np.arccos(-3 * 3**0.5 * weight_decay * q / (8 * c**1.5)) / 3)
    )
    assert float(decayed_weight(c, q, weight_decay, 2)) == pytest.approx(want, rel=1e-14)


@pytest.mark.x64
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_weight_has_the_derivatives_of_a_stationary_point(depth):
    """The slope of the energy stays zero along any line in (c, q, decay): first and second
    derivatives of the weight in all of them.
    """

    def slope(x):
        c, q, weight_decay = x
        s = decayed_weight(c, q, weight_decay, depth)
        return -4 * c * s + 4 * q**2 * s**3 + weight_decay * s ** (2 / depth - 1)

    def along(x, u):
        line = lambda h: slope(x + h * u)
        return jax.jvp(lambda h: jax.jvp(line, (h,), (1.0,))[1], (0.0,), (1.0,))

    points = [
        (0.7, 1.3, share * float(decay_limit(0.7, 1.3, depth))) for share in (0.0, 0.1, 0.5, 0.9)
    ]
    first, second = jax.jit(jax.vmap(along, (0, None)))(
        np.array(points), np.array([0.3, -0.5, 0.7])
    )
    np.testing.assert_allclose(first, 0, atol=1e-13)
    np.testing.assert_allclose(second, 0, atol=1e-12)
    gradient = jax.grad(decayed_weight, 2)(0.7, 1.3, points[2][2], depth)
    h = 1e-5
    numeric = (
        decayed_weight(0.7, 1.3, points[2][2] + h, depth)
        - decayed_weight(0.7, 1.3, points[2][2] - h, depth)
    ) / (2 * h)
    assert float(gradient) == pytest.approx(float(numeric), rel=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_features_without_signal_or_variance_have_no_weight(depth):
    for c, q in ((0.0, 1.0), (0.0, 0.0)):
        for weight_decay in (0.0, 0.5):
            x = (c, q, weight_decay)
            for value in (
                decayed_weight(*x, depth),
                decay_minimiser(*x, depth),
                decay_limit(c, q, depth),
                extinction_decay(c, q, depth),
            ):
                assert float(value) == 0
            assert float(extinction_weight(c, q, depth)) == 0
            slopes = jax.grad(
                lambda *x: decayed_weight(*x, depth) + extinction_decay(x[0], x[1], depth),
                (0, 1, 2),
            )(*x)
            assert np.isfinite(slopes).all()
    beyond = jax.grad(
        lambda weight_decay: (
            decay_minimiser(1.0, 1.0, weight_decay, depth)
            + decayed_weight(1.0, 1.0, weight_decay, depth)
        )
    )(9.0)
    assert float(beyond) == 0


@given(
    c=st.floats(-2, 2).map(lambda x: 10.0**x),
    q=st.floats(-2, 2).map(lambda x: 10.0**x),
    share=st.floats(0, 0.99),
    more=st.floats(0, 1),
    depth=st.sampled_from([1, 2, 3, 5]),
)
def test_decay_shrinks_the_weight_by_a_bounded_factor_whatever_the_units(c, q, share, more, depth):
    """Monotone in the decay, between the inflection and the weight without decay, and a function of
    decay over its limit alone.
    """
    eps = float(jnp.finfo(jnp.result_type(float)).eps)
    limit, top = float(decay_limit(c, q, depth)), c**0.5 / q
    weight = float(decayed_weight(c, q, share * limit, depth)) / top
    less = float(decayed_weight(c, q, (share + more * (0.99 - share)) * limit, depth)) / top
    slack = 1e3 * eps
    assert ((depth - 1) / (2 * depth - 1)) ** 0.5 - slack <= less <= weight + slack <= 1 + 2 * slack
    unit = float(decayed_weight(1.0, 1.0, share * float(decay_limit(1.0, 1.0, depth)), depth))
    assert weight == pytest.approx(unit, rel=slack)


@pytest.mark.x64
@pytest.mark.parametrize("depth", [1, 3])
def test_mapped_jitted_and_float32_agree(depth, eps):
    c, q, weight_decay = (
        np.array([0.7, 0.1, 0.0, 2.0]),
        np.array([1.3, 2.0, 1.0, 3.0]),
        np.array([0.1, 0.5, 0.2, 0.0]),
    )
    whole = decay_minimiser(c, q, weight_decay, depth)
    np.testing.assert_allclose(
        jax.jit(lambda *x: decay_minimiser(*x, depth))(c, q, weight_decay), whole, rtol=8 * eps
    )
    np.testing.assert_allclose(
        jax.vmap(lambda *x: decay_minimiser(*x, depth))(c, q, weight_decay), whole, rtol=8 * eps
    )
    narrow = decay_minimiser(*(x.astype(np.float32) for x in (c, q, weight_decay)), depth)
    assert narrow.dtype == jnp.float32
    np.testing.assert_allclose(narrow, whole, rtol=1e-6)
    assert decay_minimiser(c[:, None], q[:, None], weight_decay, depth).shape == (4, 4)


def flow_of_two_layers(decays, end):
    """SciPy's gradient flow of ||W2 W1 - A||^2 / 2, with a decay for each layer; the imbalance at
    the start and the end.
    """
    rng = np.random.default_rng(0)
    start, target = rng.standard_normal((2, 3, 3)), rng.standard_normal((3, 3))

    def field(_, y):
        first, second = y.reshape(2, 3, 3)
        error = second @ first - target
        return -np.stack(
            [second.T @ error + decays[0] * first, error @ first.T + decays[1] * second]
        ).ravel()

    run = scipy.integrate.solve_ivp(
        field, (0, end), start.ravel(), method="DOP853", rtol=1e-11, atol=1e-12
    )
    layers = run.y.T.reshape(-1, 2, 3, 3)[[0, -1]]
    return [b.T @ b - a @ a.T for a, b in layers]


@pytest.mark.x64
def test_imbalance_decays_at_twice_the_rate_for_a_loss_that_is_not_ours():
    before, after = flow_of_two_layers((0.3, 0.3), 2.0)
    (seen,) = decayed_imbalance([cast(before)], 0.3, 2.0)
    np.testing.assert_allclose(seen, after, atol=1e-8)
    # Controls: with the decay on one layer only, or at half the rate, it is not this law.
    _, uneven = flow_of_two_layers((0.6, 0.0), 2.0)
    assert np.abs(uneven - seen).max() > 0.1
    assert np.abs(decayed_imbalance([cast(before)], 0.15, 2.0)[0] - after).max() > 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: decayed_energy(-1.0, 1.0, 1.0, 0.1, 2),
            r"^weight: got -1\.0; want non-negative finite numbers",
        ),
        (lambda: decayed_weight(-1.0, 1.0, 0.1, 2), r"^cross: got -1\.0; want non-negative"),
        (lambda: decayed_weight(1.0, -1.0, 0.1, 2), r"^second: got -1\.0; want non-negative"),
        (
            lambda: decayed_weight(1.0, 0.0, 0.1, 2),
            r"^cross: got 1\.0; want 0 where the second moment is 0",
        ),
        (
            lambda: decay_minimiser(1.0, 1.0, [0.1, -0.5], 2),
            r"^weight_decay: got -0\.5 at index 1; want non-negative",
        ),
        (lambda: decay_minimiser(1.0, 1.0, 0.1, 0), r"^depth: got 0; want a whole number >= 1"),
        (lambda: decay_limit(1.0, 1.0, -2), r"^depth: got -2; want a whole number >= 1"),
        (lambda: extinction_decay(np.nan, 1.0, 2), r"^cross: got nan; want non-negative"),
        (lambda: extinction_weight(1.0, np.inf, 2), r"^second: got inf; want non-negative"),
        (
            lambda: decayed_imbalance([jnp.eye(2)], -0.5, 1.0),
            r"^weight_decay: got -0\.5; want non-negative",
        ),
        (
            lambda: decayed_imbalance([jnp.eye(2)], 0.1, -1.0),
            r"^time: got -1\.0; want non-negative",
        ),
    ],
)
def test_arguments_out_of_range_are_named(call, message, untyped):
    with pytest.raises(ValueError, match=message):
        call()
