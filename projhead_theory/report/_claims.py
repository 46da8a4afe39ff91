"""Claims, reported."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from ..claims import ClaimResult
from ._json import environment


def claims_report(results: Sequence[ClaimResult], seed: int) -> dict[str, Any]:
    """All claims with their controls. `all_hold`: every claim holds and every control is caught."""
    return {
        "claims": [r.to_dict() for r in results],
        "environment": {**environment(), "seed": seed},
        "all_hold": all(r.verified for r in results),
    }


def claims_table(results: Sequence[ClaimResult]) -> Table:
    """One row a claim with its worst verdict, then one a control."""
    table = Table()
    table.add_column("claim, and its controls", no_wrap=True)
    table.add_column("outcome")
    for name in ("discrepancy", "tolerance", "seconds"):
        table.add_column(name, justify="right")
    for result in results:
        worst, data = result.worst, result.to_dict()
        word = worst.name.replace("_", " ")
        style = "green" if result.holds else "red"
        seconds = f"{result.seconds:.1f}"
        table.add_row(
            f"[bold]{result.claim.name}[/]", f"[{style}]{word}[/]", _short(data["discrepancy"]), _short(data["tolerance"]), seconds
        )
        for control, values in zip(result.controls, data["controls"], strict=True):
            caught = "[green]caught[/]" if control.caught else f"[red]not caught: {values['outcome'].replace('_', ' ')}[/]"
            table.add_row(f"  - {control.control.name}", caught, _short(values["discrepancy"]))
        table.add_section()
    return table


def _short(x: float | None) -> str:
    return "-" if x is None else f"{x:.1e}"
