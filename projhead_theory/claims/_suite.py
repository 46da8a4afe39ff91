"""Checks of several claims at once: their common error rate, and their threads."""

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import chain

import jax

from .._core import checks
from .._core.cores import cores, settings
from ._check import check
from ._claim import FAMILY_ERROR, Claim, ClaimResult


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
