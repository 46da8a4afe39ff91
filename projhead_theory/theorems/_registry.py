"""The theorems of the library, by name."""

from collections.abc import Callable, Sequence

from ..claims import Claim, ClaimResult, Registry, SearchResult, check_all, search_both

FAMILIES = {
    "layers": (
        "spectral-minimiser",
        "layerwise-law",
        "progressive-weighting",
    ),
    "balance": (
        "balancedness",
        "discrete-balancedness",
        "weight-decay-balancing",
        "min-norm",
        "homogeneity",
        "discrete-homogeneity",
    ),
    "dynamics": (
        "flow-times",
        "learning-order",
        "vanishing-features",
        "sl-times",
        "sl-retention",
    ),
    "decay": (
        "weight-decay-minimiser",
        "feature-extinction",
    ),
    "samples": ("finite-sample",),
    "downstream": (
        "optimal-layer",
        "when-pre-wins",
        "measured-sample-complexity",
    ),
    "heads": (
        "head-equivalence",
        "sorted-matching",
        "kappa-emulation",
        "best-kappa",
    ),
    "thresholds": (
        "threshold-law",
        "retained-when-vanishing",
        "absent-features",
    ),
    "supervised": (
        "scl-minimiser",
        "mixed-positives",
        "class-collapse",
        "subclass-retention",
        "sl-minimiser",
        "coarse-to-fine",
        "shift",
    ),
}
"""The claims of every family: `layerwise-law` of `layers` is `CLAIM` of `theorems/layers/layerwise_law.py`."""

CLAIMS = Registry(
    {
        name: f"{__package__}.{family}.{name.replace('-', '_')}"
        for family, names in FAMILIES.items()
        for name in names
    }
)


def register(claim: Claim) -> Claim:
    """Add a claim to `CLAIMS`, from which `verify`, `find`, `projhead verify --list`, the reports and the documentation's table are made.

    A script that registers its own claim has it in `verify` and in `cli.main` of the same process.

    **Raises:** `ValueError` if another claim has that name.
    """
    return CLAIMS.register(claim)


def find(names: Sequence[str] = ()) -> list[Claim]:
    """The claims of these names, all if none is given. Raises `ValueError` with the nearest name for one that is unknown."""
    return CLAIMS.find(names)


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
