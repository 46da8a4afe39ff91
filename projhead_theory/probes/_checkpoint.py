"""Partly computed learning curves on disk, each file bound to its arguments."""

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._core import checks
from .._core.files import write_atomically


def digest(tree: Any, *numbers: Any) -> str:
    """One hash of all arguments: the tree, and every array with its dtype and shape."""
    leaves, structure = jax.tree.flatten(tree)
    total = hashlib.sha256(str((structure, numbers)).encode())
    for leaf in leaves:
        array = np.asarray(leaf)
        total.update(
            str((array.dtype, array.shape)).encode() + np.ascontiguousarray(array).tobytes()
        )
    return total.hexdigest()


def save(path: str | Path, settings: str, readouts: np.ndarray, unfit: np.ndarray) -> None:
    """Write readouts and failed fits atomically; readouts not yet fitted are NaN."""
    write_atomically(
        path,
        lambda file: np.savez(file, settings=np.asarray(settings), readouts=readouts, unfit=unfit),
        "checkpoint",
    )


def load(
    path: str | Path, settings: str, readouts: np.ndarray, unfit: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Read stored readouts and failed fits, or return the given ones if there is no file.

    Stored readouts have the shape of the given ones.

    **Raises:** `ValueError` for a file of other arguments, or one that `learning_curve` has not
    written.
    """
    if not Path(path).exists():
        return readouts, unfit
    try:
        with np.load(path, allow_pickle=False) as file:
            found, stored, missed = str(file["settings"]), file["readouts"], file["unfit"]
    except (
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise checks.bad(
            "checkpoint",
            f"{path}, which is not one",
            "a file that learning_curve has written, or a new one",
        ) from error
    if found != settings or stored.shape != readouts.shape:
        raise checks.bad(
            "checkpoint",
            f"{path}, which belongs to other arguments",
            "the arguments it was begun with, or a new file",
        )
    return stored, missed
