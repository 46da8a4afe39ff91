"""Layers, best layer and phase diagram from a start that is not balanced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory.problems import random_moments
from projhead_theory.theory.starts import Start, start_law, weights_before_head

PROBLEM = pt.ContrastiveProblem(pt.Features([2.0, 1.0, 0.5]), pt.AdditiveNoise([1.0, 0.2, 0.3]))
START = Start(2.0, 0.5)


def test_layers_of_a_feature_model(eps):
    own = pt.layerwise(PROBLEM.moments(), 2, start=START)
    balanced = pt.layerwise(PROBLEM.moments(), 2)
    np.testing.assert_array_equal(own.weights[1], balanced.weights[1])
    np.testing.assert_allclose(
        own.weights[0], weights_before_head(own.weights[1], encoder=2.0, head=0.5), rtol=16 * eps
    )
    assert own.start is START
    assert balanced.start is None


@pytest.mark.parametrize("width", [4, 2])
def test_layers_of_mixed_features(width, eps):
    """Directions that the last layer drops keep the scale of the encoder."""
    moments = random_moments(jax.random.key(0), jnp.linspace(0.9, 0.4, 4), condition=5.0)
    own = pt.layerwise(moments, 2, width=width, start=START)
    law = start_law(own.grams[1], encoder=2.0, head=0.5)
    np.testing.assert_allclose(own.grams[0], law, atol=256 * eps * float(jnp.max(law)))
    values = np.linalg.eigvalsh(own.grams[0])
    np.testing.assert_allclose(values[: 4 - width], 2.0, rtol=256 * eps)
    zero = pt.layerwise(moments, 2, width=width, start=Start(0.0, 0.0))
    balanced = pt.layerwise(moments, 2, width=width)
    size = float(jnp.linalg.norm(balanced.grams[0]))
    assert np.abs(zero.grams - balanced.grams).max() <= size * float(zero.rounding[0])
    assert (np.asarray(own.rounding) < 1e5 * eps).all()


@pytest.mark.x64
def test_a_trained_network_ends_at_the_prediction():
    product = 0.05 * jax.random.normal(jax.random.key(1), (3, 3))
    start = pt.DeepLinear.isotropic(jax.random.key(0), (3, 6, 3), 2.0, 0.5, product=product)
    run = pt.gradient_flow(start, PROBLEM.moments(), save_at=2)
    np.testing.assert_allclose(
        run.weights()[-1], pt.layerwise(PROBLEM.moments(), 2, start=START).weights, rtol=1e-7
    )
    with pytest.raises(ValueError, match=r"^prediction: got one of a start that is not balanced"):
        pt.compare(pt.layerwise(PROBLEM.moments(), 2, start=START), run)


def test_the_best_layer_follows_the_start(eps):
    w, phi = np.array([0.4, 1 / 1.04, 0.5 / 0.34]), np.array([2.0, 1.0, 0.5])
    v = np.asarray(weights_before_head(w, encoder=2.0, head=0.5))
    best = pt.best_layer(PROBLEM, 0, 2, start=START)
    indicator = [np.sum((x / x[0]) ** 2 * (phi / phi[0]) ** 2) for x in (v, w)]
    np.testing.assert_allclose(best.complexity, indicator, rtol=64 * eps)
    np.testing.assert_allclose(best.margin, np.log(indicator[1] / indicator[0]), rtol=1e3 * eps)
    assert int(best.layer) == 1


def test_the_encoder_keeps_a_target_that_the_head_loses():
    """Feature 2 is the one that a width of 2 drops."""
    best = pt.best_layer(PROBLEM, 2, 2, width=2, start=START)
    assert not best.lost
    assert np.isinf(best.margin)
    assert best.reason == (
        "Pre-projection (layer 1) keeps the target; post-projection (layer 2) loses it."
    )
    assert best.to_dict()["margin"] is None
    assert pt.best_layer(PROBLEM, 2, 2, width=2, start=Start(0.0, 0.5)).lost
    assert pt.best_layer(PROBLEM, 2, 2, width=2).lost


def test_a_phase_diagram_over_the_scales():
    diagram = pt.phase_diagram(PROBLEM, 0, x=[0.01, 1.0], y=[0.5, 4.0], depth=2, start=Start)
    assert diagram.names == ("encoder", "head")
    for i, head in enumerate((0.5, 4.0)):
        for j, encoder in enumerate((0.01, 1.0)):
            own = pt.best_layer(PROBLEM, 0, 2, start=Start(encoder, head))
            np.testing.assert_allclose(diagram.margin[i, j], own.margin, rtol=1e-5)
            np.testing.assert_allclose(diagram.least[i, j], own.complexity[0], rtol=1e-5)
            assert (int(diagram.layer[i, j]), float(diagram.tau[i, j])) == (1, 0.5)


def _noisy(x, y):
    return pt.ContrastiveProblem(
        pt.Features([y, 1.0]), pt.AdditiveNoise(jnp.stack([x, 0.5 * x**0]))
    )


def test_a_phase_diagram_from_a_start_has_a_boundary():
    """Margins of a balanced start are those without one; from another start, the boundary of two
    features is the same: their weights after the head are equal there.
    """
    grid = {"x": [0.2, 0.9], "y": [0.8, 1.3], "depth": 2}
    plain = pt.phase_diagram(_noisy, 0, **grid)
    balanced = pt.phase_diagram(_noisy, 0, **grid, start=Start(0.0, 0.0))
    np.testing.assert_allclose(balanced.margin, plain.margin, rtol=1e-4)
    other = pt.phase_diagram(_noisy, 0, **grid, start=START)
    assert (np.sign(other.margin) == np.sign(plain.margin)).all()
    np.testing.assert_allclose(other.boundary(), plain.boundary(), rtol=1e-4)


@given(
    st.lists(st.tuples(st.floats(0.1, 5.0), st.floats(0.1, 5.0)), min_size=2, max_size=2),
    st.floats(1e-2, 1e2),
    st.floats(1e-2, 1e2),
)
def test_where_the_head_is_worse_than_the_input_the_encoder_is_better(others, a, b):
    """For any start: sum_i phi_i^2 (w_i^2 - w_0^2) > 0 makes pre-projection the better side."""
    w = np.array([1.0, *(x for x, _ in others)])
    phi = np.array([1.0, *(y for _, y in others)])
    v = np.asarray(weights_before_head(w, encoder=a, head=b), float)
    before, after = (np.sum(phi**2 * (x**2 - x[0] ** 2)) / x[0] ** 2 for x in (v, w))
    if after > 1e-3:
        assert before < after


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match=r"^depth: got 3; want 2 with a start"):
        pt.layerwise(PROBLEM.moments(), 3, start=START)
    with pytest.raises(ValueError, match=r"^depth: got 3; want 2 with a start"):
        pt.phase_diagram(PROBLEM, 0, x=[1.0], y=[1.0], depth=3, start=Start)
    with pytest.raises(ValueError, match=r"^start: got tuple; want a Start"):
        pt.phase_diagram(PROBLEM, 0, x=[1.0], y=[1.0], depth=2, start=lambda x, y: (x, y))
    diagram = pt.phase_diagram(PROBLEM, 0, x=[0.1, 1.0], y=[0.1, 1.0], depth=2, start=Start)
    with pytest.raises(ValueError, match=r"^start: got one of its own; want none, to simulate"):
        pt.theorems.check_phase(diagram, 2, jax.random.key(0))
