"""`projhead sweep`: train networks over a grid of problems, into a Zarr store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._core.progress import COMPILING, clock, tell
from . import _options as options

if TYPE_CHECKING:
    from ..sweeps import Progress

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def sweep(
    specification: Annotated[
        str,
        typer.Argument(
            metavar="SPEC.toml",
            help="Specification, in TOML or JSON; its indices, as in noise[0], count from 0.",
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(metavar="DIR.zarr", help="Folder of the Zarr store, new or to be resumed."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the number of runs and programs, bytes and time."),
    ] = False,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Run part I of N alone, counted from 0.")
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Number of processes; 1 for this one, on all of its cores.")
    ] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Run on the workers of this Dask scheduler."),
    ] = None,
    chunk_size: Annotated[
        int | None, typer.Option(help="The most runs that are written together.")
    ] = None,
    max_memory: Annotated[
        str | None, typer.Option(metavar="BYTES", help="Most memory to work in, such as 500M.")
    ] = None,
    json: options.Json = None,
    precision: options.Precision = "float64",
) -> int:
    """Train networks over a grid of problems and write what is measured, beside the closed form.

    The same command resumes an interrupted sweep.
    """
    options.set_precision(precision)
    memory = None if max_memory is None else _bytes(max_memory)
    part = None if shard is None else _part(shard)
    if out is None and not dry_run:
        raise options.bad("out", "nothing", "--out DIR.zarr, or --dry-run")
    if workers < 1 or (workers > 1 and scheduler is not None):
        raise options.bad("workers", workers, "at least 1, or a scheduler in their place")
    from ..sweeps import load_plan, perform

    try:
        plan = load_plan(specification, chunk_size=chunk_size, max_memory=memory)
    except ValueError as error:
        # A line for each error of the file.
        lines = str(error).splitlines()
        for line in lines[:-1]:
            print(f"projhead: {line}", file=sys.stderr)
        raise ValueError(lines[-1]) from error
    options.require_writable("json", json)
    if dry_run:
        return _tell(plan.summary(timed=True), json)
    last: list[Progress] = []

    def show(progress: Progress) -> None:
        last[:] = [progress]
        line = (
            f"{progress.done:,} of {progress.runs:,} runs, {progress.rate:,.0f} a second, "
            f"{clock(progress.left)} left"
        )
        tell(line, last=progress.done == progress.runs)

    if scheduler is None:
        tell(f"{plan.specification.runs:,} runs, {COMPILING}")
    if workers > 1:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            result = perform(plan, out, part, pool, show)
    else:
        result = perform(plan, out, part, None, show, scheduler)
    ended = result.outcomes()
    report = plan.summary() | {
        "out": str(Path(out or "").resolve()),
        "complete": result.complete,
        "ended": ended,
        "here": last[0].here if last else 0,
        "seconds": round(last[0].seconds, 3) if last else 0.0,
    }
    return _tell(report, json)


def _tell(report: dict[str, Any], json: str | None) -> int:
    """Print a report as lines, and write it as JSON if asked."""
    if json is not None:
        from ..report import write_json

        write_json(report, json)
    if json != "-":
        for name, value in report.items():
            if isinstance(value, dict):
                value = ", ".join(f"{n} {c:,}" for n, c in value.items())
            shown = (
                f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
            )
            print(f"{name.replace('_', ' ')}: {shown}")
    return 0


def _bytes(text: str) -> int:
    number, unit = text.rstrip("KMGT"), text.lstrip("0123456789.")
    try:
        return int(float(number) * UNITS[unit])
    except (ValueError, KeyError):
        raise options.bad("max-memory", repr(text), "bytes, such as 500M or 2G") from None


def _part(text: str) -> tuple[int, int]:
    try:
        part, parts = (int(n) for n in text.split("/"))
    except ValueError:
        raise options.bad("shard", repr(text), "I/N, such as 0/4") from None
    return part, parts
