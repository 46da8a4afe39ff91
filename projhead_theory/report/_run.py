"""Reports of a training run, as plain data and as a table."""

from typing import Any

from .._core.enumeration import name_of
from .._core.plain import plain
from ..claims import Verdict
from ..simulation import Ended, Trajectory
from ..theory.layers import LayerPrediction
from ._cell import cell
from ._json import environment
from ._prediction import start_report
from ._sheet import Sheet


def trajectory_report(
    trajectory: Trajectory,
    prediction: LayerPrediction | None,
    verdict: Verdict | None,
    seconds: float,
) -> dict[str, Any]:
    """Report of a training run, as plain data.

    It has the outcome and the final measurements, beside the prediction and the verdict where
    there is one.
    """
    return {
        "ended": name_of(Ended, trajectory.ended),
        "ended_at": float(trajectory.ended_at),
        "steps": int(trajectory.steps),
        "loss": float(trajectory.loss[-1]),
        "gradient_norm": float(trajectory.gradient_norm[-1]),
        "measured": plain(trajectory.weights()[-1]),
        "predicted": None if prediction is None else plain(prediction.weights),
        "predicted_loss": None if prediction is None else float(prediction.loss),
        "start": None if prediction is None else start_report(prediction),
        "verdict": None if verdict is None else verdict.to_dict(),
        "history": {
            "times": plain(trajectory.times),
            "loss": plain(trajectory.loss),
            "weights": plain(trajectory.weights()),
            "imbalance": plain(trajectory.imbalance)
            if trajectory.networks.depth > 1
            else [[] for _ in trajectory.times],
        },
        "seconds": round(seconds, 3),
        "environment": environment(),
    }


def comparison_table(report: dict[str, Any]) -> Sheet:
    """Table of measured beside predicted weights: one row a feature, two columns a layer."""
    table = Sheet(
        f"Measured and predicted weights; loss {report['loss']:.9g}, "
        f"predicted {cell(report['predicted_loss'])}"
    )
    table.column("feature")
    for layer in range(1, len(report["measured"]) + 1):
        table.column(f"layer {layer}")
        table.column("predicted", [f"layer {layer} predicted"], style="dim")
    predicted = report["predicted"] or [[None] * len(row) for row in report["measured"]]
    for i in range(len(report["measured"][0])):
        cells = [x[i] for pair in zip(report["measured"], predicted, strict=True) for x in pair]
        table.record(i + 1, *cells)
    return table
