"""A small encoder and small images, of which programs compile fast."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

import projhead_theory as pt

STILL = pt.images.Augmentation(0, False, 0.0, 0.0, 0.0, 0.0)


def unchanged(x, key):
    """No augmentation, which compiles in no time."""
    del key
    return x


class Pooled(pt.images.AbstractEncoder):
    """A linear map of an image's means over squares, and a ReLU."""

    weight: Float[Array, "p q"]
    size: int = eqx.field(static=True)

    def __init__(self, channels, *, key):
        self.weight = jax.random.normal(key, (16 * channels, 8), jnp.float32)
        self.size = 8

    def __call__(self, x):
        n, side, _, channels = x.shape
        small = x.reshape(n, 4, side // 4, 4, side // 4, channels).mean(axis=(2, 4))
        return jax.nn.relu(small.reshape(n, -1) @ self.weight)


RECIPE = pt.images.Recipe(
    encoder=Pooled,
    optimiser=optax.adam,
    learning_rate=1e-2,
    weight_decay=0.0,
    batch_size=32,
    epochs=1,
    augmentation=STILL,
    hidden=8,
    outputs=4,
    training=96,
    readout=96,
    test=96,
)


def recipe(**changes):
    return dataclasses.replace(RECIPE, **changes)


def images(count=64, classes=3):
    """Noise around a different square for each class."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    pixels = rng.integers(0, 120, (count, 8, 8, 1))
    for k in range(classes):
        pixels[labels == k, 2 * k : 2 * k + 2] += 120
    return pt.images.Images(pixels.astype(np.uint8), labels, classes, labels % 2)
