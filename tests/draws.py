"""How many random problems the oracles draw: few by default, `PROJHEAD_THEORY_DRAWS` times as many if it is set."""

import os

import pytest

MULTIPLIER = max(1, int(os.environ.get("PROJHEAD_THEORY_DRAWS", "1")))


def draws(count):
    """The number of draws where `count` are enough by default."""
    return count * MULTIPLIER


def by_seed(count):
    """A parameter `seed` for each draw."""
    return pytest.mark.parametrize("seed", range(draws(count)))
