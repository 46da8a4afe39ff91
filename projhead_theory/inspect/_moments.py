"""Moments of every layer, group by group, in the layer's principal directions."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from ._layers import CHUNK, Layers

COMPONENTS = 256
"""Principal directions of a layer that are used at most."""

GROUPS = 20
"""Groups of pairs, each of which the jackknife leaves out once."""

REFERENCE = 16
"""Principal directions of the lowest layer whose weights are followed upwards."""


class Estimate(NamedTuple):
    """Values with their standard errors."""

    value: np.ndarray
    error: np.ndarray


def jackknife(values: np.ndarray) -> Estimate:
    r"""Estimate and standard error from all pairs, in row 0, and with each group left out.

    $$G \hat\theta - (G - 1) \bar\theta_{(\cdot)}, \qquad
    \Big(\frac{G - 1}{G} \sum_g (\theta_{(g)} - \bar\theta_{(\cdot)})^2\Big)^{1/2}$$

    The first removes a bias of the order of one over the number of pairs.
    """
    without = values[1:]
    count, mean = len(without), without.mean(axis=0)
    error = np.sqrt((count - 1) / count * ((without - mean) ** 2).sum(axis=0))
    # Values that no group changes are exact, whatever the rounding of their mean.
    error = np.where((without == values[0]).all(axis=0), 0, error)
    return Estimate(np.where(error > 0, count * values[0] - (count - 1) * mean, values[0]), error)


def without_bias(values: np.ndarray, low: float, high: float) -> Estimate:
    """`jackknife` of a quantity that lies within bounds, as its estimate then does."""
    value, error = jackknife(values)
    return Estimate(np.clip(value, low, high), error)


@dataclasses.dataclass(frozen=True)
class Moments:
    """Centred moments of a layer: row 0 from all pairs, row g with group g left out.

    - `cross`, `second`: $C$ and $S$ of the layer in its principal directions, `(1 + G, r, r)`.
    - `features`: moments with the features that are followed, `(1 + G, r, k)`.
    - `labels`: moments with the labels of variance 1, `(1 + G, r, c)`, or None.
    - `basis`: the principal directions, `(p, r)`, variances descending.
    - `rows`: the first view in these directions, centred, `(n, r)`.
    """

    cross: np.ndarray
    second: np.ndarray
    features: np.ndarray
    labels: np.ndarray | None
    basis: np.ndarray
    rows: np.ndarray


@dataclasses.dataclass(frozen=True)
class Followed:
    """What is followed upwards from layer to layer.

    - `values`: both views' values of the features, `(n, k)` each, centred over both.
    - `second`: their moment, `(1 + G, k, k)`.
    - `targets`: the labels, one against the rest, `(n, c)`, or None.
    """

    values: tuple[np.ndarray, np.ndarray]
    second: np.ndarray
    targets: np.ndarray | None


def groups(pairs: int, rng: np.random.Generator) -> np.ndarray:
    """The group of each pair, at random: rows sorted by class spread over all groups."""
    return rng.permutation(pairs) % min(GROUPS, pairs)


def one_against_rest(classes: np.ndarray) -> np.ndarray:
    """A column of signs for each class, or the one of class 1 if there are two."""
    count = classes.max() + 1
    own = np.arange(1, 2) if count == 2 else np.arange(count)
    return np.where(classes[:, None] == own, 1.0, -1.0)


def walk(
    layers: Layers,
    features: np.ndarray | None,
    directions: np.ndarray | None,
    classes: np.ndarray | None,
    rng: np.random.Generator,
) -> tuple[list[Moments], Followed]:
    """Moments of all layers, from the lowest up, and what was followed.

    These are known features, or the inputs along known directions, or else the first principal
    directions of the lowest layer.
    """
    group = groups(layers.pairs, rng)
    targets = None if classes is None else one_against_rest(classes)
    found: list[Moments] = []
    followed = None
    for first, second in layers.walk():
        basis, one, two = principal(first, second)
        if followed is None:
            values = (one[:, :REFERENCE], two[:, :REFERENCE])
            if features is not None:
                values = (features, features)
            elif directions is not None:
                along = np.linalg.pinv(directions).T
                values = (first @ along, second @ along)
            own = _left_out(group, values, values)
            followed = Followed(values, own, targets)
        found.append(_moments(group, basis, one, two, followed))
    assert followed is not None
    return found, followed


def principal(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Principal directions of both views together, and both views along them, centred.

    A layer of no variance has one direction, along which nothing varies.
    """
    n, p = first.shape
    mean = (first.mean(axis=0, dtype=np.float64) + second.mean(axis=0, dtype=np.float64)) / 2
    if p <= 2 * n:
        moment = np.zeros((p, p))
        for start in range(0, n, CHUNK):
            for view in (first, second):
                part = view[start : start + CHUNK] - mean
                moment += part.T @ part
        values, vectors = np.linalg.eigh(moment / (2 * n))
        values, vectors = values[::-1], vectors[:, ::-1]
    else:
        both = np.concatenate([first - mean, second - mean])
        _, sizes, rows = np.linalg.svd(both, full_matrices=False)
        values, vectors = sizes**2 / (2 * n), rows.T
    # Rounding of the layer's own numbers, and of the moment.
    coarse = np.finfo(first.dtype).eps
    floor = max(16 * coarse**2, p * np.finfo(float).eps) * max(values[0], 0)
    # Constants differ from their mean by rounding.
    floor = max(floor, 16 * coarse**2 * float((mean**2).sum()))
    kept = max(1, min(COMPONENTS, int((values > floor).sum())))
    basis = vectors[:, :kept] if values[0] > floor else np.zeros((p, 1))
    return basis, _along(first, mean, basis), _along(second, mean, basis)


def _along(view: np.ndarray, mean: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """A view along some directions, centred; its rows are read a part at a time."""
    found = np.empty((len(view), basis.shape[1]))
    for start in range(0, len(view), CHUNK):
        found[start : start + CHUNK] = (view[start : start + CHUNK] - mean) @ basis
    return found


def _moments(
    group: np.ndarray, basis: np.ndarray, one: np.ndarray, two: np.ndarray, followed: Followed
) -> Moments:
    both, swapped = (one, two), (two, one)
    targets, labels = followed.targets, None
    if targets is not None:
        labels = _left_out(group, both, (targets, targets))
        # Variances of the signs, with each group left out.
        own = np.einsum("gkk->gk", _left_out(group, (targets, targets), (targets, targets)))
        labels = labels / np.sqrt(np.where(own > 0, own, 1))[:, None, :]
    return Moments(
        cross=_left_out(group, both, swapped),
        second=_left_out(group, both, both),
        features=_left_out(group, both, followed.values),
        labels=labels,
        basis=basis,
        rows=one,
    )


def _left_out(
    group: np.ndarray,
    left: tuple[np.ndarray, np.ndarray],
    right: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Centred moments of two variables over both views, from all pairs and without each group."""
    count = group.max() + 1
    sums, means, others, sizes = [], [], [], []
    for g in range(count):
        rows = group == g
        a, b = ([x[rows] for x in side] for side in (left, right))
        sums.append((a[0].T @ b[0] + a[1].T @ b[1]) / 2)
        means.append((a[0].sum(axis=0) + a[1].sum(axis=0)) / 2)
        others.append((b[0].sum(axis=0) + b[1].sum(axis=0)) / 2)
        sizes.append(rows.sum())

    def without(parts: list[np.ndarray]) -> np.ndarray:
        stacked = np.stack(parts)
        total = stacked.sum(axis=0)
        return np.concatenate([total[None], total[None] - stacked])

    n = without([np.asarray(float(size)) for size in sizes])
    moment, mean, other = (without(parts) for parts in (sums, means, others))
    return moment / n[:, None, None] - mean[:, :, None] * other[:, None, :] / (n**2)[:, None, None]
