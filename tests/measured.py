"""What is measured once for each claim, and shared by all tests of that claim."""

import functools
from itertools import islice
from typing import Any

import jax
import pytest

from projhead_theory.claims import CLAIMS


@functools.cache
def side(name: str, number: int) -> tuple[Any, Any]:
    """One of the claim's first problems, and what was measured on it: once for all of its near misses, and for the claim's own tests."""
    claim = CLAIMS[name]
    problem = next(islice(claim.problems(jax.random.key(0)), number, None))
    return problem, claim.measure(problem)


def by_claim(names=tuple(CLAIMS)):
    """A parameter for each claim, by whose name its tests belong together."""
    return pytest.mark.parametrize("name", names)
