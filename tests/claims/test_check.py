"""Claims and controls on numbers: what a check tries, and what it says."""

import dataclasses
import json

import jax.numpy as jnp
import pytest
from helpers.toys import CUBED, Number, seen, toy

from projhead_theory.claims import (
    Control,
    check,
    numbers,
)

pytestmark = pytest.mark.x64


def test_a_claim_holds_and_says_where():
    """Every problem is tried, a quick run tries the first few; the result names the problem that
    came nearest to its tolerance.
    """
    result = check(toy(CUBED))
    assert (result.holds, result.verified, result.outcome, result.counterexample) == (
        True,
        True,
        "holds",
        None,
    )
    assert result.trials[0].label == "the number 2"
    assert (
        len(result.trials),
        len(check(toy(), quick=True).trials),
        len(check(toy(quick=3), quick=True).trials),
    ) == (4, 2, 3)
    assert result.worst in result.trials
    assert result.seconds > 0


def test_a_claim_without_controls_is_never_verified():
    """It may hold: but a check that nothing was seen to fail shows nothing."""
    result = check(toy())
    assert (result.holds, result.verified) == (True, False)


def test_a_control_that_cannot_fail_is_reported():
    """Replacing the prediction by itself is no control: uncaught, and the claim not verified though
    it holds.
    """
    idle = Control("idle", "changes nothing", predict=lambda problem, own: own)
    result = check(toy(CUBED, idle))
    assert [c.caught for c in result.controls] == [True, False]
    assert (result.holds, result.verified) == (True, False)
    assert [(c["caught"], c["outcome"]) for c in result.to_dict()["controls"]] == [
        (True, "violated"),
        (False, "holds"),
    ]


def test_a_control_replaces_one_thing():
    """`problem`, `predict` and `measure` each see what they are documented to see, and the other
    sides stay the claim's own.
    """
    calls = []

    def problem(p):
        calls.append(("problem", float(p.value)))
        return Number(p.value + 1)

    def predict(p, own):
        calls.append(("predict", float(p.value), float(own[0])))
        return own + 1

    def measure(p, own):
        calls.append(("measure", float(p.value), float(own.value[0])))
        return seen(p.value)

    controls = (
        Control("problem", "", problem=problem),
        Control("predict", "", predict=predict),
        Control("measure", "", measure=measure),
        Control("problem and predict", "", problem=problem, predict=predict),
    )
    result = check(toy(*controls), quick=True)
    assert calls == [
        ("problem", 2.0),
        ("predict", 2.0, 4.0),
        ("measure", 2.0, 4.0),
        ("problem", 2.0),
        ("predict", 3.0, 9.0),
    ]
    both = [
        (float(c.verdict.predicted[0, 0]), float(c.verdict.measured[0, 0])) for c in result.controls
    ]
    assert both == [(9.0, 9.0), (5.0, 4.0), (4.0, 2.0), (10.0, 9.0)]
    assert [c.caught for c in result.controls] == [False, True, True, True]


def test_a_control_is_tried_on_its_own_problem():
    """`on` is the number of the problem, also in a quick run."""
    control = dataclasses.replace(CUBED, on=1)
    claim = toy(CUBED, control)
    for quick in (False, True):
        first, second = check(claim, quick=quick).trials[:2]
        shown = [float(c.verdict.measured[0, 0]) for c in check(claim, quick=quick).controls]
        assert shown == [float(first.verdict.measured[0, 0]), float(second.verdict.measured[0, 0])]


def test_a_control_needs_its_problem():
    with pytest.raises(ValueError, match=r"control\.on: got 9 for"):
        check(toy(dataclasses.replace(CUBED, on=9)))


def test_a_premise_is_waived_for_a_control_unless_it_is_what_the_control_breaks():
    """A control that breaks a premise on purpose must fail the comparison; one that expects
    `premise_failed` must fail the premise.
    """
    broken = lambda p, own: seen(2 * p.value**2, premises={"even": False})
    still_right = lambda p, own: seen(p.value**2, premises={"even": False})
    result = check(
        toy(
            Control("broken", "", measure=broken),
            Control("premise", "", measure=broken, expects="premise_failed"),
            Control("harmless", "", measure=still_right),
            Control("premise alone", "", measure=still_right, expects="premise_failed"),
        ),
        quick=True,
    )
    assert [c.verdict.name for c in result.controls] == [
        "violated",
        "premise_failed",
        "holds",
        "premise_failed",
    ]
    assert [c.caught for c in result.controls] == [True, True, False, True]


def test_a_false_claim_is_violated_with_a_counterexample():
    """The outcome is that of the worst trial, a violated one before any other; the counterexample
    has rounder numbers and its own label.
    """
    result = check(toy(CUBED, predict=lambda p: jnp.where(p.value == 2, 4.0, 7.0)[None]))
    assert [v.name for v in result.verdicts] == ["holds", "violated", "violated", "violated"]
    assert (result.holds, result.outcome) == (False, "violated")
    found = result.counterexample
    assert found.verdict.name == "violated"
    assert float(found.problem.value) == round(float(found.problem.value))
    assert (
        result.to_dict()["counterexample"]["numbers"]
        == numbers(found.problem)
        == {"value": float(found.problem.value)}
    )


def test_a_violation_outranks_what_else_is_wrong():
    """A failed premise or a run that did not converge does not hide a violation elsewhere."""
    measure = lambda p: seen(
        p.value**2 + jnp.where(p.value == 2, 0, 1), premises={"p": p.value > 1.5}
    )
    numbered = lambda key: iter([Number(jnp.asarray(x)) for x in (2.0, 1.0, 3.0)])
    result = check(toy(problems=numbered, measure=measure))
    assert [v.name for v in result.verdicts] == ["holds", "premise_failed", "violated"]
    assert (result.outcome, result.worst.label) == ("violated", "the number 3")


@pytest.mark.parametrize(
    ("name", "rest"), [("not_converged", {"converged": False}), ("diverged", {"finite": False})]
)
def test_what_a_measurement_says_of_its_run_reaches_the_verdict(name, rest):
    result = check(toy(CUBED, measure=lambda p: seen(p.value, **rest)), quick=True)
    assert [v.name for v in result.verdicts] == [name] * 2
    assert (result.holds, result.verified, result.counterexample) == (False, False, None)


def test_a_measurement_may_say_what_must_be_seen():
    """An effect below the tolerance is undecidable: too blunt a measurement is no success."""
    assert (
        check(toy(measure=lambda p: seen(p.value**2, effect=1e-10)), quick=True).outcome
        == "undecidable"
    )
    assert (
        check(toy(measure=lambda p: seen(p.value**2, effect=1e-8)), quick=True).outcome == "holds"
    )


def test_a_claim_without_problems_is_refused():
    with pytest.raises(
        ValueError, match=r"^claim\.problems: got none; want at least one problem to try 'toy' on"
    ):
        check(toy(problems=lambda key: iter(())))


def test_a_check_follows_from_its_seed():
    """One seed, one result, to the last bit; another seed, other random problems, and the same
    fixed ones.
    """
    values = lambda seed: [float(t.problem.value) for t in check(toy(), seed).trials]
    assert values(5) == values(5)
    assert values(5)[0] == values(6)[0] == 2.0
    assert not set(values(5)[1:]) & set(values(6)[1:])


def test_a_result_is_plain_data():
    """JSON without a NaN, and every row of every trial in one data set."""
    result = check(toy(CUBED))
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False)) == result.to_dict()
    data = result.to_xarray()
    assert dict(data.sizes) == {"row": 4}
    assert list(data.outcome.values) == ["holds"] * 4
    assert data.attrs == {"claim": "toy", "verified": 1}
