"""The order of convergence to the closed form, as plain data and as a table."""

from typing import Any

import numpy as np

from ..experiments import Convergence
from ._json import environment
from ._sheet import Sheet, Shown


def convergence_report(result: Convergence) -> dict[str, Any]:
    """The measured order with its interval beside the predicted one, and all errors."""
    return result.to_dict() | {"environment": environment()}


def convergence_table(result: Convergence) -> Sheet:
    """Table of the errors at each value of the knob, with the measured order in its title."""
    low, high = result.interval
    table = Sheet(
        f"Order {result.slope:.4f}, {100 * result.confidence:g} % interval {low:.4f} to "
        f"{high:.4f}; predicted {result.order:g}: {result.verdict}"
    )
    for name in (result.label, "mean error", "spread", "fitted line"):
        table.column(name)
    logs = np.log(np.asarray(result.errors))
    mean, spread = np.exp(logs.mean(axis=0)), np.exp(logs.std(axis=0, ddof=1))
    for value, error, factor, line in zip(
        np.asarray(result.values), mean, spread, result.line, strict=True
    ):
        table.record(value, error, Shown(f"times {factor:.3g}", (float(factor),)), line)
    return table
