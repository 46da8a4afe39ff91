"""The sample-complexity indicator, its best layer, and the thresholds between pre- and
post-projection.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import cast, some
from hypothesis import given
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory.problems import Downstream, random_moments
from projhead_theory.theory.downstream import (
    boundary,
    boundary_weight,
    complexity_curve,
    disruption_boundary,
    downstream_boundary,
    excess_boundary,
    feature_complexity,
    feature_weights,
    pre_beats_post,
    sample_complexity,
    weakness_boundary,
)
from projhead_theory.theory.layers import layerwise, spectral

STRENGTH, NOISE = [2.0, 1.0, 0.5], [1.0, 0.2, 0.05]


def general(seed, d, rank=None):
    """A Gram, a downstream moment of the given rank and a target, in random position."""
    return _general(jax.random.key(seed), d, rank)


@partial(jax.jit, static_argnums=(1, 2))
def _general(key, d, rank):
    k1, k2, k3 = jax.random.split(key, 3)
    moments = random_moments(k1, jnp.linspace(0.9, 0.2, d, dtype=jnp.result_type(float)))
    root = jax.random.normal(k2, (d, d if rank is None else rank))
    return layerwise(moments, 4, throw=False), Downstream(
        root @ root.T, jax.random.normal(k3, (d,))
    )


@partial(jax.jit, static_argnums=1)
def features(seed, d):
    k1, k2 = jax.random.split(jax.random.key(seed))
    return jnp.exp(jax.random.normal(k1, (d,))), jnp.exp(jax.random.normal(k2, (d,)))


@pytest.mark.parametrize("d", some([1, 2, 5, 16], 0, 2))
def test_indicator_is_squared_radius_over_squared_margin_of_the_separator_of_least_norm(d, eps):
    """The separator found by least squares on a factor of the Gram, not by a pseudo-inverse of the
    Gram.
    """
    prediction, downstream = general(d, d)
    for gram, seen in zip(
        prediction.grams, sample_complexity(prediction.grams, downstream), strict=True
    ):
        values, vectors = np.linalg.eigh(np.asarray(gram))
        factor = np.sqrt(values)[:, None] * vectors.T
        separator = np.linalg.lstsq(factor.T, np.asarray(downstream.target), rcond=None)[0]
        want = np.trace(factor @ np.asarray(downstream.second) @ factor.T) * separator @ separator
        assert seen == pytest.approx(want, rel=64 * d * eps * values[-1] / values[0])


def test_where_no_input_varies_the_separator_is_free(eps):
    """Least norm among all separators that agree with the target on the range of the downstream
    moment.
    """
    prediction, downstream = general(3, 5, rank=2)
    range_ = np.linalg.svd(np.asarray(downstream.second))[0][:, :2]
    for gram, seen in zip(
        prediction.grams, sample_complexity(prediction.grams, downstream), strict=True
    ):
        values, vectors = np.linalg.eigh(np.asarray(gram))
        factor = np.sqrt(values)[:, None] * vectors.T
        separator = np.linalg.lstsq(
            range_.T @ factor.T, range_.T @ np.asarray(downstream.target), rcond=None
        )[0]
        want = np.trace(factor @ np.asarray(downstream.second) @ factor.T) * separator @ separator
        assert seen == pytest.approx(want, rel=1e4 * eps)


def test_a_feature_model_gives_the_sum_over_features(eps):
    problem = pt.ContrastiveProblem(pt.Features(STRENGTH), pt.AdditiveNoise(NOISE))
    prediction = layerwise(problem.moments(), 5)
    for j, strength in enumerate(STRENGTH):
        downstream = Downstream(np.diag(np.square(STRENGTH)), np.eye(3)[j] / strength)
        curve = feature_complexity(feature_weights(problem.moments()), STRENGTH, j)
        np.testing.assert_allclose(
            curve.layers(5), sample_complexity(prediction.grams, downstream), rtol=64 * eps
        )


@pytest.mark.parametrize("d", [1, 2, 7])
def test_the_curve_of_any_gram_goes_through_the_indicator_of_every_layer(d, eps):
    prediction, downstream = general(10 + d, d)
    curve = complexity_curve(prediction.grams[-1], downstream)
    np.testing.assert_allclose(
        curve.layers(4), sample_complexity(prediction.grams, downstream), rtol=1e4 * eps
    )


@pytest.mark.parametrize("width", [1, 2])
def test_a_target_that_the_width_drops_is_lost_in_every_layer(width):
    problem = pt.ContrastiveProblem(pt.Features(STRENGTH), pt.AdditiveNoise(NOISE))
    weights, prediction = (
        feature_weights(problem.moments(), width),
        layerwise(problem.moments(), 3, width=width),
    )
    np.testing.assert_allclose(weights, prediction.weights[-1], rtol=1e-6)
    for j in range(3):
        curve, downstream = (
            feature_complexity(weights, STRENGTH, j),
            Downstream(jnp.eye(3), jnp.eye(3)[j]),
        )
        lost = j < 3 - width
        assert bool(curve.lost) == lost
        assert np.isinf(sample_complexity(prediction.grams, downstream)).all() == lost
        assert np.isinf(curve.layers(3)).all() == lost
        assert (
            bool(jnp.isnan(curve.best))
            == bool(jnp.isnan(curve.margin(3)))
            == (int(curve.best_layer(3)) == 0)
            == lost
        )
        assert not (lost and bool(pre_beats_post(curve, 3)))


def refined_grid(amplitudes, rates):
    """The best point of a grid of 2001, refined around it again and again, in extended
    precision.
    """
    a, r = (np.asarray(x, np.longdouble)[np.asarray(amplitudes) > 0] for x in (amplitudes, rates))
    low, high = np.longdouble(0), np.longdouble(1)
    for _ in range(5):
        grid = np.linspace(low, high, 2001, dtype=np.longdouble)
        best = int(np.argmin(a @ np.exp(r[:, None] * grid)))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 2000)]
    return float(grid[best])


@pytest.mark.x64
def test_best_layer_agrees_with_a_dense_grid_over_two_hundred_problems():
    """From 2 to 32 features, to 1e-8: the grid compares values in extended precision, whose root is
    3e-10.
    """
    keys = jax.random.split(jax.random.key(0), 200)

    def draw(key):
        k1, k2, k3 = jax.random.split(key, 3)
        size = jax.random.randint(k1, (), 2, 33)
        # Features beyond the size have no weight, and are in no layer; the target is any of the
        # others.
        weights = jnp.where(jnp.arange(32) < size, jnp.exp(jax.random.normal(k2, (32,))), 0)
        return feature_complexity(jnp.roll(weights, -1), jnp.exp(jax.random.normal(k3, (32,))), 0)

    curves = jax.vmap(draw)(keys)
    bests = np.asarray(jax.vmap(lambda curve: curve.best)(curves))
    wants = np.array(
        [refined_grid(a, r) for a, r in zip(curves.amplitudes, curves.rates, strict=True)]
    )
    np.testing.assert_allclose(bests, wants, atol=1e-8)
    assert ((wants > 0) & (wants < 1)).sum() > 50


@given(st.integers(0, 10_000), st.sampled_from([1, 2, 5]), st.booleans())
def test_indicator_is_convex_in_depth_for_every_gram(seed, d, diagonal):
    if diagonal:
        curve = feature_complexity(*features(seed, d), target=seed % d)
    else:
        prediction, downstream = general(seed, d)
        curve = complexity_curve(prediction.grams[-1], downstream)
    values = curve(jnp.linspace(0, 1, 33, dtype=curve.rates.dtype))
    assert (values[2:] + values[:-2] - 2 * values[1:-1] >= -1e-5 * values[1:-1]).all()
    assert curve.least <= values.min() * (1 + 1e-5)


def test_the_best_layer_is_an_end_where_the_target_is_an_extreme():
    weights = cast([0.3, 1.0, 2.0])
    bests = [float(feature_complexity(weights, cast(STRENGTH), j).best) for j in range(3)]
    assert bests[0] == 0
    assert bests[2] == 1
    assert 0 < bests[1] < 1


def test_equal_weights_and_a_single_feature_make_all_layers_equal():
    for weights in (cast([0.7, 0.7, 0.7]), cast([0.7])):
        curve = feature_complexity(weights, weights, 0)
        assert float(curve.best) == 0
        assert int(curve.best_layer(4)) == 1
        assert float(curve.margin(4)) == 0
        assert not bool(pre_beats_post(curve, 4))


@pytest.mark.x64
def test_three_features_have_the_closed_form_of_the_statement(eps):
    heavy, light, big, small = 3.0, 2.0, 0.5, 4.0
    curve = feature_complexity(cast([heavy, 1.0, 1 / light]), cast([big**0.5, 1.0, small**0.5]), 1)
    want = np.log(small * np.log(light) / (big * np.log(heavy))) / (2 * np.log(heavy * light))
    assert 0 < want < 1
    assert float(curve.best) == pytest.approx(want, abs=8 * eps)


@given(st.integers(0, 10_000), st.floats(0.1, 10.0), st.floats(0.1, 10.0))
def test_indicator_knows_no_units_no_basis_and_no_order(seed, scale, unit):
    """Free of the scale of the representation; of the unit of the inputs, if the target follows; of
    rotations and of names.
    """
    prediction, downstream = general(seed, 4)
    want = sample_complexity(prediction.grams, downstream)
    eps = float(jnp.finfo(want.dtype).eps)
    near = lambda seen: np.testing.assert_allclose(seen, want, rtol=1e5 * eps)
    near(sample_complexity(cast(scale) * prediction.grams, downstream))
    scaled = Downstream(cast(unit) ** 2 * downstream.second, downstream.target / cast(unit))
    near(sample_complexity(prediction.grams / cast(unit) ** 2, scaled))
    basis = jnp.linalg.qr(jax.random.normal(jax.random.key(seed), (4, 4)))[0]
    near(
        sample_complexity(
            jnp.stack([basis.T @ g @ basis for g in prediction.grams]), downstream.rotate(basis)
        )
    )
    weights, strength = features(seed, 4)
    order = jax.random.permutation(jax.random.key(seed), 4)
    renamed = feature_complexity(weights[order], strength[order], int(jnp.argmax(order == 2)))
    assert float(renamed.best) == pytest.approx(
        float(feature_complexity(weights, strength, 2).best), abs=1e-5
    )


@pytest.mark.x64
def test_indicator_and_best_layer_are_differentiable():
    """Against central differences: of a general Gram, whose eigenvalues tie, and of the best layer
    by the implicit function theorem.
    """
    downstream = Downstream(jnp.diag(cast([1.0, 2.0, 3.0])), cast([1.0, 0.5, 0.2]))
    gram, direction = (
        jnp.diag(cast([1.0, 1.0, 2.0])),
        cast([[0.1, 0.2, 0.0], [0.2, -0.3, 0.1], [0.0, 0.1, 0.2]]),
    )
    along = lambda t: sample_complexity(gram + t * direction, downstream)
    assert float(jax.grad(along)(0.0)) == pytest.approx(
        float(along(1e-5) - along(-1e-5)) / 2e-5, rel=1e-8
    )
    best = lambda w: (
        feature_complexity(jnp.stack([cast(3.0), w, cast(0.4)]), cast([0.5, 1.0, 2.0]), 1).best
    )
    assert float(jax.grad(best)(cast(1.0))) == pytest.approx(
        float(best(cast(1 + 1e-6)) - best(cast(1 - 1e-6))) / 2e-6, rel=1e-6
    )


@pytest.mark.parametrize("d", [2, 3, 9])
@pytest.mark.parametrize(("depth", "head_depth"), [(1, 1), (2, 1), (4, 1), (4, 3), (3, 3)])
def test_at_the_threshold_weight_both_sides_of_the_head_are_equally_good(d, depth, head_depth, eps):
    weights, strength = features(d, d)
    star = boundary_weight(weights, strength, 0, depth, head_depth)
    margin = lambda w: float(
        feature_complexity(weights.at[0].set(w), strength, 0).margin(depth, head_depth)
    )
    assert abs(margin(star)) < 64 * eps
    assert margin(star * 0.999) > 0 > margin(star * 1.001)
    assert (
        float(weights[1:].min()) * (1 - 8 * eps)
        <= float(star)
        <= float(weights[1:].max()) * (1 + 8 * eps)
    )


def margin_at(strength, noise, **options):
    weights = np.asarray(strength) / (np.square(strength) + np.square(noise))
    return float(feature_complexity(cast(weights), cast(strength), 1).margin(3, **options))


def test_pre_wins_beyond_the_disruption_threshold():
    star = float(disruption_boundary(STRENGTH, NOISE, 1, 3))
    at = lambda sigma: margin_at(STRENGTH, [1.0, sigma, 0.05])
    assert at(0.99 * star) < 0 < at(1.01 * star)


def test_pre_wins_below_the_weakness_and_above_the_excess_threshold():
    low, high = (float(f(STRENGTH, NOISE, 1, 3)) for f in (weakness_boundary, excess_boundary))
    assert low < NOISE[1] < high
    at = lambda phi: margin_at([2.0, phi, 0.5], NOISE)
    assert at(0.99 * low) > 0 > at(1.01 * low)
    assert at(0.99 * high) < 0 < at(1.01 * high)


def test_with_one_other_feature_the_thresholds_are_those_of_equal_weights(eps):
    """The two-feature formulas of the statements, which know nothing of power means."""
    strength, noise, weight = [1.5, 1.0], [1.0, 0.2], 1.5 / (1.5**2 + 1)
    root = np.sqrt(1 - 4 * weight**2 * 0.2**2)
    near = lambda value: pytest.approx(value, rel=32 * eps)
    assert float(disruption_boundary(strength, noise, 1, 4)) == near(np.sqrt(1 / weight - 1))
    assert float(weakness_boundary(strength, noise, 1, 4)) == near((1 - root) / (2 * weight))
    assert float(excess_boundary(strength, noise, 1, 4)) == near((1 + root) / (2 * weight))


def test_thresholds_at_the_edges_of_what_they_mean():
    alone = ([1.0], [0.3], 0, 2)
    assert float(boundary_weight(cast([1.0]), [1.0], 0, 2)) == 0
    assert np.isinf(float(disruption_boundary(*alone)))
    assert float(weakness_boundary(*alone)) == 0
    assert np.isinf(float(excess_boundary(*alone)))
    # So much noise that even the strength of largest weight is too light, and a target that is
    # light without any noise.
    drowned = ([1.0, 1.0], [0.1, 5.0], 1, 2)
    assert float(weakness_boundary(*drowned)) == pytest.approx(5.0)
    assert float(excess_boundary(*drowned)) == pytest.approx(5.0)
    assert float(disruption_boundary([1.0, 3.0], [0.1, 0.0], 1, 2)) == 0
    # No noise: no weak side, and the strong side is where 1 / phi is the threshold weight.
    assert float(weakness_boundary([1.0, 1.0], [1.0, 0.0], 1, 2)) == 0
    assert float(excess_boundary([1.0, 1.0], [1.0, 0.0], 1, 2)) == pytest.approx(2.0)


@pytest.mark.parametrize("seed", range(8))
def test_downstream_strength_of_another_feature_has_at_most_one_threshold(seed):
    weights, strength = features(seed, 4)
    star = downstream_boundary(weights, strength, 0, 2, 3)
    margin = lambda phi: float(feature_complexity(weights, strength.at[2].set(phi), 0).margin(3))
    if jnp.isnan(star):
        assert len({np.sign(margin(cast(phi))) for phi in (1e-3, 1e-1, 1.0, 10.0, 1e3)}) == 1
    else:
        heavier = bool(weights[2] > weights[0])
        assert (margin(star * 1.01) > 0) == heavier
        assert (margin(star * 0.99) > 0) != heavier


def test_some_downstream_thresholds_exist_and_some_do_not():
    stars = [float(downstream_boundary(*features(seed, 4), 0, 2, 3)) for seed in range(8)]
    assert 0 < np.isnan(stars).sum() < 8


@given(st.integers(0, 10_000), st.floats(0.01, 100.0))
def test_the_downstream_strength_of_the_target_decides_nothing(seed, factor):
    weights, strength = features(seed, 4)
    want = feature_complexity(weights, strength, 0)
    seen = feature_complexity(weights, strength.at[0].mul(factor), 0)
    assert (float(seen.margin(3)) > 0) == (float(want.margin(3)) > 0)
    assert float(seen.best) == pytest.approx(float(want.best), abs=1e-5)


@pytest.mark.x64
def test_bisection_finds_the_closed_forms_and_its_derivative_is_theirs():
    def curve(noise, other):
        phi = cast(STRENGTH)
        return feature_complexity(
            phi / (phi**2 + jnp.stack([other, noise, cast(0.05)]) ** 2), phi, 1
        )

    found = lambda other: boundary(lambda s: curve(s, other).margin(3), cast(0.0), cast(3.0))
    closed = lambda other: disruption_boundary(
        STRENGTH, jnp.stack([other, cast(0.2), cast(0.05)]), 1, 3
    )
    assert float(found(cast(1.0))) == pytest.approx(float(closed(cast(1.0))), rel=1e-13)
    assert float(jax.grad(found)(cast(1.0))) == pytest.approx(
        float(jax.grad(closed)(cast(1.0))), rel=1e-10
    )


def test_bisection_without_a_change_of_sign_finds_nothing():
    assert np.isnan(float(boundary(lambda x: x**2 + 1, cast(-1.0), cast(1.0))))
    assert float(boundary(lambda x: 1 - x, cast(0.0), cast(4.0))) == pytest.approx(1.0)


def test_a_curve_is_a_labelled_array():
    curve = feature_complexity(cast(STRENGTH), cast(STRENGTH), 1)
    assert curve.to_xarray(3)["sample_complexity"].shape == (3,)


def test_single_precision_stays_single():
    weights = jnp.asarray([0.4, 1.0, 1.9], jnp.float32)
    curve = feature_complexity(weights, weights, 1)
    assert {x.dtype for x in (curve.best, curve.layers(3), curve.margin(3), curve.least)} == {
        jnp.dtype("float32")
    }
    assert boundary_weight(weights, weights, 1, 3).dtype == jnp.float32
    grams = jnp.stack([jnp.diag(weights)])
    assert (
        sample_complexity(grams, Downstream(jnp.eye(3, dtype=jnp.float32), weights)).dtype
        == jnp.float32
    )


EYE = np.eye(2)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: Downstream(EYE[:1], [1.0]), "second"),
        (lambda: Downstream(EYE, [1.0]), "target"),
        (lambda: Downstream(EYE, [0.0, 0.0]), "target"),
        (lambda: Downstream(np.diag([1.0, 0.0]), [0.0, 1.0]), "target"),
        (lambda: Downstream(EYE, [np.nan, 1.0]), "target"),
        (lambda: Downstream(np.diag([1.0, -1.0]), [1.0, 0.0]), "second"),
        (lambda: Downstream(np.array([[1.0, 0.5], [0.0, 1.0]]), [1.0, 0.0]), "second"),
        (lambda: Downstream(EYE, [1.0, 0.0]).rotate(np.eye(3)), "basis"),
        (lambda: sample_complexity(jnp.eye(3), Downstream(EYE, [1.0, 0.0])), "grams"),
        (lambda: complexity_curve(jnp.eye(3), Downstream(EYE, [1.0, 0.0])), "gram"),
        (lambda: feature_complexity(cast([1.0, 1.0]), [1.0, 1.0], 2), "target"),
        (lambda: feature_complexity(cast([1.0, 1.0]), [1.0, 1.0], -1), "target"),
        (lambda: feature_complexity(cast([1.0, 1.0]), [1.0], 0), "strength"),
        (lambda: feature_complexity(cast([1.0, 1.0]), [0.0, 1.0], 0), "strength"),
        (lambda: feature_complexity(cast([-1.0, 1.0]), [1.0, 1.0], 0), "weights"),
        (lambda: feature_complexity(cast([1.0, 1.0]), [1.0, 1.0], 0).margin(2, 3), "head_depth"),
        (lambda: feature_complexity(cast([1.0, 1.0]), [1.0, 1.0], 0).margin(0), "depth"),
        (lambda: boundary_weight(cast([1.0, 1.0]), [1.0], 0, 2), "strength"),
        (lambda: disruption_boundary(STRENGTH, [1.0], 1, 2), "noise"),
        (lambda: weakness_boundary(STRENGTH, NOISE, 3, 2), "target"),
        (lambda: downstream_boundary(cast([1.0, 2.0]), [1.0, 1.0], 0, 0, 2), "feature"),
        (lambda: boundary(lambda x: x, 1.0, 0.0), "high"),
        (lambda: feature_weights(random_moments(jax.random.key(0), cast([0.5, 0.2]))), "moments"),
    ],
)
def test_bad_input_is_named(call, names):
    with pytest.raises(ValueError, match=f"^{names}: got .*; want "):
        call()


def test_the_weights_of_features_are_those_of_the_general_minimiser(eps):
    problem = pt.ContrastiveProblem(
        pt.Features(STRENGTH),
        pt.problems.Compose(pt.SignFlip([0.1, 0.5, 0.0]), pt.AdditiveNoise(NOISE)),
    )
    for width in (1, 2, 3):
        gram = spectral(problem.moments(), width).gram
        np.testing.assert_allclose(
            feature_weights(problem.moments(), width) ** 2, jnp.diagonal(gram), atol=64 * eps
        )
