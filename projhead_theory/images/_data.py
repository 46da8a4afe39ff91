"""Labelled images, and pairs of views of them, on the device."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .._core import checks
from .._core.keys import named

Batch = Float[Array, "b h w c"]


class AbstractImages(eqx.Module):
    """Images with labels from 0, which a training step reads by their row numbers.

    - `labels` `(n,)`: class of each image.
    - `groups` `(n,)`: group of each image, or None.
    - `classes`: the number of classes.
    """

    labels: eqx.AbstractVar[Int[Array, " n"]]
    groups: eqx.AbstractVar[Int[Array, " n"] | None]
    classes: eqx.AbstractVar[int]

    @abc.abstractmethod
    def at(self, rows: Int[Array, " b"]) -> Batch:
        """Images of these rows, in [0, 1]."""

    @abc.abstractmethod
    def pair(self, rows: Int[Array, " b"], key: PRNGKeyArray) -> tuple[Batch, Batch]:
        """Both views of the images of these rows, before any augmentation of pixels."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""

    def __len__(self) -> int:
        return self.labels.shape[0]

    def all(self) -> Batch:
        """All images, in [0, 1]."""
        return self.at(jnp.arange(len(self)))

    def take(self, rows: Any):
        """The images of these rows, with all that belongs to them."""
        rows = np.asarray(rows)
        return jax.tree.map(
            lambda x: x[rows] if eqx.is_array(x) and x.shape[:1] == (len(self),) else x, self
        )

    def plot(self, rows: int = 4, columns: int = 8, ax: Any = None):
        """Plot the first images in a grid, with their labels; returns the Matplotlib axes."""
        from ..figures import plot_images

        count = min(rows * columns, len(self))
        return plot_images(self.at(jnp.arange(count)), self.labels[:count], columns, ax)


class Images(AbstractImages):
    """Labelled images.

    **Arguments:**

    - `pixels`: `(n, h, w, c)` or `(n, h, w)`, whole numbers from 0 to 255.
    - `labels`: classes from 0, `(n,)`.
    - `classes`: the number of classes.
    - `coarse`: superclasses from 0, `(n,)`.
    - `groups`: groups from 0, `(n,)`.

    **Raises:** `ValueError` for other shapes or numbers, or a label outside the classes.

    !!! example

        ```pycon
        >>> images = pt.images.Images(np.zeros((2, 8, 8), np.uint8), [0, 1], classes=2)
        >>> len(images), images.shape
        (2, (8, 8, 1))

        ```
    """

    pixels: UInt8[Array, "n h w c"]
    labels: Int[Array, " n"]
    coarse: Int[Array, " n"] | None
    groups: Int[Array, " n"] | None
    classes: int = eqx.field(static=True)

    def __init__(
        self, pixels: Any, labels: Any, classes: int, coarse: Any = None, groups: Any = None
    ):
        self.pixels = checked_pixels("pixels", pixels)
        count = self.pixels.shape[0]
        self.classes = checks.count("classes", classes)
        self.labels = whole("labels", labels, count, self.classes)
        self.coarse = None if coarse is None else whole("coarse", coarse, count)
        self.groups = None if groups is None else whole("groups", groups, count)

    @property
    def shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self.pixels.shape
        return height, width, channels

    def at(self, rows: Int[Array, " b"]) -> Batch:
        return as_floats(self.pixels[rows])

    def pair(self, rows: Int[Array, " b"], key: PRNGKeyArray) -> tuple[Batch, Batch]:
        del key
        x = self.at(rows)
        return x, x

    def resized(self, size: int) -> "Images":
        """The same images with that many pixels a side, by averaging or linear interpolation."""
        return eqx.tree_at(lambda i: i.pixels, self, resize(self.pixels, size))

    def superclasses(self) -> "Images":
        """The same images with their superclasses as labels.

        **Raises:** `ValueError` if the images have none.
        """
        if self.coarse is None:
            raise checks.bad("images", "images without superclasses", "images that have `coarse`")
        count = int(np.asarray(self.coarse).max()) + 1
        return Images(self.pixels, self.coarse, count, self.coarse, self.groups)


class Overlaid(AbstractImages):
    r"""Items on backgrounds, of which a view may drop the item.

    Inside the support of the item, where its pixels are not zero, a pixel is
    $(1 - s)\, \text{background} + s\, \text{item}$; outside it is the background (the construction
    of MNIST on CIFAR-10 in the paper's experiments). The background is stored, so that a dropped
    item leaves it exactly, at $s = 1$ too.

    With `both_views` each view drops the item with probability $p$, independently, and the views
    are exchangeable. Without, the first view alone drops it, as in the published experiments: a
    positive pair then has the item in both views with probability $1 - p$, not $(1 - p)^2$.

    **Arguments:**

    - `backgrounds`: `(n, h, w, c)`, whole numbers from 0 to 255.
    - `items`: gray, `(n, h, w)`, whole numbers from 0 to 255, zero outside the support.
    - `labels`, `classes`, `groups`: as in `Images`.
    - `strength`: $s$ in [0, 1].
    - `drop`: $p$ in [0, 1].
    - `both_views`: whether both views may drop the item.

    **Raises:** `ValueError` as `Images`, for shapes that do not fit, or numbers outside [0, 1].
    """

    backgrounds: UInt8[Array, "n h w c"]
    items: UInt8[Array, "n h w 1"]
    labels: Int[Array, " n"]
    groups: Int[Array, " n"] | None
    strength: Float[Array, ""]
    drop: Float[Array, ""]
    both_views: bool = eqx.field(static=True)
    classes: int = eqx.field(static=True)

    def __init__(
        self,
        backgrounds: Any,
        items: Any,
        labels: Any,
        classes: int,
        strength: Any = 0.7,
        drop: Any = 0.75,
        both_views: bool = False,
        groups: Any = None,
    ):
        self.backgrounds = checked_pixels("backgrounds", backgrounds)
        self.items = checked_pixels("items", items)
        if self.items.shape != (*self.backgrounds.shape[:3], 1):
            raise checks.bad(
                "items",
                f"shape {self.items.shape}",
                f"{(*self.backgrounds.shape[:3], 1)}: gray, in the shape of the backgrounds",
            )
        count = self.items.shape[0]
        self.classes = checks.count("classes", classes)
        self.labels = whole("labels", labels, count, self.classes)
        self.groups = None if groups is None else whole("groups", groups, count)
        self.strength = checks.probability("strength", strength).astype(jnp.float32)
        self.drop = checks.probability("drop", drop).astype(jnp.float32)
        self.both_views = both_views

    @property
    def shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self.backgrounds.shape
        return height, width, channels

    def at(self, rows: Int[Array, " b"]) -> Batch:
        return self._shown(rows, jnp.ones(rows.shape[0], bool))

    def pair(self, rows: Int[Array, " b"], key: PRNGKeyArray) -> tuple[Batch, Batch]:
        kept = [
            jax.random.uniform(named(key, "drop", view), rows.shape, jnp.float32) >= self.drop
            for view in (0, 1)
        ]
        first = self._shown(rows, kept[0])
        return first, self._shown(rows, kept[1]) if self.both_views else self.at(rows)

    def _shown(self, rows: Array, kept: Array) -> Batch:
        background, item = as_floats(self.backgrounds[rows]), as_floats(self.items[rows])
        inside = (item > 0) & kept[:, None, None, None]
        return jnp.where(
            inside, (1 - self.strength) * background + self.strength * item, background
        )


def as_floats(pixels: UInt8[Array, "*s"]) -> Float[Array, "*s"]:
    """Whole numbers from 0 to 255 as single-precision numbers from 0 to 1."""
    return pixels.astype(jnp.float32) / 255


def as_pixels(x: Any) -> np.ndarray:
    """Numbers from 0 to 1 as whole numbers from 0 to 255, rounded to the nearest."""
    return np.round(np.clip(np.asarray(x), 0, 1) * 255).astype(np.uint8)


def resize(pixels: Any, size: int) -> Array:
    """Images with that many pixels a side."""
    n, _, _, channels = np.shape(pixels)
    size = checks.count("size", size, 2)
    parts = []
    for start in range(0, n, 4096):
        part = as_floats(jnp.asarray(pixels[start : start + 4096]))
        shape = (part.shape[0], size, size, channels)
        parts.append(as_pixels(jax.image.resize(part, shape, "linear")))
    return jnp.asarray(np.concatenate(parts))


def checked_pixels(name: str, value: Any) -> Array:
    """Images as `(n, h, w, c)` of whole numbers from 0 to 255."""
    x = value if isinstance(value, jax.Array) else np.asarray(value)
    if x.dtype != np.uint8:
        raise checks.bad(name, f"dtype {x.dtype}", "uint8, whole numbers from 0 to 255")
    x = x[..., None] if x.ndim == 3 else x
    if x.ndim != 4 or 0 in x.shape:
        raise checks.bad(name, f"shape {x.shape}", "(n, h, w, c) or (n, h, w), none of them 0")
    return checks.array(x)


def whole(name: str, value: Any, count: int, below: int | None = None) -> Array:
    """One whole number from 0 for each image, below a number of classes."""
    y = np.asarray(value)
    if y.shape != (count,) or y.dtype.kind not in "iu":
        raise checks.bad(
            name, f"shape {y.shape}, dtype {y.dtype}", f"{count} whole numbers, one an image"
        )
    wrong = (y < 0) | (y >= below) if below is not None else y < 0
    if wrong.any():
        bound = "" if below is None else f" to {below - 1}"
        at = int(np.argmax(wrong))
        raise checks.bad(name, f"{y[at]} for image {at}", f"whole numbers from 0{bound}")
    return checks.array(y.astype(int))
