"""Report of claims as a page of Markdown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._core.files import write_atomically
from ..claims import ClaimResult
from ._claims import claims_report, short, summary


def claims_markdown(results: Sequence[ClaimResult], data: dict[str, Any] | None = None) -> str:
    """Report of claims as a page of Markdown, with one section a claim.

    A section has the statement, hypotheses, verdicts with their error budgets, and controls.

    **Arguments:**

    - `results`: results of the claims.
    - `data`: the `claims_report` of these results, made anew if not given.
    """
    data = claims_report(results, seed=0) if data is None else data
    word = summary(data)
    lines = ["# Claims", "", f"**{word}**" if data["partial"] else word, ""]
    for result, values in zip(results, data["claims"], strict=True):
        claim = result.claim
        lines += [f"## {claim.name}", "", claim.statement, ""]
        if claim.latex:
            lines += [f"$$ {claim.latex} $$", ""]
        lines += [
            f"*Hypotheses*: {'; '.join(claim.hypotheses) or 'none stated'}. "
            f"*Source*: {claim.source}.",
            "",
        ]
        lines += [
            "| problem | outcome | discrepancy | tolerance | made of | worst at |",
            "|---|---|---|---|---|---|",
        ]
        for trial in result.trials:
            v, i = trial.verdict, trial.verdict.worst
            cells = [
                trial.label,
                v.name.replace("_", " "),
                short(float(v.discrepancy[i])),
                short(float(v.tolerance[i])),
                budget(v, i),
                v.labels[i],
            ]
            lines.append(_row(cells))
        lines += [
            "",
            "| control | what it breaks | outcome | discrepancy | tolerance |",
            "|---|---|---|---|---|",
        ]
        for control in values["controls"]:
            word = ("caught: " if control["caught"] else "**not caught**: ") + control[
                "outcome"
            ].replace("_", " ")
            lines.append(
                _row(
                    [
                        control["name"],
                        control["breaks"],
                        word,
                        short(control["discrepancy"]),
                        short(control["tolerance"]),
                    ]
                )
            )
        lines.append("")
        if result.counterexample is not None:
            lines += [
                "**Refuted** by the smallest problem found:",
                "",
                f"> {result.counterexample.verdict}",
                "",
            ]
            lines += ["```json", _numbers(values["counterexample"]["numbers"]), "```", ""]
    lines += ["## Environment", "", "| what | value |", "|---|---|"]
    lines += [_row([name, str(value)]) for name, value in data["environment"].items()]
    return "\n".join(lines) + "\n"


def write_markdown(text: str, path: str | Path) -> None:
    """Write a page, atomically.

    **Raises:** `ValueError` if the file cannot be written.
    """
    write_atomically(path, lambda file: file.write(text.encode()), "markdown")


def budget(verdict: Any, row: int) -> str:
    """The parts of a tolerance, largest first."""
    parts = sorted(
        ((float(value[row]), name) for name, value in verdict.parts.items()), reverse=True
    )
    return ", ".join(f"{name} {size:.0e}" for size, name in parts if size > 0) or "nothing"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _numbers(numbers: dict[str, Any]) -> str:
    import json

    return json.dumps(numbers, indent=1)
