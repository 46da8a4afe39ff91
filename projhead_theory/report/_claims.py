"""Claims, reported as plain data and as a table."""

from collections.abc import Sequence
from typing import Any

from ..claims import FAMILY_ERROR, Claim, ClaimResult, SearchResult
from ._json import environment
from ._sheet import Sheet, Shown

SCHEMA = 2
"""Version of the claims report.

It rises when a field is removed or changes its meaning, not when one is added.
"""


def claims_report(
    results: Sequence[ClaimResult],
    seed: int,
    *,
    quick: bool = False,
    planned: Sequence[str] | None = None,
    earlier: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Report of all claims with their controls, as plain data.

    `earlier` has entries of the same run from before an interruption.

    - `all_hold`: whether every planned claim was run, holds, and had every control caught.
    - `partial`: whether some claims of `planned` were not run.
    - `missing`: names of the claims that were not run.
    - `family_error`: probability that chance alone fails any of the significance tests.

    The schema is in the documentation, under *Reports*.
    """
    entries = [*earlier, *(r.to_dict() for r in results)]
    names = [entry["name"] for entry in entries]
    missing = [name for name in planned or () if name not in names]
    return {
        "schema": SCHEMA,
        "claims": entries,
        "environment": {**environment(), "seed": seed, "quick": quick},
        "family_error": FAMILY_ERROR,
        "partial": bool(missing),
        "missing": missing,
        "all_hold": not missing and bool(entries) and all(e["verified"] for e in entries),
    }


def search_report(
    results: Sequence[SearchResult], seed: int, planned: Sequence[str] | None = None
) -> dict[str, Any]:
    """Report of a random search, as plain data.

    `all_survive`: no counterexample to any planned claim, no false alarm and no missed mutant.
    """
    missing = [name for name in planned or () if name not in {r.claim.name for r in results}]
    return {
        "schema": SCHEMA,
        "search": [r.to_dict() for r in results],
        "environment": {**environment(), "seed": seed},
        "partial": bool(missing),
        "missing": missing,
        "all_survive": not missing and all(r.survived for r in results),
    }


def claim_rows(claim: Claim) -> list[str]:
    """First column of the rows of a claim: its name, and the names of its controls."""
    return [claim.name, *(f"  - {control.name}" for control in claim.controls)]


def claims_table(
    results: Sequence[ClaimResult], *, header: bool = True, width: int | None = None
) -> Sheet:
    """Table of claims: one row a claim with its worst verdict, then one a control.

    Tables with the same width of the first column line up when they are printed one by one.

    **Arguments:**

    - `header`: whether the table begins with the names of its columns.
    - `width`: of the first column, in characters; by default the length of its longest entry.
    """
    table = Sheet(box=None, show_header=header, pad_edge=False)
    first, *numbers = "claim, and its controls", "discrepancy", "tolerance", "seconds"
    table.column(
        first, ["claim", "control"], text=True, no_wrap=True, min_width=max(width or 0, len(first))
    )
    table.column("outcome", text=True, width=len("premise failed"))
    for name in numbers:
        table.column(name, min_width=len(name))
    for result in results:
        name, *controls = claim_rows(result.claim)
        of = lambda data: (
            Shown(short(data["discrepancy"]), (data["discrepancy"],)),
            Shown(short(data["tolerance"]), (data["tolerance"],)),
        )
        data = result.to_dict()
        word = result.outcome.replace("_", " ")
        style = "green" if result.holds else "red"
        seconds = Shown(f"{result.seconds:.1f}", (result.seconds,))
        claim = Shown(f"[bold]{name}[/]", (name, ""))
        table.record(claim, f"[{style}]{word}[/]", *of(data), seconds)
        for row, control, values in zip(controls, result.controls, data["controls"], strict=True):
            caught = (
                "[green]caught[/]"
                if control.caught
                else f"[red]not caught: {values['outcome'].replace('_', ' ')}[/]"
            )
            own = Shown(row, (name, values["name"]))
            table.record(own, caught, *of(values), Shown("", (None,)))
    return table


def search_table(results: Sequence[SearchResult]) -> Sheet:
    """Table of random searches, one row a claim: outcomes of random problems.

    Further rows have the outcomes of networks set to the closed form and of their mutants, which
    have a weight off.
    """
    table = Sheet()
    table.column("claim", ["claim", "networks"], text=True, no_wrap=True)
    table.column("problems")
    table.column("outcomes", text=True)
    table.column("counterexample", text=True)
    listed = lambda outcomes: ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in outcomes.items()
    )
    mark = lambda fine, good, bad: f"[green]{good}[/]" if fine else f"[red]{bad}[/]"
    for result in results:
        found = mark(result.counterexample is None, "none", "found")
        name = result.claim.name
        first = Shown(f"[bold]{name}[/]", (name, "trained"))
        table.record(first, result.tried, listed(result.outcomes), found)
        if result.exact is not None:
            e = result.exact
            table.record(
                Shown("  - exact networks", (name, "exact")),
                e.tried,
                listed(e.outcomes),
                mark(e.false_alarm is None, "none", "false alarm"),
            )
            table.record(
                Shown("  - a weight off", (name, "a weight off")),
                sum(e.off.values()),
                listed(e.off),
                mark(e.missed is None, "none", "missed"),
            )
    return table


def search_lines(results: Sequence[SearchResult], seed: int) -> list[str]:
    """Findings of random searches, one line each, and a last line on all of them."""
    checks = [r.exact for r in results if r.exact is not None]
    lines = [
        f"{result.claim.name}: {kind}{trial.label}: {trial.verdict}"
        for result, kinds in (
            *((r, {"": r.counterexample}) for r in results),
            *((e, {"false alarm: ": e.false_alarm, "missed: ": e.missed}) for e in checks),
        )
        for kind, trial in kinds.items()
        if trial is not None
    ]
    said = {
        "refuted": [r.claim.name for r in results if r.counterexample is not None],
        "check at fault": [e.claim.name for e in checks if not e.survived],
    }
    summary = "; ".join(f"{what}: {', '.join(names)}" for what, names in said.items() if names)
    return [*lines, f"seed {seed}: {summary or 'no counterexample found'}"]


def summary(data: dict[str, Any]) -> str:
    """One sentence on the whole run."""
    if data["partial"]:
        return f"Partial: interrupted before {', '.join(data['missing'])}."
    if data["all_hold"]:
        return "Every claim holds and every control is caught."
    wrong = [c["name"] for c in data["claims"] if not c["verified"]]
    return f"Not verified: {', '.join(wrong)}."


def short(x: float | None) -> str:
    return "-" if x is None else f"{x:.1e}"
