"""What is measured once for each claim, and shared by all tests of that claim.

`python tests/helpers/measured.py` records how large each part of each claim's tolerance is, in
`parts.json`.
"""

import functools
import json
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from projhead_theory.claims import ClaimResult, check
from projhead_theory.theorems import CLAIMS

PARTS = Path(__file__).with_name("parts.json")


@functools.cache
def side(name: str, number: int) -> tuple[Any, Any]:
    """One of the claim's first problems, and what was measured on it: once for all of its near
    misses, and for the claim's own tests.
    """
    claim = CLAIMS[name]
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


def _record() -> None:
    from projhead_theory.cli._compiler import for_small_programs

    for_small_programs()
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_disable_most_optimizations", True)
    parts = {
        name: {
            k: float(f"{v:.3g}") for k, v in sorted(parts_of(check(claim, 0, quick=True)).items())
        }
        for name, claim in CLAIMS.items()
    }
    PARTS.write_text(json.dumps(parts, indent=1) + "\n")


if __name__ == "__main__":
    _record()
