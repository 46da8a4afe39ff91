"""What has been computed of a learning curve, in a file that knows which one it belongs to."""

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .. import _checks
from .._files import write_atomically


def digest(tree: Any, *numbers: Any) -> str:
    """One string for all arguments: every array with its dtype and shape, and the structure that holds them."""
    leaves, structure = jax.tree.flatten(tree)
    total = hashlib.sha256(str((structure, numbers)).encode())
    for leaf in leaves:
        array = np.asarray(leaf)
        total.update(
            str((array.dtype, array.shape)).encode() + np.ascontiguousarray(array).tobytes()
        )
    return total.hexdigest()


def save(path: str | Path, settings: str, readouts: np.ndarray, unfit: np.ndarray) -> None:
    """Write what there is, whole or not at all; read-outs not yet fitted are NaN."""
    write_atomically(
        path,
        lambda file: np.savez(file, settings=np.asarray(settings), readouts=readouts, unfit=unfit),
        "checkpoint",
    )


def load(
    path: str | Path, settings: str, readouts: np.ndarray, unfit: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Read-outs and failed fits: those of the file, of these shapes, if there is one, else those given. Raises `ValueError` for a file of
    other arguments, or none of ours.
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
        raise _checks.bad(
            "checkpoint",
            f"{path}, which is not one",
            "a file that learning_curve has written, or a new one",
        ) from error
    if found != settings or stored.shape != readouts.shape:
        raise _checks.bad(
            "checkpoint",
            f"{path}, which belongs to other arguments",
            "the arguments it was begun with, or a new file",
        )
    return stored, missed
