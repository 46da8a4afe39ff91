"""Claims side by side: what comes out does not depend on the number of threads."""

import dataclasses
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.toys import CUBED, toy

from projhead_theory.claims import Measured, check_all, family_level
from projhead_theory.theorems import verify


def three():
    return [toy(CUBED, name=name) for name in ("first", "second", "third")]


@pytest.mark.parametrize("workers", [1, 2, 3, 8, None])
def test_results_are_the_same(workers):
    claims, steps = three(), []
    results = list(check_all(claims, 3, workers=workers, step=steps.append))
    alone = list(check_all(claims, 3, workers=1))
    assert [r.claim.name for r in alone] == ["first", "second", "third"]
    results.sort(key=lambda result: result.claim.name)
    assert [r.claim.name for r in results] == ["first", "second", "third"]
    assert len(steps) == sum(len(r.trials) + len(r.controls) for r in results)
    for a, b in zip(results, alone, strict=True):
        assert [c.caught for c in a.controls] == [c.caught for c in b.controls]
        for s, t in zip(a.trials, b.trials, strict=True):
            np.testing.assert_array_equal(s.verdict.measured, t.verdict.measured)


def test_claims_that_are_skipped_have_their_share_of_the_error_rate():
    """The level of the others is that of all, and one claim alone has more."""
    claims, levels = [], []
    for claim in three():
        judge = lambda *sides, level=None, own=claim: levels.append(level) or own.compare(*sides)
        claims.append(dataclasses.replace(claim, tests=1, compare=judge))
    results = list(check_all(claims, workers=1, skip=["first", "third"]))
    assert [r.claim.name for r in results] == ["second"]
    assert set(levels) == {family_level(claims)} != {family_level(claims[1:2])}
    assert list(check_all(claims, skip=["first", "second", "third"])) == []


def test_settings_of_the_caller_reach_the_threads():
    """Precision and promotion, also where they are scoped."""
    seen = []

    def measured(problem):
        seen.append(
            (
                threading.current_thread() is threading.main_thread(),
                jnp.ones(()).dtype,
                jax.config.jax_numpy_dtype_promotion,
            )
        )
        return Measured(problem.value[None] ** 2, {"none": 1e-3})

    claims = [dataclasses.replace(c, measure=measured) for c in three()]
    for x64 in (False, True):
        seen.clear()
        with jax.enable_x64(x64), jax.numpy_dtype_promotion("standard"):
            list(check_all(claims, quick=True, workers=2))
        assert set(seen) == {(False, jnp.dtype("float64" if x64 else "float32"), "standard")}


def test_an_error_of_one_claim_is_raised_and_stops_the_others():
    begun = []

    def broken(problem):
        begun.append(problem)
        raise RuntimeError("no luck")

    claims = [dataclasses.replace(c, measure=broken) for c in three()]
    with pytest.raises(RuntimeError, match="no luck"):
        list(check_all(claims, workers=2))
    assert len(begun) <= 3


def test_workers_are_counted():
    with pytest.raises(ValueError, match=r"workers: got 0"):
        verify("min-norm", workers=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_as_soon_as_there_are_any(workers):
    """The first one while later claims have not begun; these never run if nobody asks."""
    begun = []
    results = check_all(three(), workers=workers, step=begun.append)
    assert begun == []
    first = next(results)
    results.close()
    assert first.verified
    assert workers > 1 or not any("third" in name for name in begun)


def test_verify_takes_names_and_claims():
    """Each once, whichever way it is given."""
    claim = three()[0]
    results = verify("min-norm", claim, "min-norm", claim, quick=True, workers=1)
    assert [r.claim.name for r in results] == ["min-norm", "first"]


def test_one_worker_is_free_for_a_claim_without_significance_tests():
    """Claims with such tests take long, and start first on all workers but one."""
    begun = []
    claims = [toy(CUBED, name=f"tested-{i}", tests=1) for i in range(3)]
    untested = toy(CUBED, name="untested")
    judged = lambda claim: dataclasses.replace(
        claim, compare=lambda *sides, level: untested.compare(*sides)
    )
    claims = [judged(claim) for claim in claims] + [untested]
    results = check_all(claims, quick=True, workers=2, step=begun.append)
    assert len(list(results)) == 4
    first = list(dict.fromkeys(step.partition(",")[0] for step in begun))
    assert "untested" in first[:2]
