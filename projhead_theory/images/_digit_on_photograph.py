"""Digits on photographs, whose digit an augmentation drops."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PRNGKeyArray

from .._core import checks
from .._core.keys import named
from ..losses import InfoNCE
from ._data import Images, Overlaid
from ._encoders import resnet32
from ._perform import Condition, draw, fixed, mlp, perform
from ._recipe import QUICK, Augmentation, Recipe
from ._result import ImageExperiment
from ._stand_in import digits, generator, overlay, photograph_patches

PUBLISHED = Recipe(
    encoder=resnet32,
    optimiser=optax.adam,
    learning_rate=1e-3,
    weight_decay=1e-6,
    batch_size=512,
    epochs=400,
    augmentation=Augmentation(padding=0),
)
QUICK_DIGITS = dataclasses.replace(
    QUICK, augmentation=Augmentation(padding=1, flip=False, gray=0.2), readout=None, test=None
)


def digit_on_photograph(
    items: tuple[Images, Images] | None = None,
    backgrounds: tuple[Images, Images] | None = None,
    *,
    strengths: Sequence[float] | None = None,
    drops: Sequence[float] | None = None,
    both_views: bool = False,
    quick: bool = False,
    seeds: int = 5,
    key: PRNGKeyArray | None = None,
    recipe: Recipe | None = None,
    kappa: float = 1.05,
    out: str | Path | None = None,
    progress: bool = False,
) -> ImageExperiment:
    """Read digits off networks trained without labels (the paper's MNIST-on-CIFAR-10 experiment).

    An image is a digit on a background; the augmentation drops the digit with some probability.
    Networks train by NT-Xent under a trained MLP head and a fixed reweighting head.

    | published | |
    |---|---|
    | network | ResNet-32 |
    | loss | NT-Xent, temperature 0.5 |
    | optimiser | Adam 1e-3, weight decay 1e-6 |
    | batch, epochs | 512, 400 |
    | MLP head | 512, 512, 128 |
    | fixed head | kappa 1.05 |
    | strength, drop | 0.7, 0.75, in one view only |
    | augmentation | gray 0.2, flip, blur 3, jitter (0.4, 0.4, 0.4, 0.1) at 0.8 |

    These are of an independent reproduction of the paper. Blur and the jitter of hue are left out
    here; a dropped digit leaves the stored background, where the reproduction inverts the
    blending; normalisation is by groups, and the readout is ridge regression. Quick runs have a
    ConvNet of 64 entries, 16 x 16 pixels, Adam at 2e-3, batch 128 and 10 epochs, a crop of one
    pixel and no flip.

    **Arguments:**

    - `items`, `backgrounds`: training and test images of both, such as MNIST and CIFAR-10; by
      default scikit-learn's digits and patches of its photographs, which need no download.
    - `strengths`: $s$; by default 0.7 and 1 (0.4 and 1 if quick).
    - `drops`: probabilities of dropping the digit; by default 0, 0.25, 0.5, 0.75 and 1 (0, 0.5 and
      0.9 if quick).
    - `both_views`: whether both views may drop it; by default the first alone does, as published.
    - `recipe`: settings instead of these.
    - `kappa`: of the fixed head.
    - `quick`, `seeds`, `key`, `out`, `progress`: as for `coarse_to_fine`.

    **Returns:** an `ImageExperiment`, with a condition for each head, strength and probability.

    **Raises:** `ValueError` for items without backgrounds, or arguments out of range.

    Source: paper, experiment on MNIST digits over CIFAR-10.
    """
    if (items is None) != (backgrounds is None):
        raise checks.bad("backgrounds", "one of items and backgrounds", "both, or none")
    strengths = ((0.4, 1.0) if quick else (0.7, 1.0)) if strengths is None else strengths
    if drops is None:
        drops = (0.0, 0.5, 0.9) if quick else (0.0, 0.25, 0.5, 0.75, 1.0)
    if recipe is None:
        recipe = QUICK_DIGITS if quick else PUBLISHED
    own, size = items or (digits(train=True), digits(train=False)), 16 if quick else 32
    used = recipe

    def build(key: PRNGKeyArray) -> list[Condition]:
        rng, made = generator(key), []
        for train, part in zip((True, False), own, strict=True):
            name = "training" if train else "test"
            part = draw(part, used.training if train else used.test, rng)
            if backgrounds is None:
                ground = photograph_patches(
                    len(part), size, named(key, f"{name} patches"), train=train
                )
            else:
                ground = draw(backgrounds[0 if train else 1], len(part), rng)
                ground = ground.resized(size) if ground.shape[0] != size else ground
            made.append(overlay(part, ground, both_views=both_views, key=named(key, name)))
        found = []
        for head_name, head in (("MLP", mlp), (f"kappa {kappa:g}", fixed(kappa))):
            for strength in strengths:
                for drop in drops:
                    images, test = (with_strength(x, strength, drop) for x in made)
                    readout = draw(images, used.readout, rng)
                    found.append(
                        Condition(
                            f"{head_name}, s {strength:g}, drop {drop:g}",
                            images,
                            InfoNCE(0.5, within_views=True),
                            used,
                            head,
                            images.labels,
                            readout,
                            {"digit": test},
                        )
                    )
        return found

    return perform(
        "digit-on-photograph",
        build,
        seeds=seeds,
        key=jax.random.key(0) if key is None else key,
        chance=1 / own[0].classes,
        settings=used.to_dict() | {"both_views": both_views, "kappa": kappa},
        out=out,
        progress=progress,
    )


def with_strength(images: Overlaid, strength: float, drop: float) -> Overlaid:
    """The same images with another strength of the item and another probability of dropping it."""
    values = [
        checks.probability(name, x).astype(jnp.float32)
        for name, x in (("strengths", strength), ("drops", drop))
    ]
    return eqx.tree_at(lambda i: (i.strength, i.drop), images, tuple(values))
