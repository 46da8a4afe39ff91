"""Weights of features in non-linear layers: those of linear layers in their limit, exact where they
can be, unbiased where estimated.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import cast

import projhead_theory as pt
from projhead_theory import measure
from projhead_theory.measure import feature_weights, homogeneity, imbalance, layer_weights
from projhead_theory.networks import (
    DeepLinear,
    ShallowReLU,
    ShallowThresholded,
    ThresholdedDiagonal,
)
from projhead_theory.problems import Downstream
from projhead_theory.theory.downstream import sample_complexity

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


@pytest.mark.parametrize(
    "sizes", [(3, 4, 3), *(pytest.param(s, marks=pytest.mark.deep) for s in [(1, 1), (5, 5, 6, 7)])]
)
def test_measured_indicator_is_that_of_the_grams(sizes, eps):
    """Singular values of a layer on the one side, the pseudo-inverse of its Gram on the other."""
    k1, k2, k3 = jax.random.split(jax.random.key(len(sizes)), 3)
    network = DeepLinear.orthogonal(k1, sizes, 1.3)
    root = jax.random.normal(k2, (sizes[0], sizes[0]))
    downstream = Downstream(root @ root.T, jax.random.normal(k3, sizes[:1]))
    want = sample_complexity(measure.layer_grams(network), downstream)
    np.testing.assert_allclose(measure.sample_complexity(network, downstream), want, rtol=1e4 * eps)


def test_a_layer_without_the_target_has_no_separator():
    dropped = DeepLinear([jnp.diag(cast([1.0, 2.0, 0.0])), jnp.diag(cast([0.0, 2.0, 0.0]))])
    for j, lost in enumerate([[False, True], [False, False], [True, True]]):
        downstream = Downstream(jnp.eye(3, dtype=cast(1.0).dtype), cast(np.eye(3)[j]))
        seen = measure.sample_complexity(dropped, downstream)
        assert np.isinf(np.asarray(seen)).tolist() == lost
        assert (
            np.isinf(
                np.asarray(sample_complexity(measure.layer_grams(dropped), downstream))
            ).tolist()
            == lost
        )
    with pytest.raises(ValueError, match=r"^downstream: got .*; want "):
        measure.sample_complexity(dropped, Downstream(np.eye(2), [1.0, 0.0]))


def test_where_inputs_do_not_vary_the_separator_is_free():
    network = DeepLinear([cast([[1.0, 0.5], [0.5, 1.0]])])
    downstream = Downstream(jnp.diag(cast([1.0, 0.0])), cast([1.0, 0.0]))
    # The shortest v with (W^T v)_1 = 1 has squared norm 1 / (1 + 1/4); the radius is that of the
    # first column.
    assert float(measure.sample_complexity(network, downstream)[0]) == pytest.approx(1.25 / 1.25)
