"""Random augmentations of a batch of images: small pure functions, each with a key."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .._core import checks
from .._core.keys import named
from ._data import Batch

Image = Float[Array, "h w c"]

GRAY = (0.299, 0.587, 0.114)
"""Luminance of red, green and blue (ITU-R BT.601)."""


def random_crop(x: Image, key: PRNGKeyArray, padding: int) -> Image:
    """Shift an image by up to `padding` pixels in each direction, with edge pixels repeated."""
    padded = jnp.pad(x, ((padding, padding), (padding, padding), (0, 0)), mode="edge")
    top, left = jax.random.randint(key, (2,), 0, 2 * padding + 1)
    return jax.lax.dynamic_slice(padded, (top, left, jnp.zeros_like(top)), x.shape)


def random_flip(x: Image, key: PRNGKeyArray) -> Image:
    """Mirror an image with probability one half."""
    return jnp.where(jax.random.bernoulli(key), x[:, ::-1], x)


def random_jitter(
    x: Image, key: PRNGKeyArray, brightness: Array, contrast: Array, saturation: Array
) -> Image:
    """Change brightness, contrast and saturation by factors within 1 plus or minus these."""
    sizes = jnp.stack([brightness, contrast, saturation])
    b, c, s = 1 + sizes * jax.random.uniform(key, (3,), sizes.dtype, -1, 1)
    x = x * b
    mean = jnp.mean(grayscale(x))
    x = mean + c * (x - mean)
    gray = grayscale(x)
    return jnp.clip(gray + s * (x - gray), 0, 1)


def grayscale(x: Float[Array, "*b c"]) -> Float[Array, "*b 1"]:
    """Luminance of images in colour; gray images as they are."""
    if x.shape[-1] != 3:
        return jnp.mean(x, axis=-1, keepdims=True)
    return jnp.sum(x * jnp.asarray(GRAY, x.dtype), axis=-1, keepdims=True)


class Augmentation(eqx.Module):
    """Random crop, flip, jitter and gray, each image of a batch with a key of its own.

    The jitter applies with probability 0.8. Values of the probabilities and sizes do not
    recompile.

    **Arguments:**

    - `padding`: pixels by which an image is shifted at most.
    - `flip`: whether images are mirrored, with probability one half.
    - `brightness`, `contrast`, `saturation`: sizes of the jitter.
    - `gray`: probability of losing the colours.

    **Raises:** `ValueError` for a negative size, or a probability outside [0, 1].

    !!! example

        ```pycon
        >>> augment = pt.images.Augmentation(padding=1, flip=False)
        >>> augment(jnp.ones((2, 4, 4, 1), jnp.float32), jax.random.key(0)).shape
        (2, 4, 4, 1)

        ```
    """

    brightness: Float[Array, ""]
    contrast: Float[Array, ""]
    saturation: Float[Array, ""]
    gray: Float[Array, ""]
    padding: int = eqx.field(static=True)
    flip: bool = eqx.field(static=True)

    def __init__(
        self,
        padding: int = 2,
        flip: bool = True,
        brightness: Any = 0.4,
        contrast: Any = 0.4,
        saturation: Any = 0.4,
        gray: Any = 0.2,
    ):
        self.padding, self.flip = checks.count("padding", padding, 0), flip
        single = lambda name, x: checks.nonnegative(name, x).astype(jnp.float32)
        self.brightness = single("brightness", brightness)
        self.contrast, self.saturation = (
            single("contrast", contrast),
            single("saturation", saturation),
        )
        self.gray = checks.probability("gray", gray).astype(jnp.float32)

    def __call__(self, x: Batch, key: PRNGKeyArray) -> Batch:
        return jax.vmap(self._one)(x, jax.random.split(key, x.shape[0]))

    def _one(self, x: Image, key: PRNGKeyArray) -> Image:
        if self.padding:
            x = random_crop(x, named(key, "crop"), self.padding)
        if self.flip:
            x = random_flip(x, named(key, "flip"))
        changed = random_jitter(
            x, named(key, "jitter"), self.brightness, self.contrast, self.saturation
        )
        x = jnp.where(jax.random.bernoulli(named(key, "jittered"), 0.8), changed, x)
        if x.shape[-1] == 3:
            x = jnp.where(jax.random.bernoulli(named(key, "gray"), self.gray), grayscale(x), x)
        return x
