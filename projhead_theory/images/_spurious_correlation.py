"""Average and worst-group accuracy where two attributes go with the label."""

from pathlib import Path

import jax
from jaxtyping import PRNGKeyArray

from .._core.keys import named
from ..losses import SupervisedContrastive, cross_entropy
from ._data import Images
from ._encoders import resnet18
from ._perform import Condition, draw, heads, perform, split
from ._recipe import MOMENTUM, QUICK_SUPERVISED, Recipe, shifts_and_flips
from ._result import ImageExperiment
from ._stand_in import generator, small_items, spurious_items

PUBLISHED = Recipe(
    encoder=resnet18,
    optimiser=MOMENTUM,
    learning_rate=1e-3,
    weight_decay=1e-3,
    batch_size=32,
    epochs=100,
    augmentation=shifts_and_flips(2),
    hidden=2048,
    outputs=2048,
)


def spurious_correlation(
    training: Images | None = None,
    test: Images | None = None,
    *,
    pair: tuple[int, int] | None = None,
    agreement: tuple[float, float] = (0.95, 0.95),
    quick: bool = False,
    seeds: int = 5,
    key: PRNGKeyArray | None = None,
    recipe: Recipe | None = None,
    kappa: float = 1.05,
    out: str | Path | None = None,
    progress: bool = False,
) -> ImageExperiment:
    """Read a label off networks trained where two attributes go with it (UrbanCars' shape).

    The label is one of two classes of items; a background and a mark in the corner agree with it
    with probability 0.95 each. Networks train by cross-entropy and by the supervised contrastive
    loss without a head, under a trained MLP head and under a fixed reweighting head. Readouts are
    fitted to other images, in which the attributes are independent of the label, and tested on
    each of the eight groups.

    | published | |
    |---|---|
    | data | UrbanCars |
    | network | ResNet-50, trained on ImageNet before |
    | loss | cross-entropy; supervised contrastive, temperature 0.5 |
    | optimiser | SGD 1e-3, momentum 0.9, weight decay 1e-3 |
    | batch, epochs | 32, 100 |
    | MLP head | 2048, 2048 |
    | fixed head | kappa 1.05 |
    | augmentation | crop of scale 0.7 to 1, flip |
    | readout | last layer refitted to balanced groups |

    These are of the authors' repository. Here the network is a ResNet-18 from random weights, the
    crop is a shift, and the readout is ridge regression. Quick runs have a ConvNet of 64 entries,
    16 x 16 pixels, Adam at 2e-3, batch 128 and 10 epochs.

    **Arguments:**

    - `training`, `test`: gray images of items; by default `small_items`, which need no download.
    - `pair`: the two classes; by default T-shirt and pullover, or 3 and 8 of digits.
    - `agreement`: of background and mark with the label in training.
    - `recipe`: settings instead of these.
    - `kappa`: of the fixed head.
    - `quick`, `seeds`, `key`, `out`, `progress`: as for `coarse_to_fine`.

    **Returns:** an `ImageExperiment` with the measures `average` and `worst group`, over groups of
    equal weight.

    **Raises:** `ValueError` for arguments out of range.

    Source: paper, experiments on Waterbirds, CelebA (submission) and UrbanCars.
    """
    source = small_items(train=True) if training is None else training
    tested = small_items(train=False) if test is None else test
    used = (QUICK_SUPERVISED if quick else PUBLISHED) if recipe is None else recipe
    size = 16 if quick else 32
    chosen = ((0, 2) if len(source) > 2000 else (3, 8)) if pair is None else pair

    def build(key: PRNGKeyArray) -> list[Condition]:
        rng = generator(key)
        of_pair = lambda x: x.take([i for i, y in enumerate(x.labels.tolist()) if y in chosen])
        parts = split(of_pair(source), used.training, used.readout, rng)
        parts = (*parts, draw(of_pair(tested), used.test, rng))
        names, balanced = ("training", "readout", "test"), (0.5, 0.5)
        images, readout, test = (
            spurious_items(
                part,
                size=size,
                agreement=agreement if name == "training" else balanced,
                pair=chosen,
                train=name != "test",
                key=named(key, name),
            )
            for name, part in zip(names, parts, strict=True)
        )
        return [
            Condition(
                f"{name}, {head_name}",
                images,
                loss,
                used,
                head,
                images.labels,
                readout,
                {"group": test},
                supervised=True,
                classifier=name == "CE",
            )
            for name, loss in (("CE", cross_entropy), ("SupCon", SupervisedContrastive(0.5)))
            for head_name, head in heads(kappa)
        ]

    return perform(
        "spurious-correlation",
        build,
        seeds=seeds,
        key=jax.random.key(0) if key is None else key,
        chance=0.5,
        settings=used.to_dict()
        | {"kappa": kappa, "agreement": list(agreement), "pair": list(chosen)},
        out=out,
        progress=progress,
    )
