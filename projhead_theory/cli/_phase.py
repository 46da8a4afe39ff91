"""`projhead phase`: the better side of the projection head, over two knobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from . import _options as options

if TYPE_CHECKING:
    from ..theory import Knob

AXIS = "KNOB[@FEATURE]:LOW:HIGH"


def phase(
    strength: options.Strength,
    x: Annotated[
        str,
        typer.Option(
            "--x",
            metavar=AXIS,
            help="What varies along x: noise:0:3 is the target's noise; noise@2:0:3 that of 2.",
        ),
    ],
    y: Annotated[
        str,
        typer.Option(
            "--y",
            metavar=AXIS,
            help="What varies along y: strength, noise, flip, mask or downstream.",
        ),
    ],
    target: options.Target,
    noise: options.Noise = None,
    flip: options.Flip = None,
    mask: options.Mask = None,
    downstream: options.Downstream = None,
    depth: options.Depth = 2,
    head: options.Head = 1,
    width: options.Width = None,
    points: Annotated[int, typer.Option(help="Points of the grid along each axis.")] = 256,
    simulate: Annotated[
        int, typer.Option(metavar="K", help="Train K networks at random points of the plane.")
    ] = 0,
    seed: options.Seed = 0,
    plot: Annotated[
        str | None, typer.Option(metavar="FILE", help="Save the figure (png, svg, pdf).")
    ] = None,
    json: options.Json = None,
    precision: options.Precision = "float64",
) -> int:
    """Draw the phase diagram of pre- against post-projection, with its closed-form boundary and
    trained networks on it.
    """
    options.set_precision(precision)
    for name, path in (("json", json), ("plot", plot)):
        options.require_writable(name, path)
    if simulate < 0:
        raise options.bad("simulate", str(simulate), "a number of networks, from 0")
    if points < 2:
        raise options.bad("points", str(points), "at least two")
    import jax
    import numpy as np
    from rich.console import Console

    from .. import report, theory

    if plot is not None:
        from .._core.files import figure_format

        figure_format(plot)
    x_knob, x_low, x_high = _axis("x", x, target)
    y_knob, y_low, y_high = _axis("y", y, target)
    features = options.problem(strength, noise, flip, mask).features.strength
    given = {
        name: None if text is None else options.numbers(name, text)
        for name, text in (("noise", noise), ("flip", flip), ("mask", mask))
    }
    after = None if downstream is None else options.numbers("downstream", downstream)
    plane = theory.FeaturePlane(
        x_knob, y_knob, target, features, **given, downstream=after, width=width
    )
    diagram = theory.phase_diagram(
        plane, np.linspace(x_low, x_high, points), np.linspace(y_low, y_high, points), depth, head
    )
    check = None
    if simulate:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        from ..theorems import check_phase

        columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("", total=simulate)
            check = check_phase(
                diagram,
                simulate,
                jax.random.key(seed),
                lambda done: progress.update(task, completed=done),
            )
    if json is not None:
        report.write_json(report.phase_report(diagram, check), json)
    if json != "-":
        Console().print(report.phase_table(diagram, check))
    if plot is not None:
        from ..figures import plot_phase, save

        save(plot_phase(diagram, check), plot)
    return 1 if check is not None and bool(check.misclassified.any() | check.violated.any()) else 0


def _axis(name: str, text: str, target: int) -> tuple[Knob, float, float]:
    """Parse an axis such as `noise@2:0:3` into a knob and its ends."""
    from ..theory import Knob

    want = f"{AXIS}, such as noise:0:3 or strength@2:0.1:3"
    parts = text.split(":")
    knob, _, feature = parts[0].partition("@")
    try:
        number = int(feature) if feature else target
        low, high = (float(part) for part in parts[1:])
    except ValueError:
        raise options.bad(name, repr(text), want) from None
    if not low < high:
        raise options.bad(name, repr(text), f"{want}: low below high")
    return Knob(knob, number), low, high
