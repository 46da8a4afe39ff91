"""`projhead convergence`: the order in which trained networks come to the closed form."""

from __future__ import annotations

from typing import Annotated

import typer

from .._core.progress import COMPILING
from . import _options as options
from ._compiler import compiled_lightly, for_small_programs
from ._output import deliver


def convergence(
    strength: options.Strength,
    knob: Annotated[str, typer.Option(help="step, start, samples, width or negatives.")] = "step",
    noise: options.Noise = None,
    flip: options.Flip = None,
    mask: options.Mask = None,
    distribution: Annotated[
        str, typer.Option(help="rademacher, gaussian, uniform, laplace or spike-and-slab.")
    ] = "gaussian",
    seeds: Annotated[
        int | None, typer.Option(help="Seeds at each value; 8, or 32 for samples and width.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Confidence of the interval.")] = 0.95,
    seed: options.Seed = 0,
    json: options.Json = None,
    csv: options.Csv = None,
    plot: Annotated[
        str | None, typer.Option(metavar="FILE", help="Save the figure (png, svg, pdf).")
    ] = None,
) -> int:
    """Measure the order of the error of trained networks in one knob, beside the predicted one.

    Exit status 1 if the predicted order lies outside the interval of the measured one.
    """
    for_small_programs()
    options.set_precision("float64")
    options.require_outputs(json=json, csv=csv, plot=plot)
    if plot is not None:
        from .._core.files import figure_format

        figure_format(plot)
    import jax
    from rich.console import Console

    from .. import experiments, report

    problem = options.problem(strength, noise, flip, mask, distribution)
    quiet = Console(stderr=True)
    with quiet.status(COMPILING) as status, compiled_lightly():
        found = experiments.convergence(
            problem,
            knob,
            key=jax.random.key(seed),
            seeds=seeds,
            confidence=confidence,
            progress=lambda line: status.update(f"{COMPILING}, then training over the {line}"),
        )
    table = report.convergence_table(found)
    deliver(table, csv, json, lambda: report.convergence_report(found))
    if plot is not None:
        from ..figures import save

        save(found.plot(), plot)
    return 0 if found.verdict == "agrees" else 1
