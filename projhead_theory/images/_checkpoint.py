"""Checkpoints of a training run: npz files, never pickled, that belong to one run."""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._core import checks
from .._core.files import write_atomically


def fingerprint(*parts: Any) -> str:
    """Hash of all that determines a run: shapes, dtypes and numbers of arrays, and other values."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(parts):
        value = leaf
        if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(leaf)
        if isinstance(value, jax.Array | np.ndarray):
            array = np.ascontiguousarray(np.asarray(value))
            text = f"{array.dtype}{array.shape}"
            digest.update(array.tobytes())
        else:
            # A function has no value; its address changes from process to process.
            text = getattr(value, "__qualname__", None) or repr(value)
        digest.update(f"{jax.tree_util.keystr(path)} {text}\n".encode())
    return digest.hexdigest()


def write(path: Path, run: str, epoch: int, state: Any, losses: np.ndarray) -> None:
    """Write the state after so many epochs, whole or not at all."""
    leaves = enumerate(jax.tree.leaves(state))
    arrays: dict[str, Any] = {f"leaf_{i}": np.asarray(leaf) for i, leaf in leaves}
    head = np.frombuffer(json.dumps({"run": run, "epoch": epoch}).encode(), np.uint8)
    write_atomically(
        path, lambda file: np.savez(file, head=head, losses=losses, **arrays), "checkpoint"
    )


def read(path: Path, run: str, state: Any) -> tuple[int, Any, np.ndarray] | None:
    """Epochs done, state and losses of a checkpoint, or None if there is no such file.

    **Raises:** `ValueError` for a corrupt file, or one of another run.
    """
    if not path.exists():
        return None
    leaves, structure = jax.tree.flatten(state)
    try:
        # NumPy leaves a file open that it opened itself and cannot read.
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            head = json.loads(file["head"].tobytes())
            losses = file["losses"]
            found = [file[f"leaf_{i}"] for i in range(len(leaves))] if head["run"] == run else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise checks.bad(
            "checkpoint", f"{path}, which cannot be read", "a checkpoint of this run, or no file"
        ) from error
    if found is None:
        raise checks.bad(
            "checkpoint",
            f"{path} of a run with other data, network or settings",
            "one of this run, or no file",
        )
    return int(head["epoch"]), jax.tree.unflatten(structure, map(checks.array, found)), losses
