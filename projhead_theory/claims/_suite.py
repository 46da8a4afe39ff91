"""Checks of several claims at once: their common error rate, and their threads."""

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

import jax

from .._core import checks
from ._check import check
from ._claim import FAMILY_ERROR, Claim, ClaimResult


def family_level(claims: Sequence[Claim], quick: bool = False) -> float:
    """Level of each significance test for a total error probability of `FAMILY_ERROR`.

    The total is the probability that chance fails any test of the whole suite. Each test has its
    Bonferroni share, so tests may depend on one another in any way.
    """
    count = 0
    for claim in claims:
        if claim.tests:
            problems = claim.quick if quick else sum(1 for _ in claim.problems(jax.random.key(0)))
            count += claim.tests * problems
    return FAMILY_ERROR / max(count, 1)


class _StoppedError(Exception):
    """Raised in a worker between two steps, once its result is no longer awaited."""


def check_all(
    claims: Sequence[Claim],
    seed: int = 0,
    *,
    quick: bool = False,
    workers: int | None = None,
    progress: Callable[[ClaimResult], None] = lambda result: None,
    step: Callable[[str], None] = lambda name: None,
) -> list[ClaimResult]:
    """Check claims in parallel, with one error rate for the significance tests of all.

    Most of the time of a check goes into compilation, which does not hold Python's global lock:
    threads share the compiled programs and run as fast as processes. The results do not depend on
    the number of threads.

    **Arguments:**

    - `claims`: the claims, each checked with its controls.
    - `seed`, `quick`: as in `check`.
    - `workers`: the number of threads, by default the number of cores. Precision, promotion, matrix
        precision and default device are carried over to them. Other scoped settings of JAX
        (`with jax.disable_jit(): ...`) need `workers=1`, which runs in the calling thread.
    - `progress`: called with each result as it comes.
    - `step`: called, from any thread, with the name of each problem and control before it runs.

    **Returns:** the results, in the order of the claims.

    **Raises:** `ValueError` for fewer than one worker; an exception of a check, or
    `KeyboardInterrupt`, at once. The other checks stop at the end of their present step.
    """
    count = min(checks.count("workers", _cores() if workers is None else workers), len(claims))
    level = family_level(claims, quick)
    if count <= 1:
        results = []
        for claim in claims:
            results.append(check(claim, seed, quick=quick, level=level, progress=step))
            progress(results[-1])
        return results

    stop, settings = threading.Event(), _settings()

    def go_on(name: str) -> None:
        if stop.is_set():
            raise _StoppedError
        step(name)

    def one(claim: Claim) -> ClaimResult:
        with settings():
            return check(claim, seed, quick=quick, level=level, progress=go_on)

    # From both ends: neighbours share compiled programs, so they should not start together.
    ends = [
        i
        for pair in zip(range(len(claims)), reversed(range(len(claims))), strict=True)
        for i in pair
    ][: len(claims)]
    # Claims with significance tests first: they take longest, and should not be left over.
    order = sorted(ends, key=lambda i: claims[i].tests == 0)
    pool = ThreadPoolExecutor(count)
    tasks: dict[int, Future[ClaimResult]] = {i: pool.submit(one, claims[i]) for i in order}
    try:
        for task in as_completed(tasks.values()):
            progress(task.result())
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
    return [tasks[i].result() for i in range(len(claims))]


def _cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _settings() -> Callable[[], contextlib.ExitStack]:
    """Settings of JAX in force in this thread, to be entered in another."""
    names = ("enable_x64", "numpy_dtype_promotion", "default_matmul_precision", "default_device")
    scopes = [(getattr(jax, name), getattr(jax.config, f"jax_{name}")) for name in names]

    def enter() -> contextlib.ExitStack:
        stack = contextlib.ExitStack()
        for scope, value in scopes:
            stack.enter_context(scope(value))
        return stack

    return enter
