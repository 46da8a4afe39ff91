"""Reports of a prediction, as plain data and as a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core import checks
from .._core.plain import plain
from ..theory.layers import LayerPrediction
from ._cell import cell
from ._sheet import Sheet


def prediction_report(
    prediction: LayerPrediction, width: int | None = None, ranking: np.ndarray | None = None
) -> dict[str, Any]:
    """Report of the prediction for a feature model, feature by feature, as plain data.

    - `weights[l][i]`: weight of a feature in a layer, None where a tie leaves it undetermined.
    - `kept`: indices of the features that the network keeps for certain.
    - `signal_fraction[i]`: $c_i / q_i$.
    - `unique`: whether the minimiser is unique.
    - `unresolved`: number of features within the width whose weights show as zero and are not
      (`SpectralMinimiser`).
    - `start`: `start_report`.

    A narrow network keeps the features of largest `ranking`, by default of largest signal
    fraction.

    **Raises:** `ValueError` if the moments are not diagonal: the loss then does not weight single
    features.
    """
    cross, second = np.asarray(prediction.moments.cross), np.asarray(prediction.moments.second)
    d = len(second)
    if (
        np.abs(second - np.diag(np.diag(second))).max() > 0
        or np.abs(cross - np.diag(np.diag(cross))).max() > 0
    ):
        raise checks.bad(
            "prediction", "moments that are not diagonal", "the moments of an unmixed feature model"
        )
    variance = np.diag(second)
    fraction = np.divide(np.diag(cross), variance, out=np.zeros(d), where=variance > 0)
    weights = np.array(prediction.weights, float)
    unique = bool(prediction.minimiser.unique)
    ranks = fraction if ranking is None else ranking
    if not unique and width is not None:
        cut = float(np.sort(ranks)[::-1][width - 1])
        blur = 16 * float(np.finfo(variance.dtype).eps) * abs(cut)
        weights[:, np.abs(ranks - cut) <= 2 * blur] = np.nan
    return {
        "depth": prediction.depth,
        "weights": plain(weights),
        "loss": float(prediction.loss),
        "signal_fraction": plain(fraction),
        "kept": sorted(
            int(i) for i in np.argsort(-ranks, kind="stable")[: int(prediction.minimiser.kept)]
        ),
        "unique": unique,
        "unresolved": int(prediction.minimiser.unresolved),
        "start": start_report(prediction),
    }


def start_report(prediction: LayerPrediction) -> dict[str, float] | None:
    """Scales `encoder` and `head` of a start that is not balanced, or None."""
    start = prediction.start
    return start and {"encoder": float(start.encoder), "head": float(start.head)}


def prediction_table(report: dict[str, Any], strength: Sequence[float]) -> Sheet:
    """Table of a prediction: one row a feature, one column a layer.

    The last row is the spread, the largest over the smallest weight of kept features.
    """
    table = Sheet(
        f"Predicted weights, depth {report['depth']}, minimal loss {cell(report['loss'])}"
    )
    for name in ("feature", "strength", "signal fraction", "kept"):
        table.column(name)
    for layer in range(1, report["depth"] + 1):
        table.column(f"layer {layer}")
    for i, fraction in enumerate(report["signal_fraction"]):
        weights = [layer[i] for layer in report["weights"]]
        kept = "yes" if i in report["kept"] else ("tied" if weights[-1] is None else "no")
        table.record(i + 1, strength[i], fraction, kept, *weights)
    spreads = []
    for layer in report["weights"]:
        positive = [w for w in layer if w]
        spreads.append(max(positive) / min(positive) if positive else "-")
    table.add_section()
    table.summary("spread", "", "", "", *spreads)
    return table
