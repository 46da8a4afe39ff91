"""Formulas of the library off by a few per cent, tolerances recomputed from them: the claim about
each refutes it.
"""

import jax
import pytest
from helpers.measured import by_claim, side

from projhead_theory import theory
from projhead_theory.claims import FAMILY_ERROR
from projhead_theory.theorems import CLAIMS
from projhead_theory.theorems.downstream import measured_sample_complexity
from projhead_theory.theorems.thresholds import retained_when_vanishing
from projhead_theory.theory import dynamics
from projhead_theory.theory.dynamics import regression

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]

# What a claim calls, as the module and the name it calls it by; how a value is changed by a factor;
# and the factors.
TIMES, POWER = (lambda value, factor: value * factor), (lambda value, factor: value**factor)
TWENTIETH = (0.95, 1.05)
FORMULAS = {
    "vanishing-features": [(dynamics, "vanishing_exponent", TIMES, TWENTIETH)],
    "sl-retention": [(regression, "retention_exponent", TIMES, TWENTIETH)],
    "retained-when-vanishing": [
        (theory, "threshold_limit", TIMES, TWENTIETH),
        (theory, "threshold_forgetting", POWER, TWENTIETH),
    ],
    "measured-sample-complexity": [
        (measured_sample_complexity, "margin_samples", TIMES, (0.8, 1.25))
    ],
}


@by_claim(FORMULAS)
def test_a_formula_that_is_a_little_off_is_refuted(name, monkeypatch):
    """Either way, by one of the claim's first problems, at the level of a run of all its problems;
    all hold with the formula as it is.
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
    for module, formula, change, factors in FORMULAS[name]:
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
