"""Heads that emulate a trained one, and the ratio of rows that is best for a feature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from helpers.draws import cast
from helpers.heads import WEIGHTS, features, powers
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory import theory
from projhead_theory.problems import Downstream
from projhead_theory.theory.heads import (
    best_kappa,
    emulating_head,
    head_complexity,
    kappa_emulation,
    matched_weights,
    sorted_matching,
)
from projhead_theory.theory.layers import layerwise


def test_the_emulating_head_gives_the_gram_below_a_trained_head(moments, eps):
    """In matrices, for any spectrum: the root of the Gram after the head, which is the layer-wise
    law's at half depth.
    """
    lower = layerwise(moments, 2)
    matched = sorted_matching(
        moments, emulating_head(jnp.sqrt(jnp.linalg.eigvalsh(lower.grams[-1])))
    )
    np.testing.assert_allclose(matched.gram, lower.grams[0], atol=1e4 * eps)
    assert float(matched.squared_norm) == pytest.approx(
        float(jnp.trace(lower.grams[0])), rel=1e3 * eps
    )


def test_a_geometric_spectrum_is_emulated_exactly_up_to_a_factor(eps):
    weights = 0.8 * 1.3 ** (-2.0 * np.arange(4))
    found = kappa_emulation(cast(weights[[2, 0, 3, 1]]))
    assert float(found.kappa) == pytest.approx(1.3, rel=64 * eps)
    assert float(found.factor) == pytest.approx(0.8**0.5, rel=64 * eps)
    assert float(found.spread) <= 64 * eps
    before = matched_weights(cast(weights), powers(1.3, 4))
    np.testing.assert_allclose(before, 0.8**0.5 * np.sqrt(weights), rtol=256 * eps)


@pytest.mark.x64
def test_any_other_spectrum_is_emulated_by_no_kappa_and_best_by_least_squares():
    weights = np.array([1.0, 0.9, 0.2])
    found = kappa_emulation(cast(weights))
    assert float(found.spread) > 0.1

    def roughness(k):
        return np.var(np.log(k) * np.arange(3) + np.log(weights) / 2)

    best = scipy.optimize.minimize_scalar(
        roughness, bounds=(1, 5), method="bounded", options={"xatol": 1e-9}
    ).x
    assert float(found.kappa) == pytest.approx(best, rel=1e-6)
    given_ = kappa_emulation(cast(weights), 1.2)
    ratios = 1.2 ** np.arange(3) * np.sqrt(weights)
    factor = np.exp(np.log(ratios).mean())
    assert float(given_.factor) == pytest.approx(factor)
    assert float(given_.spread) == pytest.approx(np.exp(np.abs(np.log(ratios / factor)).max()) - 1)


def test_two_features_are_emulated_exactly(eps):
    """Any two weights fall geometrically: the ratio is the root of theirs, and the factor the root
    of the larger.
    """
    for weights in ([1.0, 0.25], [0.25, 1.0], [0.9, 0.8], [3e4, 2e-4]):
        found = kappa_emulation(cast(weights))
        large, small = max(weights), min(weights)
        # The logarithms and their exponential are rounded, by at most |ln w| < 11 roundings each.
        assert float(found.kappa) == pytest.approx((large / small) ** 0.5, rel=32 * eps)
        assert float(found.factor) == pytest.approx(large**0.5, rel=32 * eps)
        assert float(found.spread) <= 32 * eps


@pytest.mark.x64
@pytest.mark.parametrize("weights", [[1.0, 0.25], [0.3, 0.7], [2.0, 0.02]])
def test_no_other_ratio_emulates_two_features_as_well(weights):
    """Over a fine grid of ratios: the least spread is at the one found."""
    grid = np.geomspace(1, 20, 20_001)
    falling = -np.sort(-np.asarray(weights))
    ratios = np.log(grid)[:, None] * np.arange(2) + np.log(falling) / 2
    spread = np.expm1(np.abs(ratios - ratios.mean(1, keepdims=True)).max(1))
    found = kappa_emulation(cast(weights))
    assert float(found.kappa) == pytest.approx(grid[spread.argmin()], rel=np.log(20) / 20_000)
    assert float(found.spread) <= spread.min()


def test_one_feature_and_equal_weights_need_no_head(eps):
    for weights in ([0.3], [0.7, 0.7]):
        found = kappa_emulation(cast(weights))
        assert float(found.kappa) == pytest.approx(1, rel=16 * eps)
        assert float(found.spread) <= 16 * eps
    np.testing.assert_array_equal(emulating_head(cast([0.0, 0.25])), [0.5, 0.0])


def brute(weights, strength, j, low=0.0, high=8.0):
    """The least of the indicator over ln kappa, and where, written out in NumPy from traces of the
    Gram before the head.
    """
    order = np.argsort(np.argsort(-weights))

    def indicator(t):
        gram = np.diag((weights * np.exp(t * order)) ** 2)
        beta = np.eye(len(weights))[j] / strength[j]
        return np.trace(gram @ np.diag(strength**2)) * (beta @ np.linalg.inv(gram) @ beta)

    found = scipy.optimize.minimize_scalar(
        indicator, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    )
    return found.x, indicator


@pytest.mark.x64
@given(st.integers(0, 2**31))
def test_best_kappa_is_what_a_search_finds(seed):
    """To what a search by values can tell, the root of eps of the curvature; the slope there is
    zero to far more digits.
    """
    rng = np.random.default_rng(seed)
    d = int(rng.integers(3, 6))
    weights, strength = rng.uniform(0.1, 1, d), rng.uniform(0.3, 2, d)
    j = int(np.argsort(-weights)[rng.integers(1, d - 1)])
    t, indicator = brute(weights, strength, j, -4)
    mine = float(best_kappa(cast(weights), strength, j, low=np.exp(-4.0)))
    assert np.log(mine) == pytest.approx(t, abs=3e-7)
    assert float(head_complexity(mine, cast(weights), strength, j)) == pytest.approx(
        indicator(np.log(mine)), rel=1e-12
    )
    ranks = np.argsort(np.argsort(-weights)) - np.argsort(np.argsort(-weights))[j]
    terms = np.exp(2 * ranks * np.log(mine)) * (weights * strength / weights[j] / strength[j]) ** 2
    if -4 < np.log(mine) < 8:
        assert abs((ranks * terms).sum()) <= 1e-9 * (np.abs(ranks) * terms).sum()
    assert float(best_kappa(cast(weights), strength, j)) == pytest.approx(max(mine, 1.0), rel=1e-12)


@pytest.mark.x64
@pytest.mark.parametrize("ranks", [(0, 1, 2), (0, 2, 3), (0, 1, 3)])
def test_three_features_have_the_formula_that_is_proved(ranks):
    """(m B / (n A))^(1 / (2 (m + n))), ranks m above and n below; features in between are present
    with no strength.
    """
    weights, strength = np.array([1.0, 0.6, 0.5, 0.2]), np.zeros(4)
    strength[list(ranks)] = [1.0, 0.7, 1.6]
    heavy, j, light = ranks
    m, n = j - heavy, light - j
    b, a = ((weights[i] * strength[i] / weights[j] / strength[j]) ** 2 for i in (heavy, light))
    want = (m * b / (n * a)) ** (1 / (2 * (m + n)))
    assert float(best_kappa(cast(weights), strength, j, low=1e-3)) == pytest.approx(want, rel=1e-13)


def test_the_best_kappa_at_the_ends_of_the_ranks():
    weights, strength = cast([1.0, 0.5, 0.2]), np.ones(3)
    assert float(best_kappa(weights, strength, 2)) == np.inf
    assert float(best_kappa(weights, strength, 2, high=30.0)) == pytest.approx(30, rel=1e-6)
    assert float(best_kappa(weights, strength, 0)) == 1
    assert float(best_kappa(cast([0.4]), np.ones(1), 0)) == 1
    assert np.isnan(float(best_kappa(cast([1.0, 0.0]), np.ones(2), 1)))
    assert float(head_complexity(2.0, cast([1.0, 0.0]), np.ones(2), 1)) == np.inf
    # Features of no strength and of no weight do not count.
    assert float(best_kappa(cast([1.0, 0.5, 0.0]), cast([1.0, 1.0, 1.0]), 1)) == np.inf
    assert float(best_kappa(cast([1.0, 0.5, 0.2]), cast([0.0, 1.0, 1.0]), 1)) == 1


@given(st.integers(0, 2**31), st.floats(-2, 2), st.floats(-2, 2))
def test_units_and_the_order_of_features_do_not_matter(seed, a, b):
    rng = np.random.default_rng(seed)
    weights, strength, swap = rng.uniform(0.1, 1, 4), rng.uniform(0.3, 2, 4), rng.permutation(4)
    j = int(np.argsort(-weights)[1])
    base = float(best_kappa(cast(weights), strength, j))
    tolerance = 1e-4 if jnp.result_type(float) == jnp.float32 else 1e-12
    assert float(best_kappa(cast(10**a * weights), 10**b * strength, j)) == pytest.approx(
        base, rel=tolerance
    )
    assert float(
        best_kappa(cast(weights[swap]), strength[swap], int(np.flatnonzero(swap == j)[0]))
    ) == pytest.approx(base, rel=tolerance)


@pytest.mark.x64
def test_best_kappa_has_the_derivative_that_finite_differences_have():
    weights, strength = cast([1.0, 0.6, 0.5, 0.2]), cast([1.0, 0.9, 0.7, 1.6])
    for which, at in (("weights", weights), ("strength", strength)):
        f = lambda x, which=which: (
            best_kappa(x, strength, 2) if which == "weights" else best_kappa(weights, x, 2)
        )
        slope = jax.grad(f)(at)
        for i in range(4):
            h = 1e-6 * np.eye(4)[i]
            assert float(slope[i]) == pytest.approx(
                float(f(at + h) - f(at - h)) / 2e-6, rel=1e-6, abs=1e-8
            )


def test_the_indicator_of_a_head_is_that_of_the_matched_gram(eps):
    """Through the general formula, tr(M S') beta^T M^+ beta of the matched Gram; at kappa 1 it is
    that after the head.
    """
    strength = np.array([1.0, 0.8, 1.5])
    downstream = Downstream(np.diag(strength**2), np.eye(3)[1] / strength[1])
    for kappa in (1.0, 1.4, 3.0):
        gram = sorted_matching(features(), powers(kappa, 3)).gram
        mine = float(head_complexity(kappa, cast(WEIGHTS), strength, 1))
        assert mine == pytest.approx(
            float(theory.downstream.sample_complexity(gram, downstream)), rel=1e4 * eps
        )
    many = head_complexity(cast([[1.0, 1.4], [3.0, 5.0]]), cast(WEIGHTS), strength, 1)
    assert many.shape == (2, 2)
    assert float(many[1, 0]) == pytest.approx(mine, rel=64 * eps)


def test_vmap_over_targets_strengths(eps):
    weights, strengths = (
        cast([1.0, 0.6, 0.2]),
        cast(np.random.default_rng(0).uniform(0.5, 2, (4, 3))),
    )
    many = jax.vmap(lambda s: best_kappa(weights, s, 1))(strengths)
    np.testing.assert_allclose(
        many, [float(best_kappa(weights, s, 1)) for s in strengths], rtol=64 * eps
    )
