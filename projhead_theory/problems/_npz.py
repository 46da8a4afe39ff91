"""Paired views in an npz file, read in chunks and never unpickled."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .._core import checks
from ..moments import Moments

_WANTED = "an npz file holding x1 and x2, real arrays (n, d) of paired views"


def read_moments(path: str | Path, dtype: Any = None, chunk: int = 65_536) -> Moments:
    """Empirical moments of the views in an npz file with arrays `x1` and `x2`, `(n, d)`.

    The file is streamed.

    **Arguments:**

    - `path`: the npz file.
    - `dtype`: the dtype to convert the views to, their own if not given.
    - `chunk`: the number of rows held at once.

    **Raises:** `ValueError` for a missing or corrupt file, arrays that are absent, pickled, not
    real, of unequal shape, empty, not finite, or with fewer than two rows.
    """
    return Moments.from_chunks(_chunks(Path(path), dtype, checks.count("chunk", chunk)))


def _chunks(path: Path, dtype: Any, chunk: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            for name in ("x1", "x2"):
                if f"{name}.npy" not in names:
                    raise checks.bad("views", f"{path} without an array {name}", _WANTED)
            with archive.open("x1.npy") as first, archive.open("x2.npy") as second:
                arrays = [_header(f, name, path) for name, f in (("x1", first), ("x2", second))]
                if arrays[0][0] != arrays[1][0]:
                    raise checks.bad(
                        "views",
                        f"x1 of shape {arrays[0][0]} and x2 of shape {arrays[1][0]}",
                        "equal shapes (n, d)",
                    )
                rows = arrays[0][0][0]
                if rows < 2:
                    raise checks.bad("views", f"{rows} rows", "at least two rows")
                # Column-major arrays do not come in rows, so they are read whole.
                size = rows if any(fortran for _, fortran, _ in arrays) else chunk
                for begin in range(0, rows, size):
                    n = min(size, rows - begin)
                    x1, x2 = (
                        _rows(f, n, *a, path) for f, a in zip((first, second), arrays, strict=True)
                    )
                    yield (x1, x2) if dtype is None else (x1.astype(dtype), x2.astype(dtype))
    except FileNotFoundError as error:
        raise checks.bad("views", f"{path}, which does not exist", _WANTED) from error
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise checks.bad("views", f"{path}, which cannot be read ({error})", _WANTED) from error


def _header(file: Any, name: str, path: Path) -> tuple[tuple[int, int], bool, np.dtype]:
    try:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(file)
    except ValueError as error:
        raise checks.bad("views", f"{path}, whose {name} is corrupt", _WANTED) from error
    if dtype.hasobject:
        raise checks.bad("views", f"{name} with pickled objects, which are never loaded", _WANTED)
    if dtype.kind not in "fiu":
        raise checks.bad("views", f"{name} of dtype {dtype}", "real numbers")
    if len(shape) != 2 or shape[1] == 0:
        raise checks.bad("views", f"{name} of shape {shape}", "an array (n, d) with d >= 1")
    return shape, fortran, dtype


def _rows(
    file: Any, n: int, shape: tuple[int, int], fortran: bool, dtype: np.dtype, path: Path
) -> np.ndarray:
    count = n * shape[1] * dtype.itemsize
    data = file.read(count)
    if len(data) < count:
        raise checks.bad("views", f"{path}, which ends early", _WANTED)
    values = np.frombuffer(data, dtype).reshape((n, shape[1]), order="F" if fortran else "C")
    return (
        values.astype(dtype.newbyteorder("=")) if values.dtype.kind == "f" else values.astype(float)
    )
