"""The random search for counterexamples: that it finds planted ones, shrinks them to small valid
problems, and survives true claims.
"""

import dataclasses
import functools
import json
from collections import Counter

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import projhead_theory as pt
from projhead_theory.claims import (
    FAMILY_ERROR,
    Claim,
    Measured,
    Trial,
    compare_values,
    numbers,
    search,
    search_exact,
    shrink,
)
from projhead_theory.claims._search import BATCH, EXACT, _tried, rounder
from projhead_theory.moments import Moments, TargetMoments
from projhead_theory.theorems import CLAIMS, search_all
from projhead_theory.theorems._common import ModeTask
from projhead_theory.theorems._common.exact import run_of
from projhead_theory.theorems._common.law import with_exponents
from projhead_theory.theorems._common.tasks import Task, aligned, harder
from projhead_theory.theorems._common.training import RECORDS, local_error
from projhead_theory.theorems.balance.min_norm import with_power
from projhead_theory.theorems.decay.feature_extinction import Extinction
from projhead_theory.theorems.supervised.sl_minimiser import RegressionTask

pytestmark = pytest.mark.x64


@pytest.fixture(autouse=True, scope="module")
def _standard_promotion():
    """As users have it."""
    with jax.numpy_dtype_promotion("standard"):
        yield


class Vector(eqx.Module):
    """A problem that takes no time, and can do with fewer entries."""

    entries: Float[Array, " d"]

    def shrinks(self):
        for i in range(len(self.entries) if len(self.entries) > 1 else 0):
            yield lambda i=i: Vector(jnp.delete(self.entries, i, assume_unique_indices=True))
        for digits in (1, 2, 3):
            yield lambda digits=digits: rounder(self, digits)


def drawing(size):
    return lambda key: Vector(jax.random.uniform(key, (size,), minval=1.0, maxval=9.0))


def problems(key):
    yield Vector(jnp.array([2.0]))
    for k in jax.random.split(key, 3):
        yield drawing(3)(k)


def toy(predict, **fields):
    """A claim on the sum of the entries."""
    total = lambda p: Measured(jnp.sum(p.entries)[None], {"rounding": 1e-9})
    return Claim(
        name="toy", statement="", problems=problems, predict=predict, measure=total, **fields
    )


def right(p):
    return jnp.sum(p.entries)[None]


def wrong(p):
    """A sum that forgets whatever is above five."""
    return jnp.sum(jnp.where(p.entries > 5, 0, p.entries))[None]


SHAPES = (drawing(3), drawing(4))


def test_a_true_claim_survives():
    """As many problems as asked for, shared among the shapes, and the numbers done so far reported
    one by one.
    """
    done = []
    result = search(toy(right, search=SHAPES), 7, progress=done.append)
    assert (result.survived, result.tried, result.outcomes, result.counterexample) == (
        True,
        7,
        {"holds": 7},
        None,
    )
    assert done == [1, 2, 3, 4, 5, 6, 7]
    assert result.seconds > 0


def test_a_planted_falsehood_is_found_and_shrunk():
    """Down to the one entry that makes it false, with a single digit."""
    result = search(toy(wrong, search=SHAPES), 100)
    assert not result.survived
    assert result.outcomes["violated"] == 1
    assert result.tried < 100
    (entry,) = result.counterexample.problem.entries
    assert float(entry) == round(float(entry)) > 5
    assert result.counterexample.verdict.name == "violated"


def test_a_search_follows_from_its_seed():
    """The same counterexample and counts from the same seed, others from another."""
    claim = toy(wrong, search=(drawing(2),))
    first, again = search(claim, 50, 3), search(claim, 50, 3)
    assert eqx.tree_equal(first.counterexample.problem, again.counterexample.problem)
    assert first.outcomes == again.outcomes
    assert (
        len(
            {
                str(numbers(search(claim, 50, seed).counterexample.problem))
                + str(search(claim, 50, seed).tried)
                for seed in range(5)
            }
        )
        > 1
    )
    drawn = [
        [numbers(p) for p, _ in _tried(toy(right, search=SHAPES), 6, seed)] for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1]
    assert all(a != b for a, b in zip(drawn[0], drawn[2], strict=True))


def test_every_try_is_another_problem():
    """Also beyond the first batch, and from shape to shape."""
    tried = [numbers(p)["entries"] for p, _ in _tried(toy(right, search=SHAPES), 4 * BATCH + 3, 0)]
    assert Counter(map(len, tried)) == {3: 2 * BATCH + 2, 4: 2 * BATCH + 1}
    assert len({tuple(x) for x in tried}) == len(tried)


def test_a_longer_search_begins_as_a_shorter_one():
    """Of each shape the same problems first, and then more: a larger N loses nothing that a smaller
    one found.
    """
    claim = toy(right, search=SHAPES)
    few, many = (
        [numbers(p)["entries"] for p, _ in _tried(claim, tries, 0)] for tries in (5, 3 * BATCH)
    )
    for size in (3, 4):
        short, long = ([x for x in tried if len(x) == size] for tried in (few, many))
        assert long[: len(short)] == short


def test_a_claim_without_draws_is_tried_on_its_own_random_problems():
    """The last of its problems, which are random, with a new key each time; never the fixed one."""
    seen = []

    def predict(p):
        seen.append(np.asarray(p.entries).tolist())
        return right(p)

    result = search(toy(predict), 5, seed=2)
    assert (result.survived, result.tried) == (True, 5)
    assert [len(x) for x in seen] == [3] * 5
    assert len({tuple(x) for x in seen}) == 5
    assert not search(toy(wrong), 20).survived


@pytest.mark.parametrize("tries", [0, -1, True, "3", 2.0])
def test_a_number_of_tries_is_a_positive_whole_number(untyped, tries):
    with pytest.raises(ValueError, match=r"^fuzz: got .*; want a whole number >= 1"):
        search(toy(right), tries)


def mixed(p):
    """A measurement that comes to a different end with the size of the first entry."""
    x = p.entries[0]
    total = jnp.sum(p.entries)
    value = jnp.where(x < 2, total + 1, jnp.where(x < 3, jnp.nan, total))
    premises = {"below eight": x < 8}
    effect = jnp.where((x > 5) & (x < 7), 1e-10, 1.0)
    return Measured(
        value[None], {"rounding": 1e-9}, effect=effect, premises=premises, settled=x > 1.5
    )


def test_a_batch_is_judged_as_its_problems_are_one_by_one():
    """All six outcomes, each with the problem it belongs to."""
    claim = dataclasses.replace(toy(right, search=(drawing(2),)), measure=mixed)
    pairs = [(claim.judge(p).name, name) for p, name in _tried(claim, 60, 0)]
    assert all(own == batched for own, batched in pairs)
    assert {name for _, name in pairs} == {
        "holds",
        "violated",
        "premise_failed",
        "undecidable",
        "not_converged",
        "diverged",
    }


def test_the_outcomes_that_are_no_violation_do_not_stop_a_search():
    claim = dataclasses.replace(
        toy(right, search=(drawing(2),)),
        measure=lambda p: dataclasses.replace(mixed(p), settled=False),
    )
    result = search(claim, 60)
    assert result.survived
    assert result.tried == 60
    assert set(result.outcomes) == {
        "holds",
        "premise_failed",
        "undecidable",
        "not_converged",
        "diverged",
    }


def test_chance_is_shared_among_all_tries():
    """Each significance test of a search has its share of `FAMILY_ERROR`; also when what was found
    is shrunk.
    """
    levels = []

    def compare(predicted, measured, level=None):
        levels.append(level)
        return compare_values(predicted, measured.value, measured.errors)

    assert search(toy(right, compare=compare, tests=3), 4).survived
    assert levels == [FAMILY_ERROR / 12] * 4
    assert not search(toy(wrong, compare=compare, tests=3), 20).survived
    assert set(levels[4:]) == {FAMILY_ERROR / 60}


def test_a_search_is_plain_data():
    result = search(toy(wrong, search=SHAPES), 100, 1)
    data = result.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert set(data) == {
        "name",
        "survived",
        "tried",
        "outcomes",
        "seed",
        "seconds",
        "counterexample",
        "exact",
    }
    assert (data["name"], data["survived"], data["seed"]) == ("toy", False, 1)
    assert data["counterexample"]["numbers"] == {
        "entries": np.asarray(result.counterexample.problem.entries).tolist()
    }


def test_all_named_claims_are_searched(monkeypatch):
    for name, predict in (("first", right), ("second", wrong)):
        monkeypatch.setitem(
            CLAIMS, name, dataclasses.replace(toy(predict, search=SHAPES), name=name)
        )
    results = list(search_all("first", "second", tries=40))
    assert [(r.claim.name, r.survived) for r in results] == [("first", True), ("second", False)]


# Networks that need no training


def off_by(exact, other, visible=True):
    """A claim whose networks of the closed form are off by so much beside 1, granted a tenth, and
    those with a weight off by so much.
    """
    judged = lambda change: compare_values(jnp.ones(1), jnp.ones(1) + change, {"rounding": 0.1})
    return toy(
        right, search=SHAPES, exact=lambda p: (judged(exact), judged(other), jnp.asarray(visible))
    )


def test_a_check_that_tells_networks_of_the_closed_form_from_others_survives():
    result = search_exact(off_by(0.0, 1.0), 7)
    assert (result.survived, result.tried, result.outcomes, result.off) == (
        True,
        7,
        {"holds": 7},
        {"violated": 7},
    )


def test_false_alarms_and_what_is_missed_are_found():
    """With the verdict and its problem; what no check could see is not missed."""
    alarm, missed = search_exact(off_by(0.2, 1.0), 7), search_exact(off_by(0.0, 0.05), 7)
    assert (alarm.survived, alarm.missed, alarm.false_alarm.verdict.name) == (
        False,
        None,
        "violated",
    )
    assert (missed.survived, missed.false_alarm, missed.missed.verdict.name) == (
        False,
        None,
        "holds",
    )
    assert missed.missed.problem.entries.shape == (3,)
    hidden = search_exact(off_by(0.0, 0.05, visible=False), 7)
    assert (hidden.survived, hidden.off) == (True, {})


@pytest.mark.parametrize("x64", [True, False])
@pytest.mark.parametrize("name", [name for name, claim in CLAIMS.items() if claim.exact])
def test_networks_of_the_closed_form_hold_and_those_with_a_weight_off_do_not(name, x64):
    """One batch of one shape: no false alarm and none missed, in either dtype."""
    with jax.enable_x64(x64):
        found = search_exact(CLAIMS[name], EXACT, draws=CLAIMS[name].search[:1])
    assert found.survived, found.to_dict()
    assert found.tried == EXACT
    assert found.outcomes["holds"] >= EXACT / 4
    assert set(found.off) == {"violated"}


# Shrinking


def refuted(problem):
    """A claim that nothing satisfies, with all problems it was asked about."""
    asked = []

    def predict(p):
        asked.append(p)
        return jnp.ones(1)

    claim = Claim(
        "false",
        "",
        lambda key: iter([problem]),
        predict,
        lambda p: Measured(jnp.full(1, 2.0), {"rounding": 1e-9}),
    )
    return claim, asked


@pytest.mark.parametrize("seed", range(6))
def test_shrunk_moments_are_moments(seed):
    """0 <= C <= S on the way and at the end, where rounding would break it, and the network still
    fits: a counterexample that is no problem at all refutes nothing.
    """
    problem = harder(jax.random.key(seed), (4, 3, 3, 3))
    claim, asked = refuted(problem)
    trial = shrink(claim, Trial(problem, claim.judge(problem)))
    for p in asked:
        # Validated as if new, and to rounding.
        Moments(p.moments.cross, p.moments.second)
        assert p.sizes[0] == p.moments.dim
        assert min(p.sizes) >= 1
    assert trial.verdict.name == "violated"
    assert trial.problem.sizes == (1, 1)


@pytest.mark.parametrize("seed", range(3))
def test_shrunk_features_are_features(seed):
    draw = CLAIMS["flow-times"].search[2]
    problem = draw(jax.random.key(seed))
    claim, asked = refuted(problem)
    trial = shrink(claim, Trial(problem, claim.judge(problem)))
    assert len(asked) > 3
    for p in asked:
        assert np.all((np.asarray(p.cross) >= 0) & (p.cross <= p.second))
    assert (trial.problem.depth, trial.problem.cross.shape) == (1, (1,))


def test_rounding_that_breaks_the_moments_is_passed_over():
    """C <= S here only in the third digit: one and two digits are no moments, and are never
    tried.
    """
    cross, second = jnp.array([[1.0, 0.5], [0.5, 1.0]]), jnp.array([[1.004, 0.496], [0.496, 1.004]])
    with pytest.raises(ValueError):
        Moments(rounder(cross, 2), rounder(second, 2) - 1e-3 * jnp.eye(2))
    problem = Task(Moments(cross * 0.999, second), jax.random.key(0), jnp.asarray(0.5), (2, 2))
    claim, asked = refuted(problem)
    shrink(claim, Trial(problem, claim.judge(problem)))
    for p in asked:
        Moments(p.moments.cross, p.moments.second)


@pytest.mark.parametrize("name", ["balancedness", "discrete-balancedness"])
def test_shrunk_problems_of_training_have_moments(name):
    """The same for problems that are offered with rounder numbers only."""
    for seed in range(5):
        problem = CLAIMS[name].search[0](jax.random.key(seed))
        claim, asked = refuted(problem)
        shrink(claim, Trial(problem, claim.judge(problem)))
        for p in asked:
            Moments(p.data.cross, p.data.second)


def test_a_problem_that_cannot_be_judged_is_passed_over():
    """An offer that raises, when made or when judged, is no counterexample."""

    class Fussy(Vector):
        def shrinks(self):
            def invalid():
                raise ValueError("no such problem")

            yield invalid
            yield lambda: Fussy(jnp.array([-1.0]))
            yield lambda: Fussy(jnp.array([3.0]))

    def predict(p):
        if float(p.entries[0]) < 0:
            raise ValueError("entries: got -1.0; want positive numbers")
        return 2 * right(p)

    claim = toy(predict)
    problem = Fussy(jnp.array([4.5, 7.5]))
    assert shrink(claim, Trial(problem, claim.judge(problem))).problem.entries.tolist() == [3.0]


def test_shrinking_keeps_to_its_limits():
    """No more tries than allowed, and nothing simpler is nothing done."""
    problem = Vector(jnp.arange(1.0, 41.0))
    claim, asked = refuted(problem)
    trial = Trial(problem, claim.judge(problem))
    asked.clear()
    assert shrink(claim, trial, tries=5).problem.entries.shape == (35,)
    assert len(asked) == 5
    assert shrink(claim, trial, tries=0) is trial
    assert shrink(claim, trial, seconds=0.0) is trial


def test_only_what_is_still_violated_replaces_a_counterexample():
    """Entries that the violation needs stay."""
    claim = toy(wrong)
    problem = Vector(jnp.array([1.25, 7.345, 2.5]))
    assert shrink(claim, Trial(problem, claim.judge(problem))).problem.entries.tolist() == [7.0]
    # One digit makes 5, which is no longer above five.
    problem = Vector(jnp.array([5.345]))
    assert shrink(claim, Trial(problem, claim.judge(problem))).problem.entries.tolist() == [
        pytest.approx(5.3)
    ]


def test_rounder_numbers():
    """Significant digits of floating arrays; whole numbers, keys and zeros stay as they are."""
    tree = {
        "x": jnp.array([0.0, 1234.5, -0.098765]),
        "n": jnp.array([1234]),
        "key": jax.random.key(1),
        "word": "w",
    }
    one, two = rounder(tree, 1), rounder(tree, 2)
    np.testing.assert_allclose(one["x"], [0.0, 1000.0, -0.1])
    np.testing.assert_allclose(two["x"], [0.0, 1200.0, -0.099])
    assert one["x"].dtype == tree["x"].dtype
    assert one["n"].tolist() == [1234]
    assert eqx.tree_equal(one["key"], tree["key"])
    assert one["word"] == "w"
    assert eqx.tree_equal(rounder(one, 1), one)


# The library's claims


def is_round(x):
    """Whether every entry has one digit."""
    return np.allclose(x, np.vectorize(lambda v: float(f"{v:.1g}"))(np.asarray(x)), rtol=1e-12)


def narrowed(name, shape=0):
    """The claim, searched on one of its shapes."""
    claim = CLAIMS[name]
    return dataclasses.replace(claim, search=claim.search[shape : shape + 1])


def test_least_norm_is_searched_batch_and_problem_alike():
    """A few random factorisations over decades: all hold, judged together as judged one by one."""
    claim = narrowed("min-norm")
    pairs = [(claim.judge(p).name, name) for p, name in _tried(claim, 3, 0)]
    assert pairs == [("holds", "holds")] * 3


@pytest.mark.parametrize(
    "name", ["discrete-balancedness", pytest.param("vanishing-features", marks=pytest.mark.slow)]
)
def test_a_small_search_finds_nothing(name):
    result = search(narrowed(name), 4)
    assert result.survived, str(result.counterexample.verdict)
    assert result.tried == 4
    assert result.outcomes.get("holds", 0) > 0


def test_a_wrong_power_of_the_singular_values_is_refuted():
    """A false theory of the library's own problems: found at once, and shrunk to two layers with
    round numbers.
    """
    claim = narrowed("min-norm")
    power = with_power(lambda depth: 2 / (depth + 1))
    false = dataclasses.replace(claim, predict=lambda p: power(p, claim.predict(p)))
    found = search(false, 3).counterexample
    assert found.verdict.name == "violated"
    assert false.judge(found.problem).name == "violated"
    assert found.problem.network.depth == 2
    assert all(is_round(w) for w in found.problem.network.layers)


@pytest.mark.slow
def test_a_wrong_exponent_of_the_law_is_refuted():
    """By a network that is smaller than the one first found; the same one from the same seed."""
    claim = CLAIMS["layerwise-law"]
    exponent = with_exponents(lambda level, layers: level / (layers + 1))
    false = dataclasses.replace(
        claim,
        predict=lambda p: exponent(p, claim.predict(p)),
        search=(functools.partial(harder, sizes=(3, 2, 2)),),
    )
    found = search(false, 10).counterexample
    assert found.verdict.name == "violated"
    assert sum(found.problem.sizes) < 7
    assert eqx.tree_equal(found.problem, search(false, 10).counterexample.problem)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CLAIMS))
def test_search_finds_nothing_against_any_claim(name):
    with jax.numpy_dtype_promotion("standard"):
        result = search(CLAIMS[name], 50)
    assert result.survived, (
        f"{result.counterexample.verdict}, {numbers(result.counterexample.problem)}"
    )
    assert result.tried == 50
    assert result.outcomes.get("holds", 0) >= 10, result.outcomes


@pytest.mark.slow
def test_a_false_conjecture_of_a_user_is_refuted():
    """A claim of trained networks without draws of its own: searched problem by problem, and its
    numbers rounded.
    """
    sizes = (2, 2, 2)

    def draw(key):
        strength, noise = jax.random.uniform(key, (2, 2), minval=0.3, maxval=2.0)
        yield pt.ContrastiveProblem(pt.Features(strength), pt.AdditiveNoise(noise))

    def train(problem):
        start = pt.DeepLinear.balanced(jax.random.key(0), sizes, scale=0.7)
        return pt.theorems.trained(
            start, problem.moments(), lambda network: pt.measure.layer_weights(network)[-1]
        )

    def fraction(problem):
        moments = problem.moments()
        return jnp.diag(moments.cross) / jnp.diag(moments.second)

    claim = Claim("fractions", "Weights are signal fractions.", draw, fraction, train)
    found = search(claim, 5).counterexample
    assert is_round(found.problem.features.strength)


def test_a_network_of_strengths_far_apart_is_not_violated_by_its_own_rounding():
    """A second moment whose least eigenvalue is below the rounding of its entries: the strong
    inputs magnify that of the network.
    """
    cross = [
        [924.3695582596235, 1230169.039472142, 796093.622390638, 1133082.8162211226],
        [1230169.039472142, 1637132954.423534, 1059456921.9366083, 1507928714.676001],
        [796093.622390638, 1059456921.9366083, 685618700.9164665, 975843476.9966562],
        [1133082.8162211226, 1507928714.676001, 975843476.9966562, 1388921408.2463388],
    ]
    second = [
        [1229.0307053377462, 1635618.0368463318, 1058476.5556764991, 1506533.355974308],
        [1635618.0368463318, 2176712389.152206, 1408641247.8114893, 2004923977.814242],
        [1058476.5556764991, 1408641247.8114893, 911590421.8327911, 1297469811.790536],
        [1506533.355974308, 2004923977.814242, 1297469811.790536, 1846693287.0171742],
    ]
    problem = Task(
        Moments(jnp.asarray(cross), jnp.asarray(second)),
        jax.random.key(0),
        jnp.asarray(1.0),
        (4, 4),
    )
    verdict, _, _ = CLAIMS["spectral-minimiser"].exact(problem)
    assert float(verdict.discrepancy[1]) > float(verdict.effect[1])
    assert verdict.name == "undecidable"


def test_a_condition_number_beyond_rounding_is_undecidable():
    """The least weight of a layer is below the rounding of the largest: its logarithm is known to
    no precision.
    """
    fractions, strengths = (
        jnp.asarray([0.654, 0.881, 0.844, 0.65]),
        jnp.asarray([0.81, 2.91, 0.26, 1.4e-16]),
    )
    moments = Moments(jnp.diag(fractions * strengths), jnp.diag(strengths))
    claim = CLAIMS["progressive-weighting"]
    for seed in range(5):
        verdict, _, _ = claim.exact(
            Task(moments, jax.random.key(seed), jnp.asarray(1.0), (4, 5, 5))
        )
        assert verdict.name == "undecidable"


def test_a_weight_that_rounding_may_have_lost_refutes_no_condition_number():
    """The logarithm of the least weight has no bound where the error of its Gram reaches it."""
    strengths = jnp.asarray([2.0, 1.0, 1e17])
    moments = Moments(jnp.diag(strengths / 2), jnp.diag(strengths))
    claim, sizes = CLAIMS["progressive-weighting"], (3, 3, 3)
    prediction = claim.predict(Task(moments, jax.random.key(0), jnp.asarray(1.0), sizes))
    weights = jnp.sqrt(jnp.diagonal(prediction.grams[-1]))
    lost = aligned(weights.at[jnp.argmin(weights)].set(0), 2)
    verdict = claim.compare(prediction, run_of(lost, lost, moments))
    assert verdict.name == "undecidable"


def test_a_column_of_the_map_that_is_small_beside_the_others_keeps_its_digits():
    """In float32, a singular vector by the plain decomposition has an error as large as the column
    of the strong input.
    """
    target = [
        [-0.0067769531, 15437.053711, -0.0012663528],
        [0.0109022642, 5954.0610352, -0.0007432569],
        [-0.078196347, 5770.0161133, 0.0022553941],
        [0.046714079, 3397.8215332, 7.5587828e-5],
    ]
    second = [[0.0128111364, 0.0, 0.0], [0.0, 308954080.0, 0.0], [0.0, 0.0, 1.07689222e-5]]
    with jax.enable_x64(False):
        problem = RegressionTask(
            TargetMoments(target, second, 3.2445), jax.random.key(0), jnp.asarray(1.0), (3, 4)
        )
        verdict, _, _ = CLAIMS["sl-minimiser"].exact(problem)
    assert verdict.name == "holds"


def test_targets_that_vary_with_an_input_of_unseen_variance_are_no_counterexample():
    """A moment of the target along a direction in which the second moment shows nothing: the loss
    moves with it, the map does not.
    """
    moments = TargetMoments(
        [[0.5, 0.0, 1e-9], [0.0, 0.3, -1e-9]], jnp.diag(jnp.asarray([1.0, 1.0, 0.0]))
    )
    claim = CLAIMS["sl-minimiser"]
    assert (
        claim.judge(RegressionTask(moments, jax.random.key(0), jnp.asarray(0.5), (3, 2))).name
        == "holds"
    )


def test_errors_of_steps_that_save_times_force_add_up():
    """Two runs of the same steps agree to the last digit, and are both off by more than a step."""
    times = jnp.geomspace(0.3403512621442559, 6807.0252428865115, RECORDS)
    target = jnp.asarray([0.0039057245930940584, 0.0036142981631783807, 0.001468056539324532])
    second = jnp.asarray([0.003928659851290462, 0.018169059651275545, 0.0029381410067342434])
    start = jnp.asarray([0.15937861701626002, 0.16028978294176116, 0.6505901171265265])
    verdict = CLAIMS["sl-times"].judge(ModeTask(target, second, start, times, jnp.asarray(0.0), 1))
    assert verdict.name == "holds"
    assert float(jnp.max(verdict.discrepancy)) > local_error(times.dtype, 1)


def test_a_vanishing_weight_that_has_not_quite_vanished_moves_the_jump():
    """The objective of the lower minimum is not yet zero when its run stops."""
    number = lambda x: jnp.asarray(x, jnp.result_type(float))
    problem = Extinction(number(960.0), number(24000.0), number(0.0014), number(0.54), 3)
    verdict = CLAIMS["feature-extinction"].judge(problem)
    assert verdict.name == "holds"
    assert float(verdict.discrepancy[0]) > float(verdict.parts["bisection"][0])
