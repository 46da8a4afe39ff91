"""Results as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

from .._core.environment import environment as environment
from .._core.files import write_atomically


def write_json(data: Any, destination: str | Path) -> None:
    """Write to a file, atomically, or to standard output if `destination` is `-`.

    A NaN is an error, not a value.

    **Raises:** `ValueError` if the file cannot be written, or a number is not finite.
    """
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    if str(destination) == "-":
        sys.stdout.write(text)
    else:
        write_atomically(destination, lambda file: file.write(text.encode()), "json")
