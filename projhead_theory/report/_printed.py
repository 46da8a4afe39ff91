"""Tables on a terminal of any width, or in a pipe."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

WIDEST = 100_000
PROSE = 20
"""Columns of the screen that a column of text needs, in which lines may break."""


def print_table(table: Table, console: Console | None = None) -> None:
    """Print a table so that no number is cut.

    On a terminal, columns that do not fit beside the others follow below, with the first column
    again. Otherwise the cells are separated by tabs, one row a line, so that other programs can
    read them: under the title, which follows a `#`, and a line with the names of the columns.

    **Arguments:**

    - `table`: its first column names the rows; those aligned on the right are numbers, and no line
      breaks in them.
    - `console`: standard output by default.
    """
    console = Console() if console is None else console
    if not console.is_terminal:
        if table.title:
            print(f"# {table.title}", file=console.file)
        for row in ([_plain(column.header) for column in table.columns], *_rows(table)):
            print("\t".join(row), file=console.file)
        return
    table, *more = _parts(table, console)
    console.print(table)
    for part in more:
        part.title = None
        console.print(part)


def _plain(cell: object) -> str:
    """Text of a cell without its colours."""
    return Text.from_markup(str(cell)).plain.strip()


def _rows(table: Table) -> list[list[str]]:
    cells = [[_plain(cell) for cell in column.cells] for column in table.columns]
    return [list(row) for row in zip(*cells, strict=True)]


def _width(table: Table, console: Console) -> int:
    """Columns of the screen that a table needs."""
    return Measurement.get(console, console.options.update(width=WIDEST), table).maximum


def _parts(table: Table, console: Console) -> list[Table]:
    """The table, or tables with some of its columns each, of which every one fits."""
    first, *others = table.columns
    parts, chosen = [], []
    for column in others:
        trial = _with(table, [first, *chosen, column], prose=PROSE)
        if chosen and _width(trial, console) > console.width:
            parts.append(_with(table, [first, *chosen]))
            chosen = []
        chosen.append(column)
    return [*parts, _with(table, [first, *chosen])]


def _with(table: Table, columns: list[Column], prose: int | None = None) -> Table:
    """A table with these columns of another, with a bound on the width of text."""
    part = Table(title=table.title, box=table.box, pad_edge=table.pad_edge)
    for index, column in enumerate(columns):
        whole = index == 0 or column.justify == "right"
        part.add_column(
            column.header,
            justify=column.justify,
            style=column.style,
            no_wrap=whole,
            max_width=None if whole else prose,
        )
    for row, cells in zip(table.rows, zip(*(c.cells for c in columns), strict=True), strict=True):
        part.add_row(*cells, end_section=row.end_section)
    return part
