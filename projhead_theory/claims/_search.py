"""Random search for counterexamples, and shrinking of those found."""

import abc
import contextlib
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
from jaxtyping import Array

from .._core import checks, name_of, named
from ._claim import FAMILY_ERROR, Claim, Trial
from ._verdict import Outcome

Draw = Callable[[Any], Any]

Offers = Iterator[Callable[[], Any]]
"""Simpler problems, as functions without arguments, which a problem's `shrinks()` yields."""

BATCH = 25
EXACT = 200
"""Numbers of problems judged at once, with training (`BATCH`) and without (`EXACT`)."""


@dataclasses.dataclass(frozen=True)
class _Tried(abc.ABC):
    """Numbers of problems by outcome, in a search of a claim that took so long."""

    claim: Claim
    seed: int
    outcomes: dict[str, int]
    seconds: float

    @property
    def tried(self) -> int:
        return sum(self.outcomes.values())

    @property
    @abc.abstractmethod
    def survived(self) -> bool:
        """True if nothing was found."""

    @property
    @abc.abstractmethod
    def found(self) -> dict[str, Trial | None]:
        """Problems that refute the claim or its check, by their kind."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.claim.name,
            "survived": self.survived,
            "tried": self.tried,
            "outcomes": self.outcomes,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            **{kind: trial and trial.in_full() for kind, trial in self.found.items()},
        }


@dataclasses.dataclass(frozen=True)
class ExactResult(_Tried):
    """Outcomes of a claim's check on networks set to the closed form, and on their mutants.

    A mutant is such a network with one weight off by ten tolerances.

    - `outcomes`: numbers of exact networks by outcome.
    - `off`: numbers of mutants by outcome, where the exact network holds and ten tolerances are
        less than the effect.
    - `false_alarm`: an exact network that is violated.
    - `missed`: a mutant that holds, or cannot be decided.
    """

    off: dict[str, int]
    false_alarm: Trial | None
    missed: Trial | None

    @property
    def found(self) -> dict[str, Trial | None]:
        return {"false_alarm": self.false_alarm, "missed": self.missed}

    @property
    def survived(self) -> bool:
        return self.false_alarm is None and self.missed is None

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "off": self.off}


@dataclasses.dataclass(frozen=True)
class SearchResult(_Tried):
    """Result of a random search of one claim.

    - `outcomes`: numbers of problems by outcome.
    - `counterexample`: the smallest counterexample.
    - `exact`: the result on networks that need no training, if these were tried.
    """

    counterexample: Trial | None
    exact: ExactResult | None = None

    @property
    def found(self) -> dict[str, Trial | None]:
        return {"counterexample": self.counterexample}

    @property
    def survived(self) -> bool:
        return self.counterexample is None and (self.exact is None or self.exact.survived)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "exact": self.exact and self.exact.to_dict()}


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
    for problem, name in attempts(judged, tries, seed):
        if name == "violated":
            # A batch may round otherwise than one problem alone, and a reader can run the latter
            # again.
            found = Trial(problem, judged.judge(problem).on_host)
            name = found.verdict.name
        outcomes[name] += 1
        progress(outcomes.total())
        if name == "violated":
            break
        found = None
    found = found and shrink(judged, found)
    return SearchResult(
        claim, seed, dict(outcomes.most_common()), time.perf_counter() - begin, found
    )


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
    false_alarm, missed = None, None

    def judge(problem: Any) -> Any:
        own, other, visible = exact(problem)
        return own, other, (own.outcome, other.outcome), visible

    for problem, (own, other, codes, visible) in _batched(
        draws, tries, named(jax.random.key(seed), "exact networks"), EXACT, judge
    ):
        name, other_name = (name_of(Outcome, code) for code in codes)
        outcomes[name] += 1
        if name == "violated":
            false_alarm = Trial(problem, own)
            break
        if name == "holds" and visible:
            off[other_name] += 1
            if other_name in ("holds", "undecidable"):
                missed = Trial(problem, other)
                break
    return ExactResult(
        claim,
        seed,
        dict(outcomes.most_common()),
        time.perf_counter() - begin,
        dict(off.most_common()),
        false_alarm,
        missed,
    )


def attempts(claim: Claim, tries: int, seed: int) -> Iterator[tuple[Any, str]]:
    """Random problems of a claim, each with the name of its outcome."""
    key = named(jax.random.key(seed), "search")
    if claim.search:
        judged = _batched(claim.search, tries, key, BATCH, lambda p: claim.judge(p).outcome)
        yield from ((problem, name_of(Outcome, outcome)) for problem, outcome in judged)
        return
    for i in range(tries):
        *_, problem = claim.problems(named(key, "problems", i))
        yield problem, claim.judge(problem).name


def _batched(
    draws: Sequence[Draw], tries: int, key: Array, size: int, judge: Callable[[Any], Any]
) -> Iterator[tuple[Any, Any]]:
    """Random problems, shared among the shapes, each with the judgement on it as NumPy arrays.

    The problems of a shape are drawn and judged in batches of this size, by one program.
    """
    item = lambda tree, i: jax.tree.map(lambda x: x[i] if eqx.is_array(x) else x, tree)
    on_host = lambda tree, i: jax.tree.map(lambda x: np.asarray(x[i]), tree)
    for number, draw in enumerate(draws):
        share = tries // len(draws) + (number < tries % len(draws))
        both = eqx.filter_jit(eqx.filter_vmap(lambda k, draw=draw: (p := draw(k), judge(p))))
        for first in range(0, share, size):
            keys = jax.random.fold_in(jax.random.fold_in(key, number), first)
            problems, judged = both(jax.random.split(keys, size))
            judged = jax.device_get(judged)
            for i in range(min(size, share - first)):
                yield item(problems, i), on_host(judged, i)


def shrink(claim: Claim, trial: Trial, tries: int = 60, seconds: float = 60.0) -> Trial:
    """Smallest problem found that still refutes the claim.

    A problem may offer simpler ones by a method `shrinks()` that yields functions without
    arguments; a problem without this method is offered with rounder numbers. The first offer that
    is still violated replaces the problem, until none is, or until tries or time run out.
    """
    begin, left = time.perf_counter(), tries
    offers = _simpler(trial.problem)
    while left > 0 and time.perf_counter() - begin < seconds:
        candidate = next(offers, None)
        if candidate is None:
            break
        left -= 1
        with contextlib.suppress(ValueError):
            verdict = claim.judge(candidate).on_host
            if verdict.name == "violated":
                trial, offers = Trial(candidate, verdict), _simpler(candidate)
    return trial


def _simpler(problem: Any) -> Iterator[Any]:
    """Simpler problems: its own offers, or rounder numbers. Invalid offers are passed over."""
    offers = problem.shrinks() if hasattr(problem, "shrinks") else rounded(lambda r: r(problem))
    for offer in offers:
        with contextlib.suppress(ValueError):
            candidate = offer()
            if not eqx.tree_equal(candidate, problem):
                yield candidate


def rounded(build: Callable[[Callable[[Any], Any]], Any]) -> Offers:
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
