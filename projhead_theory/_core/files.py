"""Atomic writing of files."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from . import checks


def write_atomically(
    path: str | Path, write: Callable[[BinaryIO], object], name: str = "path"
) -> None:
    """Write a file whole or not at all.

    `write` fills a temporary file beside `path`, which then replaces `path` in one step: a reader
    never sees half a file.

    **Raises:** `ValueError` naming the argument `name` if the file cannot be written there.
    """
    path = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise checks.bad(
            name, f"{path} ({error.strerror})", "a file in a folder that can be written to"
        ) from error
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        as_new(temporary, 0o666)
        os.replace(temporary, path)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError):
            raise checks.bad(
                name, f"{path} ({error.strerror})", "a file that can be written"
            ) from error
        raise


def as_new(path: str | Path, mode: int) -> None:
    """Give a temporary file or folder, which is private, the mode of an ordinary new one."""
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(path, mode & ~mask)


def figure_format(path: str | Path) -> str:
    """Format of a figure, from the suffix of its file name.

    **Raises:** `ValueError` for a suffix other than .png, .svg and .pdf.
    """
    kind = Path(path).suffix.lstrip(".").lower()
    if kind not in ("png", "svg", "pdf"):
        raise checks.bad("plot", repr(str(path)), "a file ending in .png, .svg or .pdf")
    return kind
