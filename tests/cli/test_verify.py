"""`projhead verify`: lists, reports, exit status, searches."""

import dataclasses
import json
import os
import re

import jax.numpy as jnp
import pytest
from helpers.cli import run
from helpers.schema import validate
from helpers.toys import CUBED, IDLE, toy

from projhead_theory.theorems import CLAIMS

pytestmark = pytest.mark.x64


def test_verify_list(capsys, tmp_path):
    """Every claim with its statement; nothing is run. As JSON with formulas, hypotheses and
    controls, alone on standard output.
    """
    code, out, _ = run(capsys, "verify", "--list")
    assert code == 0
    for name in CLAIMS:
        assert f"{name}:" in out
    code, out, _ = run(capsys, "verify", "--list", "--json", "-")
    data = json.loads(out)
    assert code == 0
    assert set(data) == {"schema", "claims"}
    assert [c["name"] for c in data["claims"]] == list(CLAIMS)
    for item in data["claims"]:
        claim = CLAIMS[item["name"]]
        assert set(item) == {"name", "statement", "latex", "hypotheses", "source", "controls"}
        assert (item["statement"], item["latex"], item["source"]) == (
            claim.statement,
            claim.latex,
            claim.source,
        )
        assert item["hypotheses"] == list(claim.hypotheses)
        assert item["controls"] == [
            {"name": c.name, "breaks": c.breaks, "expects": c.expects} for c in claim.controls
        ]
    path = tmp_path / "list.json"
    code, out, _ = run(capsys, "verify", "--list", "min-norm", "--json", str(path))
    assert (code, out.count("\n")) == (0, out.rstrip().count("\n") + 1)
    assert out.startswith("min-norm:")
    assert [c["name"] for c in json.loads(path.read_text())["claims"]] == ["min-norm"]


def test_verify_writes_every_kind_of_report(capsys, tmp_path, monkeypatch):
    """A quick run of a claim of the library and of one beside it: a table on the terminal, the same
    results in three files, exit 0.
    """
    monkeypatch.setitem(CLAIMS, "toy", toy(CUBED, dataclasses.replace(CUBED, name="cubed again")))
    paths = {kind: tmp_path / f"report.{kind}" for kind in ("json", "html", "markdown")}
    files = [word for kind, path in paths.items() for word in (f"--{kind}", str(path))]
    code, out, _ = run(
        capsys, "verify", "weight-decay-minimiser", "toy", "--quick", "--seed", "5", *files
    )
    assert code == 0
    assert sorted(tmp_path.iterdir()) == sorted(paths.values())
    data = json.loads(paths["json"].read_text())
    validate(data)
    assert (data["all_hold"], data["environment"]["seed"], data["environment"]["quick"]) == (
        True,
        5,
        True,
    )
    assert data["environment"]["float"] == "float64"
    assert [c["name"] for c in data["claims"]] == ["weight-decay-minimiser", "toy"]
    for claim in data["claims"]:
        assert len(claim["verdicts"]) == CLAIMS[claim["name"]].quick
        assert len(claim["controls"]) >= 2
        assert 0 <= claim["discrepancy"] <= claim["tolerance"]
        assert claim["seconds"] > 0
        for text in (out, paths["html"].read_text(), paths["markdown"].read_text()):
            assert claim["name"] in text
            assert all(c["name"] in text for c in claim["controls"])
    assert "Every claim holds and every control is caught. (" in out
    assert "seed 5)" in out


def test_verify_json_is_alone_on_standard_output(capsys, library):
    library("right", CUBED)
    code, out, _ = run(capsys, "verify", "--json", "-")
    data = json.loads(out)
    validate(data)
    assert (code, data["all_hold"], data["environment"]["quick"], data["environment"]["seed"]) == (
        0,
        True,
        False,
        0,
    )
    assert len(data["claims"][0]["verdicts"]) == 4


def test_claims_are_printed_one_below_another_in_the_same_columns(capsys, library):
    """Under one header, although each is printed as soon as it is decided."""
    library("right", CUBED)
    library("of-a-name-that-is-longer-than-the-header", IDLE)
    _, out, _ = run(capsys, "verify", "--workers", "1")
    rows = out.splitlines()
    (header,) = (row for row in rows if "discrepancy" in row)
    found = [row for row in rows if row.startswith(("right", "of-a-name", "  - "))]
    assert len(found) == 4
    place = header.index("outcome")
    assert all(row[place - 1] == " " and row[place] != " " for row in found)


def test_verify_takes_its_precision_from_the_option(capsys, library):
    library("right", CUBED)
    for precision in ("float32", "float64"):
        _, out, _ = run(capsys, "verify", "--json", "-", "--precision", precision)
        assert json.loads(out)["environment"]["float"] == precision


def test_verify_exit_1_if_a_control_is_not_caught(capsys, library):
    """A claim is not verified if one of its controls slips through."""
    library("right", CUBED)
    library("idle", CUBED, IDLE)
    code, out, _ = run(capsys, "verify")
    assert code == 1
    assert "not caught" in out
    assert "Not verified: idle. (" in out
    assert run(capsys, "verify", "right")[0] == 0


def test_verify_exit_1_if_a_claim_is_violated(capsys, library, tmp_path):
    """With the smallest counterexample in a sentence; and in the report."""
    library("right", CUBED)
    library("wrong", CUBED, predict=lambda p: jnp.where(p.value == 2, 4.0, 7.0)[None])
    path = tmp_path / "report.json"
    code, out, _ = run(capsys, "verify", "--json", str(path))
    assert code == 1
    assert "violated" in out
    assert "Not verified: wrong. (" in out
    assert re.search(r"^wrong: the number \d: violated: ", out, flags=re.MULTILINE)
    data = json.loads(path.read_text())
    validate(data)
    assert data["all_hold"] is False
    assert data["claims"][1]["counterexample"]["numbers"]["value"] in range(1, 10)


def test_verify_exit_1_if_a_claim_has_no_controls(capsys, library):
    library("bare")
    code, out, _ = run(capsys, "verify")
    assert code == 1
    assert "Not verified: bare." in out


def test_verify_fuzz(capsys, library, tmp_path):
    """A search alone: counts for each claim, exit 1 if one is refuted; the same in JSON."""
    library("right")
    library("wrong", predict=lambda p: jnp.zeros(1))
    path = tmp_path / "search.json"
    code, out, _ = run(capsys, "verify", "--fuzz", "3", "--seed", "2", "--json", str(path))
    assert code == 1
    assert re.search(r"right +│ +3 │ 3 holds +│ none", out), out
    assert "seed 2: refuted: wrong" in out
    data = json.loads(path.read_text())
    assert (data["all_survive"], data["partial"], data["environment"]["seed"]) == (False, False, 2)
    assert [(s["name"], s["survived"], s["tried"]) for s in data["search"]] == [
        ("right", True, 3),
        ("wrong", False, 1),
    ]
    code, out, _ = run(capsys, "verify", "right", "--fuzz", "3")
    assert (code, "seed 0: no counterexample found" in out) == (0, True)


@pytest.mark.slow
def test_verify_fuzzes_a_claim_of_the_library(capsys, monkeypatch):
    """On one of its shapes."""
    claim = CLAIMS["min-norm"]
    monkeypatch.setitem(CLAIMS, "min-norm", dataclasses.replace(claim, search=claim.search[:1]))
    code, out, _ = run(capsys, "verify", "--fuzz", "4", "min-norm", "--json", "-")
    data = json.loads(out)
    assert (code, data["all_survive"]) == (0, True)
    (found,) = data["search"]
    assert (found["name"], found["tried"], found["counterexample"]) == ("min-norm", 4, None)


def explode(problem):
    raise AssertionError("a run was begun")


@pytest.mark.parametrize("kind", ["json", "html", "markdown"])
def test_a_file_that_cannot_be_written_is_refused_before_any_run(capsys, library, tmp_path, kind):
    """No folder, a folder in its place, a folder that is closed: exit 2 and one line, and the
    claim's measurement is never called.
    """
    library("right", CUBED, measure=explode)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    places = [tmp_path / "nowhere" / "x", tmp_path]
    if not os.access(closed, os.W_OK):
        places.append(closed / "x")
    for place in places:
        code, out, err = run(capsys, "verify", f"--{kind}", str(place))
        assert (code, out) == (2, "")
        assert (
            err == f"projhead: {kind}: got {str(place)!r}; "
            "want a file in a folder that can be written to\n"
        )
