"""Encoders and heads of images."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.images import Pooled, unchanged

import projhead_theory as pt

KEY = jax.random.key(0)
X = jax.random.uniform(KEY, (3, 8, 8, 3), jnp.float32)


@pytest.mark.parametrize(("side", "stride"), [(3, 1), (3, 2), (1, 2)])
def test_a_convolution_is_xlas(side, stride, monkeypatch):
    net = pt.images.ResNet(3, (1, 1), 4, key=KEY)
    convolutions = [net.stem, *net.blocks[1].convolutions, net.blocks[1].shortcut[0]]
    own = next(c for c in convolutions if (c.kernel.shape[0], c.stride) == (side, stride))
    x = jax.random.normal(KEY, (2, 6, 6, own.kernel.shape[2]), jnp.float32)
    here = own(x)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert np.allclose(here, own(x), atol=1e-5)


def test_normalisation_gives_groups_of_mean_zero_and_variance_one():
    norm = pt.images.ResNet(3, (1,), 8, key=KEY).norm
    x = 3 + 2 * jax.random.normal(KEY, (2, 5, 5, 8), jnp.float32)
    y = np.asarray(norm(x))
    assert np.allclose(y.mean(axis=(1, 2)), 0, atol=1e-5)
    assert np.allclose(y.std(axis=(1, 2)), 1, atol=1e-3)


def test_sizes_of_encoders():
    assert pt.images.ConvNet(3, 4, key=KEY).size == 16
    for build, size in ((pt.images.resnet18, 512), (pt.images.resnet32, 64)):
        assert eqx.filter_eval_shape(lambda b=build: b(key=KEY)(X)).shape == (3, size)


def test_resnet_32_has_its_31_convolutions_and_shortcuts():
    net = eqx.filter_eval_shape(lambda: pt.images.resnet32(key=KEY))
    assert 1 + sum(len(b.convolutions) for b in net.blocks) == 31
    assert sum(b.shortcut is not None for b in net.blocks) == 2


def test_representations_of_a_fixed_head_are_its_multiples():
    encoder = pt.images.ConvNet(3, 4, key=KEY)
    head = pt.images.FixedProjection(pt.networks.ReweightingHead(1.5), 16)
    network = pt.images.ImageNetwork(encoder, head)
    pre, post = network.representations(X)
    assert np.allclose(post, np.asarray(pre) * 1.5 ** -np.arange(16), rtol=1e-5)
    assert np.array_equal(network(X), post)
    assert not network.trainable.head.diagonal
    short = pt.images.FixedProjection(pt.networks.TruncationHead(5), 16)
    assert np.array_equal(short(pre)[:, :5], pre[:, :5])
    assert not np.asarray(short(pre)[:, 5:]).any()


def test_a_head_of_another_width_is_told():
    encoder = pt.images.ConvNet(3, 4, key=KEY)
    with pytest.raises(ValueError, match="one for 16 entries"):
        pt.images.ImageNetwork(encoder, pt.images.LinearProjection(8, 4, key=KEY))
    with pytest.raises(ValueError, match="key"):
        pt.images.ImageNetwork(encoder, pt.images.NoProjection(16), 3)


def test_parts_of_representations_join(monkeypatch):
    """Rows that a part of another size shares with the last one are not counted twice."""
    monkeypatch.setattr("projhead_theory.images._network.CHUNK", 4)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    images = pt.images.Images(pixels, np.zeros(6, int), 1)
    encoder = Pooled(3, key=KEY)
    network = pt.images.ImageNetwork(encoder, pt.images.NoProjection(8))
    pre, _ = pt.images.represent(network, images)
    assert np.allclose(pre, encoder(images.all()), atol=1e-5)
    partners = np.asarray([1, 2, 3, 4, 5, 0])
    (first, second), _ = pt.images.represent_pairs(
        network, images, unchanged, KEY, partners=partners
    )
    assert np.allclose(first, pre, atol=1e-4)
    assert np.allclose(second, pre[partners], atol=1e-4)


def test_trainable_flags_have_the_shape_of_the_network():
    encoder = pt.images.ConvNet(3, 4, key=KEY)
    head = pt.images.MLPProjection(16, 8, 4, key=KEY)
    network = pt.images.ImageNetwork(encoder, head, 3, key=KEY)
    trained, fixed = eqx.partition(network, network.trainable)
    assert not jax.tree.leaves(fixed)
    assert network(X).shape == (3, 3)
    assert len(jax.tree.leaves(trained)) == 4 + 8 + 4 + 2
