"""Claims and surroundings, shown on the command line."""

import json

import pytest
from helpers.cli import run

from projhead_theory.theorems import CLAIMS


def test_all_claims_are_listed_by_family(capsys):
    code, out, _ = run(capsys, "claims", "list")
    header, *lines = out.splitlines()
    rows = [line.split("\t") for line in lines]
    assert code == 0
    assert header.split("\t") == ["claim", "family", "states"]
    assert [row[0] for row in rows] == list(CLAIMS)
    assert all(family in CLAIMS.modules[name] and text for name, family, text in rows)


def test_one_claim_is_shown_whole(capsys):
    code, out, _ = run(capsys, "claims", "show", "flow-times")
    claim = CLAIMS["flow-times"]
    assert code == 0
    for text in (claim.statement, claim.latex, claim.source, *claim.hypotheses):
        assert text in out
    for control in claim.controls:
        assert f"{control.name}: {control.breaks}" in out


def test_an_unknown_claim_gets_the_nearest_name(capsys):
    code, out, err = run(capsys, "claims", "show", "flow-time")
    assert (code, out) == (2, "")
    assert "did you mean 'flow-times'?" in err


@pytest.mark.parametrize("name", ["projhead_theory", "jax", "devices", "float", "cache"])
def test_info_names_what_results_depend_on(capsys, name):
    _, out, _ = run(capsys, "info")
    _, data, _ = run(capsys, "info", "--json", "-")
    assert any(line.startswith(name) for line in out.splitlines())
    assert name in json.loads(data)
