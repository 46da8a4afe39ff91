"""Fixed heads in closed form, against brute force: searches over encoders, over pairings and over
ratios of rows.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from helpers.draws import cast
from helpers.heads import CROSS, FRACTIONS, SECOND, WEIGHTS, features, powers
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory import Moments
from projhead_theory.problems import random_moments
from projhead_theory.theory.heads import (
    best_kappa,
    decayed_matching,
    emulating_head,
    head_complexity,
    headed_minimiser,
    kappa_emulation,
    matched_weights,
    matching_limit,
    sorted_matching,
)
from projhead_theory.theory.layers import NonUniqueMinimiserError, spectral


def objective(moments, rows, weight_decay=0.0):
    """The loss under the head, and its gradient, in NumPy."""
    c, s, h = (np.asarray(x, np.float64) for x in (moments.cross, moments.second, rows))

    def value(flat):
        w = flat.reshape(h.size, -1)
        f = h[:, None] * w
        inner = f @ s @ f.T
        gradient = h[:, None] * 4 * (inner @ f @ s - f @ c) + weight_decay * w
        return -2 * np.sum((f @ c) * f) + np.sum(inner**2) + weight_decay / 2 * np.sum(
            w**2
        ), gradient.ravel()

    return value


def descend(moments, rows, seed, weight_decay=0.0):
    start = np.random.default_rng(seed).standard_normal(np.asarray(rows).size * moments.dim)
    found = scipy.optimize.minimize(
        objective(moments, rows, weight_decay),
        start,
        jac=True,
        method="BFGS",
        options={"gtol": 1e-11, "maxiter": 5000},
    )
    return found.fun, found.x.reshape(-1, moments.dim)


# head-equivalence


@pytest.mark.x64
@pytest.mark.parametrize(
    "rows",
    [
        [1.0, 1.0, 1.0],
        [1.0, 0.5, 0.25],
        [0.1, 3.0, 0.7],
        [1.0, 0.0, 2.0],
        [1.0, 0.8, 0.6, 0.4, 0.2],
    ],
)
def test_no_search_under_a_head_goes_below_and_all_end_at_one_gram(moments, rows):
    """SciPy's BFGS over the encoder, from three starts, for invertible heads, one that is not, and
    more rows than dimensions.
    """
    rows = cast(rows)
    predicted = headed_minimiser(moments, rows)
    for seed in range(3):
        least, w = descend(moments, rows, seed)
        assert least == pytest.approx(float(predicted.loss), abs=1e-9)
        f = np.asarray(rows)[:, None] * w
        np.testing.assert_allclose(f.T @ f, predicted.gram, atol=1e-4)


@pytest.mark.parametrize(
    "rows", [[1.0, 0.5, 0.1], [1.0, 0.0, 0.1], [0.0, 0.0, 3.0], [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]]
)
def test_only_the_number_of_positive_rows_counts(moments, rows):
    width = min(int(np.count_nonzero(rows)), 4)
    headed, plain = headed_minimiser(moments, cast(rows)), spectral(moments, width)
    np.testing.assert_array_equal(headed.gram, plain.gram)
    np.testing.assert_array_equal(headed.loss, plain.loss)
    assert int(headed.kept) == int(plain.kept)
    traced = jax.jit(lambda r: headed_minimiser(moments, r))(cast(rows))
    np.testing.assert_allclose(traced.gram, plain.gram, rtol=1e-5)


def test_a_cut_through_a_tie_is_an_error_or_a_flag():
    tied = features([0.5, 0.5, 0.2], [1.0, 1.0, 1.0])
    with pytest.raises(
        NonUniqueMinimiserError,
        match=r"^width: got 1, which cuts between the tied signal fractions 1 and 2",
    ):
        headed_minimiser(tied, cast([1.0, 0.0]))
    with pytest.raises(NonUniqueMinimiserError):
        sorted_matching(tied, cast([1.0, 0.0]))
    assert not bool(sorted_matching(tied, cast([1.0, 0.0]), throw=False).unique)


# sorted-matching


@pytest.mark.parametrize(
    "rows",
    [
        [1.0, 0.5, 0.25, 0.125],
        [0.2, 3.0, 0.7, 1.0],
        [1.0, 0.5, 0.25],
        [1.0, 0.0, 0.3],
        [1.0, 0.8, 0.6, 0.4, 0.2, 0.1],
    ],
)
def test_the_matched_encoder_has_the_least_loss_and_no_pairing_or_turn_has_less_norm(
    moments, rows, eps
):
    """Every pairing of modes with rows, and random orthogonal maps, for p below, at and above d,
    rows in any order, one row zero.
    """
    rows = cast(rows)
    matched, head = sorted_matching(moments, rows), np.asarray(rows)
    layer = np.asarray(matched.layer, np.float64)
    after = head[:, None] * layer
    np.testing.assert_allclose(
        after.T @ after, headed_minimiser(moments, rows).gram, atol=1e3 * eps
    )
    np.testing.assert_allclose(
        layer.T @ layer, matched.gram, atol=1e3 * eps / head[head > 0].min() ** 2
    )
    assert float(matched.squared_norm) == pytest.approx((layer**2).sum(), rel=1e3 * eps)
    np.testing.assert_allclose(matched.weights, np.sqrt((layer**2).sum(0)), rtol=1e4 * eps)
    assert bool(matched.unique)
    w, positive = np.asarray(matched.after), head[head > 0]
    w = w[w > 1e-6]
    norms = [
        ((w / np.array(chosen)) ** 2).sum() for chosen in itertools.permutations(positive, w.size)
    ]
    assert min(norms) == pytest.approx(float(matched.squared_norm), rel=1e3 * eps)
    rng = np.random.default_rng(0)
    for _ in range(50):
        q = np.linalg.qr(rng.standard_normal((positive.size,) * 2))[0][:, : w.size]
        assert ((q * w / positive[:, None]) ** 2).sum() >= float(matched.squared_norm) * (
            1 - 1e3 * eps
        )


def test_rank_i_has_weight_kappa_to_the_i_times_its_own(eps):
    kappa = 1.7
    matched = sorted_matching(features(), powers(kappa, 3))
    order = np.argsort(-WEIGHTS)
    want = np.empty(3)
    want[order] = WEIGHTS[order] * kappa ** np.arange(3)
    np.testing.assert_allclose(matched.weights, want, rtol=1e3 * eps)
    np.testing.assert_allclose(
        matched_weights(cast(WEIGHTS), powers(kappa, 3)), want, rtol=1e3 * eps
    )
    np.testing.assert_allclose(matched.gram, np.diag(want**2), atol=1e3 * eps)
    np.testing.assert_array_equal(matched.rows, [0, 1, 2])


@given(st.integers(0, 2**31), st.floats(-2, 2))
def test_matching_does_not_see_the_order_of_rows_or_features_and_knows_units(seed, scale):
    """Rows permuted: the same Gram. Features permuted: permuted weights. A head twice as large:
    weights half as large.
    """
    rng = np.random.default_rng(seed)
    eps = float(jnp.finfo(jnp.result_type(float)).eps)
    weights, rows, unit = rng.uniform(0.1, 3, 4), rng.uniform(0.1, 3, 5), 10.0**scale
    turn, swap = rng.permutation(5), rng.permutation(4)
    base = np.asarray(matched_weights(cast(weights), cast(rows)))
    np.testing.assert_allclose(
        matched_weights(cast(weights), cast(rows[turn])), base, rtol=16 * eps
    )
    np.testing.assert_allclose(
        matched_weights(cast(weights[swap]), cast(rows)), base[swap], rtol=16 * eps
    )
    np.testing.assert_allclose(
        matched_weights(cast(weights), cast(unit * rows)), base / unit, rtol=16 * eps
    )


def test_tied_weights_on_rows_that_differ_are_flagged_on_equal_rows_not():
    tied = features([1.0, 1.0, 0.2], [1.0, 1.0, 1.0])
    assert not bool(sorted_matching(tied, powers(2.0, 3)).unique)
    assert bool(sorted_matching(tied, cast([1.0, 1.0, 0.5])).unique)
    assert bool(sorted_matching(features(), cast([1.0, 1.0, 1.0])).unique)


def test_degenerate_problems(eps):
    """A feature without signal, one without variance, one feature alone, and no head at all."""
    lost = sorted_matching(features([1.0, 0.0, 0.3], [2.0, 0.8, 0.5]), powers(2.0, 3))
    np.testing.assert_allclose(lost.weights, [0.5 * 2, 0, 0.3**0.5 / 0.5], rtol=1e3 * eps)
    flat = sorted_matching(features([1.0, 0.0], [2.0, 0.0]), powers(2.0, 2))
    np.testing.assert_allclose(flat.weights, [0.5, 0.0], rtol=1e3 * eps)
    alone = sorted_matching(features([1.0], [2.0]), cast([0.5]))
    np.testing.assert_allclose(alone.gram, [[1.0]], rtol=1e3 * eps)
    none = sorted_matching(features(), cast(np.ones(3)))
    np.testing.assert_allclose(none.gram, spectral(features()).gram, atol=1e3 * eps)


@pytest.mark.x64
def test_the_gram_has_the_derivative_that_finite_differences_have(moments):
    rows = powers(1.6, 4)
    direction = random_moments(jax.random.key(5), FRACTIONS[::-1].copy()).cross

    def gram(t, rows):
        return sorted_matching(
            Moments(moments.cross + t * direction, moments.second), rows, throw=False
        ).gram

    _, slope = jax.jvp(lambda t: gram(t, rows), (0.0,), (1.0,))
    np.testing.assert_allclose(slope, (gram(1e-6, rows) - gram(-1e-6, rows)) / 2e-6, atol=1e-6)
    _, slope = jax.jvp(lambda k: gram(0.0, k ** -jnp.arange(4.0)), (1.6,), (1.0,))
    np.testing.assert_allclose(
        slope,
        (gram(0.0, powers(1.6 + 1e-6, 4)) - gram(0.0, powers(1.6 - 1e-6, 4))) / 2e-6,
        atol=1e-6,
    )


def test_jit_vmap_and_the_labelled_data_set(moments, eps):
    kappas = cast([1.0, 1.5, 2.0])
    batch = jax.jit(
        jax.vmap(
            lambda k: sorted_matching(moments, k ** -jnp.arange(4, dtype=k.dtype), throw=False)
        )
    )(kappas)
    one = sorted_matching(moments, powers(1.5, 4))
    np.testing.assert_allclose(batch.gram[1], one.gram, atol=1e3 * eps)
    data = one.to_xarray()
    assert data.before.dims == ("rank",)
    assert data.attrs["unique"] == 1
    along = sorted_matching(moments, powers(1.5, 4), directions=one.modes)
    np.testing.assert_allclose(along.weights, one.before, rtol=1e5 * eps)


# The minimum with weight decay


@pytest.mark.x64
@pytest.mark.parametrize("weight_decay", [1e-3, 0.1])
def test_no_search_with_decay_goes_below_the_decayed_matching(weight_decay):
    """BFGS over all encoders from random starts; all that reach the least value have its Gram."""
    m, rows = features(), powers(1.5, 3)
    u = np.asarray(decayed_matching(CROSS, SECOND, rows, weight_decay))
    assert weight_decay < float(matching_limit(CROSS, SECOND, rows))
    h = np.asarray(rows)[np.argsort(np.argsort(-WEIGHTS))]
    value = float(
        np.sum(-2 * CROSS * (h * u) ** 2 + SECOND**2 * (h * u) ** 4 + weight_decay / 2 * u**2)
    )
    found = [descend(m, rows, seed, weight_decay) for seed in range(6)]
    assert min(f for f, _ in found) == pytest.approx(value, abs=1e-10)
    _, w = min(found, key=lambda pair: pair[0])
    np.testing.assert_allclose(w.T @ w, np.diag(u**2), atol=1e-4)


def test_the_deviation_is_linear_in_the_decay_until_a_feature_is_extinct(eps):
    rows = powers(1.5, 3)
    h = np.asarray(rows)[np.argsort(np.argsort(-WEIGHTS))]
    base = np.asarray(decayed_matching(CROSS, SECOND, rows, 0.0)) ** 2
    np.testing.assert_allclose(base, (WEIGHTS / h) ** 2, rtol=64 * eps)
    for weight_decay in (1e-2, 4e-2):
        left = base - np.asarray(decayed_matching(CROSS, SECOND, rows, weight_decay)) ** 2
        np.testing.assert_allclose(
            left, weight_decay / (4 * h**4 * SECOND**2), rtol=1e-2 if eps > 1e-10 else 1e-9
        )
    end = 4 * h**2 * CROSS
    for i in range(3):
        assert float(decayed_matching(CROSS, SECOND, rows, end[i] * 0.999)[i]) > 0
        assert float(decayed_matching(CROSS, SECOND, rows, end[i] * 1.001)[i]) == 0


def energies(cross, second, rows, weight_decay):
    """Of every row with every feature."""
    return -(np.maximum(cross - weight_decay / (4 * rows[:, None] ** 2), 0) ** 2) / second**2


@given(st.integers(0, 2**31), st.floats(0.01, 0.999))
def test_below_the_limit_no_assignment_beats_the_sorted_one(seed, share):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 5))
    cross = rng.uniform(0.05, 1, d)
    second, rows = cross / rng.uniform(0.1, 1, d), np.sort(rng.uniform(0.1, 1, d))[::-1]
    weight_decay = share * float(matching_limit(cross, second, cast(rows)))
    energy = energies(cross, second, rows, weight_decay)
    order = np.argsort(-np.sqrt(cross) / second)
    least = energy[scipy.optimize.linear_sum_assignment(energy)].sum()
    assert energy[np.arange(d), order].sum() <= least + 1e-5 * abs(least) * (
        1 if jnp.result_type(float) == jnp.float32 else 1e-7
    )


def test_beyond_the_limit_another_pairing_may_be_better():
    """The feature of larger weight has the smaller second moment: decay can turn the order round,
    from just the limit on.
    """
    cross, second, rows = np.array([0.3, 1.0]), np.array([0.5, 1.0]), np.array([1.0, 0.6])
    limit = float(matching_limit(cross, second, cast(rows)))
    x = 1 / (4 * rows**2)
    assert limit == pytest.approx(
        min(2 * (0.3 / 0.25 - 1) / (x.sum() * (4 - 1)), 0.3 / x[1]), rel=1e-5
    )
    for weight_decay, best in ((0.99 * limit, [0, 1]), (1.01 * limit, [1, 0])):
        energy = energies(cross, second, rows, weight_decay)
        np.testing.assert_array_equal(scipy.optimize.linear_sum_assignment(energy)[1], best)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: headed_minimiser(features(), cast([0.0, 0.0])),
            r"^rows: got zeros alone; want at least one positive row",
        ),
        (lambda: headed_minimiser(features(), cast([1.0, -1.0])), r"^rows: got -1.0 at index 1"),
        (
            lambda: sorted_matching(features(), cast(1.0)),
            r"^rows: got shape \(\); want a non-empty vector",
        ),
        (
            lambda: matched_weights(cast([1.0, 0.5]), cast([1.0, 0.0])),
            r"^rows: got 1 positive rows; want at least 2",
        ),
        (lambda: matched_weights(cast([1.0, np.nan]), cast([1.0, 1.0])), r"^weights: got nan"),
        (
            lambda: decayed_matching(CROSS, SECOND, cast([1.0, 0.5]), 0.1),
            r"^rows: got 2 positive rows; want at least 3",
        ),
        (lambda: decayed_matching(CROSS, SECOND, powers(2.0, 3), -0.1), r"^weight_decay: got -0.1"),
        (
            lambda: decayed_matching(CROSS, SECOND, powers(2.0, 3), [0.1, 0.2]),
            r"^weight_decay: got shape \(2,\); want one number",
        ),
        (
            lambda: decayed_matching(1.0, 2.0, powers(2.0, 3), 0.1),
            r"^cross: got shape \(\) beside \(\) of second",
        ),
        (
            lambda: matching_limit([1.0], [0.0], powers(2.0, 3)),
            r"^cross: got 1.0.*want 0 where the second moment is 0",
        ),
        (lambda: emulating_head(cast([-1.0])), r"^weights: got -1.0"),
        (lambda: kappa_emulation(cast([1.0, 0.0])), r"^weights: got 0.0 at index 1; want positive"),
        (lambda: kappa_emulation(cast([1.0, 0.5]), 0.0), r"^kappa: got 0.0; want positive"),
        (
            lambda: best_kappa(cast([1.0, 0.5, 0.5]), np.ones(3), 0),
            r"^weights: got 0.5 twice; want weights that differ",
        ),
        (
            lambda: best_kappa(cast([1.0, 0.5]), np.ones(3), 0),
            r"^strength: got shape \(3,\); want \(2,\)",
        ),
        (
            lambda: best_kappa(cast([1.0, 0.5]), np.ones(2), 2),
            r"^target: got 2; want the index of a feature, from 0 to 1",
        ),
        (
            lambda: best_kappa(cast([1.0, 0.5]), np.array([1.0, 0.0]), 1),
            r"^strength: got 0.0; want a positive strength of the target",
        ),
        (
            lambda: best_kappa(cast([1.0, 0.5]), np.ones(2), 1, low=2.0, high=1.5),
            r"^high: got 1.5; want at least low, 2.0",
        ),
        (
            lambda: head_complexity(0.0, cast([1.0, 0.5]), np.ones(2), 1),
            r"^kappa: got 0.0; want positive",
        ),
    ],
)
def test_arguments_out_of_range_are_named(call, message, untyped):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype", [jnp.float32, pytest.param(jnp.float64, marks=pytest.mark.x64)])
def test_the_dtype_of_the_input_is_kept(dtype):
    m = Moments(jnp.diag(jnp.asarray(CROSS, dtype)), jnp.diag(jnp.asarray(SECOND, dtype)))
    rows, w = jnp.asarray([1.0, 0.5, 0.25], dtype), jnp.asarray(WEIGHTS, dtype)
    c, q, one = (
        jnp.asarray(CROSS, dtype),
        jnp.asarray(SECOND, dtype),
        jnp.asarray([1.0, 2.0, 3.0], dtype),
    )
    seen = [
        sorted_matching(m, rows).gram,
        matched_weights(w, rows),
        decayed_matching(c, q, rows, jnp.asarray(0.1, dtype)),
    ]
    seen += [
        emulating_head(w),
        kappa_emulation(w).kappa,
        best_kappa(w, one, 1),
        head_complexity(2.0, w, one, 1),
    ]
    assert {x.dtype for x in seen} == {jnp.dtype(dtype)}
