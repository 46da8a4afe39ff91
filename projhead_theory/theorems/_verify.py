"""Verification of theorems by name: with their controls, or by a search for counterexamples."""

from collections.abc import Callable

from ..claims import ClaimResult, SearchResult, check_all, search_both
from ._registry import find


def verify(
    *names: str,
    seed: int = 0,
    quick: bool = False,
    workers: int | None = None,
    progress: Callable[[ClaimResult], None] = lambda result: None,
) -> list[ClaimResult]:
    """Run the named claims, or all, each with its controls.

    A claim is verified if every verdict holds and every control is caught. All are if
    `all(result.verified for result in verify())`.

    **Arguments:**

    - `names`: of the claims; all claims if none is given.
    - `seed`: determines every random draw.
    - `quick`: run fewer problems of each claim, but all its controls.
    - `workers`: as in `check_all`.
    - `progress`: called with each result as it comes.

    **Raises:** `ValueError` for an unknown name, or fewer than one worker.
    """
    return check_all(find(names), seed, quick=quick, workers=workers, progress=progress)


def search_all(*names: str, tries: int, seed: int = 0) -> list[SearchResult]:
    """Search the named claims, or all, for counterexamples.

    Each is tried on `tries` random problems, and on as many that need no training.
    """
    return [search_both(claim, tries, seed) for claim in find(names)]
