"""A table for people that also writes itself for programs."""

import csv
import io
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text

from .._core.files import write_atomically
from ._cell import cell


class Shown(NamedTuple):
    """A cell whose text is not its value: 0.91(2) of a mean and its error.

    - `text`: the printed cell.
    - `values`: one number or word for each part of its column in a CSV file.
    """

    text: str
    values: tuple[Any, ...]


class Sheet(Table):
    """A table whose cells are printed with four digits and kept with all of them.

    A number is printed as a number, None as a question mark, a word as it is.

    !!! example

        ```pycon
        >>> sheet = pt.report.Sheet("Weights")
        >>> sheet.column("layer")
        >>> sheet.column("weight")
        >>> sheet.record(1, 2 / 3)
        >>> print(sheet.csv(), end="")
        layer,weight
        1,0.6666666666666666

        ```
    """

    def __init__(self, title: str | None = None, **style: Any):
        super().__init__(title=title, **style)
        self.names: list[str] = []
        self.records: list[list[Any]] = []

    def column(
        self, name: str, parts: Iterable[str] | None = None, *, text: bool = False, **style: Any
    ) -> None:
        """Add a column.

        **Arguments:**

        - `name`: its printed name.
        - `parts`: names of its columns in a CSV file, if not `name` alone.
        - `text`: whether it holds words, in which lines may break.
        - `style`: keywords of `rich.table.Table.add_column`.
        """
        self.add_column(name, justify="left" if text else "right", **style)
        self.names += [name] if parts is None else parts

    def record(self, *cells: Any, **style: Any) -> None:
        """Add a row of numbers, words, None or `Shown`."""
        self.summary(*cells, **style)
        rows = (c.values if isinstance(c, Shown) else (_plain(c),) for c in cells)
        self.records.append([value for values in rows for value in values])

    def summary(self, *cells: Any, **style: Any) -> None:
        """Add a row that is printed alone, such as a total."""
        self.add_row(*map(_printed, cells), **style)

    def csv(self) -> str:
        """Names of the columns, then the rows, with all digits; unknown cells are empty."""
        out = io.StringIO()
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(self.names)
        rows.writerows(self.records)
        return out.getvalue()


def write_csv(sheet: Sheet, destination: str | Path) -> None:
    """Write to a file, atomically, or to standard output if `destination` is `-`.

    **Raises:** `ValueError` if the file cannot be written.
    """
    text = sheet.csv()
    if str(destination) == "-":
        sys.stdout.write(text)
    else:
        write_atomically(destination, lambda file: file.write(text.encode()), "csv")


def _printed(value: Any) -> str:
    if isinstance(value, Shown):
        return value.text
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) else cell(value)


def _plain(value: Any) -> Any:
    """The value of a cell, without the colours of its text."""
    if isinstance(value, str):
        return Text.from_markup(value).plain.strip()
    return value if isinstance(value, int) or value is None else float(value)
