"""Verification of theorems: with their controls, or by a search for counterexamples."""

import functools
from collections.abc import Callable, Collection, Iterator

import jax

from ..claims import Claim, ClaimResult, SearchResult, check_all, search_both
from ._registry import find


def verify(
    *claims: str | Claim,
    seed: int = 0,
    quick: bool = False,
    workers: int | None = None,
    skip: Collection[str] = (),
    step: Callable[[str], None] = lambda name: None,
) -> Iterator[ClaimResult]:
    """Run claims, each with its controls, and yield their results as they come.

    A claim is verified if every verdict holds and every control is caught. All are if
    `all(result.verified for result in verify())`.

    **Arguments:**

    - `claims`: names of registered claims, or claims; all registered claims if none is given.
    - `seed`: determines every random draw.
    - `quick`: run fewer problems of each claim, but all its controls.
    - `workers`, `skip`, `step`: as in `check_all`.

    **Raises:** `ValueError` for an unknown name, or fewer than one worker.
    """
    return check_all(chosen(*claims), seed, quick=quick, workers=workers, skip=skip, step=step)


def chosen(*claims: str | Claim) -> list[Claim]:
    """These claims, each once, or all registered claims if none is given.

    **Raises:** `ValueError`, with the nearest name, if a name is unknown.
    """
    named = [claim if isinstance(claim, Claim) else find([claim])[0] for claim in claims]
    return list({claim.name: claim for claim in named}.values()) or find()


def search_all(
    *claims: str | Claim,
    tries: int,
    seed: int = 0,
    step: Callable[[str, int], None] = lambda name, done: None,
) -> Iterator[SearchResult]:
    """Search claims for counterexamples, and yield the results one after the other.

    Each is tried on `tries` random problems, and on as many that need no training.

    **Arguments:**

    - `claims`: as in `verify`.
    - `tries`: the number of problems for each claim.
    - `seed`: determines every random draw.
    - `step`: called with a claim's name and the number of its problems done so far.
    """
    for claim in chosen(*claims):
        yield search_both(claim, tries, seed, functools.partial(step, claim.name))
        # Compiled programs are of no use to the next claim, and hold memory mappings, of which a
        # process has a limited number.
        jax.clear_caches()
