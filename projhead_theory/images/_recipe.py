"""Settings of the runs of an experiment."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import optax
from jax.tree_util import Partial

from ._augmentations import Augmentation
from ._encoders import AbstractEncoder, ConvNet
from ._training import Optimiser

MOMENTUM = Partial(optax.sgd, momentum=0.9)


def shifts_and_flips(padding: int) -> Augmentation:
    """Augmentation that leaves colours as they are."""
    return Augmentation(padding, brightness=0, contrast=0, saturation=0, gray=0)


class Recipe(eqx.Module):
    """Settings of the runs of an experiment.

    `dataclasses.replace` changes some of them.

    - `encoder`: function from the channels and a key to an encoder.
    - `optimiser`, `learning_rate`, `weight_decay`, `batch_size`, `epochs`, `augmentation`: as for
      `train`.
    - `hidden`, `outputs`: widths of the MLP head.
    - `training`, `readout`, `test`: images to train on, to fit a readout to, and to test it on, at
      most; None for all.
    """

    encoder: Callable[..., AbstractEncoder] = eqx.field(static=True)
    optimiser: Optimiser = eqx.field(static=True)
    learning_rate: float = eqx.field(static=True)
    weight_decay: float = eqx.field(static=True)
    batch_size: int = eqx.field(static=True)
    epochs: int = eqx.field(static=True)
    augmentation: Augmentation
    hidden: int = eqx.field(static=True, default=512)
    outputs: int = eqx.field(static=True, default=128)
    training: int | None = eqx.field(static=True, default=None)
    readout: int | None = eqx.field(static=True, default=None)
    test: int | None = eqx.field(static=True, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, for JSON."""
        augmentation = {name: getattr(self.augmentation, name) for name in _AUGMENTATION}
        names = ("learning_rate", "weight_decay", "batch_size", "epochs", "hidden", "outputs")
        optimiser = getattr(self.optimiser, "func", self.optimiser)
        return {
            "encoder": _described(self.encoder),
            "optimiser": _described(optimiser),
            **{name: getattr(self, name) for name in names},
            **{name: getattr(self, name) for name in ("training", "readout", "test")},
            "augmentation": {k: round(float(v), 6) for k, v in augmentation.items()},
        }


_AUGMENTATION = ("padding", "flip", "brightness", "contrast", "saturation", "gray")


def _described(function: Any) -> str:
    """Name of a function, with the arguments that it is given beforehand."""
    inner = getattr(function, "func", function)
    given = [*map(str, getattr(function, "args", ()))]
    given += [f"{k}={v}" for k, v in getattr(function, "keywords", {}).items()]
    return inner.__name__ + (f"({', '.join(given)})" if given else "")


SMALL = functools.partial(ConvNet, width=16)

# Cheap enough for two cores: 16 x 16 pixels, a ConvNet of 64 entries, and few epochs.
QUICK = Recipe(
    encoder=SMALL,
    optimiser=optax.adam,
    learning_rate=2e-3,
    weight_decay=1e-6,
    batch_size=128,
    epochs=10,
    augmentation=Augmentation(padding=1),
    hidden=64,
    outputs=32,
    training=1280,
    readout=1000,
    test=1000,
)

# The same for losses that know the classes, where colours stay as they are.
QUICK_SUPERVISED = dataclasses.replace(QUICK, augmentation=shifts_and_flips(1))
