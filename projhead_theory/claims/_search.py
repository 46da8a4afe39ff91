"""Random search for counterexamples, and shrinking of those found."""

import dataclasses
import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._core import checks
from ._claim import FAMILY_ERROR, Claim, Trial, counterexample_dict
from ._verdict import NAMES, Outcome

BATCH = 25
EXACT = 200
"""Numbers of problems judged at once, with training (`BATCH`) and without (`EXACT`)."""


@dataclasses.dataclass(frozen=True)
class ExactResult:
    """Outcomes of a claim's check on networks set to the closed form, and on their mutants.

    A mutant is such a network with one weight off by ten tolerances.

    - `outcomes`: numbers of exact networks by outcome.
    - `off`: numbers of mutants by outcome, where the exact network holds and ten tolerances are
        less than the effect.
    - `false_alarm`: an exact network that is violated.
    - `missed`: a mutant that holds, or cannot be decided.
    """

    claim: Claim
    seed: int
    outcomes: dict[str, int]
    off: dict[str, int]
    false_alarm: Trial | None
    missed: Trial | None
    seconds: float

    @property
    def tried(self) -> int:
        return sum(self.outcomes.values())

    @property
    def survived(self) -> bool:
        return self.false_alarm is None and self.missed is None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.claim.name,
            "survived": self.survived,
            "tried": self.tried,
            "outcomes": self.outcomes,
            "off": self.off,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "false_alarm": None
            if self.false_alarm is None
            else counterexample_dict(self.false_alarm),
            "missed": None if self.missed is None else counterexample_dict(self.missed),
        }


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """Result of a random search of one claim.

    - `outcomes`: numbers of problems by outcome.
    - `counterexample`: the smallest counterexample.
    - `exact`: the result on networks that need no training, if these were tried.
    """

    claim: Claim
    seed: int
    outcomes: dict[str, int]
    counterexample: Trial | None
    seconds: float
    exact: ExactResult | None = None

    @property
    def tried(self) -> int:
        return sum(self.outcomes.values())

    @property
    def survived(self) -> bool:
        return self.counterexample is None and (self.exact is None or self.exact.survived)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.claim.name,
            "survived": self.survived,
            "tried": self.tried,
            "outcomes": self.outcomes,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "counterexample": None
            if self.counterexample is None
            else counterexample_dict(self.counterexample),
            "exact": None if self.exact is None else self.exact.to_dict(),
        }


def search(
    claim: Claim, tries: int, seed: int = 0, progress: Callable[[int], None] = lambda done: None
) -> SearchResult:
    """Try to break a claim on random problems; the first counterexample is shrunk to a small one.

    Problems of one shape run as one batch, so each shape compiles once. A claim without `search`
    draws from its own random problems, one by one.

    **Arguments:**

    - `claim`: the claim to break.
    - `tries`: the number of problems.
    - `seed`: the seed of all draws.
    - `progress`: called with the number of problems done so far.

    **Returns:** a `SearchResult`.

    **Raises:** `ValueError` for fewer than one try.
    """
    tries = checks.count("fuzz", tries)
    begin = time.perf_counter()
    judged = claim.at_level(FAMILY_ERROR / (claim.tests * tries) if claim.tests else 0.0)
    outcomes: Counter[str] = Counter()
    found = None
    for problem, name in _tried(judged, tries, seed):
        trial = None
        if name == "violated":
            # A batch may round otherwise than one problem alone, and a reader can run the latter
            # again.
            trial = Trial(problem, judged.judge(problem))
            name = trial.verdict.name
        outcomes[name] += 1
        progress(sum(outcomes.values()))
        if trial is not None and name == "violated":
            found = shrink(judged, trial)
            break
    return SearchResult(
        claim,
        seed,
        {n: outcomes[n] for n in NAMES if outcomes[n]},
        found,
        time.perf_counter() - begin,
    )


Draw = Callable[[Any], Any]


def search_both(
    claim: Claim, tries: int, seed: int = 0, progress: Callable[[int], None] = lambda done: None
) -> SearchResult:
    """Run `search`, then `search_exact` on as many problems.

    The second runs only if the claim has `exact` and the first found no counterexample.
    """
    result = search(claim, tries, seed, progress)
    if claim.exact is None or not result.survived:
        return result
    found = search_exact(claim, tries, seed)
    return dataclasses.replace(result, exact=found, seconds=result.seconds + found.seconds)


def search_exact(
    claim: Claim, tries: int, seed: int = 0, draws: Sequence[Draw] | None = None
) -> ExactResult:
    """Try a claim's check on networks that need no training, and on their mutants.

    The check must pass the networks of the closed form itself, and must fail the same networks with
    one weight off by ten tolerances. It is cheap: tens of thousands of problems take minutes. It
    stops at the first false alarm, or at the first mutant that is missed.

    **Arguments:**

    - `claim`: a claim that has `exact`.
    - `tries`: the number of problems, shared among the shapes.
    - `seed`: the seed of all draws.
    - `draws`: functions of a key that draw problems, one a shape; by default the claim's `search`.

    **Returns:** an `ExactResult`.

    **Raises:** `ValueError` for fewer than one try, or a claim without `exact`.
    """
    tries = checks.count("tries", tries)
    if claim.exact is None:
        raise checks.bad(
            "claim",
            f"{claim.name}, without `exact`",
            "a claim whose networks can be set to the closed form",
        )
    begin, exact, draws = time.perf_counter(), claim.exact, claim.search if draws is None else draws
    outcomes, off = Counter(), Counter()
    found: dict[str, Trial | None] = {"false_alarm": None, "missed": None}
    key = jax.random.fold_in(jax.random.key(seed), 0xE8AC7)
    for number, draw in enumerate(draws):
        share = tries // len(draws) + (number < tries % len(draws))
        both = eqx.filter_jit(eqx.filter_vmap(lambda k, draw=draw: (p := draw(k), exact(p))))
        for first in range(0, share, EXACT):
            keys = jax.random.split(
                jax.random.fold_in(jax.random.fold_in(key, number), first), EXACT
            )
            problems, (own, other, visible) = both(keys)
            names = [_names(eqx.filter_vmap(lambda v: v.outcome)(v)) for v in (own, other)]
            for i in range(min(EXACT, share - first)):
                item = lambda tree, i=i: jax.tree.map(
                    lambda x: x[i] if eqx.is_array(x) else x, tree
                )
                outcomes[names[0][i]] += 1
                if names[0][i] == "violated":
                    found["false_alarm"] = Trial(item(problems), item(own))
                if names[0][i] == "holds" and bool(visible[i]):
                    off[names[1][i]] += 1
                    if names[1][i] in ("holds", "undecidable"):
                        found["missed"] = Trial(item(problems), item(other))
            if any(found.values()):
                break
        if any(found.values()):
            break
    count = lambda c: {n: c[n] for n in NAMES if c[n]}
    return ExactResult(
        claim,
        seed,
        count(outcomes),
        count(off),
        found["false_alarm"],
        found["missed"],
        time.perf_counter() - begin,
    )


def _tried(claim: Claim, tries: int, seed: int) -> Iterator[tuple[Any, str]]:
    key = jax.random.fold_in(jax.random.key(seed), 0x5EED)
    if not claim.search:
        for i in range(tries):
            problem = list(claim.problems(jax.random.fold_in(key, i)))[-1]
            yield problem, claim.judge(problem).name
        return
    shapes = len(claim.search)
    for number, draw in enumerate(claim.search):
        share = tries // shapes + (number < tries % shapes)
        judge = eqx.filter_jit(eqx.filter_vmap(lambda problem: claim.judge(problem).outcome))
        for first in range(0, share, BATCH):
            keys = jax.random.split(
                jax.random.fold_in(jax.random.fold_in(key, number), first), BATCH
            )
            problems = eqx.filter_vmap(draw)(keys)
            names = _names(judge(problems))
            for i in range(min(BATCH, share - first)):
                yield (
                    jax.tree.map(lambda x, i=i: x[i] if eqx.is_array(x) else x, problems),
                    names[i],
                )


def _names(outcomes: Any) -> list[str]:
    table = {name: np.asarray(outcomes == getattr(Outcome, name)) for name in NAMES}
    return [next(name for name in NAMES if table[name][i]) for i in range(len(table["holds"]))]


def shrink(claim: Claim, trial: Trial, tries: int = 60, seconds: float = 60.0) -> Trial:
    """Smallest problem found that still refutes the claim.

    A problem may offer simpler ones by a method `shrinks()` that yields functions without
    arguments; a problem without this method is offered with rounder numbers. The first offer that
    is still violated replaces the problem, until none is, or until tries or time run out.
    """
    begin, left = time.perf_counter(), tries
    improved = True
    while improved:
        improved = False
        for candidate in _simpler(trial.problem):
            if left == 0 or time.perf_counter() - begin > seconds:
                return trial
            left -= 1
            try:
                verdict = claim.judge(candidate)
            except ValueError:
                continue
            if verdict.name == "violated":
                trial, improved = Trial(candidate, verdict), True
                break
    return trial


def _simpler(problem: Any) -> Iterator[Any]:
    """Simpler problems: its own offers, or rounder numbers. Invalid offers are passed over."""
    offers = problem.shrinks() if hasattr(problem, "shrinks") else rounded(lambda r: r(problem))
    for offer in offers:
        try:
            candidate = offer()
        except ValueError:
            continue
        if not eqx.tree_equal(candidate, problem):
            yield candidate


def rounded(build: Callable[[Callable[[Any], Any]], Any]) -> Iterator[Callable[[], Any]]:
    """Problems with rounder numbers, the roundest first.

    `build` makes a problem, given a function that rounds a number or all numbers of a tree.
    """
    return (
        functools.partial(build, functools.partial(rounder, digits=digits)) for digits in (1, 2, 3)
    )


def rounder(tree: Any, digits: int) -> Any:
    """The same tree with every floating number rounded to `digits` significant digits."""

    def one(x: Any) -> Any:
        if not eqx.is_array(x) or not jnp.issubdtype(x.dtype, jnp.floating):
            return x
        value = np.asarray(x, float)
        unit = 10.0 ** (np.floor(np.log10(np.abs(np.where(value == 0, 1, value)))) - digits + 1)
        return jnp.asarray(np.round(value / unit) * unit, x.dtype)

    return jax.tree.map(one, tree)
