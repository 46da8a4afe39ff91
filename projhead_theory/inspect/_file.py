"""A network's layers in an npz file or a folder of npy files, never unpickled."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .._core import checks
from ._layers import Layers, linear_stack, represented

_WANTED = (
    "x1, x2 and weights_1, weights_2, ..., or layer_1_x1, layer_1_x2, layer_2_x1, ...; "
    "labels, and features or directions, if there are any"
)
_CORRUPT = (zipfile.BadZipFile, zlib.error)
_LAYER, _WEIGHTS = re.compile(r"layer_(\d+)_x([12])"), re.compile(r"weights_(\d+)")


def read_npz(
    path: str | Path, labels: str | None = None
) -> tuple[Layers, np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Layers, labels, features and directions in a file or a folder, read layer by layer.

    **Arguments:**

    - `path`: an npz file, or a folder of npy files, with the inputs of both views `x1`, `x2` and
      the matrices `weights_1`, ... of a linear stack, or representations `layer_1_x1`,
      `layer_1_x2`, `layer_2_x1`, ...; perhaps with `labels`, and `features` or `directions`.
    - `labels`: the name of the array of labels in the file, or an npy file.

    **Returns:** the layers, the labels, the features and the directions, each None if not there.

    **Raises:** `ValueError` for a file that is missing, corrupt, pickled, or lacks an array or has
    one that is not known.
    """
    content = _Content(Path(path))
    target = content.labels(labels)
    layers = _layers(content)
    return layers, target, content.optional("features"), content.optional("directions")


class _Content:
    """The arrays of an npz file, each loaded when asked for, or of a folder, mapped into memory."""

    def __init__(self, path: Path):
        self.path, self.label_name, self.folder = path, "labels", path.is_dir()
        wanted = f"an npz file, or a folder of npy files, of {_WANTED}"
        if self.folder:
            self.files = tuple(sorted(file.stem for file in path.glob("*.npy")))
            return
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
                self.files = tuple(archive.files)
        except FileNotFoundError as error:
            raise checks.bad("file", f"{path}, which does not exist", wanted) from error
        except (OSError, ValueError, EOFError, AttributeError, TypeError, *_CORRUPT) as error:
            # An npy file is an array, which is no context to enter.
            raise checks.bad("file", f"{path}, which is no npz file", wanted) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __contains__(self, name: object) -> bool:
        return name in self.files

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self:
            raise checks.bad("file", f"{self.path} without an array {name}", _WANTED)
        try:
            return self._load(name)
        except ValueError as error:
            pickled = "allow_pickle" in str(error) or "Python objects" in str(error)
            got = "pickled objects, which are never loaded" if pickled else f"no array ({error})"
            raise checks.bad(name, got, "an array of numbers") from error
        except (OSError, EOFError, *_CORRUPT) as error:
            raise checks.bad(name, "a corrupt array", "an array of numbers") from error

    def _load(self, name: str) -> np.ndarray:
        if self.folder:
            # Rows are read from disk as they are used.
            return np.load(self.path / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        with open(self.path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return archive[name]

    def optional(self, name: str) -> np.ndarray | None:
        if name not in self:
            return None
        return self[name]

    def labels(self, name: str | None) -> np.ndarray | None:
        if name is None:
            return self.optional("labels")
        if name in self:
            self.label_name = name
            return self[name]
        try:
            return np.load(name, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise checks.bad(
                "labels", repr(name), f"an array of {self.path} ({', '.join(self)}) or an npy file"
            ) from error


def _layers(content: _Content) -> Layers:
    known = {"x1", "x2", "labels", "features", "directions", content.label_name}
    unknown = [
        name
        for name in content
        if name not in known and not _LAYER.fullmatch(name) and not _WEIGHTS.fullmatch(name)
    ]
    if unknown:
        raise checks.bad("file", f"unknown arrays {', '.join(sorted(unknown))}", _WANTED)
    stack = _numbers(content, _WEIGHTS)
    represented_layers = _numbers(content, _LAYER)
    if stack and represented_layers:
        raise checks.bad("file", "both weights_ and layer_ arrays", f"one of the two: {_WANTED}")
    if stack:
        _consecutive("weights_", stack, 1)
        return linear_stack(
            *_both(content, "x1", "x2"), [content[f"weights_{i}"] for i in sorted(stack)]
        )
    if not represented_layers:
        raise checks.bad("file", f"{content.path} with no layer", _WANTED)
    inputs = "x1" in content or "x2" in content
    if inputs and 0 in represented_layers:
        raise checks.bad("file", "both x1 and layer_0_x1", "the inputs once")
    lowest = 0 if inputs else min(represented_layers)
    _consecutive("layer_", represented_layers, 1 if inputs else min(lowest, 1))
    name = lambda level: "" if inputs and level == 0 else f"layer_{level}_"
    load = lambda level: _both(content, f"{name(level)}x1", f"{name(level)}x2")
    depth = max(represented_layers)
    if depth == 0:
        raise checks.bad("file", "layer_0 alone, the inputs", "at least one layer: layer_1_x1, ...")
    for level in range(lowest, depth + 1):
        _present(content, f"{name(level)}x1", f"{name(level)}x2")
    return represented(load, depth, lowest, name)


def _numbers(content: _Content, pattern: re.Pattern[str]) -> set[int]:
    return {int(found[1]) for name in content if (found := pattern.fullmatch(name))}


def _consecutive(prefix: str, numbers: set[int], first: int) -> None:
    missing = sorted(set(range(first, max(numbers) + 1)) - numbers)
    if missing:
        raise checks.bad(
            "file", f"no {prefix}{missing[0]}", f"layers numbered from {first} without a gap"
        )


def _present(content: _Content, *names: str) -> None:
    for name in names:
        if name not in content:
            other = next(n for n in names if n != name)
            raise checks.bad(name, "nothing", f"the other view of {other}, of the same shape")


def _both(content: _Content, first: str, second: str) -> tuple[np.ndarray, np.ndarray]:
    _present(content, first, second)
    return content[first], content[second]
