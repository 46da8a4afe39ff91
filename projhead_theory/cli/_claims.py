"""`projhead claims`: claims by family, and all that one of them states."""

from __future__ import annotations

from typing import Annotated

import typer

from . import _options as options
from ._output import deliver

app = typer.Typer(help="List the claims, or show one.", no_args_is_help=True)


@app.command("list")
def list_(csv: options.Csv = None) -> None:
    """List the claims by family, with one line each."""
    options.require_outputs(csv=csv)
    from ..report import Sheet
    from ..theorems import CLAIMS

    table = Sheet(box=None, pad_edge=False)
    for name in ("claim", "family", "states"):
        table.column(name, text=True)
    for name in CLAIMS.known():
        table.record(name, CLAIMS.modules[name].split(".")[-2], CLAIMS.summary(name))
    deliver(table, csv)


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
