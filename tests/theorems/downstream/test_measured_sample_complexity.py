"""measured-sample-complexity: what it finds on trained networks, and what its judge makes of curves
that say otherwise.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.misses import TIMES, predictions

from projhead_theory.claims import check
from projhead_theory.probes import LearningCurve
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.downstream import measured_sample_complexity
from projhead_theory.theorems.downstream.measured_sample_complexity import (
    CLAIM,
    ERROR,
    SCENARIOS,
    SIZES,
    Curves,
    Needs,
    SignAmongGaussians,
    between,
    judge_curves,
)
from projhead_theory.theory.layers import layerwise


@pytest.fixture(scope="module")
def result():
    return check(dataclasses.replace(CLAIM, quick=4), quick=True)


@pytest.mark.deep
@pytest.mark.x64
def test_holds_in_every_scenario_and_every_control_is_caught(result):
    assert {t.problem.scenario for t in result.trials} == set(SCENARIOS)
    assert result.verified, [str(t.verdict) for t in result.trials] + [
        c.to_dict() for c in result.controls
    ]


@pytest.mark.deep
@pytest.mark.x64
def test_for_a_label_in_between_the_indicator_ranks_layers_wrongly_and_the_limit_rightly(result):
    """By a factor of about two either way: the row of the order fails, that of the ratio holds."""
    control = next(c for c in result.controls if c.control.name == "label-in-between")
    order, ratio = (np.asarray(v) for v in (control.verdict.discrepancy, control.verdict.tolerance))
    assert order[0] > 2 * ratio[0]
    assert order[0] > np.log(1.7)
    assert order[1] < ratio[1]
    needs = CLAIM.predict(between(result.trials[1].problem))
    assert float(needs.complexity[1] / needs.complexity[0]) > 2
    assert float(needs.samples[1] / needs.samples[0]) < 0.5


def curves(needed, scatter=0.02, extreme=True, seeds=48):
    """Layers whose error falls through 0.1 at these numbers of samples, each seed at its own."""
    shift = scatter * np.random.default_rng(0).standard_normal((1, 1, seeds))
    logs = (
        np.log(np.asarray(SIZES))[None, :, None] - np.log(np.asarray(needed, float))[:, None, None]
    )
    errors = np.clip(ERROR - 0.1 * logs + shift, 0, 0.5)
    curve = LearningCurve(
        np.asarray(SIZES),
        errors,
        np.zeros(errors.shape[:2]),
        tuple(f"layer {i + 1}" for i in range(len(errors))),
    )
    return Curves(curve, jnp.asarray(extreme), jnp.asarray(True), jnp.asarray(True))


def needs(complexity, samples):
    return Needs(*(jnp.asarray(v, jnp.result_type(float)) for v in (complexity, samples)))


def test_layers_that_rank_as_predicted_hold():
    verdict = judge_curves(needs([10, 20, 50], [12, 20, 40]), curves([12, 20, 40]))
    assert verdict.name == "holds"
    assert verdict.labels == (
        "order, layers 1, 3",
        "ratio, layers 1, 3",
        "order, layers 2, 3",
        "ratio, layers 2, 3",
        "samples, layer 3",
    )
    np.testing.assert_allclose(
        verdict.measured[:, 0], np.log([40 / 12, 40 / 12, 2, 2, 40]), atol=0.02
    )


@pytest.mark.parametrize(
    ("complexity", "samples", "row"),
    [
        ([20, 10], [20, 40], "order, layers 1, 2"),
        ([10, 20], [10, 40], "ratio, layers 1, 2"),
        ([10, 20], [38, 40], "ratio, layers 1, 2"),
        ([10, 20], [16, 32], "samples, layer 2"),
        ([10, 20], [25, 50], "samples, layer 2"),
    ],
)
def test_a_wrong_order_ratio_or_number_is_violated(complexity, samples, row):
    """Four fifths and five fourths of the samples as well; what is granted does not grow with what
    is predicted.
    """
    measured = curves([20, 40], scatter=0.01)
    verdict = judge_curves(needs(complexity, samples), measured)
    assert verdict.name == "violated"
    assert verdict.labels[verdict.worst] == row
    right = judge_curves(needs([10, 20], [20, 40]), measured)
    np.testing.assert_array_equal(verdict.parts["finite size"], right.parts["finite size"])


def test_layers_too_alike_to_tell_apart_are_undecidable():
    """Neither held nor refuted: a predicted effect within what finite size leaves."""
    assert judge_curves(needs([10, 11], [20, 21]), curves([20, 21])).name == "undecidable"


def test_a_label_between_others_fails_the_premise():
    assert (
        judge_curves(needs([10, 20], [20, 40]), curves([20, 40], extreme=False)).name
        == "premise_failed"
    )


def test_an_error_that_is_never_reached_is_no_agreement():
    assert judge_curves(needs([10, 20], [20, 40]), curves([1000, 2000])).name == "diverged"


def test_sampling_is_wider_at_a_stricter_level():
    wide, narrow = (
        judge_curves(needs([10, 20], [20, 40]), curves([20, 40]), level=level)
        for level in (1e-6, 1e-2)
    )
    assert (np.asarray(wide.parts["sampling"]) > 1.5 * np.asarray(narrow.parts["sampling"])).all()
    np.testing.assert_array_equal(wide.parts["finite size"], narrow.parts["finite size"])


def test_law_has_one_sign_among_normal_features():
    z = np.asarray(
        SignAmongGaussians(jnp.asarray(1)).sample(
            jax.random.key(0), (4096, 3), jnp.result_type(float)
        )
    )
    assert set(z[:, 1]) == {-1.0, 1.0}
    assert (np.abs(z.mean(0)) < 5 / 64).all()
    assert (np.abs(z.var(0) - 1) < 5 * 2**0.5 / 64).all()
    assert (np.abs(z[:, [0, 2]]).max(0) > 2).all()


def test_problems_span_the_scenarios():
    drawn = list(CLAIM.problems(jax.random.key(3)))
    assert len(drawn) == 20
    assert {(p.scenario, p.depth) for p in drawn} == {(s, d) for s in SCENARIOS for d in (2, 3)}
    for p in drawn:
        features, noise = p.contrastive.features.strength, p.contrastive.augmentation.scale
        weights = np.asarray(features / (features**2 + noise**2))
        extreme = (
            weights[1:].max() < weights[0]
            if p.scenario == SCENARIOS[3]
            else weights[0] < weights[1:].min()
        )
        assert extreme
    assert dataclasses.replace(drawn[0]).label == "label of largest weight, depth 2"


# Near misses: the claim with one thing in its formula changed


def squares(problem, power):
    """Sums of nuisance variances to a power, in units of the label's."""
    grams = layerwise(problem.contrastive.moments(), problem.depth).grams
    variances = jnp.diagonal(grams, axis1=1, axis2=2) * problem.downstream.features.strength**2
    return jnp.sum((variances[:, 1:] / variances[:, :1]) ** power, axis=1)


MISSES = predictions(
    {
        "1 / SC": lambda problem, own: replace(own, complexity=1 / own.complexity),
        "n / SC": lambda problem, own: replace(own, complexity=own.samples / own.complexity),
        "n is SC": lambda problem, own: replace(own, samples=own.complexity),
        "n is the sum of squared variances": lambda problem, own: replace(
            own, samples=squares(problem, 2)
        ),
        "n is the sum of variances": lambda problem, own: replace(own, samples=squares(problem, 1)),
        "n squared": lambda problem, own: replace(own, samples=own.samples**2 / 20),
        "root of n": lambda problem, own: replace(own, samples=5 * own.samples**0.5),
    }
)


# Formulas of the library: what the claim calls, by module and name; how a value is changed by a
# factor; and the factors

FORMULAS = [(measured_sample_complexity, "margin_samples", TIMES, (0.8, 1.25))]

# Each part of the tolerance as a share of the effect

PARTS = {
    "finite size": 0.165,
    "sampling": 0.235,
}
