"""Verdicts: every way of being wrong has its own outcome, computed from what is reported."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import projhead_theory as pt
from projhead_theory.claims import (
    Outcome,
    Verdict,
    compare_values,
    judge,
)

pytestmark = pytest.mark.x64


def verdict(discrepancy, tolerance, effect, **rest):
    """One row."""
    one = jnp.ones((1, 1))
    parts = tolerance if isinstance(tolerance, dict) else {"part": tolerance}
    premises = {name: jnp.asarray(value) for name, value in rest.pop("premises", {}).items()}
    row = lambda x: jnp.array([x])
    parts = {name: row(value) for name, value in parts.items()}
    return Verdict(
        row(discrepancy), parts, row(effect), one, one, premises, labels=("row 1",), **rest
    )


def outcome(discrepancy, tolerance, effect, **premises):
    item = judge(
        jnp.array([discrepancy]), {"part": jnp.array([tolerance])}, jnp.array([effect]), **premises
    )
    names = ("holds", "violated", "premise_failed", "undecidable", "not_converged", "diverged")
    return next(n for n in names if bool(item == getattr(pt.claims.Outcome, n)))


def test_every_outcome_is_reachable():
    """Six outcomes, one for each thing that can be the matter; a NaN is never a success."""
    assert outcome(0.1, 0.2, 1.0) == "holds"
    assert outcome(0.3, 0.2, 1.0) == "violated"
    assert outcome(0.1, 0.2, 0.15) == "undecidable"
    assert outcome(0.3, 0.2, 1.0, converged=False) == "not_converged"
    assert outcome(0.1, 0.2, 1.0, premise=False) == "premise_failed"
    assert outcome(0.1, 0.2, 1.0, finite=False) == "diverged"
    assert outcome(np.nan, 0.2, 1.0) == "diverged"
    assert outcome(0.1, np.nan, 1.0) == "violated"


def test_a_verdict_computes_its_outcome_from_what_it_reports():
    """`outcome` is no field: it follows from discrepancy, tolerance, effect, premises, converged
    and finite, in the same order.
    """
    assert verdict(0.1, 0.2, 1.0).name == "holds"
    assert verdict(0.3, 0.2, 1.0).name == "violated"
    assert verdict(0.1, 0.2, 0.15).name == "undecidable"
    assert verdict(0.3, 0.2, 1.0, converged=False).name == "not_converged"
    assert verdict(0.1, 0.2, 1.0, converged=False).name == "holds"
    assert verdict(0.3, 0.2, 1.0, converged=False, premises={"p": False}).name == "premise_failed"
    assert verdict(0.1, 0.2, 1.0, finite=False, premises={"p": False}).name == "diverged"
    assert bool(verdict(0.1, 0.2, 1.0).outcome == Outcome.holds)
    assert "outcome" not in {f.name for f in dataclasses.fields(Verdict)}
    better = dataclasses.replace(verdict(0.3, 0.2, 1.0), discrepancy=jnp.array([0.1]))
    assert better.name == "holds"


def test_a_tolerance_is_the_sum_of_its_parts():
    assert verdict(0.25, {"a": 0.1, "b": 0.2}, 1.0).name == "holds"
    assert verdict(0.35, {"a": 0.1, "b": 0.2}, 1.0).name == "violated"


def test_failed_premises_are_named():
    """The sentence, `failed` and the JSON all say which hypothesis does not hold, and only that
    one.
    """
    v = verdict(0.1, 0.2, 1.0, premises={"balanced start": False, "unique minimiser": True})
    assert v.failed == ("balanced start",)
    assert str(v).startswith("premise failed (balanced start): ")
    assert v.to_dict()["premises"] == {"balanced start": False, "unique minimiser": True}


def test_waiving_premises_leaves_the_comparison():
    """Waived, a verdict says what the comparison alone says; nothing else changes."""
    for discrepancy, name in ((0.1, "holds"), (0.3, "violated")):
        v = verdict(discrepancy, 0.2, 1.0, premises={"p": False})
        assert v.name == "premise_failed"
        assert v.waived.name == name
        assert eqx.tree_equal(dataclasses.replace(v.waived, premises=v.premises), v)
    assert verdict(0.1, 0.2, 1.0, finite=False, premises={"p": False}).waived.name == "diverged"


def test_undecidable_says_what_would_decide_it():
    """The remedy is for the widest part of the tolerance, in the row that blurs most; only then is
    there one in the JSON.
    """
    v = verdict(0.1, {"rounding": 0.01, "stationarity": 0.19}, 0.15)
    assert (
        v.remedy
        == "an effect of 1.5e-01 needs less stationarity: a longer run, or a smaller stationarity"
    )
    assert str(v).startswith(f"undecidable ({v.remedy}): ")
    assert v.to_dict()["remedy"] == v.remedy
    assert "a smaller friction error" in verdict(0.1, {"friction": 0.2}, 0.15).remedy
    assert "float64" in verdict(0.1, {"rounding": 0.2, "noise": 0.1}, 0.15).remedy
    assert verdict(0.1, 0.2, 1.0).to_dict()["remedy"] is None


def test_zero_beside_zero_holds():
    """An exact agreement that is granted nothing holds; its ratio is zero, no NaN; any discrepancy
    at all is then a violation.
    """
    v = verdict(0.0, 0.0, 1.0)
    assert v.name == "holds"
    np.testing.assert_array_equal(v.ratio, [0.0])
    assert "nan" not in str(v)
    assert verdict(1e-300, 0.0, 1.0).name == "violated"
    assert verdict(0.0, 0.0, 0.0).name == "undecidable"


def test_the_worst_row_decides():
    """The row of the largest discrepancy in units of its own tolerance, not of the largest
    discrepancy.
    """
    v = compare_values(
        jnp.ones(3), jnp.array([1.5, 1.2, 1.0]), {"error": jnp.array([1.0, 0.1, 1.0])}, effect=2.0
    )
    assert (v.worst, v.name) == (1, "violated")
    assert str(v).endswith("worst at row 2")
    blurred = compare_values(
        jnp.ones(3),
        jnp.ones(3),
        {"error": jnp.array([0.1, 0.2, 0.9])},
        effect=jnp.array([0.01, 1.0, 1.0]),
    )
    assert (blurred.worst, blurred.name) == (0, "undecidable")


def test_compare_values_is_relative_to_the_prediction():
    """Euclidean norm of each row over the prediction's; errors and effect, given absolute, in the
    same units; defaults for the rest.
    """
    v = compare_values(
        jnp.array([[3.0, 4.0], [0.0, 0.0]]),
        jnp.array([[3.0, 4.5], [0.0, 0.1]]),
        {"a": 0.25, "b": jnp.array([0.5, 0.2])},
    )
    np.testing.assert_allclose(v.discrepancy, [0.1, 0.1])
    np.testing.assert_allclose(v.parts["a"], [0.05, 0.25])
    np.testing.assert_allclose(v.parts["b"], [0.1, 0.2])
    np.testing.assert_allclose(v.effect, [1.0, 1.0])
    assert (v.labels, v.what, v.name) == (("row 1", "row 2"), "relative discrepancy", "holds")
    flat = compare_values(
        jnp.array([2.0]),
        jnp.array([3.0]),
        {"a": 0.1},
        effect=0.5,
        labels=("x",),
        what="y",
        premises={"p": True},
    )
    assert (flat.predicted.shape, flat.labels, flat.what, flat.name) == (
        (1, 1),
        ("x",),
        "y",
        "violated",
    )
    np.testing.assert_allclose([flat.discrepancy[0], flat.effect[0]], [0.5, 0.25])
    assert (
        compare_values(jnp.ones(1), jnp.ones(1), {"a": 0.1}, converged=False, finite=False).name
        == "diverged"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((1.0, 1.0, {"a": 0.1}), r"^predicted: got shape \(\); want \(k,\) or \(k, m\)"),
        (
            (np.ones((1, 1, 1)), np.ones((1, 1, 1)), {"a": 0.1}),
            r"^predicted: got shape \(1, 1, 1\)",
        ),
        (
            (np.ones(2), np.ones(3), {"a": 0.1}),
            r"^measured: got shape \(3,\); want the prediction's \(2,\)",
        ),
        ((np.ones(2), np.ones(2), {}), r"^errors: got none; want at least one"),
    ],
)
def test_compare_values_refuses_what_it_cannot_compare(arguments, says):
    with pytest.raises(ValueError, match=says):
        compare_values(*arguments)


def test_a_measurement_is_compared_under_other_labels_and_words():
    measured = pt.claims.Measured(jnp.asarray([1.0, 2.0]), {"rounding": 1e-9})
    seen = pt.claims.compare_measured(jnp.ones(2), measured, labels=("a", "b"), what="size")
    assert (seen.name, seen.labels, seen.what) == ("violated", ("a", "b"), "size")
