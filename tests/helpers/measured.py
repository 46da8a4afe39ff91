"""What is measured once for each claim, and shared by all tests of that claim.

`python tests/helpers/measured.py [CLAIM ...]` records the size of each part of a claim's tolerance,
as `PARTS` in the tests of the claim.
"""

import functools
import re
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from projhead_theory.claims import ClaimResult, check
from projhead_theory.theorems import CLAIMS, FAMILIES, find

RECORDED = re.compile(r"^PARTS = \{.*?\}\n", re.MULTILINE | re.DOTALL)


def tests_of(name: str) -> Path:
    """The file with the tests of this claim."""
    family = next(family for family, names in FAMILIES.items() if name in names)
    folder = Path(__file__).parents[1] / "theorems" / family
    return folder / f"test_{name.replace('-', '_')}.py"


@functools.cache
def side(name: str, number: int) -> tuple[Any, Any]:
    """One of the claim's first problems, and what was measured on it: once for all of its near
    misses, and for the claim's own tests.
    """
    claim = CLAIMS[name]
    # Compiled programs are kept for each kind of promotion: no test may find those of another kind.
    with jax.numpy_dtype_promotion("standard"):
        problem = next(islice(claim.problems(jax.random.key(0)), number, None))
        return problem, claim.measure(problem)


def by_claim(names=tuple(CLAIMS)):
    """A parameter for each claim, by whose name its tests belong together."""
    return pytest.mark.parametrize("name", names)


def assert_verified(result):
    assert len(result.controls) >= 2
    assert result.holds, "\n".join(map(str, result.verdicts))
    for control in result.controls:
        assert control.caught, f"{control.control.name}: {control.verdict}"


def parts_of(result: ClaimResult) -> dict[str, float]:
    """The largest of each part of the tolerance over the effect, over all problems and rows."""
    largest: dict[str, float] = {}
    for verdict in result.verdicts:
        for name, part in verdict.parts.items():
            effect = np.asarray(verdict.effect, float)
            share = np.max(
                np.asarray(part, float) / np.where(effect > 0, effect, np.inf), initial=0
            )
            largest[name] = max(largest.get(name, 0.0), float(share))
    return largest


def _record(names: list[str]) -> None:
    from projhead_theory.cli._compiler import for_small_programs

    for_small_programs()
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_disable_most_optimizations", True)
    for claim in find(names):
        sizes = sorted(parts_of(check(claim, 0, quick=True)).items())
        rows = "".join(f'    "{part}": {size:.3g},\n' for part, size in sizes)
        file = tests_of(claim.name)
        file.write_text(RECORDED.sub(f"PARTS = {{\n{rows}}}\n", file.read_text(), count=1))


if __name__ == "__main__":
    _record(sys.argv[1:])
