"""Results of a command: plain data as JSON, and a table that is printed or written as CSV."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..report import Sheet


def deliver(
    table: Sheet,
    csv: str | None,
    json: str | None = None,
    data: Callable[[], dict[str, Any]] = dict,
) -> None:
    """Write the files that are asked for, and print the table unless one is standard output."""
    from .. import report

    if json is not None:
        report.write_json(data(), json)
    if csv is not None:
        report.write_csv(table, csv)
    if "-" not in (json, csv):
        report.print_table(table)
