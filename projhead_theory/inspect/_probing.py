"""Accuracy of probes on every layer, with standard errors, and the layer that reads labels best."""

from __future__ import annotations

import dataclasses

import numpy as np

from .._core import checks
from ..probes import AbstractProbe, Logistic, Ridge
from ._moments import Estimate, Moments

ROWS = 2048
"""Labelled rows that are probed at most."""

FOLDS = 5
"""Parts of the rows in cross-validation."""

DIRECTIONS = 48
"""Principal directions that probes of all labels read at most: they cost the square of these."""

RESAMPLES = 1000
"""Bootstrap resamples of rows and draws."""


@dataclasses.dataclass(frozen=True)
class Probing:
    """Accuracy of each probe on each layer, and how layers compare with few labels.

    - `accuracy`: estimates `(L,)` of each probe by name; *few-shot* is a ridge probe on `shots`
      labels of each class.
    - `resampled`: few-shot accuracy in resamples of rows and draws, `(B, L)`.
    """

    accuracy: dict[str, Estimate]
    resampled: np.ndarray
    shots: int


def probe(
    layers: list[Moments], classes: np.ndarray, shots: int, draws: int, rng: np.random.Generator
) -> Probing:
    """Accuracy of ridge, logistic and few-shot probes; all layers see the same rows.

    Layers are scaled to a second moment of trace 1. A ridge penalty of 1 is then the ridge
    indicator's, and the same for every layer.
    """
    rows = _rows(classes, rng)
    y, count = classes[rows], int(classes.max()) + 1
    width = max(layer.rows.shape[1] for layer in layers)
    x = [_scaled(layer, rows, width) for layer in layers]
    folds = _folds(y, rng)
    # The class of a row needs no double precision, which costs logistic regression many steps.
    narrow = [a[:, :DIRECTIONS].astype(np.float32) for a in x]
    accuracy = {
        "ridge": _validated(Ridge(1.0, intercept=True), narrow, y, folds, count),
        "logistic": _validated(Logistic(0.25, intercept=True), narrow, y, folds, count),
    }
    shots = min(shots, int(np.bincount(y).min()) - 1)
    right, tested = _few_shot(x, y, count, shots, draws, rng)
    resampled = _resampled(right, tested, rng)
    mean = (right.sum(axis=(0, 1))) / tested.sum()
    accuracy["few-shot"] = Estimate(mean, resampled.std(axis=0, ddof=1))
    return Probing(accuracy, resampled, shots)


def _rows(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At most `ROWS` rows, with the shares of the classes, and at least two of each."""
    if len(classes) <= ROWS:
        return np.arange(len(classes))
    share = ROWS / len(classes)
    picked = []
    for k in range(classes.max() + 1):
        own = np.flatnonzero(classes == k)
        picked.append(rng.permutation(own)[: max(2, int(share * len(own)))])
    return np.sort(np.concatenate(picked))


def _scaled(layer: Moments, rows: np.ndarray, width: int) -> np.ndarray:
    x = layer.rows[rows]
    radius = np.trace(layer.second[0])
    x = x / np.sqrt(radius if radius > 0 else 1)
    # Directions of no variance change no probe, and one shape compiles one program.
    return np.pad(x, ((0, 0), (0, width - x.shape[1])))


def _folds(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The part of each row; every part has its share of each class."""
    folds = np.empty(len(y), int)
    parts = min(FOLDS, int(np.bincount(y).min()))
    for k in range(y.max() + 1):
        own = rng.permutation(np.flatnonzero(y == k))
        folds[own] = (np.arange(len(own)) + k) % parts
    return folds


def _validated(
    probe: AbstractProbe, x: list[np.ndarray], y: np.ndarray, folds: np.ndarray, count: int
) -> Estimate:
    """Cross-validated accuracy; each row is read by a readout that has not seen it."""
    training = [np.flatnonzero(folds != part) for part in range(folds.max() + 1)]
    # Readouts of one batch have one number of rows. Classes come in turn, so that none is cut off.
    size = min(len(rows) for rows in training)
    training = [_in_turn(rows, y)[:size] for rows in training]
    values = []
    for layer in x:
        readouts = probe.fit_many(
            np.stack([layer[rows] for rows in training]),
            np.stack([y[rows] for rows in training]),
            classes=count,
            throw=False,
        )
        scores = _scores(readouts, layer)
        own = scores[folds, np.arange(len(y))]
        values.append((_classes(own) == y).mean())
    mean = np.asarray(values)
    # Agresti and Coull's error: it stays positive where every row is read right.
    centre = (mean * len(y) + 2) / (len(y) + 4)
    return Estimate(mean, np.sqrt(centre * (1 - centre) / (len(y) + 4)))


def _in_turn(rows: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rows in the order of their number within their class."""
    number = np.empty(len(rows), int)
    for k in np.unique(y[rows]):
        own = y[rows] == k
        number[own] = np.arange(own.sum())
    return rows[np.argsort(number, kind="stable")]


def _scores(readouts, layer: np.ndarray) -> np.ndarray:
    """Scores `(B, n, K)` of a batch of readouts."""
    weights, intercepts = (np.asarray(a, float) for a in (readouts.weights, readouts.intercepts))
    return np.einsum("nr,bkr->bnk", layer, weights, optimize=True) + intercepts[:, None, :]


def _classes(scores: np.ndarray) -> np.ndarray:
    return (scores[..., 0] > 0).astype(int) if scores.shape[-1] == 1 else scores.argmax(axis=-1)


def _few_shot(
    x: list[np.ndarray],
    y: np.ndarray,
    count: int,
    shots: int,
    draws: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows read right, `(R, n, L)`, and rows tested, `(R, n)`, of readouts of few labels."""
    own = [np.flatnonzero(y == k) for k in range(count)]
    drawn = np.stack(
        [
            np.concatenate([rng.choice(rows, shots, replace=False) for rows in own])
            for _ in range(draws)
        ]
    )
    tested = np.ones((draws, len(y)), bool)
    tested[np.arange(draws)[:, None], drawn] = False
    right = np.zeros((draws, len(y), len(x)), bool)
    probe = Ridge(1.0, intercept=True)
    for level, layer in enumerate(x):
        readouts = probe.fit_many(layer[drawn], y[drawn], classes=count, throw=False)
        right[:, :, level] = (_classes(_scores(readouts, layer)) == y) & tested
    return right, tested


def _resampled(right: np.ndarray, tested: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Accuracy `(B, L)` in resamples of draws and of rows, the same for all layers."""
    draws, rows, depth = right.shape
    flat = right.reshape(draws, rows * depth).astype(np.float32)
    shown = tested.astype(np.float32)
    result = []
    for start in range(0, RESAMPLES, 50):
        size = min(50, RESAMPLES - start)
        a = rng.multinomial(draws, np.full(draws, 1 / draws), size).astype(np.float32)
        b = rng.multinomial(rows, np.full(rows, 1 / rows), size).astype(np.float32)
        hits = np.einsum("bnl,bn->bl", (a @ flat).reshape(size, rows, depth), b)
        result.append(hits / np.sum((a @ shown) * b, axis=1)[:, None])
    return np.concatenate(result).astype(float)


def check_draws(shots: int, draws: int) -> tuple[int, int]:
    """Numbers of labels of each class and of draws, checked."""
    return checks.count("shots", shots), checks.count("draws", draws, 2)
