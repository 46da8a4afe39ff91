"""JavaScript run by Node, with numbers in and out as JSON."""

import json
import math
import shutil
import subprocess
from typing import Any

import pytest

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="needs Node, to run the page's JavaScript")

# JSON has no infinity: a number that it lacks travels as text.
TALK = """
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
const written = (key, value) =>
  typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
console.log(JSON.stringify(answer(given), written));
"""


def run(source: str, given: Any) -> Any:
    """What the function `answer` of a source returns for these data."""
    result = subprocess.run(
        [str(NODE), "-e", f"{source}\n{TALK}"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return read(json.loads(result.stdout))


def read(value: Any) -> Any:
    if isinstance(value, list):
        return [read(item) for item in value]
    if isinstance(value, dict):
        return {name: read(item) for name, item in value.items()}
    names = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
    return names.get(value, value) if isinstance(value, str) else value
