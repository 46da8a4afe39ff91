"""Projection heads, and an encoder under one."""

import abc
import itertools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .._core import checks
from .._core.keys import named
from ..networks import AbstractHead
from ._data import AbstractImages, Batch
from ._encoders import AbstractEncoder

CHUNK = 512
"""Images whose representations are computed at once."""


class AbstractProjection(eqx.Module):
    """Map from representations before the head to those after it.

    - `size`: the number of entries after the head.
    """

    size: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, r: Float[Array, "b p"]) -> Float[Array, "b q"]:
        """Representations after the head."""

    @property
    @abc.abstractmethod
    def trainable(self) -> Any:
        """Flags in the shape of the head, true for what is trained."""


class _Linear(eqx.Module):
    """A linear map with a bias."""

    weight: Float[Array, "o i"]
    bias: Float[Array, " o"]

    def __init__(self, inputs: int, outputs: int, key: PRNGKeyArray):
        scale = 1 / math.sqrt(inputs)
        self.weight = scale * jax.random.normal(key, (outputs, inputs), jnp.float32)
        self.bias = jnp.zeros(outputs, jnp.float32)

    def __call__(self, r: Float[Array, "b i"]) -> Float[Array, "b o"]:
        return r @ self.weight.T + self.bias


class MLPProjection(AbstractProjection):
    """Trained head of two linear layers with a ReLU between them.

    **Arguments:**

    - `inputs`, `hidden`, `outputs`: entries before, within and after the head.
    - `key`: of the initial weights.
    """

    layers: tuple[_Linear, _Linear]
    size: int = eqx.field(static=True)

    def __init__(self, inputs: int, hidden: int, outputs: int, *, key: PRNGKeyArray):
        self.layers = (
            _Linear(inputs, hidden, named(key, "layer", 0)),
            _Linear(hidden, outputs, named(key, "layer", 1)),
        )
        self.size = outputs

    def __call__(self, r: Float[Array, "b p"]) -> Float[Array, "b q"]:
        return self.layers[1](jax.nn.relu(self.layers[0](r)))

    @property
    def trainable(self) -> Any:
        return jax.tree.map(lambda _: True, self)


class LinearProjection(AbstractProjection):
    """Trained linear head without bias: the head of the theory.

    **Arguments:**

    - `inputs`, `outputs`: entries before and after the head.
    - `key`: of the initial weights.
    """

    weight: Float[Array, "q p"]
    size: int = eqx.field(static=True)

    def __init__(self, inputs: int, outputs: int, *, key: PRNGKeyArray):
        scale = 1 / math.sqrt(inputs)
        self.weight = scale * jax.random.normal(key, (outputs, inputs), jnp.float32)
        self.size = outputs

    def __call__(self, r: Float[Array, "b p"]) -> Float[Array, "b q"]:
        return r @ self.weight.T

    @property
    def trainable(self) -> Any:
        return jax.tree.map(lambda _: True, self)


class FixedProjection(AbstractProjection):
    """Fixed diagonal head: reweighting, or a truncation, which is DirectCLR's.

    It is neither trained nor decayed.

    **Arguments:**

    - `head`: such as `networks.ReweightingHead(1.2)` or `networks.TruncationHead(16)`.
    - `inputs`: entries before the head.

    **Raises:** `ValueError` if the head does not fit that width.

    !!! example

        ```pycon
        >>> head = pt.images.FixedProjection(pt.networks.ReweightingHead(2.0), 3)
        >>> head(jnp.ones((1, 3), jnp.float32)).tolist()
        [[1.0, 0.5, 0.25]]

        ```
    """

    diagonal: Float[Array, " p"]
    size: int = eqx.field(static=True)

    def __init__(self, head: AbstractHead, inputs: int):
        self.size = checks.count("inputs", inputs)
        self.diagonal = head.diagonal(self.size, jnp.float32)

    def __call__(self, r: Float[Array, "b p"]) -> Float[Array, "b p"]:
        return self.diagonal * r

    @property
    def trainable(self) -> Any:
        return jax.tree.map(lambda _: False, self)


class NoProjection(AbstractProjection):
    """No head: both representations are the encoder's.

    **Arguments:**

    - `inputs`: entries of the encoder's representations.
    """

    size: int = eqx.field(static=True)

    def __init__(self, inputs: int):
        self.size = checks.count("inputs", inputs)

    def __call__(self, r: Float[Array, "b p"]) -> Float[Array, "b p"]:
        return r

    @property
    def trainable(self) -> Any:
        return self


class ImageNetwork(eqx.Module):
    """An encoder of images under a projection head, and a classifier if the loss needs one.

    **Arguments:**

    - `encoder`: from images to representations before the head.
    - `head`: from these to representations after it.
    - `classes`: logits of a linear classifier on the head, for cross-entropy; none by default.
    - `key`: of the classifier's initial weights.

    **Raises:** `ValueError` for a head that does not take the encoder's representations.

    !!! example

        ```pycon
        >>> encoder = pt.images.ConvNet(1, 4, key=jax.random.key(0))
        >>> head = pt.images.LinearProjection(16, 3, key=jax.random.key(1))
        >>> network = pt.images.ImageNetwork(encoder, head)
        >>> x = jnp.zeros((2, 8, 8, 1), jnp.float32)
        >>> [r.shape for r in network.representations(x)]
        [(2, 16), (2, 3)]

        ```
    """

    encoder: AbstractEncoder
    head: AbstractProjection
    classifier: _Linear | None

    def __init__(
        self,
        encoder: AbstractEncoder,
        head: AbstractProjection,
        classes: int | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ):
        self.encoder, self.head = encoder, head
        try:
            jax.eval_shape(head, jax.ShapeDtypeStruct((1, encoder.size), jnp.float32))
        except TypeError as error:
            raise checks.bad(
                "head", "a head for another width", f"one for {encoder.size} entries"
            ) from error
        if classes is None:
            self.classifier = None
            return
        if key is None:
            raise checks.bad("key", "None", "the key of the classifier's initial weights")
        count = checks.count("classes", classes, 2)
        self.classifier = _Linear(head.size, count, named(key, "classifier"))

    def __call__(self, x: Batch) -> Float[Array, "b q"]:
        """Outputs that the loss is of: logits, or else representations after the head."""
        post = self.representations(x)[1]
        return post if self.classifier is None else self.classifier(post)

    def representations(self, x: Batch) -> tuple[Float[Array, "b p"], Float[Array, "b q"]]:
        """Representations before and after the head."""
        pre = self.encoder(x)
        return pre, self.head(pre)

    @property
    def trainable(self) -> Any:
        """Flags in the shape of the network, true for what is trained."""
        flags = jax.tree.map(lambda _: True, self)
        return eqx.tree_at(lambda n: n.head, flags, self.head.trainable)


def represent(
    network: ImageNetwork, images: AbstractImages
) -> tuple[Float[Array, "n p"], Float[Array, "n q"]]:
    """Representations of all images before and after the head, a part of them at a time."""
    pre = _in_parts(lambda rows: _encode(network.encoder, images.at(rows)), len(images))
    return pre, network.head(pre)


def represent_pairs(
    network: ImageNetwork,
    images: AbstractImages,
    augmentation: Any,
    key: PRNGKeyArray,
    rows: Any = None,
    partners: Any = None,
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Both views' representations, before and after the head, of augmented positive pairs.

    **Arguments:**

    - `network`, `images`, `augmentation`, `key`: what is represented, and the key of the views.
    - `rows`: of the first views; all by default.
    - `partners`: row of the second view for each image; by default its own.
    """
    rows = jnp.arange(len(images)) if rows is None else jnp.asarray(rows)
    others = rows if partners is None else jnp.asarray(partners)[rows]

    def pre(part: Array) -> tuple[Array, ...]:
        both = _views(images, augmentation, key, rows[part], others[part])
        return tuple(_encode(network.encoder, x) for x in both)

    # Views first: encoders of one shape then share their program, whatever the head and the data.
    first, second = _in_parts(pre, len(rows))
    return (first, second), (network.head(first), network.head(second))


def _in_parts(function: Any, count: int) -> Any:
    """Results for all rows; the last part overlaps the one before it: one program serves all."""
    size = min(CHUNK, count)
    starts = [min(i, count - size) for i in range(0, count, size)]
    parts = [function(jnp.arange(i, i + size)) for i in starts]
    fresh = [size, *(b - a for a, b in itertools.pairwise(starts))]
    join = lambda *p: jnp.concatenate([x[size - n :] for x, n in zip(p, fresh, strict=True)])
    return jax.tree.map(join, *parts)


@eqx.filter_jit
def _encode(encoder: AbstractEncoder, x: Batch) -> Float[Array, "b p"]:
    return encoder(x)


@eqx.filter_jit
def _views(
    images: AbstractImages, augmentation: Any, key: PRNGKeyArray, rows: Array, others: Array
) -> tuple[Batch, Batch]:
    start = rows[0]
    first = images.pair(rows, named(key, "pair", start))[0]
    second = images.pair(others, named(key, "pair", start))[1]
    return (
        augmentation(first, named(key, "first view", start)),
        augmentation(second, named(key, "second view", start)),
    )
