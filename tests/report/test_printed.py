"""Tables whose numbers are never cut, at any width, and that other programs can read."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from projhead_theory import report


def table(depth, rows=3):
    """Weights of different lengths, some negative and in exponents."""
    result = Table(title="Weights")
    for name in ("feature", *(f"layer {layer}" for layer in range(1, depth + 1))):
        result.add_column(name, justify="right")
    for i in range(rows):
        result.add_row(f"[bold]{i}[/]", *(f"{-(10.0 ** (i - j)):.4g}" for j in range(depth)))
    return result


def numbers(depth, rows=3):
    return {f"{-(10.0 ** (i - j)):.4g}" for i in range(rows) for j in range(depth)}


def printed(made, width=80, terminal=True):
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None)
    report.print_table(made, console)
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("depth", [1, 2, 8, 30])
def test_no_number_is_cut(width, depth):
    text = printed(table(depth), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    words = set(text.replace("│", " ").split())
    assert numbers(depth) <= words
    assert text.count("Weights") == 1


def test_a_table_that_fits_is_printed_as_it_is():
    made = table(2)
    plain = io.StringIO()
    Console(file=plain, width=80, force_terminal=True, color_system=None).print(made)
    assert printed(made) == plain.getvalue()


def test_rows_are_named_in_each_part():
    text = printed(table(8), 40)
    assert text.count("feature") == text.count("┏") > 1


@given(st.integers(1, 12), st.integers(1, 5))
def test_a_pipe_gets_tabs_and_whole_cells(depth, rows):
    title, header, *lines = printed(table(depth, rows), 10, terminal=False).splitlines()
    assert title == "# Weights"
    assert header.split("\t") == ["feature", *(f"layer {n}" for n in range(1, depth + 1))]
    assert [line.split("\t")[0] for line in lines] == [str(i) for i in range(rows)]
    assert {cell for line in lines for cell in line.split("\t")[1:]} == numbers(depth, rows)
