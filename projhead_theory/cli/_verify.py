"""`projhead verify`: run claims with their controls, or search for counterexamples."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import _options as options
from ._compiler import compiled_lightly, for_small_programs

if TYPE_CHECKING:
    from rich.console import Console

    from ..claims import Claim, ClaimResult


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
    html: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write a self-contained report with formulas and figures."
        ),
    ] = None,
    markdown: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the report as Markdown.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the claims and exit.")] = False,
    views: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.npz", help="Check the law on paired views: arrays x1, x2 of shape (n, d)."
        ),
    ] = None,
    depth: Annotated[int, typer.Option(help="With --views: number of layers.")] = 2,
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
    precision: options.Precision = "float64",
) -> int:
    """Check theorems against trained networks. Every claim runs with controls in which it must
    fail.
    """
    for name, path in (("json", json), ("html", html), ("markdown", markdown)):
        options.require_writable(name, path)
    if fuzz is not None and (html or markdown or quick or views or workers is not None):
        raise options.bad(
            "fuzz",
            "--html, --markdown, --quick, --views or --workers beside it",
            "--fuzz with --json alone",
        )
    if workers is not None and workers < 1:
        raise options.bad("workers", str(workers), "at least one thread")
    if fuzz is not None and fuzz < 1:
        raise options.bad("fuzz", str(fuzz), "at least one problem")
    if list_:
        return _list(names or [], json)
    options.set_precision(precision)
    for_small_programs()
    from rich.console import Console

    from .. import theorems

    if views is None:
        chosen = theorems.find(names or [])
    else:
        if names:
            raise options.bad("NAME", " ".join(names), "no claim names together with --views")
        import jax.numpy as jnp

        from ..problems import read_moments

        chosen = [theorems.views_claim(read_moments(views, jnp.dtype(precision)), depth, width)]
    if fuzz is not None:
        return _search(chosen, fuzz, seed, json, Console())
    return _run(chosen, seed, quick, workers, json, html, markdown, Console())


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
    chosen: list[Claim],
    seed: int,
    quick: bool,
    workers: int | None,
    json: str | None,
    html: str | None,
    markdown: str | None,
    console: Console,
) -> int:
    import contextlib
    import time

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from .. import claims, report

    results, interrupted, begin = [], False, time.perf_counter()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_quiet(), transient=True) as progress:
        task = progress.add_task("", total=len(chosen))

        def done(result: ClaimResult) -> None:
            results.append(result)
            progress.advance(task)

        show = lambda step: progress.update(task, description=step)
        try:
            with compiled_lightly() if quick else contextlib.nullcontext():
                claims.check_all(
                    chosen, seed, quick=quick, workers=workers, progress=done, step=show
                )
        except KeyboardInterrupt:
            interrupted = True

    results.sort(key=lambda result: chosen.index(result.claim))
    data = report.claims_report(results, seed, quick=quick, planned=[c.name for c in chosen])
    if json is not None:
        report.write_json(data, json)
    if html is not None:
        report.write_html(report.claims_html(results, data), html)
    if markdown is not None:
        report.write_markdown(report.claims_markdown(results, data), markdown)
    if json != "-":
        console.print(report.claims_table(results))
        seconds = time.perf_counter() - begin
        console.print(f"{report.summary(data)} ({seconds:.1f} s, seed {seed})", highlight=False)
        for result in results:
            if not result.holds:
                worst = result.counterexample or result.worst
                console.print(
                    f"{result.claim.name}: {worst.label}: {worst.verdict}",
                    markup=False,
                    highlight=False,
                )
    if interrupted:
        print(
            "projhead: interrupted; what was done is reported, and says that it is partial",
            file=sys.stderr,
        )
        options.leave(130)
        return 130
    return 0 if data["all_hold"] else 1


def _search(chosen: list[Claim], tries: int, seed: int, json: str | None, console: Console) -> int:
    import jax
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from .. import claims, report

    results, interrupted = [], False
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_quiet(), transient=True) as progress:
        task = progress.add_task("", total=tries * len(chosen))
        try:
            for number, claim in enumerate(chosen):
                progress.update(task, description=claim.name)
                show = lambda done, number=number: progress.update(
                    task, completed=number * tries + done
                )
                results.append(claims.search_both(claim, tries, seed, show))
                # Compiled programs are of no use to the next claim, and hold memory mappings, of
                # which a process has a limited number.
                jax.clear_caches()
        except KeyboardInterrupt:
            interrupted = True

    data = report.search_report(results, seed, [c.name for c in chosen])
    if json is not None:
        report.write_json(data, json)
    if json != "-":
        console.print(report.search_table(results))
        found = [r for r in results if r.counterexample is not None]
        for result in found:
            console.print(
                f"{result.claim.name}: {result.counterexample.label}: "
                f"{result.counterexample.verdict}",
                markup=False,
                highlight=False,
            )
        for exact in (r.exact for r in results if r.exact is not None):
            for what, trial in (("false alarm", exact.false_alarm), ("missed", exact.missed)):
                if trial is not None:
                    console.print(
                        f"{exact.claim.name}: {what}: {trial.label}: {trial.verdict}",
                        markup=False,
                        highlight=False,
                    )
        wrong = [
            r.exact.claim.name for r in results if r.exact is not None and not r.exact.survived
        ]
        said = {"refuted": [r.claim.name for r in found], "check at fault": wrong}
        summary = "; ".join(f"{what}: {', '.join(names)}" for what, names in said.items() if names)
        console.print(f"seed {seed}: {summary or 'no counterexample found'}")
    if interrupted:
        print(
            "projhead: interrupted; what was done is reported, and says that it is partial",
            file=sys.stderr,
        )
        return 130
    return 0 if data["all_survive"] else 1


def _quiet() -> Console:
    from rich.console import Console

    return Console(stderr=True)
