"""What `.ci/deep` holds: the record of its last run, and the table of tests for mutants."""

import json
import re
import runpy
import tomllib
from pathlib import Path

import pytest

from projhead_theory.theorems import CLAIMS

ROOT = Path(__file__).parents[1]
DEEP = ROOT / ".ci" / "deep"
RUN = runpy.run_path(str(DEEP / "run"))
FIELDS = {"commit", "machine", "outcome", "counts", "seconds"}


def test_every_recorded_result_says_what_ran_where_and_how_it_ended():
    record = json.loads(RUN["RECORD"].read_text())
    assert record
    assert list(record) == [stage for stage in RUN["STAGES"] if stage in record]
    for stage, result in record.items():
        assert set(result) == FIELDS, stage
        assert re.fullmatch(r"[0-9a-f]{7,40}(\+changes)?", result["commit"]), stage
        assert re.fullmatch(r".+, \d+ cores", result["machine"]), stage
        assert result["outcome"] in ("passed", "failed"), stage
        assert result["counts"], stage
        assert all(isinstance(n, int) and n >= 0 for n in result["counts"].values()), stage
        assert result["seconds"] > 0, stage


@pytest.mark.parametrize(
    ("output", "counts"),
    [
        ("...\n12 passed, 3 deselected in 4.20s\n", {"passed": 12}),
        (
            "== 1 failed, 11 passed, 2 skipped in 4.20s ==",
            {"failed": 1, "passed": 11, "skipped": 2},
        ),
        ("", {}),
    ],
)
def test_the_last_line_of_pytest_is_counted(output, counts):
    assert RUN["counted"](output) == counts


def test_mutants_are_for_tests_that_exist():
    table = tomllib.loads((DEEP / "tests.toml").read_text())
    for file, entry in table.items():
        assert (ROOT / "projhead_theory" / file).is_file(), file
        assert entry, file
        assert set(entry) <= {"tests", "claims"}
        missing = [t for t in entry.get("tests", ()) if not (ROOT / "tests" / f"{t}.py").is_file()]
        assert not missing, (file, missing)
        assert set(entry.get("claims", ())) <= set(CLAIMS), file
