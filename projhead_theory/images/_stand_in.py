"""Images without a download: scikit-learn's digits and photographs, and what is built of them."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from .._core import checks
from .._core.keys import named
from ._archives import FASHION_MNIST, fashion_mnist
from ._data import Images, Overlaid, as_floats, as_pixels, resize
from ._optional import optional

DIGIT_SUPERCLASSES = (0, 1, 2, 2, 1, 2, 0, 1, 0, 0)
"""Digits with a loop; of straight strokes; of open curves."""

TRAINING_DIGITS = 1297
"""Digits for training; the other 500 are for tests."""


def digits(*, train: bool = True) -> Images:
    """Load scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, with three superclasses.

    Superclasses are digits with a loop, of straight strokes, and of open curves (ours). The split
    into training and test images is fixed.

    **Raises:** `ValueError` if scikit-learn is not installed.
    """
    found = optional("sklearn.datasets").load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    rows = order[:TRAINING_DIGITS] if train else order[TRAINING_DIGITS:]
    labels = found.target[rows]
    return Images(
        as_pixels(found.images[rows] / 16), labels, 10, np.asarray(DIGIT_SUPERCLASSES)[labels]
    )


def small_items(*, train: bool = True) -> Images:
    """Fashion-MNIST if Debian's package of it is installed, else scikit-learn's digits."""
    return fashion_mnist(train=train) if FASHION_MNIST.is_dir() else digits(train=train)


def given_or_small(training: Images | None, test: Images | None) -> tuple[Images, Images]:
    """Training and test images as given, or `small_items` in place of both.

    **Raises:** `ValueError` if one of them is given.
    """
    if (training is None) != (test is None):
        raise checks.bad("test", "one of training and test", "both, or none")
    if training is None or test is None:
        return small_items(train=True), small_items(train=False)
    return training, test


def photograph_patches(
    count: int, size: int, key: PRNGKeyArray, *, train: bool = True, photographs: Sequence[int] = ()
) -> Images:
    """Draw square patches of scikit-learn's two sample photographs, a temple and a flower.

    A patch has 1 to 4 times `size` pixels a side and is averaged down. Training patches lie in the
    left two thirds of a photograph, test patches in the right third; a patch may be mirrored.

    **Arguments:**

    - `count`, `size`: the number of patches, and their pixels a side, at most 32.
    - `key`: of the draw.
    - `train`: which part of the photographs to draw from.
    - `photographs`: photograph of each patch, 0 or 1; at random if none is given.

    **Returns:** `Images` with the photograph as label.

    **Raises:** `ValueError` if scikit-learn or Pillow is not installed, or for another size.
    """
    count, size = checks.count("count", count), checks.count("size", size, 2)
    if size > 32:
        raise checks.bad("size", size, "at most 32 pixels a side")
    optional("PIL")
    pictures = optional("sklearn.datasets").load_sample_images().images
    rng = generator(key)
    which = np.asarray(photographs, int) if len(photographs) else rng.integers(0, 2, count)
    if which.shape != (count,) or which.min() < 0 or which.max() >= len(pictures):
        raise checks.bad("photographs", f"{len(which)} numbers", f"{count} of 0 and 1")
    patches = np.empty((count, size, size, 3), np.uint8)
    for i, picture in enumerate(which):
        factor = int(rng.integers(1, 5))
        side, (height, width, _) = factor * size, pictures[picture].shape
        low, high = (0, 2 * width // 3) if train else (2 * width // 3, width)
        top, left = rng.integers(0, height - side + 1), rng.integers(low, high - side + 1)
        part = pictures[picture][top : top + side, left : left + side].astype(float)
        part = part.reshape(size, factor, size, factor, 3).mean(axis=(1, 3))
        patches[i] = np.round(part[:, ::-1] if rng.random() < 0.5 else part)
    return Images(patches, which, 2)


def overlay(
    items: Images,
    backgrounds: Images,
    *,
    strength: Any = 0.7,
    drop: Any = 0.75,
    both_views: bool = False,
    key: PRNGKeyArray,
) -> Overlaid:
    """Put each gray item, at half the side, in the middle of a background drawn for it.

    With `mnist` and `cifar10` it is the data of the paper's experiment: digits of 16 x 16 pixels
    padded to 32 x 32.

    **Arguments:**

    - `items`: gray images; the label is theirs.
    - `backgrounds`: images with an even number of pixels a side.
    - `strength`, `drop`, `both_views`: as in `Overlaid`.
    - `key`: of the draw of backgrounds.

    **Raises:** `ValueError` for items in colour, or backgrounds of other shapes.
    """
    side, width, _ = backgrounds.shape
    if items.shape[2] != 1:
        raise checks.bad("items", f"{items.shape[2]} channels", "gray images, of one channel")
    if side != width or side % 2:
        raise checks.bad("backgrounds", f"{side} x {width} pixels", "squares of an even side")
    drawn = generator(key).integers(0, len(backgrounds), len(items))
    return Overlaid(
        backgrounds.pixels[drawn],
        centred(items, side),
        items.labels,
        items.classes,
        strength,
        drop,
        both_views,
    )


def digits_on_photographs(
    *,
    size: int = 32,
    train: bool = True,
    strength: Any = 0.7,
    drop: Any = 0.75,
    both_views: bool = False,
    key: PRNGKeyArray,
) -> Overlaid:
    """Put scikit-learn's digits on patches of its photographs, as `overlay`.

    !!! example

        ```pycon
        >>> images = pt.images.digits_on_photographs(size=16, key=jax.random.key(0))
        >>> len(images), images.shape
        (1297, (16, 16, 3))

        ```
    """
    items = digits(train=train)
    patches = photograph_patches(len(items), size, named(key, "patches"), train=train)
    return overlay(
        items,
        patches,
        strength=strength,
        drop=drop,
        both_views=both_views,
        key=named(key, "backgrounds"),
    )


def spurious_items(
    items: Images,
    *,
    size: int = 32,
    agreement: tuple[float, float] = (0.95, 0.95),
    pair: tuple[int, int] = (0, 2),
    strength: float = 0.7,
    train: bool = True,
    key: PRNGKeyArray,
) -> Images:
    """Build items with two spurious attributes, in the shape of UrbanCars.

    The label is one of two classes of items. The background is a patch of one of two photographs
    and a small coloured mark stands in a corner; each agrees with the label with the probability
    `agreement`, independently, so that there are eight groups. Group
    $4 y + 2\\, \\text{background} + \\text{mark}$; groups 0 and 7 are the majority.

    **Arguments:**

    - `items`: gray images, of which the two classes in `pair` are used.
    - `size`: pixels a side, even.
    - `agreement`: of the background and of the mark; 0.5 balances the groups.
    - `pair`: the two classes.
    - `strength`: of the item over its background, as in `Overlaid`.
    - `train`: which part of the photographs to draw from.
    - `key`: of every draw.

    **Raises:** `ValueError` for classes without images, or numbers outside [0, 1].
    """
    labels = np.asarray(items.labels)
    rows = np.flatnonzero(np.isin(labels, pair))
    y = (labels[rows] == pair[1]).astype(int)
    if len(set(y.tolist())) < 2:
        raise checks.bad("pair", pair, "two classes that both have images")
    checks.probability("agreement", np.asarray(agreement, float))
    rng = generator(named(key, "attributes"))
    ground, mark = (np.where(rng.random(len(y)) < p, y, 1 - y) for p in agreement)
    patches = photograph_patches(
        len(y), size, named(key, "patches"), train=train, photographs=ground.tolist()
    )
    shown = overlay_pixels(patches, items.take(rows), strength)
    return Images(marked(shown, mark, rng), y, 2, groups=4 * y + 2 * ground + mark)


def overlay_pixels(backgrounds: Images, items: Images, strength: float) -> np.ndarray:
    """Pixels of items over the background of the same row."""
    placed = Overlaid(
        backgrounds.pixels,
        centred(items, backgrounds.shape[0]),
        items.labels,
        items.classes,
        strength,
        0.0,
    )
    return as_pixels(placed.all())


def marked(pixels: np.ndarray, mark: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images with a mark in the upper left corner: a yellow disc (0) or a blue ring (1).

    Position and brightness vary a little.
    """
    side = pixels.shape[1]
    radius = side / 8
    y, x = np.mgrid[:side, :side] + 0.5
    centre = radius * (1.2 + 0.4 * rng.random((2, len(mark), 1, 1)))
    distance = np.sqrt((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / radius
    ring = (mark == 1)[:, None, None]
    inside = (distance < 1) & ~(ring & (distance < 0.45))
    colours = np.asarray([[235, 200, 40], [50, 90, 230]])[mark][:, None, None, :]
    shade = rng.uniform(0.7, 1.0, (len(mark), 1, 1, 1))
    return np.where(inside[..., None], np.round(colours * shade), pixels).astype(np.uint8)


def centred(items: Images, side: int) -> np.ndarray:
    """Items of half that side, in the middle of an image of that side, zero around them."""
    half = side // 2
    small = items.pixels if items.shape[0] == half else resize(items.pixels, half)
    border = (side - half) // 2
    return np.pad(
        np.asarray(small),
        ((0, 0), (border, side - half - border), (border, side - half - border), (0, 0)),
    )


def generator(key: PRNGKeyArray) -> np.random.Generator:
    """NumPy's generator with the seed of a JAX key."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())


def rotated(images: Images, degrees: float) -> Images:
    """The same images turned about their middle, with edge pixels repeated outside."""
    from scipy import ndimage

    turned = ndimage.rotate(
        np.asarray(images.pixels), degrees, axes=(1, 2), reshape=False, order=1, mode="nearest"
    )
    return _with_pixels(images, turned)


def with_contrast(images: Images, factor: float) -> Images:
    """The same images with each pixel's distance from the image's mean times `factor`."""
    x = np.asarray(as_floats(images.pixels))
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    return _with_pixels(images, as_pixels(mean + factor * (x - mean)))


def _with_pixels(images: Images, pixels: Any) -> Images:
    return Images(pixels, images.labels, images.classes, images.coarse, images.groups)


def items_in_scenes(
    items: Images,
    *,
    size: int = 32,
    agreement: float | None = 0.9,
    strength: float = 0.7,
    train: bool = True,
    key: PRNGKeyArray,
) -> Images:
    """Build items in front of a photograph that agrees with the parity of their class.

    **Arguments:**

    - `items`: gray images.
    - `size`: pixels a side, even.
    - `agreement`: probability that the photograph is the one of the parity of the class; 0.5 is
      any of the two. None leaves the background black.
    - `strength`: of the item, as in `Overlaid`.
    - `train`: which part of the photographs to draw from.
    - `key`: of every draw.

    **Raises:** `ValueError` for an agreement outside [0, 1].
    """
    labels = np.asarray(items.labels)
    if agreement is None:
        black = Images(np.zeros((len(items), size, size, 3), np.uint8), labels, items.classes)
        return _with_pixels(items, overlay_pixels(black, items, strength))
    checks.probability("agreement", agreement)
    agrees = generator(named(key, "agreement")).random(len(items)) < agreement
    patches = photograph_patches(
        len(items),
        size,
        named(key, "patches"),
        train=train,
        photographs=np.where(agrees, labels % 2, 1 - labels % 2).tolist(),
    )
    return _with_pixels(items, overlay_pixels(patches, items, strength))
