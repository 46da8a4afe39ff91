"""`projhead verify`: run claims with their controls, or search for counterexamples."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._core.progress import COMPILING
from . import _cache
from . import _options as options
from ._compiler import compiled_lightly, for_small_programs
from ._progress import bar

if TYPE_CHECKING:
    from rich.table import Table

    from ..claims import Claim


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Claims to run; all if none is named."),
    ] = None,
    seed: options.Seed = 0,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Fewer problems a claim, compiled with little optimisation; "
            "every control all the same.",
        ),
    ] = False,
    fuzz: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Search for counterexamples instead: N random problems a claim."
        ),
    ] = None,
    json: options.Json = None,
    csv: options.Csv = None,
    html: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write a self-contained report with formulas and figures."
        ),
    ] = None,
    markdown: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the report as Markdown.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="With --json FILE: go on with the claims that FILE does not have yet."
        ),
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the claims and exit.")] = False,
    views: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.npz", help="Check the law on paired views: arrays x1, x2 of shape (n, d)."
        ),
    ] = None,
    depth: Annotated[
        int | None, typer.Option(help="With --views: number of layers, 2 if not given.")
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            help="With --views: width of every layer; "
            "by default the directions with signal, at most 8."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Threads; as many as there are cores if not given."),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            metavar="[DIR]",
            help="Keep compiled programs for the next run, in DIR or in a folder of your own.",
        ),
    ] = None,
    precision: options.Precision = "float64",
) -> int:
    """Check theorems against trained networks. Every claim runs with controls in which it must
    fail.
    """
    options.require_outputs(json=json, csv=csv, html=html, markdown=markdown)
    if fuzz is not None and (html or markdown or quick or views or workers is not None):
        raise options.bad(
            "fuzz",
            "--html, --markdown, --quick, --views or --workers beside it",
            "--fuzz with --json alone",
        )
    if resume and (
        json in (None, "-") or html or markdown or views or fuzz is not None or list_ or csv
    ):
        raise options.bad(
            "resume",
            "no --json FILE, or --csv, --html, --markdown, --views, --fuzz or --list beside it",
            "--resume with --json FILE, which has what is decided but no figures",
        )
    if views is None:
        options.require_none({"depth": depth, "width": width}, "--views FILE.npz beside it")
    if workers is not None and workers < 1:
        raise options.bad("workers", str(workers), "at least one thread")
    if fuzz is not None and fuzz < 1:
        raise options.bad("fuzz", str(fuzz), "at least one problem")
    if cache is not None and _is_claim(cache):
        raise options.bad("cache", repr(cache), f"a folder (./{cache}), or the claim before it")
    if list_ and csv is not None:
        raise options.bad("csv", "--list beside it", "projhead claims list --csv")
    if list_:
        return _list(names or [], json)
    options.set_precision(precision)
    for_small_programs()
    with _cache.kept(cache) as counts:
        claims = _chosen(names or [], views, precision, 2 if depth is None else depth, width)
        if fuzz is not None:
            code = _search(claims, fuzz, seed, json, csv)
        else:
            from ._resume import decided

            planned = [claim.name for claim in claims]
            earlier = decided(str(json), planned, seed, quick) if resume else []
            code = _run(claims, seed, quick, workers, json, html, markdown, csv, earlier)
    if cache is not None and "-" not in (json, csv):
        _print([_cache.told(cache, counts)])
    return code


def _chosen(
    names: list[str], views: str | None, precision: str, depth: int, width: int | None
) -> list[Claim]:
    """The named claims, or the law on these views."""
    from .. import theorems

    if views is None:
        return theorems.find(names)
    if names:
        raise options.bad("NAME", " ".join(names), "no claim names together with --views")
    import jax.numpy as jnp

    from ..problems import read_moments

    return [theorems.views_claim(read_moments(views, jnp.dtype(precision)), depth, width)]


def _is_claim(name: str) -> bool:
    from ..theorems import CLAIMS

    return name in CLAIMS


def _list(names: list[str], json: str | None) -> int:
    """Names and summaries, for which no theorem is imported; and all that is stated, as JSON."""
    from rich.console import Console

    from ..theorems import CLAIMS

    known = CLAIMS.known(names)
    if json is not None:
        from .. import report

        claims = [_described(CLAIMS[name]) for name in known]
        report.write_json({"schema": report.SCHEMA, "claims": claims}, json)
    if json != "-":
        for name in known:
            Console().print(f"[bold]{name}[/]: {CLAIMS.summary(name)}", highlight=False)
    return 0


def _described(claim: Claim) -> dict[str, Any]:
    return {
        "name": claim.name,
        "statement": claim.statement,
        "latex": claim.latex,
        "hypotheses": list(claim.hypotheses),
        "source": claim.source,
        "controls": [
            {"name": c.name, "breaks": c.breaks, "expects": c.expects} for c in claim.controls
        ],
    }


def _run(
    claims: list[Claim],
    seed: int,
    quick: bool,
    workers: int | None,
    json: str | None,
    html: str | None,
    markdown: str | None,
    csv: str | None,
    earlier: list[dict[str, Any]],
) -> int:
    import time

    from .. import report, theorems

    begin = time.perf_counter()
    results, entries, interrupted = [], list(earlier), False
    planned, skip = [claim.name for claim in claims], {entry["name"] for entry in earlier}
    if earlier:
        _print([f"{json} has {len(earlier)} of {len(claims)} claims."])

    def told() -> dict[str, Any]:
        entries.sort(key=lambda entry: planned.index(entry["name"]))
        return report.claims_report([], seed, quick=quick, planned=planned, earlier=entries)

    width = max(len(row) for claim in claims for row in report.claim_rows(claim))
    with bar(len(claims), COMPILING, "claims") as (advance, show, console):
        advance(len(entries))
        try:
            with compiled_lightly() if quick else contextlib.nullcontext():
                for result in theorems.verify(
                    *claims, seed=seed, quick=quick, workers=workers, skip=skip, step=show
                ):
                    results.append(result)
                    entries.append(result.to_dict())
                    if json not in (None, "-"):
                        report.write_json(told(), json)
                    if "-" not in (json, csv):
                        first = len(results) == 1
                        console.print(report.claims_table([result], header=first, width=width))
                    advance(len(entries))
        except KeyboardInterrupt:
            interrupted = True

    results.sort(key=lambda result: claims.index(result.claim))
    data = told()
    if json is not None:
        report.write_json(data, json)
    if csv is not None:
        report.write_csv(report.claims_table(results), csv)
    if html is not None:
        report.write_html(report.claims_html(results, data), html)
    if markdown is not None:
        report.write_markdown(report.claims_markdown(results, data), markdown)
    if "-" not in (json, csv):
        seconds = time.perf_counter() - begin
        lines = [f"{report.summary(data)} ({seconds:.1f} s, seed {seed})"]
        for result in results:
            if not result.holds:
                worst = result.counterexample or result.worst
                lines.append(f"{result.claim.name}: {worst.label}: {worst.verdict}")
        _print(lines)
    return _leave(interrupted, data["all_hold"])


def _search(claims: list[Claim], tries: int, seed: int, json: str | None, csv: str | None) -> int:
    from .. import report, theorems

    results, interrupted = [], False
    with bar(tries * len(claims), COMPILING, "problems") as (advance, show, _):

        def step(name: str, done: int) -> None:
            show(name)
            advance(tries * len(results) + done)

        try:
            for result in theorems.search_all(*claims, tries=tries, seed=seed, step=step):
                results.append(result)
        except KeyboardInterrupt:
            interrupted = True

    data = report.search_report(results, seed, [c.name for c in claims])
    if json is not None:
        report.write_json(data, json)
    table = report.search_table(results)
    if csv is not None:
        report.write_csv(table, csv)
    if "-" not in (json, csv):
        _print(report.search_lines(results, seed), table)
    return _leave(interrupted, data["all_survive"])


def _print(lines: list[str], table: Table | None = None) -> None:
    from rich.console import Console

    console = Console()
    if table is not None:
        console.print(table)
    for line in lines:
        console.print(line, markup=False, highlight=False)


def _leave(interrupted: bool, good: bool) -> int:
    """Exit status of a run, whose threads may still be at work if it was interrupted."""
    if interrupted:
        print(
            "projhead: interrupted; what was done is reported, and says that it is partial",
            file=sys.stderr,
        )
        options.leave(130)
        return 130
    return 0 if good else 1
