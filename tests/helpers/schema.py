"""The documented schema of reports of claims, as checks of plain data."""

import json
import math

import pytest

VERDICT = {
    "problem",
    "outcome",
    "sentence",
    "what",
    "labels",
    "discrepancy",
    "tolerance",
    "effect",
    "parts",
    "premises",
    "remedy",
}
CONTROL = {"name", "breaks", "expects", "outcome", "caught", "discrepancy", "tolerance"}
COUNTEREXAMPLE = {"problem", "sentence", "numbers"}
CLAIM = {
    "name",
    "statement",
    "latex",
    "source",
    "hypotheses",
    "holds",
    "verified",
    "outcome",
    "discrepancy",
    "tolerance",
    "seconds",
} | {
    "verdicts",
    "controls",
    "counterexample",
}
ENVIRONMENT = {
    "projhead_theory",
    "python",
    "platform",
    "jax",
    "diffrax",
    "equinox",
    "optax",
    "numpy",
    "device",
    "backend",
    "float",
    "seed",
}
REPORT = {"schema", "claims", "environment", "family_error", "partial", "missing", "all_hold"}
SEARCH = {"name", "survived", "tried", "outcomes", "seed", "seconds", "counterexample", "exact"}
OUTCOMES = {"holds", "violated", "premise_failed", "undecidable", "not_converged", "diverged"}


def number(x):
    return x is None or (
        isinstance(x, float | int) and not isinstance(x, bool) and math.isfinite(x)
    )


def validate_verdict(data):
    assert set(data) == VERDICT
    assert data["outcome"] in OUTCOMES
    count = len(data["labels"])
    assert count >= 1
    for name in ("discrepancy", "tolerance", "effect"):
        assert len(data[name]) == count
        assert all(map(number, data[name]))
    for part in data["parts"].values():
        assert len(part) == count
        assert all(map(number, part))
    for i, total in enumerate(data["tolerance"]):
        if total is not None:
            assert sum(part[i] for part in data["parts"].values()) == pytest.approx(total)
    assert all(isinstance(value, bool) for value in data["premises"].values())
    assert (data["remedy"] is not None) == (data["outcome"] == "undecidable")
    assert all(isinstance(data[name], str) for name in ("problem", "sentence", "what"))


def validate_counterexample(data):
    if data is not None:
        assert set(data) == COUNTEREXAMPLE
        assert isinstance(data["numbers"], dict)
        assert data["numbers"]


def validate_claim(data):
    assert set(data) == CLAIM
    assert all(isinstance(data[name], str) for name in ("name", "statement", "latex", "source"))
    assert all(isinstance(h, str) for h in data["hypotheses"])
    assert data["outcome"] in OUTCOMES
    assert all(map(number, (data["discrepancy"], data["tolerance"], data["seconds"])))
    assert data["verdicts"]
    for item in data["verdicts"]:
        validate_verdict(item)
    for item in data["controls"]:
        assert set(item) == CONTROL
        assert item["outcome"] in OUTCOMES
        assert item["expects"] in OUTCOMES
        assert item["caught"] == (item["outcome"] == item["expects"])
        assert number(item["discrepancy"])
        assert number(item["tolerance"])
    assert data["holds"] == all(v["outcome"] == "holds" for v in data["verdicts"])
    assert data["verified"] == (
        data["holds"] and bool(data["controls"]) and all(c["caught"] for c in data["controls"])
    )
    assert (data["counterexample"] is not None) == any(
        v["outcome"] == "violated" for v in data["verdicts"]
    )
    validate_counterexample(data["counterexample"])


def validate(data):
    """The schema of the documentation, at every level; strict JSON that survives being written and
    read.
    """
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert set(data) == REPORT
    assert data["schema"] == 2
    assert set(data["environment"]) == ENVIRONMENT | {"quick"}
    assert data["environment"]["float"] in ("float64", "float32")
    assert data["partial"] == bool(data["missing"])
    for item in data["claims"]:
        validate_claim(item)
