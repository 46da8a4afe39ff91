"""Accuracy of ridge readouts of image representations, over all images and by group."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer

from .._core import checks
from ..probes import Ridge


def read(
    training: Any, labels: Any, tests: list[Any], classes: int
) -> list[Integer[np.ndarray, " n"]]:
    """Classes of test representations by a ridge readout of training representations.

    Representations are centred and scaled to a second moment of trace 1, by the training part.
    A penalty of 1 is then the ridge indicator's.
    """
    x = np.asarray(training, np.float32)
    mean = x.mean(axis=0)
    scale = np.sqrt(((x - mean) ** 2).sum(axis=1).mean())
    scale = scale if scale > 0 else 1.0
    normal = lambda y: jnp.asarray((np.asarray(y, np.float32) - mean) / scale, jnp.float32)
    readout = Ridge(1.0, intercept=True).fit(normal(x), np.asarray(labels), classes=classes)
    return [np.asarray(readout(normal(test))) for test in tests]


def group_accuracies(
    found: Integer[np.ndarray, " n"], labels: Any, groups: Any
) -> Float[np.ndarray, " G"]:
    """Share of images read right in each group that has images.

    **Raises:** `ValueError` for lengths that differ.
    """
    found, labels, groups = (np.asarray(a) for a in (found, labels, groups))
    if not found.shape == labels.shape == groups.shape:
        raise checks.bad("groups", f"shape {groups.shape}", f"{found.shape}, one an image")
    right = found == labels
    return np.asarray([right[groups == g].mean() for g in np.unique(groups)])
