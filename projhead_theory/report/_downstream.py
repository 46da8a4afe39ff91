"""Reports of the best layer, for one problem and over a plane of problems."""

from typing import Any

import numpy as np

from .._core.plain import plain
from ..theorems import PhaseCheck
from ..theory.downstream import BestLayer, PhaseDiagram
from ._json import environment
from ._sheet import Sheet, Shown


def complexity_report(best: BestLayer, target: int) -> dict[str, Any]:
    """Sample complexity of every layer and the best layer, for the sign of one feature.

    `target` is the index of the feature.
    """
    return {"target": target} | best.to_dict()


def complexity_table(report: dict[str, Any]) -> Sheet:
    """Table of the sample-complexity indicator, one row a layer."""
    table = Sheet(f"Labels to read feature {report['target'] + 1}")
    table.column("layer")
    table.column("indicator")
    table.column("", ["best"])
    for layer, value in enumerate(report["sample_complexity"], 1):
        table.record(
            layer,
            Shown("lost", (None,)) if value is None else value,
            "best" if layer == report["best_layer"] else "",
        )
    return table


def phase_report(diagram: PhaseDiagram, check: PhaseCheck | None = None) -> dict[str, Any]:
    """Grid and boundary of a phase diagram, and the networks trained on it."""
    return {
        "x": {"name": diagram.names[0], "values": plain(diagram.x)},
        "y": {"name": diagram.names[1], "values": plain(diagram.y)},
        "depth": diagram.depth,
        "head_depth": diagram.head_depth,
        "margin": plain(diagram.margin),
        "best": plain(diagram.tau),
        "best_layer": np.asarray(diagram.layer).tolist(),
        "boundary": plain(diagram.boundary()),
        "simulated": None if check is None else check.to_dict(),
        "environment": environment(),
    }


def phase_table(diagram: PhaseDiagram, check: PhaseCheck | None = None) -> Sheet:
    """Table of the shares of the plane.

    It also counts trained networks on each side, if there are any.
    """
    margin = np.asarray(diagram.margin)
    known = np.isfinite(margin)
    table = Sheet(f"Depth {diagram.depth}: {diagram.names[0]} against {diagram.names[1]}")
    table.column("", ["region"], text=True)
    table.column("share of the plane")
    names = ("pre-projection is better", "post-projection is better", "the target is lost")
    parts = [float(where.mean()) for where in ((margin > 0) & known, (margin <= 0) & known, ~known)]
    shares = [Shown(f"{part:.1%}", (part,)) for part in parts]
    if check is None:
        for name, share in zip(names, shares, strict=True):
            table.record(name, share)
        return table
    table.column("trained networks")
    predicted, decided, kept, wrong = (
        np.asarray(a) for a in (check.predicted, check.decided, check.kept, check.misclassified)
    )
    for name, share, trained in zip(
        names, shares, (decided & (predicted > 0), decided & (predicted <= 0), ~kept), strict=True
    ):
        table.record(name, share, int(trained.sum()))
    table.add_section()
    table.record("in the tolerance band or not converged", "", int((kept & ~decided).sum()))
    table.record("on the other side, outside the band", "", int(wrong.sum()))
    return table
