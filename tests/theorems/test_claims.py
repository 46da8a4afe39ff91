"""Verdicts and claims: that they hold where they should, and that every way of being wrong has its
own outcome.
"""

import dataclasses
import importlib.util
import json
import logging
import subprocess
import sys
from itertools import islice
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.measured import PARTS, by_claim, parts_of, side
from jaxtyping import Array, Float

import projhead_theory as pt
from projhead_theory._core.linalg import psd_power
from projhead_theory.claims import (
    FAMILY_ERROR,
    Claim,
    Control,
    Measured,
    Outcome,
    Verdict,
    check,
    compare_values,
    family_level,
    judge,
    numbers,
)
from projhead_theory.problems import random_moments
from projhead_theory.theorems import CLAIMS, find, register, verify, views_claim
from projhead_theory.theorems._common.law import judge_layers
from projhead_theory.theorems._common.training import flow
from projhead_theory.theorems.layers.progressive_weighting import judge_spread

pytestmark = pytest.mark.x64

FRACTIONS = np.array([0.9, 0.7, 0.5, 0.3])
EXAMPLE = Path(__file__).parents[2] / "examples" / "conjecture.py"


@pytest.fixture(autouse=True, scope="module")
def _standard_promotion():
    """Optax's own Adam mixes dtypes, which the suite's strict promotion forbids."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def both():
    """A prediction and a run that agrees with it, at two tolerances: depth 2, width below the
    dimension, balanced start.
    """
    moments = random_moments(jax.random.key(0), FRACTIONS)
    network = pt.DeepLinear.balanced(jax.random.key(1), (4, 3, 3), scale=0.5)
    return pt.theory.layerwise(moments, 2, width=3), flow(network, moments, record=16)


@pytest.fixture(scope="module")
def run(both):
    return both[0], both[1].fine


def near_miss(prediction):
    """The prediction with the power l / (L + 1)."""
    last, depth = prediction.grams[-1], prediction.depth
    powers = [
        psd_power(last, level / (depth + 1), prediction.minimiser.kept)
        for level in range(1, depth + 1)
    ]
    return eqx.tree_at(lambda p: p.grams, prediction, jnp.stack(powers))


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
    return next(n for n in names if bool(item == getattr(pt.Outcome, n)))


# Verdicts


def test_every_outcome_is_reachable():
    """Six outcomes, one for each thing that can be the matter; a NaN is never a success."""
    assert outcome(0.1, 0.2, 1.0) == "holds"
    assert outcome(0.3, 0.2, 1.0) == "violated"
    assert outcome(0.1, 0.2, 0.15) == "undecidable"
    assert outcome(0.3, 0.2, 1.0, settled=False) == "not_converged"
    assert outcome(0.1, 0.2, 1.0, premise=False) == "premise_failed"
    assert outcome(0.1, 0.2, 1.0, finite=False) == "diverged"
    assert outcome(np.nan, 0.2, 1.0) == "diverged"
    assert outcome(0.1, np.nan, 1.0) == "violated"


def test_a_verdict_computes_its_outcome_from_what_it_reports():
    """`outcome` is no field: it follows from discrepancy, tolerance, effect, premises, settled and
    finite, in the same order.
    """
    assert verdict(0.1, 0.2, 1.0).name == "holds"
    assert verdict(0.3, 0.2, 1.0).name == "violated"
    assert verdict(0.1, 0.2, 0.15).name == "undecidable"
    assert verdict(0.3, 0.2, 1.0, settled=False).name == "not_converged"
    assert verdict(0.1, 0.2, 1.0, settled=False).name == "holds"
    assert verdict(0.3, 0.2, 1.0, settled=False, premises={"p": False}).name == "premise_failed"
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
        compare_values(jnp.ones(1), jnp.ones(1), {"a": 0.1}, settled=False, finite=False).name
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


def test_agreement_holds_and_a_near_miss_does_not(run):
    """The true exponent holds within a tolerance thousands of times smaller than the near miss's
    discrepancy.
    """
    prediction, trajectory = run
    good, bad = pt.compare(prediction, trajectory), pt.compare(near_miss(prediction), trajectory)
    assert good.name == "holds"
    assert bad.name == "violated"
    assert float(bad.discrepancy.min()) > 1e3 * float(good.tolerance.max())


@pytest.mark.parametrize("factor", [1 + 1e-4, 1 - 1e-4])
def test_a_small_wrong_factor_is_caught(run, factor):
    """A prediction wrong by one part in ten thousand is a violation."""
    prediction, trajectory = run
    wrong = eqx.tree_at(lambda p: p.grams, prediction, prediction.grams * factor)
    assert pt.compare(wrong, trajectory).name == "violated"


def test_unconverged_run_is_not_a_refutation(run):
    """A run stopped early is either within its honest stationarity tolerance or called not
    converged, never violated.
    """
    prediction, _ = run
    network = pt.DeepLinear.balanced(jax.random.key(2), (4, 3, 3), scale=0.05)
    for until in (0.1, 1.0, 10.0):
        v = pt.compare(
            prediction,
            pt.simulation.gradient_flow(network, prediction.moments, until=until, record=16),
        )
        assert v.name in ("not_converged", "undecidable"), str(v)


def test_stationarity_tolerance_covers_a_loose_stop(run):
    """Stopped at a loose gradient, the discrepancy grows and the derived tolerance covers it,
    without hiding much more.
    """
    prediction, _ = run
    network = pt.DeepLinear.balanced(jax.random.key(2), (4, 3, 3), scale=0.5)
    for stationarity in (1e-3, 1e-5, 1e-7):
        trajectory = pt.simulation.gradient_flow(
            network, prediction.moments, stationarity=stationarity, record=16
        )
        v = pt.compare(prediction, trajectory)
        assert v.name == "holds", str(v)
        assert float(v.tolerance[-1]) < 20 * float(v.discrepancy[-1])


def test_a_run_at_a_saddle_has_not_converged(run):
    """A saddle has no residual, so nothing is granted to it; but the loss still falls from there,
    and no run says that it ends there.
    """
    prediction, trajectory = run
    minimiser = prediction.minimiser
    modes = minimiser.modes[:, jnp.array([0, 1, 3])]
    root = jnp.sqrt(minimiser.signal_fraction[jnp.array([0, 1, 3])])
    gram = (modes * root**2) @ modes.T
    values, vectors = jnp.linalg.eigh(gram)
    saddle = pt.DeepLinear.aligned(vectors[:, 1:], jnp.sqrt(values[1:]), (4, 3, 3))
    count = len(trajectory.times)
    stuck = eqx.tree_at(
        lambda t: t.networks, trajectory, jax.tree.map(lambda w: jnp.stack([w] * count), saddle)
    )
    verdict = pt.compare(prediction, stuck)
    assert verdict.name == "not_converged"
    assert float(verdict.discrepancy[-1]) > 100 * float(verdict.tolerance[-1])


def test_unbalanced_start_is_a_failed_premise_and_a_violation_without_it(both):
    """What the start has is granted by `compare`; a claim about balanced starts grants nothing. It
    says that its premise fails, and with the premise waived, as for a control, that the law does.
    """
    prediction, _ = both
    network = pt.DeepLinear.unbalanced(jax.random.key(3), (4, 3, 3), [1.0, 0.2])
    lopsided = flow(network, prediction.moments, record=16)
    default = pt.compare(prediction, lopsided.fine)
    assert default.name in ("holds", "undecidable")
    assert float(default.parts["start"][0]) > 1e-2
    v = judge_layers(prediction, lopsided)
    assert (v.name, v.failed) == ("premise_failed", ("balanced start",))
    assert v.waived.name == "violated"


def test_equal_weights_cannot_tell_layers_apart():
    """Where all weights are one, every exponent predicts the same: undecidable, not a success."""
    moments = pt.Moments(jnp.eye(3), jnp.eye(3))
    network = pt.DeepLinear.balanced(jax.random.key(0), (3, 3, 3), scale=0.5)
    v = pt.compare(
        pt.theory.layerwise(moments, 2), pt.simulation.gradient_flow(network, moments, record=16)
    )
    assert v.name == "undecidable"


def test_tied_cut_fails_a_premise():
    moments = pt.Moments(0.5 * jnp.eye(4), jnp.eye(4))
    network = pt.DeepLinear.balanced(jax.random.key(0), (4, 3, 3), scale=0.5)
    prediction = pt.theory.layerwise(moments, 2, width=3, throw=False)
    v = pt.compare(prediction, pt.simulation.gradient_flow(network, moments, record=16))
    assert (v.name, v.failed) == ("premise_failed", ("unique minimiser",))


def test_diverged_run_is_said(run):
    prediction, _ = run
    network = pt.DeepLinear.balanced(jax.random.key(0), (4, 3, 3), scale=0.5)
    trajectory = pt.simulation.gradient_descent(
        network, prediction.moments, step=10.0, steps=100, record=16
    )
    assert pt.compare(prediction, trajectory).name == "diverged"


def test_compare_checks_shapes(run):
    prediction, trajectory = run
    with pytest.raises(
        ValueError, match=r"^trajectory: got depth 2; want the prediction's depth 3"
    ):
        pt.compare(pt.theory.layerwise(prediction.moments, 3), trajectory)
    with pytest.raises(ValueError, match=r"^trajectory: got inputs of dimension 4"):
        pt.compare(pt.theory.layerwise(pt.Moments(jnp.eye(2), jnp.eye(2)), 2), trajectory)


def test_verdict_reports(run, tmp_path):
    """A verdict prints its parts, plots, and exports without a NaN."""
    v = pt.compare(*run)
    assert str(v).startswith("holds: ")
    assert "stationarity" in str(v)
    axes = v.plot()
    assert [t.get_text() for t in axes.get_xticklabels()] == ["layer 1", "layer 2"]
    for ending in ("png", "svg", "pdf"):
        pt.figures.save(v.plot(), tmp_path / f"v.{ending}")
        assert (tmp_path / f"v.{ending}").stat().st_size > 1000
    with pytest.raises(ValueError, match=r"^plot: got "):
        pt.figures.save(v.plot(), tmp_path / "v.xyz")
    data = v.to_xarray()
    assert dict(data.sizes) == {"row": 2, "source": 5, "direction": 4}
    np.testing.assert_allclose(data.part.sum("source"), v.tolerance)
    axes = pt.figures.plot_trajectory(run[1], run[0])
    assert len(axes.lines) == 2 * 2 * 4


def test_spread_is_held_against_the_predicted_layers(both):
    """The spread compared is that of the theory's own Grams, so a theory with a wrong exponent is
    caught by it.
    """
    prediction, trajectories = both
    assert judge_spread(prediction, trajectories).name == "holds"
    assert judge_spread(near_miss(prediction), trajectories).name == "violated"


def test_progressive_weighting_is_seen(run):
    """The measured condition number itself grows from layer to layer: the paper's observation,
    without any formula.
    """
    spectrum = jnp.linalg.eigvalsh(run[1].grams[-1])[:, 1:]
    spread = spectrum[:, -1] / spectrum[:, 0]
    assert float(spread[1]) > float(spread[0]) > 1


# Claims and controls, on numbers


class Number(eqx.Module):
    """A problem that takes no time."""

    value: Float[Array, ""]

    @property
    def label(self) -> str:
        return f"the number {float(self.value):.3g}"


def draw(key):
    """One fixed number, then random ones."""
    yield Number(jnp.asarray(2.0))
    for k in jax.random.split(key, 3):
        yield Number(jax.random.uniform(k, minval=1.0, maxval=5.0))


def seen(value, **rest):
    return Measured(jnp.asarray(value)[None], {"rounding": 1e-9}, **rest)


def toy(*controls, **fields):
    """The claim that the square of a number is its square."""
    plain = Claim(
        name="toy",
        statement="A square is a square.",
        problems=draw,
        predict=lambda p: p.value[None] ** 2,
        measure=lambda p: seen(p.value * p.value),
        controls=controls,
    )
    return dataclasses.replace(plain, **fields)


CUBED = Control("cubed", "predicts the cube", predict=lambda problem, own: own * problem.value)


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
    ("name", "rest"), [("not_converged", {"settled": False}), ("diverged", {"finite": False})]
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


# The registry, and chance


def test_unknown_claim_suggests_the_nearest():
    with pytest.raises(
        ValueError,
        match=r"^claim: got 'layerwise-lwa', which is unknown; did you mean 'layerwise-law'\?",
    ):
        find(["layerwise-lwa"])
    assert [c.name for c in find(["balancedness", "balancedness"])] == ["balancedness"]
    assert len(find()) == len(CLAIMS)


@pytest.fixture
def registry():
    """The registry, put back as it was."""
    before = dict(CLAIMS)
    yield CLAIMS
    CLAIMS.clear()
    CLAIMS.update(before)


def test_a_registered_claim_is_found(registry):
    """Under its name, in `find`, and last of all; registering it again changes nothing."""
    claim = toy(CUBED)
    assert register(claim) is claim
    assert register(claim) is claim
    assert find(["toy"]) == [claim]
    assert find()[-1] is claim
    (result,) = verify("toy")
    assert result.verified


def test_a_second_claim_of_one_name_is_refused(registry):
    register(toy())
    with pytest.raises(ValueError, match="got the name 'toy', which another claim has"):
        register(toy())
    with pytest.raises(ValueError, match="'layerwise-law', which another claim has"):
        register(toy(name="layerwise-law"))
    assert registry["layerwise-law"].statement != "A square is a square."


def levelled(levels, **fields):
    """A claim of three significance tests on each of four problems, that keeps the levels it is
    given.
    """

    def compare(predicted, measured, level=None):
        levels.append(level)
        return compare_values(predicted, measured.value, measured.errors)

    return toy(compare=compare, tests=3, **fields)


def test_chance_is_shared_among_all_tests(registry):
    """Bonferroni: the levels of all tests of all problems of a whole run add up to `FAMILY_ERROR`,
    however it is called.
    """
    alone, first, second = [], [], []
    check(levelled(alone))
    assert alone == [FAMILY_ERROR / 12] * 4
    assert sum(alone) * 3 == pytest.approx(FAMILY_ERROR)
    register(levelled(first, name="first"))
    register(levelled(second, name="second"))
    register(toy())
    list(verify("first", "second", "toy"))
    assert first == second == [FAMILY_ERROR / 24] * 4
    assert 3 * sum(first + second) == pytest.approx(FAMILY_ERROR)
    first.clear()
    list(verify("first", "second", "toy", quick=True))
    assert first == [FAMILY_ERROR / 12] * 2
    first.clear()
    check(levelled(first), level=0.25)
    assert first == [0.25] * 4


def test_controls_are_judged_at_the_level_of_the_claim():
    levels = []
    check(levelled(levels, controls=(CUBED,)), quick=True)
    assert levels == [FAMILY_ERROR / 6] * 3


def test_family_level_counts_the_library_s_tests():
    """Two claims test significance: finite-sample, 4 tests for each of its weights, and that on
    support vector machines.
    """
    sample, curves = CLAIMS["finite-sample"], CLAIMS["measured-sample-complexity"]
    assert {c.name for c in find() if c.tests} == {sample.name, curves.name}
    assert family_level(find(), quick=True) == FAMILY_ERROR / (sample.tests + 2 * curves.tests)
    assert family_level(find()) == FAMILY_ERROR / (2 * sample.tests + 20 * curves.tests)
    assert family_level([toy()]) == FAMILY_ERROR
    assert sample.at_level(0.5).compare.keywords == {"level": 0.5}
    plain = toy()
    assert plain.at_level(0.5) is plain


# The library's claims


def compiling(action):
    """The names of all computations that were compiled meanwhile."""
    names = []

    class Handler(logging.Handler):
        def emit(self, record):
            message = record.getMessage()
            if message.startswith("Compiling "):
                names.append(message.split()[1])

    logger, handler = logging.getLogger("jax"), Handler()
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        with jax.log_compiles():
            result = action()
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
    return result, names


def remembered(name):
    """The claim with the problems of seed 0, and measurements that other tests share."""
    claim = CLAIMS[name]
    problems = [side(name, i)[0] for i in range(claim.quick)]

    def measure(problem):
        known = [side(name, i)[1] for i, p in enumerate(problems) if p is problem]
        return known[0] if known else claim.measure(problem)

    return dataclasses.replace(claim, problems=lambda key: iter(problems), measure=measure)


def assert_verified(result):
    assert len(result.controls) >= 2
    assert result.holds, "\n".join(map(str, result.verdicts))
    for control in result.controls:
        assert control.caught, f"{control.control.name}: {control.verdict}"


@by_claim()
def test_claim_holds_its_controls_are_caught_and_other_numbers_compile_nothing(name):
    """On the first problems of two seeds; whatever the first run compiled serves the second, which
    compiles nothing at all.

    No tolerance is wider than the claim says it need be, and no part of it, however small beside
    the others, much wider than recorded.
    """
    first = check(remembered(name), 0, quick=True)
    assert_verified(first)
    assert first.blunt == ()
    recorded, eps = json.loads(PARTS.read_text())[name], np.finfo(float).eps
    # What is measured on a run, such as a step's error near rounding, differs from machine to
    # machine by less.
    assert {
        part: size for part, size in parts_of(first).items() if size > 30 * max(recorded[part], eps)
    } == {}
    second, names = compiling(lambda: check(CLAIMS[name], 3, quick=True))
    assert_verified(second)
    assert names == []


def test_a_comparison_with_other_numbers_compiles_nothing():
    compare = lambda error, effect: compare_values(
        jnp.ones((2, 3)), jnp.zeros((2, 3)), {"error": error}, effect=effect
    )
    compare(0.1, 2.0)
    other, names = compiling(lambda: compare(0.2, 3.0))
    assert names == []
    np.testing.assert_allclose(other.parts["error"], 0.2 / 3**0.5, rtol=1e-6)


def test_the_count_of_compilations_counts():
    """Else finding none would mean nothing."""
    _, names = compiling(lambda: jax.jit(lambda x: x + 1)(jnp.ones(17)))
    assert "jit(<lambda>)" in names


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CLAIMS))
@pytest.mark.parametrize("seed", [0, 1])
def test_claim_holds_on_all_its_problems(name, seed):
    """Every claim in full; at least two controls each, all of which must fail the claim's own
    check; and no tolerance too wide.
    """
    result = check(CLAIMS[name], seed)
    assert_verified(result)
    assert seed or result.blunt == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CLAIMS))
def test_claim_holds_for_other_seeds(name):
    for seed in range(2, 10):
        assert_verified(check(CLAIMS[name], seed, quick=True))


@by_claim()
def test_problems_follow_from_the_seed(name):
    """Bit for bit; and another seed gives others, but for the learning order, whose first problems
    are fixed.
    """
    claim = CLAIMS[name]
    first, again, other = (
        list(islice(claim.problems(jax.random.key(s)), claim.quick)) for s in (0, 0, 6)
    )
    assert eqx.tree_equal(*([numbers(p) for p in problems] for problems in (first, again)))
    assert (name == "learning-order") != any(
        numbers(a) != numbers(b) for a, b in zip(first, other, strict=True)
    )


def test_a_trained_claim_is_reproduced_from_its_seed():
    """The same verdict to the last bit from a second run."""
    first, again = (check(CLAIMS["weight-decay-minimiser"], 4, quick=True) for _ in range(2))
    for a, b in zip(first.verdicts, again.verdicts, strict=True):
        assert eqx.tree_equal(a, b)
    for a, b in zip(first.controls, again.controls, strict=True):
        assert eqx.tree_equal(a.verdict, b.verdict)


@pytest.mark.parametrize("name", list(CLAIMS))
def test_a_claim_is_documented_by_its_own_data(name):
    """What reports are made of is there: statement, formula, hypotheses, source, and controls that
    say what they break.
    """
    claim = CLAIMS[name]
    assert claim.name == name
    assert claim.statement.endswith(".")
    assert claim.latex
    assert claim.hypotheses
    assert claim.source != "conjecture"
    assert len({c.name for c in claim.controls}) == len(claim.controls) >= 2
    assert all(c.breaks and c.expects in ("violated", "premise_failed") for c in claim.controls)
    assert all(c.on < claim.quick for c in claim.controls)


def test_balancedness_is_tried_on_seven_losses():
    """Contrastive, supervised and regression losses: the statement is about any differentiable loss
    of the output.
    """
    problems = list(CLAIMS["balancedness"].problems(jax.random.key(0)))
    assert {type(p.loss).__name__ for p in problems} >= {
        "SpectralContrastive",
        "InfoNCE",
        "CrossEntropy",
        "BarlowTwins",
        "VICReg",
        "SupervisedContrastive",
        "MeanSquaredError",
    }
    assert {type(p.data).__name__ for p in problems} == {"Moments", "Views", "Labelled"}
    assert all(len({float(s) for s in p.scales}) > 1 for p in problems)


def test_the_law_is_tried_on_unequal_widths_below_the_dimension():
    """And at more than one depth; an expanding layer too."""
    problems = eqx.filter_eval_shape(
        lambda key: list(CLAIMS["layerwise-law"].problems(key)), jax.random.key(0)
    )
    sizes = [p.sizes for p in problems]
    assert any(len(set(s[1:])) > 1 and s[-1] > min(s[1:]) for s in sizes)
    assert any(min(s) < s[0] for s in sizes)
    assert {len(s) - 1 for s in sizes} >= {2, 3}


# What a small weight decay alone decides lies below the rounding of float32, or is too small beside
# it for one of the controls.
BEYOND_FLOAT32 = {"sorted-matching", "kappa-emulation"}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CLAIMS))
def test_claim_holds_in_float32(name):
    """The same outcome, and the same controls caught, with nine digits fewer; or the result says
    that these digits do not verify it.
    """
    with jax.enable_x64(False):
        result = check(CLAIMS[name], 0, quick=True)
        assert all(v.discrepancy.dtype == jnp.float32 for v in result.verdicts)
        if name in BEYOND_FLOAT32:
            assert {v.name for v in result.verdicts} <= {"undecidable", "holds"}
            assert not result.verified
        else:
            assert_verified(result)


SCOPED = """
import jax
import jax.numpy as jnp
from projhead_theory.claims import check
from projhead_theory.theorems import CLAIMS

claim = CLAIMS["min-norm"]
before = dict(jax.config.values)
assert not before["jax_enable_x64"]
with jax.enable_x64(True):
    result = check(claim, quick=True)
    assert all(v.discrepancy.dtype == jnp.float64 for v in result.verdicts)
    assert result.verified
    assert max(float(v.tolerance.max()) for v in result.verdicts) < 1e-9
assert dict(jax.config.values) == before
result = check(claim, quick=True)
assert all(v.discrepancy.dtype == jnp.float32 for v in result.verdicts)
assert result.verified
"""


def test_float64_in_a_scope_leaves_nothing_behind():
    """A claim runs in float64 inside the scope; afterwards every setting of JAX is as before, and
    the claim holds in float32 too.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCOPED], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_verdict_read_outside_its_scope_says_the_same():
    """Results of float64 are results of float64, wherever they are read or reported: here a
    discrepancy that float32 takes for zero.
    """
    with jax.enable_x64(True):
        result = check(
            toy(measure=lambda p: Measured(p.value[None] ** 2 * (1 + 1e-60), {"none": 0.0})),
            quick=True,
        )
        before = result.outcome
        tiny = dataclasses.replace(result.trials[0].verdict, discrepancy=jnp.array([1e-60]))
        assert tiny.name == "violated"
    with jax.enable_x64(False):
        assert result.outcome == before
        assert tiny.name == "violated"


def strictly(function, *arguments):
    """Trace without implicit promotion, as the library is to run under any setting of JAX; nothing
    is computed.
    """
    with jax.numpy_dtype_promotion("strict"):
        return eqx.filter_eval_shape(lambda *x: function(*x), *arguments)


@pytest.mark.parametrize("name", list(CLAIMS))
def test_draws_promote_nothing(name):
    for draw in CLAIMS[name].search:
        strictly(draw, jax.random.key(0))


def test_onsets_are_measured_without_promotion():
    claim = CLAIMS["learning-order"]
    strictly(claim.measure, next(iter(claim.problems(jax.random.key(0)))))


# A user's own claims


@pytest.fixture(scope="module")
def example():
    specification = importlib.util.spec_from_file_location("conjecture", EXAMPLE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_a_true_conjecture_is_verified(example):
    """The example's own claim, in fifteen lines: it holds on the random problems too."""
    assert_verified(check(example.root_law, 1))


def test_a_false_conjecture_is_refuted(example):
    """Not by its fixed problem alone; what it is refuted by is one of its problems with rounder
    numbers, and it says which.
    """
    result = check(example.signal_fraction_law, quick=True)
    assert (result.holds, result.verified, result.outcome) == (False, False, "violated")
    trial = result.counterexample
    assert trial.verdict.name == "violated"
    assert example.signal_fraction_law.judge(trial.problem).name == "violated"
    strength = result.to_dict()["counterexample"]["numbers"]["features.strength"]
    assert strength == [float(f"{x:.1g}") for x in strength]


def test_trained_measures_with_the_error_of_its_run():
    """The integration error is seen by running twice: a loose run has a larger one, and the true
    value within it.
    """
    problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0, 0.5]), pt.AdditiveNoise([1.0, 0.2, 0.1]))
    start = pt.DeepLinear.balanced(jax.random.key(0), (3, 3, 3), scale=0.7)
    truth = pt.theory.layerwise(problem.moments(), depth=2).weights[-1]
    quantity = lambda network: pt.measure.layer_weights(network)[-1]
    fine = pt.theorems.trained(start, problem.moments(), quantity)
    loose = pt.theorems.trained(start, problem.moments(), quantity, stationarity=1e-4)
    for measured in (fine, loose):
        total = sum(measured.errors.values())
        assert bool(measured.settled)
        assert bool(measured.finite)
        assert np.all(np.abs(np.asarray(measured.value - truth)) <= total)
    one, other = (np.asarray(m.errors["integration"]) for m in (loose, fine))
    assert np.all(one[1:] > 10 * other[1:])
    # The strongest feature has long settled: all that is granted to it is the tolerance of a step,
    # in two layers.
    np.testing.assert_allclose(
        (one / np.asarray(truth))[0], 2 * np.finfo(float).eps ** 0.75, rtol=0.1
    )
    stopped = pt.theorems.trained(start, problem.moments(), quantity, until=0.1)
    assert not bool(stopped.settled)


def test_claim_on_views():
    """Correlated views of a sample: the law holds on their moments, whose cross moment need not be
    positive, and controls are caught.
    """
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((5, 5))
    signal = rng.standard_normal((400, 3)) * [2.0, 1.5, 1.0]
    views = [
        np.pad(signal, ((0, 0), (0, 2))) @ mix + 0.7 * rng.standard_normal((400, 5))
        for _ in range(2)
    ]
    moments = pt.Moments.from_views(*views)
    for depth in (1, 2):
        result = check(views_claim(moments, depth, width=2))
        assert result.verified, (
            f"{result.worst}, {[(c.control.name, str(c.verdict)) for c in result.controls]}"
        )


def test_claim_on_views_of_deficient_rank():
    """Pixels that never vary are left out: the problem is restricted to the range of the second
    moment.
    """
    rng = np.random.default_rng(1)
    base = rng.standard_normal((300, 5)) * [2.0, 1.5, 1.0, 0.7, 0.5]
    frame = rng.standard_normal((5, 8))
    views = [(base + 0.5 * rng.standard_normal((300, 5))) @ frame for _ in range(2)]
    assert check(views_claim(pt.Moments.from_views(*views), 2, width=2)).verified
