"""Losses of rival theories: self-prediction with a stopped gradient, and the distance critic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import cast
from hypothesis import given
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory import losses
from projhead_theory.problems import random_moments
from projhead_theory.simulation import trained_gradient


def case(depth=3, width=2):
    key = jax.random.key(0)
    moments = random_moments(key, cast([0.9, 0.6, 0.3]), 5.0)
    network = pt.DeepLinear.init(key, (3, *[width] * depth))
    return network, moments


def test_the_gradient_passes_the_prediction_alone(eps):
    r"""With the encoder W and the predictor V: $(V W S - W C) W^T$ in V, and in every layer what
    lies above and below it around the same matrix.
    """
    network, moments = case()
    first, second, predictor = map(np.asarray, network.layers)
    encoder = second @ first
    slope = predictor @ encoder @ np.asarray(moments.second) - encoder @ np.asarray(moments.cross)
    seen = trained_gradient(network, moments, losses.self_prediction).layers
    want = (
        second.T @ predictor.T @ slope,
        predictor.T @ slope @ first.T,
        slope @ encoder.T,
    )
    for a, b in zip(seen, want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e3 * eps)


def test_with_all_of_the_leak_it_is_the_gradient_of_the_value(eps):
    network, moments = case()
    first, second, predictor = network.layers

    def value(first):
        encoder = second @ first
        output = predictor @ encoder
        return (
            jnp.sum((output @ moments.second) * output) / 2
            - jnp.sum((output @ moments.cross) * encoder)
            + jnp.sum((encoder @ moments.second) * encoder) / 2
        )

    for leak in (0.0, 1.0):
        loss = losses.SelfPrediction(leak)
        np.testing.assert_allclose(loss(network, moments), value(first), rtol=1e3 * eps)
    seen = trained_gradient(network, moments, losses.SelfPrediction(1.0)).layers[0]
    np.testing.assert_allclose(seen, jax.grad(value)(first), atol=1e3 * eps)


def test_a_batch_of_all_values_has_the_population_loss(eps):
    """Two features of random sign, flipped with probability a quarter."""
    signs = np.array([(a, b) for a in (1, -1) for b in (1, -1)], float)
    flips = np.array([(1, 1), (1, 1), (1, 1), (-1, 1), (1, 1), (1, -1), (1, 1), (-1, -1)])
    first = np.repeat(signs, len(flips), axis=0)
    second = first * np.tile(flips, (len(signs), 1))
    cross = first.T @ second / len(first)
    moments = pt.Moments(cast((cross + cross.T) / 2), jnp.eye(2))
    network = pt.DeepLinear([cast([[1.0, 0.5], [0.2, 2.0]]), cast([[0.7, 0.1], [0.0, 0.4]])])
    views = pt.Views(cast(first), cast(second))
    np.testing.assert_allclose(
        losses.self_prediction(network, views),
        losses.self_prediction(network, moments),
        rtol=256 * eps,
    )


@pytest.mark.x64
def test_imbalance_is_conserved_without_a_potential():
    """The field has the form of a gradient in every layer, which is all that conservation needs,
    though the loss itself may grow.
    """
    network, moments = case()
    run = pt.gradient_flow(
        network, moments, loss=losses.self_prediction, t1=20.0, save_at=8, stationarity=0.0
    )
    start, end = (pt.measure.imbalance(n) for n in (run.start, run.final))
    for a, b in zip(start, end, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
    moved = max(
        float(jnp.abs(a - b).max()) for a, b in zip(run.start.layers, run.final.layers, strict=True)
    )
    assert moved > 0.1


def test_the_batch_form_takes_any_network():
    key = jax.random.key(1)
    network = pt.networks.ShallowThresholded.init(key, (4, 3, 3), 0.5, (0.05, 0.05), final=True)
    views = pt.Views(*jax.random.normal(key, (2, 8, 4)))
    run = pt.gradient_descent(
        network, views, loss=losses.self_prediction, learning_rate=0.1, steps=20, save_at=5
    )
    assert float(run.loss[-1]) < float(run.loss[0])


@pytest.mark.usefixtures("untyped")
def test_data_and_networks_that_do_not_fit():
    network, moments = case()
    with pytest.raises(ValueError, match=r"^leak: got -0.5"):
        losses.SelfPrediction(-0.5)
    with pytest.raises(ValueError, match=r"^network: got depth 1"):
        losses.self_prediction(pt.DeepLinear([jnp.eye(3)]), moments)
    with pytest.raises(ValueError, match=r"^network: got a predictor 3-2"):
        losses.self_prediction(pt.DeepLinear([jnp.eye(3), jnp.ones((2, 3))]), moments)
    with pytest.raises(ValueError, match=r"^data: got Labelled, for DeepLinear"):
        losses.self_prediction(network, pt.Labelled(jnp.eye(3), jnp.arange(3)))
    with pytest.raises(ValueError, match=r"^temperature: got 0.0"):
        losses.DistanceContrastive(0.0)


OUTPUTS = st.lists(
    st.lists(st.integers(-8, 8), min_size=2, max_size=2), min_size=3, max_size=3
).map(lambda rows: np.array(rows) / 4)


@given(first=OUTPUTS, second=OUTPUTS, temperature=st.sampled_from([0.5, 1.0, 3.0]))
def test_the_distance_critic_is_its_formula(first, second, temperature, eps):
    apart = ((first[:, None] - first[None, :]) ** 2).sum(-1)
    want = ((first - second) ** 2).sum(1).mean() / (2 * temperature)
    want += np.log(np.exp(-apart / (2 * temperature)).mean(1)).mean()
    seen = losses.DistanceContrastive(temperature).batch(cast(first), cast(second))
    assert float(seen) == pytest.approx(want, abs=1e4 * eps)


@given(first=OUTPUTS, second=OUTPUTS, angle=st.floats(0, 6))
def test_the_distance_critic_sees_no_rotation_and_no_shift(first, second, angle, eps):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    of = lambda a, b: float(losses.distance_contrastive.batch(cast(a), cast(b)))
    moved = of(first @ turn + 1.5, second @ turn + 1.5)
    assert of(first, second) == pytest.approx(moved, abs=1e4 * eps)
