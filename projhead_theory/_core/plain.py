"""Arrays as plain Python, for JSON."""

from typing import Any

import numpy as np


def plain(x: Any) -> Any:
    """Convert an array to a float or nested lists of floats, with None for non-finite entries."""
    values = np.asarray(x, float)
    if values.ndim:
        return [plain(v) for v in values]
    return float(values) if np.isfinite(values) else None
