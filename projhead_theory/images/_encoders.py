"""Convolutional encoders of batches of images: a small one, and residual networks."""

import abc
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .._core import checks
from .._core.keys import named
from ._data import Batch

Changed = Float[Array, "b _ _ _"]
"""A batch of another size, or with other channels."""


class AbstractEncoder(eqx.Module):
    """Map from a batch of images to representations before the projection head.

    - `size`: the number of entries of a representation.
    """

    size: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, x: Batch) -> Float[Array, "b p"]:
        """Representations of a batch."""


class _Convolution(eqx.Module):
    """A 3 x 3 or 1 x 1 convolution without bias, padded to keep the size at stride 1."""

    kernel: Float[Array, "k k i o"]
    stride: int = eqx.field(static=True)

    def __init__(self, side: int, inputs: int, outputs: int, stride: int, key: PRNGKeyArray):
        scale = math.sqrt(2 / (side * side * inputs))
        shape = (side, side, inputs, outputs)
        self.kernel = scale * jax.random.normal(key, shape, jnp.float32)
        self.stride = stride

    def __call__(self, x: Batch) -> Changed:
        side, outputs = self.kernel.shape[0], self.kernel.shape[3]
        border = side // 2
        if jax.default_backend() != "cpu":
            return jax.lax.conv_general_dilated(
                x,
                self.kernel,
                (self.stride, self.stride),
                ((border, border), (border, border)),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
        # On a CPU, XLA's own convolution within a loop and its gradients take 10 times as long as
        # this product.
        _, height, width, _ = x.shape
        padded = jnp.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))
        shifted = [
            padded[:, i : i + height : self.stride, j : j + width : self.stride]
            for i in range(side)
            for j in range(side)
        ]
        return jnp.concatenate(shifted, axis=-1) @ self.kernel.reshape(-1, outputs)


class _GroupNorm(eqx.Module):
    """Group normalisation over positions and groups of channels: it has no state."""

    scale: Float[Array, " c"]
    shift: Float[Array, " c"]
    groups: int = eqx.field(static=True)

    def __init__(self, channels: int):
        self.scale, self.shift = jnp.ones(channels, jnp.float32), jnp.zeros(channels, jnp.float32)
        self.groups = math.gcd(channels, 8)

    def __call__(self, x: Batch) -> Batch:
        n, height, width, channels = x.shape
        parts = x.reshape(n, height, width, self.groups, channels // self.groups)
        mean = jnp.mean(parts, axis=(1, 2, 4), keepdims=True)
        variance = jnp.var(parts, axis=(1, 2, 4), keepdims=True)
        normal = ((parts - mean) * jax.lax.rsqrt(variance + 1e-5)).reshape(x.shape)
        return self.scale * normal + self.shift


class ConvNet(AbstractEncoder):
    """Four convolutions of 3 x 3 with group normalisation and ReLU, and the mean over positions.

    Strides 2, 1, 2, 2 and widths $w$, $w$, $2w$, $4w$: cheap on a CPU.

    **Arguments:**

    - `channels`: of the images.
    - `width`: $w$; representations have $4w$ entries.
    - `key`: of the initial weights.

    !!! example

        ```pycon
        >>> encoder = pt.images.ConvNet(1, 4, key=jax.random.key(0))
        >>> encoder(jnp.zeros((2, 8, 8, 1), jnp.float32)).shape
        (2, 16)

        ```
    """

    convolutions: tuple[_Convolution, ...]
    norms: tuple[_GroupNorm, ...]
    size: int = eqx.field(static=True)

    def __init__(self, channels: int, width: int = 16, *, key: PRNGKeyArray):
        channels, width = checks.count("channels", channels), checks.count("width", width)
        widths = (channels, width, width, 2 * width, 4 * width)
        self.convolutions = tuple(
            _Convolution(3, widths[i], widths[i + 1], stride, named(key, "convolution", i))
            for i, stride in enumerate((2, 1, 2, 2))
        )
        self.norms = tuple(_GroupNorm(c) for c in widths[1:])
        self.size = 4 * width

    def __call__(self, x: Batch) -> Float[Array, "b p"]:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = jax.nn.relu(norm(convolution(x)))
        return jnp.mean(x, axis=(1, 2))


class _Block(eqx.Module):
    """Two convolutions beside a shortcut, which is a 1 x 1 convolution where the shape changes."""

    convolutions: tuple[_Convolution, _Convolution]
    norms: tuple[_GroupNorm, _GroupNorm]
    shortcut: tuple[_Convolution, _GroupNorm] | None

    def __init__(self, inputs: int, outputs: int, stride: int, key: PRNGKeyArray):
        self.convolutions = (
            _Convolution(3, inputs, outputs, stride, named(key, "convolution", 0)),
            _Convolution(3, outputs, outputs, 1, named(key, "convolution", 1)),
        )
        self.norms = (_GroupNorm(outputs), _GroupNorm(outputs))
        same = inputs == outputs and stride == 1
        change = _Convolution(1, inputs, outputs, stride, named(key, "shortcut"))
        self.shortcut = None if same else (change, _GroupNorm(outputs))

    def __call__(self, x: Batch) -> Changed:
        y = jax.nn.relu(self.norms[0](self.convolutions[0](x)))
        y = self.norms[1](self.convolutions[1](y))
        return jax.nn.relu(
            y + (x if self.shortcut is None else self.shortcut[1](self.shortcut[0](x)))
        )


class ResNet(AbstractEncoder):
    """Residual network with a stem for small images: a 3 x 3 convolution, no pooling.

    Group normalisation takes the place of batch normalisation, so that the network has no state
    and views of one batch do not see one another.

    **Arguments:**

    - `channels`: of the images.
    - `blocks`: blocks of two convolutions in each stage; every stage after the first halves the
      sides and doubles the width.
    - `width`: of the first stage.
    - `key`: of the initial weights.
    """

    stem: _Convolution
    norm: _GroupNorm
    blocks: tuple[_Block, ...]
    size: int = eqx.field(static=True)

    def __init__(self, channels: int, blocks: Sequence[int], width: int, *, key: PRNGKeyArray):
        if len(blocks) == 0:
            raise checks.bad("blocks", "no stage", "the number of blocks of at least one stage")
        channels, width = checks.count("channels", channels), checks.count("width", width)
        self.stem = _Convolution(3, channels, width, 1, named(key, "stem"))
        self.norm = _GroupNorm(width)
        built, below = [], width
        for stage, count in enumerate(blocks):
            outputs = width * 2**stage
            for i in range(checks.count("blocks", count)):
                stride = 2 if stage and i == 0 else 1
                built.append(_Block(below, outputs, stride, named(key, f"stage {stage}", i)))
                below = outputs
        self.blocks, self.size = tuple(built), below

    def __call__(self, x: Batch) -> Float[Array, "b p"]:
        x = jax.nn.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return jnp.mean(x, axis=(1, 2))


def resnet18(channels: int = 3, *, key: PRNGKeyArray) -> ResNet:
    """ResNet-18 for small images: four stages of two blocks, 512 entries."""
    return ResNet(channels, (2, 2, 2, 2), 64, key=key)


def resnet32(channels: int = 3, *, key: PRNGKeyArray) -> ResNet:
    """ResNet-32 for small images: three stages of five blocks, 64 entries."""
    return ResNet(channels, (5, 5, 5), 16, key=key)
