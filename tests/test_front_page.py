"""The README is true: its example runs as printed, and its commands are the ones that are
tested.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.x64
def test_first_example_runs_as_printed():
    """The first Python block, as it stands, ends in a verdict that holds."""
    (block,) = re.findall(r"```python\n(.*?)```", README, re.S)
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    assert names["verdict"].name == "holds"


def test_continuous_integration_runs_the_readmes_test_line():
    (line,) = [x for x in README.splitlines() if "pytest" in x and x.startswith("python3 -m venv")]
    assert line in (ROOT / ".ci" / "run").read_text().splitlines()


def test_readme_names_every_claim():
    from projhead_theory.theorems import CLAIMS

    assert all(f"`{name}`" in README for name in CLAIMS)
