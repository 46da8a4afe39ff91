"""The layers of a network, as arrays of both views, one layer at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .._core import checks
from ..networks import AbstractLinearNetwork, DeepLinear

CHUNK = 4096
"""Rows that go through a function, or into a moment, at once."""


@dataclasses.dataclass(frozen=True)
class Layers:
    """Representations of both views, from the lowest layer up.

    - `pairs`: the number of pairs $n$.
    - `depth`: the number of layers $L$.
    - `lowest`: 0 if the inputs are known, else 1.
    - `walk`: a function that yields both views of each layer, `(n, p)` each, from the lowest up;
      one layer is in memory at a time.
    - `network`: the network itself, if it is a stack of matrices.
    """

    pairs: int
    depth: int
    lowest: int
    walk: Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]
    network: DeepLinear | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"layer {level}" for level in range(self.lowest, self.depth + 1))


def linear_stack(x1: Any, x2: Any, weights: Any) -> Layers:
    """Layers of a stack of matrices on the inputs."""
    first, second = views("x1", x1, "x2", x2)
    given = weights.layers if isinstance(weights, AbstractLinearNetwork) else list(weights)
    matrices = [_matrix(f"weights_{i}", w) for i, w in enumerate(given, 1)]
    if not matrices:
        raise checks.bad("weights", "an empty list", "at least one matrix (p, d)")
    below, name = first.shape[1], "x1"
    for i, w in enumerate(matrices, 1):
        if w.shape[1] != below:
            raise checks.bad(
                f"weights_{i}",
                f"shape {w.shape}",
                f"(p, {below}): one column for each of the {below} columns of {name}"
                if i == 1
                else f"(p, {below}): one column for each row of {name}",
            )
        below, name = w.shape[0], f"weights_{i}"

    def walk() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        product = np.eye(first.shape[1])
        yield first, second
        for w in matrices:
            product = w @ product
            yield first @ product.T, second @ product.T

    return Layers(len(first), len(matrices), 0, walk, DeepLinear(matrices))


def composed(x1: Any, x2: Any, functions: Sequence[Callable[[Any], Any]]) -> Layers:
    """Layers of functions, each applied to the output of the one before it."""
    first, second = views("x1", x1, "x2", x2)
    steps = list(functions)
    if not steps:
        raise checks.bad("functions", "an empty list", "at least one function")
    for i, step in enumerate(steps, 1):
        if not callable(step):
            raise checks.bad("functions", f"{type(step).__name__} as number {i}", "functions")

    def walk() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        both = first, second
        yield both
        for i, step in enumerate(steps, 1):
            below = both
            both = views(
                f"layer {i}", _applied(step, below[0]), f"layer {i}", _applied(step, below[1])
            )
            if len(both[0]) != len(first):
                raise checks.bad(
                    "functions",
                    f"{len(both[0])} rows from function {i}",
                    f"{len(first)}, one for each row of its input",
                )
            yield both

    return Layers(len(first), len(steps), 0, walk)


def _applied(step: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    parts = [np.asarray(step(x[i : i + CHUNK])) for i in range(0, len(x), CHUNK)]
    return np.concatenate([part.reshape(len(part), -1) for part in parts])


def represented(
    load: Callable[[int], tuple[Any, Any]], depth: int, lowest: int, name: Callable[[int], str]
) -> Layers:
    """Layers given by their representations of both views, loaded one at a time.

    `name` gives the name of a layer's arrays, to which `_x1` and `_x2` are added in errors.
    """

    def layer(level: int) -> tuple[np.ndarray, np.ndarray]:
        first, second = load(level)
        return views(f"{name(level)}x1", first, f"{name(level)}x2", second)

    pairs = len(layer(lowest)[0])

    def walk() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for level in range(lowest, depth + 1):
            both = layer(level)
            if len(both[0]) != pairs:
                raise checks.bad(
                    f"{name(level)}x1",
                    f"{len(both[0])} rows",
                    f"{pairs}, as many as {name(lowest)}x1",
                )
            yield both

    return Layers(pairs, depth, lowest, walk)


def views(name1: str, x1: Any, name2: str, x2: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both views of one layer as arrays, checked."""
    for name, x, other in ((name1, x1, name2), (name2, x2, name1)):
        if x is None:
            raise checks.bad(name, "nothing", f"the other view of {other}, of the same shape")
    first, second = _matrix(name1, x1), _matrix(name2, x2)
    if first.shape != second.shape:
        raise checks.bad(name2, f"shape {second.shape}", f"the shape of {name1}, {first.shape}")
    if len(first) < 2:
        raise checks.bad(name1, f"{len(first)} rows", "at least two rows")
    return first, second


def _matrix(name: str, value: Any) -> np.ndarray:
    """A real, finite matrix, whatever library it comes from."""
    try:
        x = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise checks.bad(name, f"{type(value).__name__} ({error})", "an array") from error
    if x.dtype.kind not in "fiub" or x.ndim != 2 or 0 in x.shape:
        raise checks.bad(name, f"shape {x.shape}, dtype {x.dtype}", "a matrix of real numbers")
    for start in range(0, len(x), 65_536):
        bad = ~np.isfinite(x[start : start + 65_536])
        if bad.any():
            row, column = (int(i) for i in np.argwhere(bad)[0])
            raise checks.bad(
                name, f"{x[start + row, column]} at ({start + row}, {column})", "finite numbers"
            )
    return x if x.dtype.kind == "f" and x.dtype.itemsize >= 4 else x.astype(np.float64)


def class_labels(labels: Any, pairs: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as whole numbers from 0, and the names of the classes.

    **Raises:** `ValueError` for another length, numbers that are not whole, or a single class.
    """
    y = np.asarray(labels)
    if y.ndim == 2 and 1 in y.shape:
        y = y.reshape(-1)
    if y.shape != (pairs,):
        raise checks.bad("labels", f"shape {y.shape}", f"({pairs},), one label for each pair")
    if y.dtype.kind == "f" and not (np.isfinite(y).all() and (y == np.round(y)).all()):
        raise checks.bad("labels", "numbers that are not whole", "class labels")
    if y.dtype.kind not in "fiubUS":
        raise checks.bad("labels", f"dtype {y.dtype}", "class labels: whole numbers or names")
    names, classes, sizes = np.unique(y, return_inverse=True, return_counts=True)
    if len(names) == 1:
        raise checks.bad("labels", f"only the label {names[0]}", "at least two classes")
    if sizes.min() < 2:
        raise checks.bad(
            "labels",
            f"one row of class {names[sizes.argmin()]}",
            "at least two rows of each class",
        )
    return classes.reshape(-1), tuple(str(name) for name in names)


def known_features(features: Any, pairs: int) -> np.ndarray:
    """Known features, a column each, centred.

    **Raises:** `ValueError` for another length, or a constant or dependent column.
    """
    u = np.asarray(features)
    u = _matrix("features", u[:, None] if u.ndim == 1 else u).astype(np.float64)
    if len(u) != pairs:
        raise checks.bad("features", f"{len(u)} rows", f"{pairs}, one for each pair")
    u = u - u.mean(axis=0)
    size = np.sqrt((u**2).sum(axis=0))
    if (size == 0).any():
        raise checks.bad(
            "features", f"a constant column {int(size.argmin())}", "features that vary"
        )
    if u.shape[1] >= pairs or np.linalg.matrix_rank(u / size) < u.shape[1]:
        raise checks.bad("features", "columns that depend on one another", "independent features")
    return u


def known_directions(directions: Any, layers: Layers) -> np.ndarray:
    """Known directions of the inputs, a column each.

    **Raises:** `ValueError` without inputs, or for another dimension, or dependent columns.
    """
    if layers.lowest > 0:
        raise checks.bad("directions", "directions without inputs", "x1 and x2 beside them")
    v = np.asarray(directions)
    v = _matrix("directions", v[:, None] if v.ndim == 1 else v).astype(np.float64)
    dim = next(layers.walk())[0].shape[1]
    if len(v) != dim:
        raise checks.bad("directions", f"{len(v)} rows", f"{dim}, one for each input coordinate")
    if np.linalg.matrix_rank(v) < v.shape[1]:
        raise checks.bad("directions", "columns that depend on one another", "independent columns")
    return v
