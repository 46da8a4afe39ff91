"""Compiled programs that the next process finds on disk."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._core.errors import bad

DEFAULT = ""
"""Value of an option that names no folder."""

LARGEST = 2**30
"""Bytes the folder may hold, beyond which the programs not used for longest are deleted.

A limit has a second use: JAX then locks the folder, so that no process reads a program that another
has half written.
"""

HIT, MISS = "/jax/compilation_cache/cache_hits", "/jax/compilation_cache/cache_misses"


def with_folder(arguments: list[str]) -> list[str]:
    """Arguments in which an option `--cache` without a folder stands for the default folder."""
    return [
        f"--cache={DEFAULT}" if item == "--cache" and following.startswith("-") else item
        for item, following in zip(arguments, [*arguments[1:], "-"], strict=False)
    ]


def place(folder: str) -> Path:
    """The folder of the cache, which need not exist."""
    import platformdirs

    return Path(folder) if folder else platformdirs.user_cache_path("projhead_theory") / "xla"


def private(folder: str) -> Path:
    """The folder of the cache, made for this user alone if there is none.

    JAX runs whatever programs it finds there, so nobody else may write to it.

    **Raises:** `ValueError` if the folder cannot be made or written to, or others may write to it.
    """
    path = place(folder)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError as error:
        raise bad("cache", f"{str(path)!r} ({error.strerror})", "a folder") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise bad("cache", repr(str(path)), "a folder that can be written to")
    foreign = hasattr(os, "getuid") and status.st_uid != os.getuid()
    if foreign or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise bad(
            "cache",
            f"{str(path)!r}, to which other users may write",
            "a folder of your own (chmod 700), because its programs are run",
        )
    return path


@contextlib.contextmanager
def kept(folder: str | None) -> Iterator[Counter[str]]:
    """Keep compiled programs in a folder, and count the programs found there and not found.

    Yields a counter with the keys `HIT` and `MISS`, which is filled at the end. Programs of every
    size and compile time are kept: JAX by default keeps those that take over a second, which is
    hardly any of ours.
    """
    counts: Counter[str] = Counter()
    if folder is None:
        yield counts
        return
    path = private(folder)
    import jax

    ours = {
        "jax_compilation_cache_dir": str(path),
        "jax_compilation_cache_max_size": LARGEST,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in ours}
    seen: Counter[str] = Counter()
    jax.monitoring.register_event_listener(lambda event, **_: seen.update([event]))
    _update(ours)
    try:
        yield counts
    finally:
        counts.update({event: seen[event] for event in (HIT, MISS)})
        _update(before)


def _update(settings: dict[str, Any]) -> None:
    import jax
    from jax.experimental.compilation_cache.compilation_cache import reset_cache

    for name, value in settings.items():
        jax.config.update(name, value)
    # JAX decides once for all whether there is a cache.
    reset_cache()


def told(folder: str, counts: Counter[str]) -> str:
    """One sentence on the use of the cache."""
    return (
        f"Compiled programs: {counts[HIT]} from the cache, {counts[MISS]} new ({private(folder)})."
    )
