"""Names of result codes.

A code is an entry of an `equinox.Enumeration`. Its sentence begins with its name and a colon.
"""

from typing import Any


def name_of(codes: Any, code: Any) -> str:
    """Name of an entry of this enumeration, as a Python name: its sentence up to the colon."""
    return codes[code].partition(":")[0].replace(" ", "_")
