"""`projhead explore`: a page with sliders for the closed forms."""

from __future__ import annotations

from typing import Annotated

import typer

from . import _loss as chosen
from . import _options as options


def explore(
    out: Annotated[
        str, typer.Option(metavar="FILE", help="HTML file to write, to be opened in a browser.")
    ],
    strength: Annotated[
        str | None,
        typer.Option(help="Strength of each of two to five features; an example if not given."),
    ] = None,
    noise: options.Noise = None,
    flip: options.Flip = None,
    depth: Annotated[
        int | None,
        typer.Option(
            help="Number of layers, the projection head included; 3 if not given, 2 with a start."
        ),
    ] = None,
    head_depth: options.HeadDepth = 1,
    target: options.OptionalTarget = None,
    downstream: options.Downstream = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="ENCODER,HEAD", help="Scales of two layers at the start; balanced if not given."
        ),
    ] = None,
    loss: chosen.Loss = "spectral",
    temperature: chosen.Temperature = None,
    beta: chosen.Beta = None,
) -> int:
    """Write a page with sliders for strengths, noise, depth, head, start, loss and target.

    It shows the weights of every layer, the best layer, where that changes, and learning over time,
    and needs neither a network nor this library. The options are the setting at first.
    """
    options.require_writable("out", out)
    from .. import report

    number = chosen.parameter(loss, temperature, beta)
    given = {
        "strength": strength,
        "noise": noise,
        "flip": flip,
        "downstream": downstream,
        "depth": (3 if start is None else 2) if depth is None else depth,
        "head-depth": head_depth,
        "target": target,
        "start": start,
        "loss": loss,
        chosen.LOSSES[loss][2]: number[0] if number else None,
    }
    opening = {name: str(value) for name, value in given.items() if name and value is not None}
    report.write_html(report.explorer_html(opening), out)
    print(f"Wrote {out}: open it in a browser.")
    return 0
