"""All claims, by name."""

import difflib
from collections.abc import Sequence

from ._balance import CONSERVED, DISCRETE
from ._claim import Claim, ClaimResult, check
from ._layers import LAW, PROGRESSIVE
from ._minimiser import CLAIM as MINIMISER

CLAIMS: dict[str, Claim] = {claim.name: claim for claim in (MINIMISER, LAW, PROGRESSIVE, CONSERVED, DISCRETE)}


def find(names: Sequence[str] = ()) -> list[Claim]:
    """The claims of these names, all if none is given. Raises `ValueError` with the nearest name for one that is unknown."""
    for name in names:
        if name not in CLAIMS:
            near = difflib.get_close_matches(name, CLAIMS, n=1, cutoff=0.0)
            raise ValueError(f"claim: got {name!r}, which is unknown; did you mean {near[0]!r}?")
    return [CLAIMS[name] for name in dict.fromkeys(names)] or list(CLAIMS.values())


def verify(*names: str, seed: int = 0) -> list[ClaimResult]:
    """Run the named claims, or all, each with its controls.

    A claim is verified if every verdict holds and every control is caught: `all(result.verified for result in verify())`.
    """
    return [check(claim, seed) for claim in find(names)]
