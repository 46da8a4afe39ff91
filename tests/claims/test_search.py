"""The random search for counterexamples, on problems that take no time: planted ones are found and
shrunk to small valid problems.
"""

import dataclasses
import json
from collections import Counter

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.toys import refuted
from jaxtyping import Array, Float

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
from projhead_theory.claims._search import BATCH, attempts, rounder
from projhead_theory.theorems import CLAIMS, search_all

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


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
    """Down to the one entry that makes it false, rounded as far as it stays above five."""
    result = search(toy(wrong, search=SHAPES), 100)
    assert not result.survived
    assert result.outcomes["violated"] == 1
    assert result.tried < 100
    (entry,) = result.counterexample.problem.entries
    assert float(entry) == round(float(entry), 1) > 5
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
        [numbers(p) for p, _ in attempts(toy(right, search=SHAPES), 6, seed)] for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1]
    assert all(a != b for a, b in zip(drawn[0], drawn[2], strict=True))


def test_every_try_is_another_problem():
    """Also beyond the first batch, and from shape to shape."""
    tried = [
        numbers(p)["entries"] for p, _ in attempts(toy(right, search=SHAPES), 4 * BATCH + 3, 0)
    ]
    assert Counter(map(len, tried)) == {3: 2 * BATCH + 2, 4: 2 * BATCH + 1}
    assert len({tuple(x) for x in tried}) == len(tried)


def test_a_longer_search_begins_as_a_shorter_one():
    """Of each shape the same problems first, and then more: a larger N loses nothing that a smaller
    one found.
    """
    claim = toy(right, search=SHAPES)
    few, many = (
        [numbers(p)["entries"] for p, _ in attempts(claim, tries, 0)] for tries in (5, 3 * BATCH)
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
        value[None], {"rounding": 1e-9}, effect=effect, premises=premises, converged=x > 1.5
    )


def test_a_batch_is_judged_as_its_problems_are_one_by_one():
    """All six outcomes, each with the problem it belongs to."""
    claim = dataclasses.replace(toy(right, search=(drawing(2),)), measure=mixed)
    pairs = [(claim.judge(p).name, name) for p, name in attempts(claim, 60, 0)]
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
        measure=lambda p: dataclasses.replace(mixed(p), converged=False),
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


def test_all_named_claims_are_searched(monkeypatch):
    for name, predict in (("first", right), ("second", wrong)):
        monkeypatch.setitem(
            CLAIMS, name, dataclasses.replace(toy(predict, search=SHAPES), name=name)
        )
    results = list(search_all("first", "second", tries=40))
    assert [(r.claim.name, r.survived) for r in results] == [("first", True), ("second", False)]


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
