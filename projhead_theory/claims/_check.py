"""Check of one claim on its problems, with its controls, and of several claims side by side."""

import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import chain, islice
from typing import Any

import jax
import numpy as np

from .._core import bad, checks
from .._core.cores import cores, settings
from ._claim import FAMILY_ERROR, Claim, ClaimResult, Control, ControlResult, Trial
from ._search import shrink
from ._verdict import Verdict


def check(
    claim: Claim,
    seed: int = 0,
    *,
    quick: bool = False,
    level: float | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> ClaimResult:
    """Run one claim with its controls. Every draw follows from `seed`.

    **Arguments:**

    - `claim`: the claim to check.
    - `seed`: the seed of all draws.
    - `quick`: try only the claim's first few problems, and its controls on these.
    - `level`: the level of each significance test. By default chance fails any test of this claim
        with probability `FAMILY_ERROR`.
    - `progress`: called with the name of each problem and control before it runs.

    **Returns:** a `ClaimResult`. If a trial is violated, its problem is shrunk to a small one that
    still violates the claim.

    **Raises:** `ValueError` if the claim has no problems, or if a control names a problem that does
    not exist.

    !!! example

        ```pycon
        >>> treble = pt.claims.Control("treble", "predicts 3x", predict=lambda x, own: 3 * x)
        >>> claim = pt.claims.Claim(
        ...     "double",
        ...     "A number added to itself is its double.",
        ...     problems=lambda key: jax.random.uniform(key, (3, 1)),
        ...     predict=lambda x: 2 * x,
        ...     measure=lambda x: pt.claims.Measured(x + x, {"rounding": 1e-15}),
        ...     controls=(treble,),
        ... )
        >>> result = pt.claims.check(claim)
        >>> result.outcome, result.verified
        ('holds', True)

        ```
    """
    begin = time.perf_counter()
    problems = _problems(claim, seed, quick)
    if level is None:
        level = FAMILY_ERROR / max(claim.tests * len(problems), 1)
    judged = claim.at_level(level)
    sides = []
    for number, problem in enumerate(problems, 1):
        progress(f"{claim.name}, problem {number} of {len(problems)}")
        sides.append((problem, claim.predict(problem), claim.measure(problem)))
    trials = tuple(Trial(problem, judged.compare(*both).on_host) for problem, *both in sides)
    controls = []
    for control in claim.controls:
        progress(f"{claim.name}, control {control.name}")
        controls.append(_control(judged, control, sides[control.on], trials[control.on].verdict))
    violated = next((t for t in trials if t.verdict.name == "violated"), None)
    return ClaimResult(
        claim,
        trials,
        tuple(controls),
        time.perf_counter() - begin,
        violated and shrink(judged, violated),
    )


def _problems(claim: Claim, seed: int, quick: bool) -> list[Any]:
    drawn: Iterator[Any] = iter(claim.problems(jax.random.key(seed)))
    last = max((control.on for control in claim.controls), default=0)
    problems = list(islice(drawn, max(claim.quick, last + 1)) if quick else drawn)
    if not problems:
        raise bad("claim.problems", "none", f"at least one problem to try {claim.name!r} on")
    for control in claim.controls:
        if not 0 <= control.on < len(problems):
            raise bad(
                "control.on",
                f"{control.on} for {control.name!r}",
                f"the number of one of the {len(problems)} problems",
            )
    return problems


def _control(
    claim: Claim, control: Control, side: tuple[Any, Any, Any], own: Verdict
) -> ControlResult:
    problem, prediction, measurement = side
    if control.problem is not None:
        problem = control.problem(problem)
        prediction = claim.predict(problem)
        measurement = None if control.measure else claim.measure(problem)
    if control.predict is not None:
        prediction = control.predict(problem, prediction)
    if control.measure is not None:
        measurement = control.measure(problem, measurement)
    verdict = claim.compare(prediction, measurement).on_host
    if control.problem is None and control.measure is None and own.name == "holds":
        verdict = dataclasses.replace(verdict, converged=np.ones((), bool))
    return ControlResult(
        control, verdict if control.expects == "premise_failed" else verdict.waived
    )


def family_level(claims: Sequence[Claim], quick: bool = False) -> float:
    """Level of each significance test for a total error probability of `FAMILY_ERROR`.

    The total is the probability that chance fails any test of the whole suite. Each test has its
    Bonferroni share, so tests may depend on one another in any way.
    """
    drawn = lambda claim: (
        claim.quick if quick else sum(1 for _ in claim.problems(jax.random.key(0)))
    )
    return FAMILY_ERROR / max(sum(c.tests * drawn(c) for c in claims if c.tests), 1)


class _StoppedError(Exception):
    """Raised in a worker between two steps, once its result is no longer awaited."""


def check_all(
    claims: Sequence[Claim],
    seed: int = 0,
    *,
    quick: bool = False,
    workers: int | None = None,
    step: Callable[[str], None] = lambda name: None,
) -> Iterator[ClaimResult]:
    """Check claims in parallel, with one error rate for the significance tests of all.

    Most of the time of a check goes into compilation, which does not hold Python's global lock:
    threads share the compiled programs and run as fast as processes. The results do not depend on
    the number of threads, but their order does.

    **Arguments:**

    - `claims`: the claims, each checked with its controls.
    - `seed`, `quick`: as in `check`.
    - `workers`: the number of threads, by default the number of cores. Precision, promotion, matrix
        precision and default device are carried over to them. Other scoped settings of JAX
        (`with jax.disable_jit(): ...`) need `workers=1`, which runs in the calling thread.
    - `step`: called, from any thread, with the name of each problem and control before it runs.

    **Returns:** an iterator over the results, as they come. The checks begin when the first result
    is asked for. One worker takes the claims in their order.

    **Raises:** `ValueError` for fewer than one worker. While results are awaited, an exception of a
    check, or `KeyboardInterrupt`, is raised at once; the other checks then stop at the end of their
    present step, as they do if no further result is asked for.
    """
    count = min(checks.count("workers", cores() if workers is None else workers), len(claims))
    run = functools.partial(check, seed=seed, quick=quick, level=family_level(claims, quick))
    if count <= 1:
        return (run(claim, progress=step) for claim in claims)
    return _side_by_side(claims, run, count, step)


def _side_by_side(
    claims: Sequence[Claim], run: Callable[..., ClaimResult], count: int, step: Callable
) -> Iterator[ClaimResult]:
    stop, enter = threading.Event(), settings()

    def go_on(name: str) -> None:
        if stop.is_set():
            raise _StoppedError
        step(name)

    def one(claim: Claim) -> ClaimResult:
        with enter():
            return run(claim, progress=go_on)

    pool = ThreadPoolExecutor(count)
    try:
        for task in as_completed([pool.submit(one, claim) for claim in _order(claims, count)]):
            yield task.result()
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _order(claims: Sequence[Claim], workers: int) -> list[Claim]:
    """The claims in the order in which they are taken up.

    Neighbours share compiled programs, so they should not start together: claims are taken from
    both ends. Those with significance tests take longest and should not be left over, but leave one
    worker free for a first result.
    """
    ends = list(chain(*zip(claims, reversed(claims), strict=True)))[: len(claims)]
    tested, others = ([c for c in ends if bool(c.tests) is kind] for kind in (True, False))
    return tested[: workers - 1] + others[:1] + tested[workers - 1 :] + others[1:]
