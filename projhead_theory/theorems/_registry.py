"""The theorems of the library, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..claims import Registry

if TYPE_CHECKING:
    from ..claims import Claim

FAMILIES = {
    "layers": (
        "spectral-minimiser",
        "layerwise-law",
        "progressive-weighting",
        "effective-rank",
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
"""Claims of every family.

`layerwise-law` of `layers` is `CLAIM` of `theorems/layers/layerwise_law.py`.
"""

CLAIMS = Registry(
    {
        name: f"{__package__}.{family}.{name.replace('-', '_')}"
        for family, names in FAMILIES.items()
        for name in names
    }
)


def register(claim: Claim) -> Claim:
    """Add a claim to `CLAIMS`.

    `verify`, `find`, `projhead verify --list`, the reports and the documentation's table are
    made from `CLAIMS`. A script that registers its own claim has it in `verify` and in
    `cli.main` of the same process.

    **Raises:** `ValueError` if another claim has that name.
    """
    return CLAIMS.register(claim)


def find(names: Sequence[str] = ()) -> list[Claim]:
    """Claims of the given names, or all claims if none is given.

    **Raises:** `ValueError`, with the nearest name, if a name is unknown.

    !!! example

        ```pycon
        >>> [claim.name for claim in pt.theorems.find(["layerwise-law", "min-norm"])]
        ['layerwise-law', 'min-norm']

        ```
    """
    return CLAIMS.find(names)
