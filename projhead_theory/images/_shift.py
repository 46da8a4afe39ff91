"""Readouts on shifted images."""

from pathlib import Path

import jax
from jaxtyping import PRNGKeyArray

from .._core.keys import named
from ..losses import cross_entropy
from ._data import Images
from ._encoders import resnet18
from ._perform import Condition, draw, heads, perform, split
from ._recipe import MOMENTUM, QUICK_SUPERVISED, Recipe, shifts_and_flips
from ._result import ImageExperiment
from ._stand_in import generator, given_or_small, items_in_scenes, rotated, with_contrast

DEGREES = 25.0
CONTRAST = 0.4

PUBLISHED = Recipe(
    encoder=resnet18,
    optimiser=MOMENTUM,
    learning_rate=0.1,
    weight_decay=1e-4,
    batch_size=256,
    epochs=50,
    augmentation=shifts_and_flips(4),
    hidden=2048,
    outputs=2048,
)


def shift(
    training: Images | None = None,
    test: Images | None = None,
    *,
    scenes: bool = True,
    quick: bool = False,
    seeds: int = 5,
    key: PRNGKeyArray | None = None,
    recipe: Recipe | None = None,
    kappa: float = 1.05,
    out: str | Path | None = None,
    progress: bool = False,
) -> ImageExperiment:
    """Read classes off shifted images, from readouts of images that are not (ImageNet variants).

    Networks train by cross-entropy without a head, under a trained MLP head and under a fixed
    reweighting head. Readouts are fitted to images as in training and tested on them (`original`),
    turned by 25 degrees, with 0.4 of the contrast, and, with scenes, with a background drawn
    without regard to the class or with none.

    | published | |
    |---|---|
    | data | ImageNet-R, ImageNet-A, Backgrounds Challenge |
    | network | ResNet-50, trained on ImageNet before |
    | optimiser | SGD 0.1, weight decay 1e-4 |
    | batch, epochs | 256, 20 or 50 |
    | fixed head | kappa 1.05 |
    | readout | linear, on 5,000 to 45,405 images |

    These are of the authors' notebooks. Here the network is a ResNet-18 from random weights, SGD
    has momentum 0.9, and the shifts are of the test images themselves. Quick runs have a ConvNet
    of 64 entries, 16 x 16 pixels, Adam at 2e-3, batch 128 and 10 epochs.

    **Arguments:**

    - `training`, `test`: images; by default `small_items`, which need no download.
    - `scenes`: whether to put gray images in front of a photograph that agrees with the parity of
      their class with probability 0.9 (`items_in_scenes`); False for images as they are, such as
      CIFAR-10.
    - `recipe`: settings instead of these.
    - `kappa`: of the fixed head.
    - `quick`, `seeds`, `key`, `out`, `progress`: as for `coarse_to_fine`.

    **Returns:** an `ImageExperiment` with a measure for each shift.

    **Raises:** `ValueError` for arguments out of range.

    Source: paper, experiments on shifted ImageNet.
    """
    training, test = given_or_small(training, test)
    used = (QUICK_SUPERVISED if quick else PUBLISHED) if recipe is None else recipe
    source, tested, size = training, test, 16 if quick else 32

    def scene(part: Images, name: str, key: PRNGKeyArray, agreement: float | None) -> Images:
        if not scenes:
            return part.resized(size) if part.shape[0] != size else part
        key, train = named(key, name), name != "test"
        return items_in_scenes(part, size=size, agreement=agreement, train=train, key=key)

    def build(key: PRNGKeyArray) -> list[Condition]:
        rng = generator(key)
        parts = split(source, used.training, used.readout, rng)
        images, readout = (
            scene(part, name, key, 0.9)
            for name, part in zip(("training", "readout"), parts, strict=True)
        )
        plain = draw(tested, used.test, rng)
        test = scene(plain, "test", key, 0.9)
        tests = {
            "original": test,
            "rotation": rotated(test, DEGREES),
            "contrast": with_contrast(test, CONTRAST),
        }
        if scenes:
            tests["any background"] = scene(plain, "test", named(key, "any"), 0.5)
            tests["no background"] = scene(plain, "test", key, None)
        return [
            Condition(
                f"CE, {name}",
                images,
                cross_entropy,
                used,
                head,
                images.labels,
                readout,
                tests,
                supervised=True,
                classifier=True,
            )
            for name, head in heads(kappa)
        ]

    return perform(
        "shift",
        build,
        seeds=seeds,
        key=jax.random.key(0) if key is None else key,
        chance=1 / source.classes,
        settings=used.to_dict() | {"kappa": kappa, "scenes": scenes},
        out=out,
        progress=progress,
    )
