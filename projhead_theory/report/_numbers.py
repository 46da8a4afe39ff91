"""Numbers as plain data and as text: what is not finite is None, and shown as a question mark."""

from typing import Any

import numpy as np


def numbers(x: Any) -> list:
    """Nested lists in which what is not finite is None."""
    values = np.asarray(x, float)
    if values.ndim > 1:
        return [numbers(v) for v in values]
    return [float(v) if np.isfinite(v) else None for v in values]


def cell(x: float | None) -> str:
    return "?" if x is None else f"{x:.6g}"
