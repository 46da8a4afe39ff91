"""`projhead phase`: the better side of the projection head, over two numbers of a feature model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import typer

from .._core.progress import COMPILING
from . import _options as options
from ._output import deliver
from ._progress import bar

AXIS = "NUMBER[@FEATURE]:LOW:HIGH"
NUMBERS = ("strength", "noise", "flip", "mask", "downstream")


class Axis(NamedTuple):
    """One number of a feature model that varies, and its ends; `feature` is an index."""

    number: str
    feature: int
    low: float
    high: float

    @property
    def name(self) -> str:
        number = "downstream strength" if self.number == "downstream" else self.number
        return f"{number} of feature {self.feature + 1}"


def phase(
    strength: options.Strength,
    x: Annotated[
        str,
        typer.Option(
            "--x",
            metavar=AXIS,
            help="Number along x: noise:0:3 for the target's noise, noise@2:0:3 for feature 2's.",
        ),
    ],
    y: Annotated[
        str,
        typer.Option(
            "--y",
            metavar=AXIS,
            help="Number along y: strength, noise, flip, mask or downstream.",
        ),
    ],
    target: options.Target,
    noise: options.Noise = None,
    flip: options.Flip = None,
    mask: options.Mask = None,
    downstream: options.Downstream = None,
    depth: options.Depth = 2,
    head_depth: options.HeadDepth = 1,
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
    csv: options.Csv = None,
    precision: options.Precision = "float64",
) -> int:
    """Draw the phase diagram of pre- against post-projection, with its closed-form boundary and
    trained networks on it.
    """
    options.set_precision(precision)
    options.require_outputs(json=json, csv=csv, plot=plot)
    if simulate < 0:
        raise options.bad("simulate", str(simulate), "a number of networks, from 0")
    if points < 2:
        raise options.bad("points", str(points), "at least two")
    import jax
    import numpy as np

    from .. import report, theory

    if plot is not None:
        from .._core.files import figure_format

        figure_format(plot)
    model = options.problem(strength, noise, flip, mask)
    d = model.features.dim
    index = options.feature("target", target, d)
    horizontal, vertical = _axis("x", x, index, d), _axis("y", y, index, d)
    if horizontal[:2] == vertical[:2]:
        raise options.bad("y", repr(y), "another number than x")
    given = {"strength": strength, "noise": noise, "flip": flip, "mask": mask}
    problem, labelled = _plane(
        (horizontal, vertical),
        {name: options.numbers(name, text) for name, text in given.items() if text is not None},
        None if downstream is None else options.vector("downstream", downstream, d),
        index,
    )
    diagram = theory.downstream.phase_diagram(
        problem,
        labelled,
        *(np.linspace(axis.low, axis.high, points) for axis in (horizontal, vertical)),
        depth=depth,
        head_depth=head_depth,
        width=width,
        names=(horizontal.name, vertical.name),
    )
    check = None
    if simulate:
        from ..theorems import check_phase

        with bar(simulate, COMPILING, "networks") as (advance, show, _):

            def trained(done: int) -> None:
                show("training")
                advance(done)

            check = check_phase(diagram, simulate, jax.random.key(seed), trained)
    data = lambda: {"target": index} | report.phase_report(diagram, check)
    deliver(report.phase_table(diagram, check), csv, json, data)
    if plot is not None:
        from ..figures import plot_phase, save

        save(plot_phase(diagram, check), plot)
    return 1 if check is not None and bool(check.misclassified.any() | check.violated.any()) else 0


def _axis(name: str, text: str, target: int, dim: int) -> Axis:
    """Parse an axis such as `noise@2:0:3`, of the second feature; `target` is an index."""
    number, _, feature = text.split(":")[0].partition("@")
    try:
        low, high = (float(part) for part in text.split(":")[1:])
        axis = Axis(number, int(feature) - 1 if feature else target, low, high)
    except ValueError:
        axis = None
    if axis is None or number not in NUMBERS or not axis.low < axis.high:
        want = f"{AXIS}, low below high, with one of {', '.join(NUMBERS)}: noise:0:3"
        raise options.bad(name, repr(text), want)
    if not 0 <= axis.feature < dim:
        raise options.bad(name, repr(text), f"a feature from 1 to {dim}")
    return axis


def _plane(
    axes: tuple[Axis, Axis],
    numbers: dict[str, list[float]],
    downstream: list[float] | None,
    target: int,
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Problem and downstream task as functions of the two numbers.

    Downstream strengths that are not given equal the strengths of training, unless one varies.
    """
    import jax.numpy as jnp

    from .. import problems

    dim = len(numbers["strength"])
    if downstream is None and any(axis.number == "downstream" for axis in axes):
        downstream = numbers["strength"]

    def at(x: Any, y: Any) -> dict[str, Any]:
        values = {name: jnp.zeros(dim, x.dtype) for name in NUMBERS}
        after = {} if downstream is None else {"downstream": downstream}
        values |= {k: jnp.asarray(v, x.dtype) for k, v in (numbers | after).items()}
        for axis, value in zip(axes, (x, y), strict=True):
            values[axis.number] = values[axis.number].at[axis.feature].set(value)
        return values if downstream is not None else values | {"downstream": values["strength"]}

    def problem(x: Any, y: Any) -> Any:
        values = at(x, y)
        features = problems.Features(values["strength"])
        return problems.ContrastiveProblem(features, options.augmentation(values))

    def task(x: Any, y: Any) -> Any:
        after = problems.Features(at(x, y)["downstream"])
        return problems.DownstreamProblem(after, problems.SignLabel(target))

    return problem, task
