"""The claims on fixed heads: they hold, controls are caught, near misses are violated, and errors are what they say."""

import dataclasses
import functools
import importlib.util
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_claims import assert_verified, compiling

from projhead_theory import theory
from projhead_theory._spectra import frobenius
from projhead_theory.claims import _heads, _kappa, check
from projhead_theory.claims._heads import with_pairing, with_weights
from projhead_theory.claims._kappa import _predicted, predicting
from projhead_theory.claims._tasks import replace

pytestmark = pytest.mark.x64

CLAIMS = {claim.name: claim for claim in (_heads.EQUIVALENCE, _heads.MATCHING, _kappa.EMULATION, _kappa.BEST)}


def minimiser_of(change: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda problem, own: replace(own, minimiser=change(problem, own.minimiser))


def layers_to(power: float) -> Callable[[Any, Any], Any]:
    """The Gram below the trained head as another power of that above it."""

    def wrong(problem, own):
        values, v = jnp.linalg.eigh(own.layers.grams[-1])
        return replace(own, layers=replace(own.layers, grams=own.layers.grams.at[0].set((v * values**power) @ v.T)))

    return wrong


def exponents(power: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The indicator with another power of kappa for each rank, its best ratio found on a fine grid."""

    def wrong(p, weights):
        ranks = jnp.argsort(jnp.argsort(-weights))
        rates = power((ranks - ranks[p.target]).astype(weights.dtype))
        terms = (weights * p.strength / weights[p.target] / p.strength[p.target]) ** 2
        value = lambda t: jnp.sum(terms * jnp.exp(rates * t[..., None]), axis=-1)  # noqa: E731
        grid = jnp.linspace(0, 3, 3001, dtype=weights.dtype)
        return jnp.append(value(jnp.log(p.kappas)), grid[jnp.argmin(value(grid))])

    return predicting(wrong)


NEAR_MISSES: dict[str, dict[str, Callable[[Any, Any], Any]]] = {
    "head-equivalence": {
        "one mode less": minimiser_of(lambda p, own: theory.spectral(p.moments, min(p.rows.shape[1], p.moments.dim) - 1, throw=False)),
        "twice the Gram": minimiser_of(lambda p, own: replace(own, gram=2 * own.gram)),
        "signal fractions not squared": minimiser_of(
            lambda p, own: replace(own, loss=-jnp.sum(own.signal_fraction[: min(p.rows.shape[1], p.moments.dim)]))
        ),
        "the Gram seen through a head": minimiser_of(lambda p, own: theory_gram(p, own)),
    },
    "sorted-matching": {
        "kappa^(i / 2) for kappa^i": with_weights(lambda p, h, decay: (p.cross - decay / (4 * h**2)) / (h * p.second**2)),
        "h^-4 for h^-2": with_weights(lambda p, h, decay: (p.cross - decay / (4 * h**2)) / (h**2 * p.second) ** 2),
        "h times w": with_weights(lambda p, h, decay: (p.cross - decay / (4 * h**2)) * (h / p.second) ** 2),
        "half the deviation": with_weights(lambda p, h, decay: (p.cross - decay / (8 * h**2)) / (h * p.second) ** 2),
        "h for h^2 in the deviation": with_weights(lambda p, h, decay: (p.cross - decay / (4 * h)) / (h * p.second) ** 2),
        "no deviation": with_weights(lambda p, h, decay: p.cross / (h * p.second) ** 2),
        "a deviation of the second order": with_weights(lambda p, h, decay: (p.cross - decay**2 / (4 * h**2)) / (h * p.second) ** 2),
        "q for q^2": with_weights(lambda p, h, decay: (p.cross - decay / (4 * h**2)) / (h**2 * p.second)),
        "sorted by second moment": with_pairing(lambda p: jnp.argsort(-p.second)),
    },
    "kappa-emulation": {
        "the weights themselves": layers_to(1.0),
        "the cube root": layers_to(1 / 3),
        "the factor squared": lambda problem, own: replace(own, factor=own.factor**2),
        "the root of the factor": lambda problem, own: replace(own, factor=jnp.sqrt(own.factor)),
    },
    "best-kappa": {
        "the rank itself, not twice it": exponents(lambda r: r),
        "four times the rank": exponents(lambda r: 4 * r),
        "less of the heavier": exponents(lambda r: jnp.abs(r)),
        "the other way": exponents(lambda r: -2 * r),
        "weights not squared": predicting(lambda p, w: _predicted(jnp.sqrt(w), p.strength, p)),
        "strengths not squared": predicting(lambda p, w: _predicted(w, jnp.sqrt(p.strength), p)),
    },
}


def theory_gram(problem, own):
    """What sorting gives before the second head."""
    return replace(own, gram=theory.sorted_matching(problem.moments, problem.rows[1], throw=False).gram)


@functools.cache
def side(name: str, number: int) -> tuple[Any, Any]:
    """One of the claim's problems, and what was measured on it."""
    problem = next(islice(CLAIMS[name].problems(jax.random.key(0)), number, None))
    return problem, CLAIMS[name].measure(problem)


def remembered(name):
    """The claim with the problems of seed 0, and measurements that other tests share."""
    claim = CLAIMS[name]
    count = max(claim.quick, 1 + max(c.on for c in claim.controls))
    problems = [side(name, i)[0] for i in range(count)]

    def measure(problem):
        known = [side(name, i)[1] for i, p in enumerate(problems) if p is problem]
        return known[0] if known else claim.measure(problem)

    return dataclasses.replace(claim, problems=lambda key: iter(problems), measure=measure)


@pytest.mark.parametrize("name", CLAIMS)
def test_claim_holds_its_controls_are_caught_and_other_numbers_compile_nothing(name):
    """On the first problems of three seeds; whatever the first run compiled serves the others."""
    assert_verified(check(remembered(name), 0, quick=True))
    for seed in (3, 4):
        result, names = compiling(lambda seed=seed: check(CLAIMS[name], seed, quick=True))
        assert_verified(result)
        assert names == []


@pytest.mark.parametrize("name", CLAIMS)
def test_near_misses_are_violated(name):
    """The formula holds on the very measurements on which each of its near misses is violated."""
    claim = CLAIMS[name]
    survived = {}
    for label, change in NEAR_MISSES[name].items():
        verdicts = []
        for number in range(claim.quick):
            problem, measured = side(name, number)
            own = claim.predict(problem)
            assert claim.compare(own, measured).name == "holds"
            verdicts.append(claim.compare(change(problem, own), measured))
            if verdicts[-1].name == "violated":
                break
        else:
            survived[label] = [str(v) for v in verdicts]
    assert not survived


def test_a_decay_beyond_the_limit_of_sorting_is_a_failed_premise():
    problem, measured = side("sorted-matching", 0)
    large = replace(problem, decay=2 * theory.matching_limit(problem.cross, problem.second, problem.rows))
    verdict = _heads.MATCHING.compare(_heads.predict_matching(large), measured)
    assert verdict.name == "premise_failed"
    assert verdict.failed == ("the sorted pairing is the best",)


def test_newtons_step_says_how_far_a_run_has_still_to_go():
    """To a tenth of it, against the closed form: what is left is of second order. So the tolerance follows the run's own residual."""
    problem, ends = side("sorted-matching", 0)
    predicted = _heads.predict_matching(problem)
    left = np.asarray(frobenius(ends.before - predicted.grams[:2]))
    np.testing.assert_allclose(ends.step, left, rtol=0.1, atol=float(jnp.max(_heads.off(ends)[2])))
    assert (np.asarray(ends.stiffness) > 1).all()


def test_a_wrong_pairing_is_stationary_and_no_minimum():
    """Newton's step is zero there, and the curvature says that training has not ended: a run that stays is not settled."""
    p, _ = side("sorted-matching", 0)
    for order, minimum in ((jnp.argsort(-jnp.sqrt(p.cross) / p.second), True), (jnp.argsort(jnp.sqrt(p.cross) / p.second), False)):
        weights = jnp.sqrt(p.cross[order] - p.decay / (4 * p.rows**2)) / (p.rows * p.second[order])
        step, stiffness = _heads._newton(weights[:, None] * p.basis.T[order], p.rows, p.decay, p.moments)
        assert bool(jnp.isfinite(stiffness)) == minimum
        assert float(step) < 1e-9 or not minimum


def test_the_continued_gram_is_that_of_no_decay():
    """A straight line through two decays loses nothing: the squared weights are linear in the decay."""
    problem, ends = side("sorted-matching", 0)
    none, _ = _heads.continued(ends)
    matched = theory.sorted_matching(problem.moments, problem.rows)
    np.testing.assert_allclose(none, matched.gram, atol=1e-7)


@pytest.mark.parametrize("name", CLAIMS)
def test_simpler_problems_hold_as_well(name):
    """What a shrinking search would offer is a problem of the same kind; moments that are none are passed over."""
    problem, _ = side(name, 0)
    *_, offer = problem.shrinks()
    assert CLAIMS[name].judge(offer()).name == "holds"


def test_the_vertex_of_exponentials_is_found_to_the_fourth_order():
    """A fifth of the spacing: an error 5^4 times less."""
    want = np.log(2 * 2.0 / (4 * 0.3)) / 6
    errors = []
    for spacing in (0.05, 0.01):
        t = want + spacing * (np.arange(5) - 2 + 0.4)
        values = 0.3 * np.exp(4 * t) + 1 + 2.0 * np.exp(-2 * t)
        errors.append(abs(float(_kappa._least(jnp.asarray(t), jnp.asarray(values))) - want))
    assert errors[0] < 1e-4
    assert 200 < errors[0] / errors[1] < 2000


def test_the_tournament_of_the_example_has_the_limits_that_are_stated():
    """By signal fraction for rows far apart; by cross moment where that has the same order; in between it is neither of the two."""
    path = Path(__file__).parent.parent / "examples" / "matching.py"
    spec = importlib.util.spec_from_file_location("matching", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    rng = np.random.default_rng(0)
    for _ in range(20):
        cross, fraction = rng.uniform(0.2, 1, 3), rng.uniform(0.2, 0.95, 3)
        assert example.tournament(cross, cross / fraction, 1e4 ** -np.arange(3.0)) == example.by(fraction)
        fraction = np.sort(fraction)[np.argsort(np.argsort(cross))]
        for kappa in (1.05, 1.5, 4.0):
            assert example.tournament(cross, cross / fraction, kappa ** -np.arange(3.0)) == example.by(cross)
            assert 0 < example.spilling(cross, cross / fraction, kappa ** -np.arange(3.0)) <= 1 - kappa**-2
