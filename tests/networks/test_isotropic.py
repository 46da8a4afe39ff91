"""Isotropic starts of two layers: the relations they are defined by, with and without a product."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from projhead_theory import DeepLinear

SIZES = (3, 6, 2)


def start(*scales, **options):
    return DeepLinear.isotropic(jax.random.key(0), SIZES, *scales, **options)


@pytest.mark.parametrize("scales", [(0.7, 2.0), (1e4, 1e-4), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_scales_without_a_product(scales, eps):
    first, second = start(*scales).layers
    slack = 64 * eps * max(scales)
    np.testing.assert_allclose(first.T @ first, scales[0] * np.eye(3), atol=slack)
    np.testing.assert_allclose(second @ second.T, scales[1] * np.eye(2), atol=slack)
    np.testing.assert_allclose(second @ first, 0, atol=slack)


@pytest.mark.parametrize("scales", [(0.7, 2.0), (2.0, 0.3), (0.0, 1.0), (0.0, 0.0)])
def test_relations_with_a_product(scales, eps):
    """The three relations of the flow's invariant set, M_2 = (M_1 - a)(M_1 + b) among them."""
    a, b = scales
    product = np.random.default_rng(0).standard_normal((2, 3))
    network = start(a, b, product=product)
    first, second = (np.asarray(w) for w in network.layers)
    gram, head = first.T @ first, second @ second.T
    slack = 256 * eps * (a + b + np.sum(product**2)) ** 2
    np.testing.assert_allclose(network.matrix, product, atol=slack)
    one = np.eye(3)
    np.testing.assert_allclose((gram - a * one) @ (gram + b * one), product.T @ product, atol=slack)
    one = np.eye(2)
    np.testing.assert_allclose((head - b * one) @ (head + a * one), product @ product.T, atol=slack)
    np.testing.assert_allclose(head @ product, product @ gram + (b - a) * product, atol=slack)


def test_another_key_turns_the_hidden_units(eps):
    one, other = (DeepLinear.isotropic(jax.random.key(seed), SIZES, 0.7, 2.0) for seed in range(2))
    assert np.abs(one.layers[0] - other.layers[0]).max() > 0.1
    assert one.sizes == SIZES
    assert start(1.0, 1.0, dtype=jnp.float32).dtype == jnp.float32


@pytest.mark.parametrize(
    ("sizes", "scales", "product", "message"),
    [
        ((3, 4, 2), (1.0, 1.0), None, r"^width: got 4; want at least 5: room for 3 inputs"),
        ((3, 3), (1.0, 1.0), None, r"^sizes: got \(3, 3\); want \(d, h, p\)"),
        (SIZES, (-1.0, 1.0), None, r"^encoder: got -1.0; want non-negative"),
        (SIZES, (1.0, -1.0), None, r"^head: got -1.0; want non-negative"),
        (SIZES, (1.0, 1.0), np.zeros((3, 2)), r"^product: got shape \(3, 2\); want \(2, 3\)"),
    ],
)
def test_arguments_out_of_range(sizes, scales, product, message):
    with pytest.raises(ValueError, match=message):
        DeepLinear.isotropic(jax.random.key(0), sizes, *scales, product=product)
