"""`projhead verify`: run claims with their controls."""

from typing import Annotated

import typer

from . import _options as options


def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Claims to run; all if none is named.")] = None,
    seed: options.Seed = 0,
    json: options.Json = None,
    list_: Annotated[bool, typer.Option("--list", help="List the claims and exit.")] = False,
    views: Annotated[
        str | None, typer.Option(metavar="FILE.npz", help="Check the law on paired views: arrays x1, x2 of shape (n, d).")
    ] = None,
    depth: Annotated[int, typer.Option(help="With --views: number of layers.")] = 2,
    width: Annotated[int | None, typer.Option(help="With --views: width of every layer; the rank if not given.")] = None,
    precision: options.Precision = "float64",
) -> int:
    """Check theorems against trained networks. Every claim runs with controls in which it must fail."""
    options.set_precision(precision)
    from rich.console import Console

    from .. import claims, report

    console, quiet = Console(), Console(stderr=True)
    if list_:
        for claim in claims.CLAIMS.values():
            console.print(f"[bold]{claim.name}[/]: {claim.statement} ({claim.source})", highlight=False)
        return 0
    if views is not None:
        if names:
            raise options.bad("NAME", " ".join(names), "no claim names together with --views")
        import jax.numpy as jnp

        from ..problems import read_moments

        chosen = [claims.views_claim(read_moments(views, jnp.dtype(precision)), depth, width)]
    else:
        chosen = claims.find(names or [])

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    results = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=quiet, transient=True) as progress:
        task = progress.add_task("", total=len(chosen))
        for claim in chosen:
            progress.update(task, description=claim.name)
            results.append(claims.check(claim, seed))
            progress.advance(task)

    data = report.claims_report(results, seed)
    if json is not None:
        report.write_json(data, json)
    if json != "-":
        console.print(report.claims_table(results))
        total = sum(r.seconds for r in results)
        verdict = "Every claim holds and every control is caught." if data["all_hold"] else "Not verified: see above."
        console.print(f"{verdict} ({total:.1f} s, seed {seed})")
        for result in results:
            if not result.holds:
                console.print(f"{result.claim.name}: {result.worst}", markup=False, highlight=False)
    return 0 if data["all_hold"] else 1
