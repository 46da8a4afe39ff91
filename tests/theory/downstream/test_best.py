"""The best layer of one problem for one downstream task."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory.problems import (
    Downstream,
    Groups,
    LinearLabel,
    MajorityLabel,
    SignLabel,
    random_moments,
)
from projhead_theory.theory.downstream import best_layer, disruption_boundary, sample_complexity
from projhead_theory.theory.layers import NonUniqueMinimiserError, layerwise

STRENGTH, NOISE = [2.0, 1.0, 0.5], [1.0, 0.2, 0.05]


def cast(x):
    return jnp.asarray(x, jnp.result_type(float))


def model(strength=STRENGTH, noise=NOISE):
    return pt.ContrastiveProblem(pt.Features(cast(strength)), pt.AdditiveNoise(cast(noise)))


def general(seed, d=4):
    k1, k2, k3 = jax.random.split(jax.random.key(seed), 3)
    moments = random_moments(k1, jnp.linspace(0.9, 0.2, d, dtype=jnp.result_type(float)))
    root = jax.random.normal(k2, (d, d))
    return moments, Downstream(root @ root.T, jax.random.normal(k3, (d,)))


@pytest.mark.x64
@given(seed=st.integers(0, 10**6), depth=st.sampled_from([2, 5]))
def test_the_best_layer_is_that_of_a_search_over_all_layers(seed, depth):
    moments, downstream = general(seed)
    best = best_layer(moments, downstream, depth)
    values = np.asarray(sample_complexity(layerwise(moments, depth).grams, downstream))
    np.testing.assert_array_equal(best.complexity, values)
    assert values[int(best.layer) - 1] == pytest.approx(values.min(), rel=1e-12)
    assert bool(best.pre_beats_post) == (values[-2] < values[-1])
    assert float(best.margin) == pytest.approx(np.log(values[-1] / values[-2]), abs=1e-12)


@pytest.mark.x64
@given(seed=st.integers(0, 10**6), size=st.floats(1e-3, 1e3))
def test_the_size_of_the_labels_does_not_matter(seed, size):
    moments, downstream = general(seed)
    best = best_layer(moments, downstream, 3)
    scaled = best_layer(moments, Downstream(downstream.second, size * downstream.target), 3)
    assert int(best.layer) == int(scaled.layer)
    np.testing.assert_allclose(scaled.complexity, size**2 * best.complexity, rtol=1e-9)
    assert float(scaled.margin) == pytest.approx(float(best.margin), abs=1e-9)


@pytest.mark.x64
@given(order=st.permutations(range(3)), target=st.integers(0, 2))
def test_the_order_of_the_features_does_not_matter(order, target):
    best = best_layer(model(), target, 3)
    moved = best_layer(
        model(np.take(STRENGTH, order), np.take(NOISE, order)), order.index(target), 3
    )
    assert int(best.layer) == int(moved.layer)
    np.testing.assert_allclose(moved.complexity, best.complexity, rtol=1e-12)


def test_all_forms_of_one_task_agree():
    problem, d = model(), 3
    target = jnp.zeros(d).at[1].set(1 / 1.0)
    forms = (
        1,
        np.int64(1).item(),
        SignLabel(1),
        pt.DownstreamProblem(pt.Features(cast(STRENGTH)), SignLabel(1)),
        Downstream(jnp.diag(cast(STRENGTH) ** 2), target),
    )
    want = best_layer(problem, forms[0], 3).complexity
    for form in forms[1:]:
        np.testing.assert_array_equal(best_layer(problem, form, 3).complexity, want)
    moments = best_layer(problem.moments(), forms[-1], 3)
    np.testing.assert_array_equal(moments.complexity, want)


def test_labels_on_several_features_and_supervised_problems_are_tasks_too():
    majority = best_layer(model(), MajorityLabel([0, 1, 2]), 2)
    linear = best_layer(model(), LinearLabel(1 / cast(STRENGTH)), 2)
    np.testing.assert_allclose(majority.complexity, linear.complexity, rtol=1e-5)
    groups = Groups.signs([2.0, 1.0], noise=1.0, correlation=[0.2])
    best = best_layer(
        pt.SupervisedContrastiveProblem(groups), Downstream(np.eye(2), [1.0, 0.0]), 2, width=1
    )
    assert best.complexity.shape == (2,)


def test_pre_beats_post_beyond_the_noise_in_closed_form():
    threshold = float(disruption_boundary(STRENGTH, NOISE, 1, 3))
    for noise, better in ((0.95 * threshold, False), (1.05 * threshold, True)):
        assert bool(best_layer(model(noise=[1.0, noise, 0.05]), 1, 3).pre_beats_post) == better


def test_equal_weights_make_all_layers_equally_good():
    """The lowest is then the best, and neither side of the head beats the other."""
    best = best_layer(model([1.0, 1.0], [0.3, 0.3]), 0, 4)
    assert int(best.layer) == 1
    assert float(best.margin) == 0
    assert not bool(best.pre_beats_post)
    assert "equally good" in best.reason
    moments = pt.Moments(0.5 * np.eye(5), np.eye(5))
    root = np.random.default_rng(0).normal(size=(5, 5))
    assert int(best_layer(moments, Downstream(root @ root.T, root[0]), 7).layer) == 1


def test_a_lost_target_has_no_best_layer():
    best = best_layer(model(), 0, 3, width=2)
    assert bool(best.lost)
    assert int(best.layer) == 0
    assert np.isposinf(np.asarray(best.complexity)).all()
    assert not bool(best.pre_beats_post)
    assert "No layer keeps the target" in str(best)
    assert json.loads(json.dumps(best.to_dict(), allow_nan=False))["best_layer"] is None


def test_one_layer_is_held_against_the_input():
    best = best_layer(model(), 1, 1)
    assert int(best.layer) == 1
    inputs = sample_complexity(
        jnp.eye(3)[None], pt.DownstreamProblem(pt.Features(cast(STRENGTH)), SignLabel(1)).moments()
    )
    want = np.log(float(best.complexity[0] / inputs[0]))
    assert float(best.margin) == pytest.approx(want, rel=1e-5)
    assert "the input" in best.reason


@pytest.mark.x64
def test_the_head_changes_the_indicator_by_radius_and_margin():
    problem, task = model(), SignLabel(0)
    best = best_layer(problem, task, 4, head_depth=2)
    grams = np.asarray(best.prediction.grams)
    radius = [np.trace(gram @ np.diag(np.square(STRENGTH))) for gram in grams]
    assert float(best.radius_gain) == pytest.approx(np.log(radius[3] / radius[1]))
    # The rest of the change is that of the target's own squared weight, the squared margin.
    rest = float(best.margin - best.radius_gain)
    assert rest == pytest.approx(-np.log(grams[3, 0, 0] / grams[1, 0, 0]))


def test_it_runs_under_jit_and_vmap():
    best = jax.jit(lambda noise: best_layer(model(noise=noise), 1, 3).layer)
    noises = cast([[1.0, 0.01, 0.05], [1.0, 2.0, 0.05]])
    apart = [int(best_layer(model(noise=noise), 1, 3).layer) for noise in noises]
    assert jax.vmap(best)(noises).tolist() == apart


def test_it_is_a_labelled_array_and_a_figure():
    import matplotlib.pyplot as plt

    best = best_layer(model(), 0, 3)
    data = best.to_xarray()
    assert data["sample_complexity"].dims == ("layer",)
    assert int(data["best_layer"]) == int(best.layer) == 1
    for case in (best, best_layer(model(), 0, 3, width=2)):
        plt.close(case.plot().figure)
    assert str(best).startswith("Layer 1 of 3 needs the fewest labels")
    assert max(map(len, str(best).splitlines())) <= 80


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: best_layer(model(), 3, 2), "downstream"),
        (lambda: best_layer(model(), -1, 2), "downstream"),
        (lambda: best_layer(model(), True, 2), "downstream"),
        (lambda: best_layer(model(), "1", 2), "downstream"),
        (lambda: best_layer(model(), SignLabel(5), 2), "feature"),
        (lambda: best_layer(model().moments(), 1, 2), "downstream"),
        (lambda: best_layer(model(), Downstream(np.eye(2), [1.0, 0.0]), 2), "downstream"),
        (lambda: best_layer([1.0], 1, 2), "problem"),
        (lambda: best_layer(model(), 1, 0), "depth"),
        (lambda: best_layer(model(), 1, 2, head_depth=0), "head_depth"),
        (lambda: best_layer(model(), 1, 2, head_depth=3), "head_depth"),
        (lambda: best_layer(model(), 1, 2, width=0), "width"),
    ],
)
def test_bad_input_is_named(call, names):
    with pytest.raises(ValueError, match=f"^{names}: got .*; want "):
        call()


def test_a_tie_at_the_cut_raises():
    with pytest.raises(NonUniqueMinimiserError):
        best_layer(model([1.0, 1.0], [0.3, 0.3]), 0, 2, width=1)
