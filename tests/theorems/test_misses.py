"""Every claim's formula with one thing changed is refuted by the claim's own check, on one of its
own first problems. The changes stand beside the tests of each claim.
"""

import jax
import pytest
from helpers.measured import by_claim, side
from helpers.misses import beside

from projhead_theory.claims import FAMILY_ERROR
from projhead_theory.theorems import CLAIMS
from projhead_theory.theorems.thresholds import retained_when_vanishing

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]

FORMULAS = [name for name in CLAIMS if hasattr(beside(name), "FORMULAS")]


@pytest.mark.parametrize("name", list(CLAIMS))
def test_every_claim_has_near_misses(name):
    assert len(beside(name).MISSES) >= 3


@by_claim()
def test_near_misses_are_violated(name):
    """The formula holds on the very measurement on which each of its near misses is violated: no
    other outcome will do.
    """
    claim = CLAIMS[name].at_level(FAMILY_ERROR / max(CLAIMS[name].tests, 1))
    problem, measured = side(name, 0)
    own = claim.compare(claim.predict(problem), measured)
    assert own.name == "holds", str(own)
    survived = {}
    for label, change in beside(name).MISSES.items():
        wrong = change(claim)
        verdicts = []
        for number in range(claim.quick):
            problem, measured = side(name, number)
            verdicts.append(wrong.compare(wrong.predict(problem), measured))
            if verdicts[-1].name == "violated":
                break
        else:
            survived[label] = [str(v) for v in verdicts]
    assert not survived


@by_claim(FORMULAS)
def test_a_formula_that_is_a_little_off_is_refuted(name, monkeypatch):
    """The library's formula off by a few per cent, tolerances recomputed from it: refuted either
    way, by one of the claim's first problems, at the level of a run of all its problems; all hold
    with the formula as it is.
    """
    count = len(list(CLAIMS[name].problems(jax.random.key(0))))
    claim = CLAIMS[name].at_level(FAMILY_ERROR / max(count * CLAIMS[name].tests, 1))
    # Compiled predictions would go on with the formula that they were traced with.
    predict = getattr(claim.predict, "__wrapped__", claim.predict)
    monkeypatch.setattr(
        retained_when_vanishing, "predict", retained_when_vanishing.predict.__wrapped__
    )
    sides = [side(name, number) for number in range(claim.quick)]
    outcomes = lambda: [
        claim.compare(predict(problem), measured).name for problem, measured in sides
    ]
    assert set(outcomes()) == {"holds"}
    survived = []
    for module, formula, change, factors in beside(name).FORMULAS:
        own = getattr(module, formula)
        for factor in factors:
            with monkeypatch.context() as patch:
                patch.setattr(
                    module,
                    formula,
                    lambda *given, own=own, change=change, factor=factor: change(
                        own(*given), factor
                    ),
                )
                if "violated" not in outcomes():
                    survived.append((formula, factor))
    assert not survived
