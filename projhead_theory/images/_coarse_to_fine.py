"""Classes read off networks that were trained on superclasses."""

from pathlib import Path

import jax
from jaxtyping import PRNGKeyArray

from .._core import checks
from ..losses import SupervisedContrastive, cross_entropy
from ._data import Images
from ._encoders import resnet32
from ._perform import Condition, draw, fixed, mlp, perform, split
from ._recipe import MOMENTUM, QUICK, QUICK_SUPERVISED, Augmentation, Recipe, shifts_and_flips
from ._result import ImageExperiment
from ._stand_in import generator, given_or_small

SUPERVISED = Recipe(
    encoder=resnet32,
    optimiser=MOMENTUM,
    learning_rate=0.1,
    weight_decay=5e-4,
    batch_size=128,
    epochs=200,
    augmentation=shifts_and_flips(4),
)
CONTRASTIVE = Recipe(
    encoder=resnet32,
    optimiser=MOMENTUM,
    learning_rate=0.1,
    weight_decay=1e-6,
    batch_size=512,
    epochs=400,
    augmentation=Augmentation(padding=4),
)


def coarse_to_fine(
    training: Images | None = None,
    test: Images | None = None,
    *,
    quick: bool = False,
    seeds: int = 5,
    key: PRNGKeyArray | None = None,
    recipes: tuple[Recipe, Recipe] | None = None,
    kappas: tuple[float, float] = (1.2, 1.5),
    out: str | Path | None = None,
    progress: bool = False,
) -> ImageExperiment:
    """Read classes off networks trained on superclasses (the paper's CIFAR-100 experiment).

    Networks train on superclasses by cross-entropy and by the supervised contrastive loss, each
    under a trained MLP head and a fixed reweighting head. Ridge readouts of the classes are fitted
    before and after the head.

    | published | cross-entropy | supervised contrastive |
    |---|---|---|
    | network | ResNet-32 | ResNet-32 |
    | optimiser | SGD 0.1, momentum 0.9 | SGD 0.1, momentum 0.9 |
    | weight decay | 5e-4 | 1e-6 |
    | batch, epochs | 128, 200 | 512, 400 |
    | temperature | | 0.5 |
    | fixed head | kappa 1.2 | kappa 1.5 |

    These are of an independent reproduction of the paper. Not published there, and ours: the
    head's widths (512 and 128), group normalisation, the augmentation (crop and flip; jitter and
    gray for the contrastive loss), and the readout, which is ridge regression. Quick runs have the
    same losses and heads, and a ConvNet of 64 entries, 16 x 16 pixels, Adam at 2e-3, batch 128 and
    10 epochs.

    **Arguments:**

    - `training`, `test`: images with superclasses, such as `cifar100(path)`; by default
      `small_items`, which need no download.
    - `quick`: whether to run on 16 x 16 pixels for a few epochs.
    - `seeds`: the number of seeds.
    - `key`: of everything random; by default `jax.random.key(0)`.
    - `recipes`: settings for both losses, instead of these.
    - `kappas`: of the fixed head, for both losses.
    - `out`: folder for checkpoints, from which a stopped experiment goes on.
    - `progress`: whether progress is shown on standard error.

    **Returns:** an `ImageExperiment`.

    **Raises:** `ValueError` for images without superclasses, one part of the data without the
    other, or arguments out of range.

    Source: paper, experiments on CIFAR-100.
    """
    training, test = given_or_small(training, test)
    if training.coarse is None:
        raise checks.bad("training", "images without superclasses", "images that have `coarse`")
    source, tested = training, test
    if recipes is None:
        recipes = (QUICK_SUPERVISED, QUICK) if quick else (SUPERVISED, CONTRASTIVE)
    size = 16 if quick else None

    def build(key: PRNGKeyArray) -> list[Condition]:
        found = []
        for name, loss, recipe, kappa in (
            ("CE", cross_entropy, recipes[0], kappas[0]),
            ("SupCon", SupervisedContrastive(0.5), recipes[1], kappas[1]),
        ):
            rng = generator(key)
            images, readout = split(source, recipe.training, recipe.readout, rng)
            test = draw(tested, recipe.test, rng)
            if size is not None:
                images, readout, test = (x.resized(size) for x in (images, readout, test))
            for head_name, head in (("MLP", mlp), (f"kappa {kappa:g}", fixed(kappa))):
                found.append(
                    Condition(
                        f"{name}, {head_name}",
                        images.superclasses(),
                        loss,
                        recipe,
                        head,
                        images.labels,
                        readout,
                        {"class": test},
                        supervised=True,
                        classifier=name == "CE",
                    )
                )
        return found

    return perform(
        "coarse-to-fine",
        build,
        seeds=seeds,
        key=jax.random.key(0) if key is None else key,
        chance=1 / source.classes,
        settings={"CE": recipes[0].to_dict(), "SupCon": recipes[1].to_dict()},
        out=out,
        progress=progress,
    )
