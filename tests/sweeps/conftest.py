"""Specification files of sweeps."""

import pytest
from helpers.sweeps import SPEC


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    return path
