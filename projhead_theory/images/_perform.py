"""Runs of an experiment on images: train, read, and ask the theory."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import PRNGKeyArray

from .._core import checks
from .._core.keys import named
from ..losses import AbstractLoss
from ..networks import ReweightingHead
from ._data import AbstractImages
from ._foresight import Foresight, foresee
from ._network import (
    AbstractProjection,
    FixedProjection,
    ImageNetwork,
    MLPProjection,
    represent,
    represent_pairs,
)
from ._progress import Progress
from ._reading import group_accuracies, read
from ._recipe import Recipe
from ._result import ImageExperiment
from ._stand_in import generator
from ._training import train

PAIRS = 1024
"""Positive pairs whose moments are measured at most."""

Head = Callable[[int, Recipe, PRNGKeyArray], AbstractProjection]


class Condition(NamedTuple):
    """A training run, and what is read off it.

    - `name`: of the condition.
    - `images`: to train on, with the labels of the training loss.
    - `loss`, `recipe`: of the training.
    - `head`: function from the encoder's size, the recipe and a key to the head.
    - `downstream`: labels of `images` that readouts are asked for.
    - `readout`, `tests`: images with these labels, to fit and to test readouts on.
    - `supervised`: whether a positive pair is two images of one class; else two views of one.
    - `classifier`: whether there is one on the head.
    """

    name: str
    images: AbstractImages
    loss: AbstractLoss
    recipe: Recipe
    head: Head
    downstream: Any
    readout: AbstractImages
    tests: Mapping[str, AbstractImages]
    supervised: bool = False
    classifier: bool = False


def mlp(size: int, recipe: Recipe, key: PRNGKeyArray) -> AbstractProjection:
    """A trained head of two layers."""
    return MLPProjection(size, recipe.hidden, recipe.outputs, key=key)


def fixed(kappa: float) -> Head:
    """A fixed reweighting head."""
    return lambda size, recipe, key: FixedProjection(ReweightingHead(kappa), size)


def no_head(size: int, recipe: Recipe, key: PRNGKeyArray) -> AbstractProjection:
    """No head: a fixed one of kappa 1, which shares its program with other fixed heads."""
    return fixed(1.0)(size, recipe, key)


def heads(kappa: float) -> tuple[tuple[str, Head], ...]:
    """No head, a trained one and a fixed one, with their names."""
    return ("no head", no_head), ("MLP", mlp), (f"kappa {kappa:g}", fixed(kappa))


def perform(
    name: str,
    build: Callable[[PRNGKeyArray], list[Condition]],
    *,
    seeds: int,
    key: PRNGKeyArray,
    chance: float,
    settings: dict[str, Any],
    out: str | Path | None,
    progress: bool,
) -> ImageExperiment:
    """Run all conditions for each seed.

    The same seed has the same draws of data, order and first weights in all conditions. With a
    folder `out`, runs write checkpoints there and go on from them.
    """
    seeds, started = checks.count("seeds", seeds), time.monotonic()
    folder = None if out is None else _folder(Path(out))
    found, bar, conditions = [], None, []
    for seed in range(seeds):
        own = named(key, "seed", seed)
        conditions = build(own)
        if bar is None:
            steps = sum(condition.recipe.epochs for condition in conditions)
            bar = Progress(seeds * steps, progress)
        row = []
        for number, condition in enumerate(conditions):
            path = None if folder is None else folder / f"{name}-{number}-{seed}.npz"
            row.append(_run(condition, own, path, bar))
        found.append(row)
    measures = tuple(found[0][0][0])
    by_seed = lambda take: np.stack([np.stack([take(run) for run in row]) for row in found], -1)
    return ImageExperiment(
        accuracy=by_seed(lambda run: np.stack([run[0][m] for m in measures])),
        predicted=by_seed(lambda run: run[1].predicted),
        indicator=by_seed(lambda run: run[1].indicator),
        signal=np.moveaxis(by_seed(lambda run: run[1].signal), -1, 2),
        loss=by_seed(lambda run: run[2]),
        name=name,
        conditions=tuple(condition.name for condition in conditions),
        measures=measures,
        heads=tuple(condition.head is not no_head for condition in conditions),
        chance=chance,
        settings=settings | {"shape": list(conditions[0].images.shape)},
        seconds=time.monotonic() - started,
    )


def _run(
    condition: Condition, key: PRNGKeyArray, checkpoint: Path | None, bar: Progress
) -> tuple[dict[str, np.ndarray], Foresight, float]:
    """Accuracies of both layers by measure, the theory's view, and the last training loss."""
    images, recipe = condition.images, condition.recipe
    encoder = recipe.encoder(images.shape[2], key=named(key, "encoder"))
    head = condition.head(encoder.size, recipe, named(key, "head"))
    network = ImageNetwork(
        encoder,
        head,
        images.classes if condition.classifier else None,
        key=named(key, "classifier"),
    )
    run = train(
        network,
        images,
        condition.loss,
        key=named(key, "training"),
        augmentation=recipe.augmentation,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        optimiser=recipe.optimiser,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        checkpoint=checkpoint,
        every=max(1, recipe.epochs // 10),
        progress=bar,
    )
    network, readout = run.network, condition.readout
    fitted = represent(network, readout)
    tested = {m: represent(network, test) for m, test in condition.tests.items()}
    accuracy = {}
    for layer in (0, 1):
        classes = read(
            fitted[layer], readout.labels, [r[layer] for r in tested.values()], readout.classes
        )
        for (measure, test), own in zip(condition.tests.items(), classes, strict=True):
            for name, value in _measured(measure, test, own).items():
                accuracy.setdefault(name, []).append(value)
    rng, rows = generator(named(key, "pairs")), np.arange(min(PAIRS, len(images)))
    partners = partners_of(np.asarray(images.labels), rng) if condition.supervised else None
    part = images.take(rows)
    pre, post = represent_pairs(
        network, images, recipe.augmentation, named(key, "pairs"), rows, partners
    )
    foresight = foresee(
        network,
        pre,
        post,
        np.asarray(condition.downstream)[: len(part)],
        fitted[0],
        readout.labels,
        readout.classes,
    )
    return {m: np.asarray(v) for m, v in accuracy.items()}, foresight, float(run.losses[-1])


def _measured(measure: str, test: AbstractImages, found: np.ndarray) -> dict[str, float]:
    """Accuracy on a test set: over images, or the average and the least over groups."""
    if test.groups is None:
        return {measure: float(np.mean(found == np.asarray(test.labels)))}
    groups = group_accuracies(found, test.labels, test.groups)
    return {"average": float(groups.mean()), "worst group": float(groups.min())}


def partners_of(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each row another row of its class, at random."""
    partners = np.arange(len(labels))
    for k in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == k))
        partners[own] = np.roll(own, 1)
    return partners


def draw(images: Any, count: int | None, rng: np.random.Generator) -> Any:
    """So many of the images at random, all if there are no more."""
    if count is None or count >= len(images):
        return images
    return images.take(np.sort(rng.choice(len(images), count, replace=False)))


def split(images: Any, first: int | None, second: int | None, rng: np.random.Generator) -> Any:
    """Two disjoint parts of the images at random; both are all images without a number."""
    if first is None or second is None:
        return images, images
    order = rng.permutation(len(images))
    share = min(1.0, len(images) / (first + second))
    cut = round(first * share)
    return images.take(order[:cut]), images.take(order[cut : cut + round(second * share)])


def _folder(path: Path) -> Path:
    folder = path / "checkpoints"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise checks.bad(
            "out", f"{path} ({error.strerror})", "a folder that can be made"
        ) from error
    return folder
