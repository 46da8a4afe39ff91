"""Weight decay on one mode of a regression: its minimum, and the decays at which it goes."""

import jax
import numpy as np
import pytest
import scipy.optimize
from helpers.draws import cast
from hypothesis import given
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory.theory import decay
from projhead_theory.theory.decay.regression import (
    decay_limit,
    decay_minimiser,
    decayed_energy,
    decayed_weight,
    extinction_decay,
    extinction_weight,
)

mpmath = pytest.importorskip("mpmath")

DEPTHS = [1, 2, 3, 4, 5, 8]
MODES = [(1.0, 1.0), (0.7, 1.3), (0.02, 4.0), (30.0, 31.0)]


def energy(s, a, q, weight_decay, depth):
    return q * s**2 / 2 - a * s + weight_decay * depth / 2 * s ** (2 / depth)


@pytest.mark.x64
@pytest.mark.parametrize("depth", [3, 4, 5, 8])
@pytest.mark.parametrize(("a", "q"), MODES)
def test_weight_is_a_root_at_forty_digits(depth, a, q, eps):
    """To a few roundings, and more only where the root itself moves, by its slope in the decay."""
    decays = float(decay_limit(a, q, depth)) * np.array([0.0, 1e-12, 1e-3, 0.2, 0.5, 0.8, 0.99])
    seen = np.asarray(decayed_weight(a, q, decays, depth))
    with mpmath.workdps(40):
        for weight_decay, got in zip(decays, seen, strict=True):
            slope = lambda s, g=weight_decay: (
                q * s - a + mpmath.mpf(g) * s ** (mpmath.mpf(2) / depth - 1)
            )
            want = mpmath.findroot(slope, mpmath.mpf(float(got)))
            p = float(q * want / a)
            steep = abs((1 - p) / ((1 - 2 / depth) * (1 - p) - p))
            assert abs(got - want) <= 8 * eps * (1 + steep) * want


@pytest.mark.x64
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("a", "q"), MODES)
def test_no_weight_on_a_grid_or_refined_from_it_has_less_energy(depth, a, q):
    """Brute force over the weight, on both sides of the extinction."""
    grid = np.concatenate([[0.0], np.geomspace(1e-7, 2, 4000)]) * a / q
    unit = q if depth == 1 else float(extinction_decay(a, q, depth))
    for share in (0.0, 0.3, 0.9, 0.999, 1.001, 1.3, 4.0):
        own = lambda s, g=share * unit: energy(s, a, q, g, depth)
        best = grid[np.argmin(own(grid))]
        if best > 0:
            best = scipy.optimize.minimize_scalar(
                own,
                bounds=(0.99 * best, 1.01 * best),
                method="bounded",
                options={"xatol": 1e-12 * best},
            ).x
        seen = float(decay_minimiser(a, q, share * unit, depth))
        assert seen == pytest.approx(best, rel=1e-6, abs=1e-6 * a / q)
        assert own(seen) <= own(grid).min() + 1e-14 * a**2 / q
    # The terms cancel where the energy is zero.
    np.testing.assert_allclose(
        decayed_energy(grid, a, q, unit, depth),
        energy(grid, a, q, unit, depth),
        rtol=1e-12,
        atol=1e-14 * a**2 / q,
    )


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_energy_is_the_loss_and_penalty_of_an_aligned_network(depth, eps):
    """Less the loss of a network without weights."""
    target, second = cast([0.5, 1.0]), cast([0.8, 1.7])
    weights, weight_decay = cast([0.2, 0.9]), 0.3
    moments = pt.moments.TargetMoments(np.diag(target), np.diag(second))
    network = pt.DeepLinear.aligned(np.eye(2, dtype=target.dtype), weights, (2,) * (depth + 1))
    nothing = pt.DeepLinear([np.zeros((2, 2), target.dtype)])
    want = pt.losses.mse(network, moments) - pt.losses.mse(nothing, moments)
    want = want + weight_decay / 2 * sum((w**2).sum() for w in network.layers)
    seen = decayed_energy(weights, target, second, weight_decay, depth).sum()
    np.testing.assert_allclose(seen, want, rtol=64 * eps, atol=64 * eps)


@pytest.mark.x64
@pytest.mark.parametrize("depth", [2, 4, 6])
def test_it_is_the_contrastive_feature_at_half_the_depth(depth):
    """Of half the target and half the squared second moment, at twice the decay."""
    a, q = np.array(MODES).T
    half, other = depth // 2, (a / 2, np.sqrt(q / 2))
    for own, contrastive in (
        (extinction_decay, decay.extinction_decay),
        (decay_limit, decay.decay_limit),
    ):
        np.testing.assert_allclose(own(a, q, depth), contrastive(*other, half) / 2, rtol=1e-13)
    decays = 0.7 * np.asarray(extinction_decay(a, q, depth))
    np.testing.assert_allclose(
        decayed_weight(a, q, decays, depth),
        np.asarray(decay.decayed_weight(*other, 2 * decays, half)) ** 2,
        rtol=1e-12,
    )


def test_one_layer_is_ridge_regression_and_is_never_extinct(eps):
    weight_decay = cast([0.0, 0.1, 1.0, 1e4])
    seen = np.asarray(decay_minimiser(cast(2.0), cast(0.5), weight_decay, 1))
    np.testing.assert_allclose(seen, 2 / (0.5 + np.asarray(weight_decay)), rtol=8 * eps)
    assert np.isposinf(extinction_decay(2.0, 0.5, 1))
    assert float(extinction_weight(2.0, 0.5, 1)) == 0


def test_two_layers_are_a_soft_threshold(eps):
    weight_decay = cast([0.0, 0.5, 1.999, 2.0, 3.0])
    seen = np.asarray(decay_minimiser(cast(2.0), cast(0.5), weight_decay, 2))
    want = np.maximum(2 - np.asarray(weight_decay, float), 0) / 0.5
    np.testing.assert_allclose(seen, want, rtol=2**11 * eps)
    assert float(extinction_decay(2.0, 0.5, 2)) == float(decay_limit(2.0, 0.5, 2)) == 2
    assert float(extinction_weight(2.0, 0.5, 2)) == 0


@pytest.mark.x64
@pytest.mark.parametrize("depth", [3, 4, 7, 30])
def test_from_three_layers_the_weight_jumps(depth):
    a, q = 0.7, 1.3
    found, weight = float(extinction_decay(a, q, depth)), float(extinction_weight(a, q, depth))
    assert weight == pytest.approx((depth - 2) / (depth - 1) * a / q)
    assert float(decayed_energy(weight, a, q, found, depth)) == pytest.approx(0, abs=1e-15)
    before, after = (float(decay_minimiser(a, q, found * (1 + h), depth)) for h in (-1e-9, 1e-9))
    assert before == pytest.approx(weight, rel=1e-8)
    assert after == 0
    limit = float(decay_limit(a, q, depth))
    assert limit > found
    below, beyond = (float(decayed_weight(a, q, limit * (1 + h), depth)) for h in (-1e-12, 1e-12))
    assert below == pytest.approx((depth - 2) / (2 * depth - 2) * a / q, rel=1e-4)
    assert beyond == 0


@pytest.mark.parametrize("depth", DEPTHS)
def test_modes_without_target_or_variance_have_no_weight(depth):
    target, second = cast([0.0, 0.0]), cast([1.0, 0.0])
    for weight_decay in (0.0, 0.5):
        for function in (decayed_weight, decay_minimiser):
            assert not np.any(np.asarray(function(target, second, weight_decay, depth)))
    for function in (decay_limit, extinction_decay, extinction_weight):
        assert not np.any(np.asarray(function(target, second, depth)))


@pytest.mark.x64
@given(
    st.floats(0.1, 10),
    st.floats(0.1, 10),
    st.floats(0, 1.5),
    st.floats(0.1, 10),
    st.sampled_from([1, 2, 3, 4]),
)
def test_units_of_target_and_input(a, q, share, unit, depth):
    """The weight is in units of the target over the second moment, for the same share of decay."""
    scale = 1.0 if depth == 1 else float(extinction_decay(1.0, 1.0, depth))
    reference = float(decay_minimiser(1.0, 1.0, share * scale, depth))
    weight_decay = share * (q if depth == 1 else float(extinction_decay(a, q, depth)))
    if abs(share - 1) > 1e-9:
        seen = float(decay_minimiser(a, q, weight_decay, depth))
        np.testing.assert_allclose(seen, reference * a / q, rtol=1e-11, atol=1e-13)


@pytest.mark.x64
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_derivatives_are_differences(depth):
    at = [np.asarray(x) for x in (0.9, 1.1, 0.15)]
    for i in range(3):
        f = lambda x, i=i: decayed_weight(*at[:i], x, *at[i + 1 :], depth)
        difference = (f(at[i] + 1e-6) - f(at[i] - 1e-6)) / 2e-6
        np.testing.assert_allclose(jax.grad(f)(cast(at[i])), difference, rtol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 1.0, 0.1, 2), "target: got -1"),
        ((1.0, 0.0, 0.1, 2), "target: got 1.0; want 0 where the second moment is 0"),
        ((1.0, 1.0, -0.1, 2), "weight_decay: got -0.1"),
        ((1.0, 1.0, 0.1, 0), "depth: got 0"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        decayed_weight(*arguments)
