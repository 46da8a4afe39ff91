"""Reports of the best layer, for one problem and over a plane of problems."""

from typing import Any

import numpy as np
from rich.table import Table

from .._core.plain import plain
from ..theorems import PhaseCheck
from ..theory import ComplexityCurve, PhaseDiagram
from ._cell import cell
from ._json import environment


def complexity_report(
    curve: ComplexityCurve, depth: int, target: int, head: int = 1
) -> dict[str, Any]:
    """Sample complexity of every layer and the best layer, for one target.

    Numbers that do not exist because the target is lost are None.
    """
    margin = float(curve.margin(depth, head))
    return {
        "target": target,
        "lost": bool(curve.lost),
        "sample_complexity": plain(curve.layers(depth)),
        "best": plain(curve.best),
        "best_layer": int(curve.best_layer(depth)) or None,
        "head": head,
        "margin": None if np.isnan(margin) else margin,
        "pre_beats_post": None if np.isnan(margin) else margin > 0,
    }


def complexity_table(report: dict[str, Any]) -> Table:
    """Table of the sample complexity, one row a layer."""
    table = Table(
        title=f"Labels needed to read feature {report['target']}: "
        "squared radius over squared margin"
    )
    for name in ("layer", "indicator", ""):
        table.add_column(name, justify="right")
    for layer, value in enumerate(report["sample_complexity"], 1):
        table.add_row(
            str(layer),
            "lost" if value is None else cell(value),
            "best" if layer == report["best_layer"] else "",
        )
    return table


def complexity_sentence(report: dict[str, Any]) -> str:
    """The sample complexity and the best layer in words."""
    if report["lost"]:
        return (
            f"Feature {report['target']} is lost: no layer keeps it, "
            "and no number of labels reads it."
        )
    sides = {
        True: "pre-projection beats post-projection",
        False: "post-projection is at least as good as pre-projection",
    }
    share = f"Best at {cell(report['best'])} of the depth, layer {report['best_layer']}"
    return (
        f"{share}; {sides[report['pre_beats_post']]} (ln SC differs by {cell(report['margin'])})."
    )


def phase_report(diagram: PhaseDiagram, check: PhaseCheck | None = None) -> dict[str, Any]:
    """Grid and boundary of a phase diagram, and the networks trained on it."""
    plane = diagram.plane
    return {
        "x": {"knob": plane.x.name, "feature": plane.x.feature, "values": plain(diagram.x)},
        "y": {"knob": plane.y.name, "feature": plane.y.feature, "values": plain(diagram.y)},
        "target": plane.target,
        "depth": diagram.depth,
        "head": diagram.head,
        "margin": plain(diagram.margin),
        "best": plain(diagram.tau),
        "best_layer": np.asarray(diagram.layer).tolist(),
        "boundary": plain(diagram.boundary()),
        "simulated": None if check is None else check.to_dict(),
        "environment": environment(),
    }


def phase_table(diagram: PhaseDiagram, check: PhaseCheck | None = None) -> Table:
    """Table of the shares of the plane.

    It also counts trained networks on each side, if there are any.
    """
    margin = np.asarray(diagram.margin)
    known = np.isfinite(margin)
    table = Table(
        title=f"Feature {diagram.plane.target}, depth {diagram.depth}: "
        f"{diagram.plane.x.label} against {diagram.plane.y.label}"
    )
    table.add_column("")
    table.add_column("share of the plane", justify="right")
    names = ("pre-projection is better", "post-projection is better", "the target is lost")
    shares = [
        f"{share.mean():.1%}" for share in ((margin > 0) & known, (margin <= 0) & known, ~known)
    ]
    if check is None:
        for name, share in zip(names, shares, strict=True):
            table.add_row(name, share)
        return table
    table.add_column("trained networks", justify="right")
    predicted, decided, kept, wrong = (
        np.asarray(a) for a in (check.predicted, check.decided, check.kept, check.misclassified)
    )
    for name, share, trained in zip(
        names, shares, (decided & (predicted > 0), decided & (predicted <= 0), ~kept), strict=True
    ):
        table.add_row(name, share, str(int(trained.sum())))
    table.add_section()
    table.add_row(
        "within the tolerance band, or not settled", "", str(int((kept & ~decided).sum()))
    )
    table.add_row("on the other side, outside the band", "", str(int(wrong.sum())))
    return table
