"""`projhead claims`: claims by family, and all that one of them states."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="List the claims, or show one.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List the claims by family, with one line each."""
    from rich.table import Table

    from ..report import print_table
    from ..theorems import CLAIMS

    table = Table(box=None, pad_edge=False)
    for name in ("claim", "family", "states"):
        table.add_column(name)
    for name in CLAIMS.known():
        table.add_row(name, CLAIMS.modules[name].split(".")[-2], CLAIMS.summary(name))
    print_table(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="Name of a claim.")]) -> None:
    """Show a claim: statement, formula, hypotheses, controls, source."""
    from ..theorems import find

    (claim,) = find([name])
    lines = [claim.name, "", claim.statement]
    if claim.latex:
        lines += ["", f"    {claim.latex}"]
    lines += ["", "Hypotheses:", *(f"  - {text}" for text in claim.hypotheses or ["none"])]
    lines += ["", "Controls, in which the check must fail:"]
    lines += [f"  - {control.name}: {control.breaks}" for control in claim.controls]
    lines += ["", f"Source: {claim.source}", "", f"Run it: projhead verify {claim.name}"]
    print("\n".join(lines))
