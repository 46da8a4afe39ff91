"""All claims, by name."""

import difflib
from collections.abc import Callable, Sequence

from . import (
    _absent,
    _balance,
    _classes,
    _collapse,
    _curves,
    _decay,
    _downstream,
    _dynamics,
    _heads,
    _homogeneity,
    _kappa,
    _layers,
    _minimiser,
    _modes,
    _norm,
    _pre_or_post,
    _probed,
    _regression,
    _sample,
    _threshold,
)
from ._claim import Claim, ClaimResult
from ._search import SearchResult, search_both
from ._suite import check_all

CLAIMS: dict[str, Claim] = {}


def register(claim: Claim) -> Claim:
    """Add a claim to `CLAIMS`, from which `verify`, `find`, `projhead verify --list`, the reports and the documentation's table are made.

    The claims of this library register themselves; a script that registers its own has them in `verify` and in
    `cli.main` of the same process.

    **Raises:** `ValueError` if another claim has that name.
    """
    if claim.name in CLAIMS and CLAIMS[claim.name] is not claim:
        raise ValueError(f"claim: got the name {claim.name!r}, which another claim has; want a new name")
    CLAIMS[claim.name] = claim
    return claim


for _claim in (
    _minimiser.CLAIM,
    _layers.LAW,
    _layers.PROGRESSIVE,
    _balance.CONSERVED,
    _norm.CLAIM,
    _balance.DISCRETE,
    _balance.BALANCING,
    _dynamics.TIMES,
    _dynamics.ORDER,
    _dynamics.VANISHING,
    _decay.MINIMISER,
    _decay.EXTINCTION,
    _sample.CLAIM,
    _downstream.OPTIMAL,
    _pre_or_post.CLAIM,
    _curves.CLAIM,
    _heads.EQUIVALENCE,
    _heads.MATCHING,
    _kappa.EMULATION,
    _kappa.BEST,
    _threshold.LAW,
    _threshold.RETAINED,
    _absent.CLAIM,
    _homogeneity.CONSERVED,
    _homogeneity.DISCRETE,
    _classes.MINIMISER,
    _collapse.COLLAPSE,
    _collapse.RETENTION,
    _classes.MIXED,
    _regression.MINIMISER,
    _modes.TIMES,
    _modes.RETENTION,
    _probed.COARSE,
    _probed.SHIFT,
):
    register(_claim)


def find(names: Sequence[str] = ()) -> list[Claim]:
    """The claims of these names, all if none is given. Raises `ValueError` with the nearest name for one that is unknown."""
    for name in names:
        if name not in CLAIMS:
            near = difflib.get_close_matches(name, CLAIMS, n=1, cutoff=0.0)
            raise ValueError(f"claim: got {name!r}, which is unknown; did you mean {near[0]!r}?")
    return [CLAIMS[name] for name in dict.fromkeys(names)] or list(CLAIMS.values())


def verify(
    *names: str,
    seed: int = 0,
    quick: bool = False,
    workers: int | None = None,
    progress: Callable[[ClaimResult], None] = lambda result: None,
) -> list[ClaimResult]:
    """Run the named claims, or all, each with its controls.

    A claim is verified if every verdict holds and every control is caught: `all(result.verified for result in verify())`.

    **Arguments:** `names`; `seed`: every draw follows from it; `quick`: fewer problems a claim, and all its controls;
    `workers`: as in `check_all`; `progress`: called with each result as it comes.

    **Raises:** `ValueError` for an unknown name, or fewer than one worker.
    """
    return check_all(find(names), seed, quick=quick, workers=workers, progress=progress)


def search_all(*names: str, tries: int, seed: int = 0) -> list[SearchResult]:
    """Search the named claims, or all, for counterexamples: `tries` random problems each, and as many that need no training."""
    return [search_both(claim, tries, seed) for claim in find(names)]
