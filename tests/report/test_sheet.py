"""Tables that write themselves as CSV: every digit, one name for each column."""

import csv
import io

import numpy as np
import pytest
from helpers.cli import run
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory import report

PROBLEM = ("--strength", "2,1,0.5", "--noise", "1,0.2,0.3")


def read(text):
    """Names of the columns, and the rows by them."""
    names, *rows = csv.reader(io.StringIO(text))
    assert len(set(names)) == len(names), "a name stands twice"
    assert all(names)
    assert all(len(row) == len(names) for row in rows)
    return [dict(zip(names, row, strict=True)) for row in rows]


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_every_digit_of_a_number_is_kept(numbers):
    sheet = report.Sheet("Numbers")
    sheet.column("row")
    sheet.column("number")
    for i, x in enumerate(numbers):
        sheet.record(i, x)
    assert [float(row["number"]) for row in read(sheet.csv())] == numbers


def test_cells_are_plain():
    """No colours, no total, nothing for what is unknown, both parts of a number with its error."""
    sheet = report.Sheet("Cells")
    sheet.column("name", text=True)
    sheet.column("mean", ["mean", "error"])
    sheet.column("rest")
    sheet.record("[bold]a, b[/]", report.Shown("0.5(1)", (0.52, 0.1)), None)
    sheet.summary("total", "0.5", "")
    assert read(sheet.csv()) == [{"name": "a, b", "mean": "0.52", "error": "0.1", "rest": ""}]
    assert len(sheet.rows) == 2


def test_a_file_is_written_whole_or_an_error(tmp_path):
    sheet = report.Sheet()
    sheet.column("a")
    sheet.record(1)
    report.write_csv(sheet, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "a\n1\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    with pytest.raises(ValueError, match=r"^csv: got .*; want a file in a folder"):
        report.write_csv(sheet, tmp_path / "none" / "a.csv")


@pytest.mark.x64
def test_predict_writes_the_numbers_of_its_closed_form(capsys, tmp_path):
    code, out, err = run(capsys, "predict", *PROBLEM, "--csv", "-")
    rows = read(out)
    phi, sigma = np.array([2, 1, 0.5]), np.array([1, 0.2, 0.3])
    weights = phi / (phi**2 + sigma**2)
    assert (code, err) == (0, "")
    assert [row["feature"] for row in rows] == ["1", "2", "3"]
    found = [float(row["layer 2"]) for row in rows]
    np.testing.assert_allclose(found, weights, rtol=1e-14)
    path = tmp_path / "weights.csv"
    code, shown, _ = run(capsys, "predict", *PROBLEM, "--csv", str(path))
    assert path.read_text() == out
    assert shown.startswith("# Predicted weights")


@pytest.mark.x64
def test_phase_and_claims_write_their_tables(capsys):
    plane = ("--target", "2", "--x", "noise:0:1.5", "--y", "strength:0.2:2", "--points", "8")
    rows = read(run(capsys, "phase", *PROBLEM, *plane, "--csv", "-")[1])
    assert sum(float(row["share of the plane"]) for row in rows) == pytest.approx(1)
    rows = read(run(capsys, "claims", "list", "--csv", "-")[1])
    assert {"layerwise-law", "min-norm"} <= {row["claim"] for row in rows}


@pytest.mark.slow
@pytest.mark.x64
def test_simulate_names_every_layer(capsys):
    (first, *_) = read(run(capsys, "simulate", *PROBLEM, "--csv", "-")[1])
    names = ["layer 1", "layer 1 predicted", "layer 2", "layer 2 predicted"]
    assert list(first) == ["feature", *names]
    values = [float(first[name]) for name in names]
    np.testing.assert_allclose(values[::2], values[1::2], rtol=1e-6)


@pytest.mark.parametrize("command", [("predict", *PROBLEM), ("verify", "min-norm")])
def test_two_results_do_not_share_standard_output(capsys, command):
    code, out, err = run(capsys, *command, "--csv", "-", "--json", "-")
    assert (code, out) == (2, "")
    assert err == "projhead: csv: got '-' beside --json -; want one of both on standard output\n"


def test_a_file_that_cannot_be_written_is_refused_before_the_run(capsys):
    code, out, err = run(capsys, "verify", "min-norm", "--csv", "/nonexistent/x.csv")
    assert (code, out) == (2, "")
    assert err.startswith("projhead: csv: got '/nonexistent/x.csv'; want a file in a folder")
