"""Weights of features in non-linear layers: those of linear layers in their limit, exact where they
can be, unbiased where estimated.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import projhead_theory as pt
from projhead_theory.measure import feature_weights, homogeneity, imbalance, layer_weights
from projhead_theory.networks import (
    DeepLinear,
    ShallowReLU,
    ShallowThresholded,
    ThresholdedDiagonal,
)

KEY = jax.random.key(0)
PHI = jnp.array([1.0, 1.5, 0.3])
PROBLEM = pt.ContrastiveProblem(pt.Features(PHI))


def test_of_a_linear_network_they_are_its_layer_weights(eps):
    """With a rotation too; a layer as wide as the input reads every feature, a narrower one reads
    as much as it is wide.
    """
    network = DeepLinear.init(KEY, (3, 4, 2))
    q = jnp.linalg.qr(jax.random.normal(KEY, (3, 3)))[0]
    problem = pt.ContrastiveProblem(pt.Features(PHI, mixing=q))
    found = feature_weights(network, problem)
    np.testing.assert_allclose(
        found.gain, layer_weights(network, problem.directions), rtol=64 * eps
    )
    np.testing.assert_allclose(jnp.sum(found.readout, axis=1), [3, 2], rtol=1e4 * eps)
    np.testing.assert_array_equal(found.error, 0)


def test_of_a_diagonal_network_they_are_its_amplitudes():
    network = ThresholdedDiagonal(jnp.ones((2, 3)), jnp.array([[0.1] * 3, [0.3] * 3]))
    found = feature_weights(network, PROBLEM)
    np.testing.assert_allclose(found.gain, network.amplitudes(PHI) / PHI)
    np.testing.assert_array_equal(found.readout, [[1, 1, 1], [1, 1, 0]])


def test_estimates_agree_with_what_is_exact():
    """Linear units inside a non-linear network, many seeds: unbiased, with the standard error that
    it states.
    """
    layers = list(DeepLinear.init(KEY, (3, 4, 2)).layers)
    layers[0] = layers[0].at[:, 2].set(0)
    network, exact = ShallowReLU(layers, 1.0), feature_weights(DeepLinear(layers), PROBLEM)
    found = jax.vmap(lambda key: feature_weights(network, PROBLEM, key=key, samples=2_048))(
        jax.random.split(KEY, 200)
    )
    scatter, bias = jnp.std(found.square, axis=0), jnp.mean(found.square, axis=0) - exact.square
    assert bool((jnp.abs(bias) <= 5 * scatter / 200**0.5).all())
    # For a weight of zero the jackknife is conservative.
    stated = jnp.sqrt(jnp.mean(found.error**2, axis=0)) / scatter
    np.testing.assert_allclose(stated[exact.gain > 0], 1, rtol=0.25)
    assert bool(((stated > 0.8) & (stated < 2)).all())
    np.testing.assert_allclose(jnp.mean(found.readout, axis=0), exact.readout, atol=0.02)


def test_a_key_and_a_problem_that_fits_are_asked_for():
    network = ShallowThresholded.init(KEY, (3, 4, 2))
    with pytest.raises(ValueError, match=r"^key: got None; want a PRNG key"):
        feature_weights(network, PROBLEM)
    with pytest.raises(
        ValueError, match=r"^problem: got inputs of dimension 1; want the network's inputs, 3"
    ):
        feature_weights(network, pt.ContrastiveProblem(pt.Features([1.0])))


def test_of_a_linear_network_homogeneity_is_the_diagonal_of_the_imbalance(eps):
    network = DeepLinear.init(KEY, (3, 4, 2))
    np.testing.assert_allclose(
        homogeneity(network)[0], -jnp.diagonal(imbalance(network)[0]), atol=64 * eps
    )
