"""The theorems of the library, by name."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..claims import Registry

if TYPE_CHECKING:
    from ..claims import Claim


def _claims(family: str) -> tuple[str, ...]:
    """Names of a family's claims: its public files."""
    files = pkgutil.iter_modules([str(Path(__file__).parent / family)])
    return tuple(file.name.replace("_", "-") for file in files if not file.name.startswith("_"))


FAMILIES = {
    family: _claims(family)
    for family in (
        "layers",
        "balance",
        "dynamics",
        "decay",
        "samples",
        "starts",
        "downstream",
        "heads",
        "thresholds",
        "supervised",
        "responses",
        "rivals",
    )
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
