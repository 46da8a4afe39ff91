"""Chunks of a sweep on a Dask cluster, one task each."""

from collections.abc import Callable, Iterator
from typing import Any

from .._core import checks


def on_cluster(scheduler: Any, work: Callable[[int], None], chunks: list[int]) -> Iterator[int]:
    """Do the work of chunks on a cluster, and yield their numbers as they are done.

    A chunk whose worker dies is done again by another one.

    **Arguments:**

    - `scheduler`: the address of a scheduler, or a `distributed.Client`, which stays open.
    - `work`: an importable function, or a partial of one, of the number of a chunk.
    - `chunks`: numbers of the chunks.

    **Raises:** `ValueError` without the package, for an address where no scheduler answers, for a
    chunk that several workers died of, and if the scheduler is lost.
    """
    try:
        import distributed  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        wanted = "it: pip install 'projhead_theory[cluster]'"
        raise checks.bad("scheduler", "one, without the package distributed", wanted) from error
    mine = not isinstance(scheduler, distributed.Client)
    try:
        client = distributed.Client(scheduler) if mine else scheduler
    except (OSError, TypeError, ValueError) as error:
        raise checks.bad(
            "scheduler", repr(scheduler), "the address of a Dask scheduler, such as tcp://host:8786"
        ) from error
    futures = {}
    try:
        futures = {client.submit(work, chunk, pure=False): chunk for chunk in chunks}
        for future in distributed.as_completed(futures):
            future.result()
            yield futures[future]
    except distributed.KilledWorker as error:
        raise checks.bad(
            "scheduler", f"workers that died, one after the other ({error.task})", "memory for them"
        ) from error
    except distributed.CancelledError as error:
        address = scheduler if mine else client.scheduler.address
        raise checks.bad(
            "scheduler",
            f"{address!r}, which was lost; what was done is kept",
            "the same call with one that is up",
        ) from error
    finally:
        if mine:
            client.close()
        else:
            client.cancel(list(futures))
