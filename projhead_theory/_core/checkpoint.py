"""Checkpoints: npz files, never pickled, that belong to the arguments of one computation."""

import hashlib
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from . import checks
from .files import write_atomically

ARGUMENTS = "arguments"
"""Name of the array that has the fingerprint."""


def fingerprint(*parts: Any) -> str:
    """Hash of all that determines a computation.

    It takes in the structure of PyTrees, arrays with their dtype and shape, and other values.
    """
    leaves, structure = jax.tree.flatten(parts)
    # The address of a function changes from process to process.
    text = lambda value: re.sub(r" at 0x[0-9a-f]+", "", repr(value)).encode()
    total = hashlib.sha256(text(structure))
    for leaf in leaves:
        if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        if isinstance(leaf, jax.Array | np.ndarray):
            array = np.ascontiguousarray(np.asarray(leaf))
            total.update(text((array.dtype, leaf.shape)) + array.tobytes())
        else:
            total.update(text(leaf))
    return total.hexdigest()


def write(path: str | Path, arguments: str, arrays: dict[str, Any]) -> None:
    """Write arrays with the fingerprint of their computation, whole or not at all."""
    whole: dict[str, Any] = {ARGUMENTS: np.asarray(arguments), **arrays}
    write_atomically(path, lambda file: np.savez(file, **whole), "checkpoint")


def read(path: str | Path, arguments: str) -> dict[str, np.ndarray] | None:
    """Read the arrays of a checkpoint, or return None if there is no such file.

    **Raises:** `ValueError` for a file of other arguments, or one that is no checkpoint.
    """
    if not Path(path).exists():
        return None
    try:
        # NumPy leaves a file open that it opened itself and cannot read.
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        begun = str(found.pop(ARGUMENTS))
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
            "checkpoint", f"{path}, which is not one", "a file of this computation, or a new one"
        ) from error
    if begun != arguments:
        raise checks.bad(
            "checkpoint",
            f"{path}, which belongs to other arguments",
            "the arguments it was begun with, or a new file",
        )
    return found
