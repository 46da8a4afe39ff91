"""Moments in random position, of known signal fractions."""

import jax
import pytest
from helpers.heads import FRACTIONS

from projhead_theory.problems import random_moments


@pytest.fixture(scope="module")
def moments():
    return random_moments(jax.random.key(0), FRACTIONS)
