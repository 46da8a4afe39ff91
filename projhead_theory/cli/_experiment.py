"""`projhead experiment`: a whole sweep of trained networks, with its table and figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from .._core.progress import COMPILING
from . import _options as options
from ._output import deliver

if TYPE_CHECKING:
    from ..experiments import (
        ConnectedSweep,
        CosineGap,
        FeatureSweep,
        ShiftAccuracy,
        SubclassAccuracy,
    )


def experiment(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="feature-sweep, connected-sweep, shift-accuracy, subclass-accuracy or cosine-gap.",
        ),
    ],
    strength: Annotated[
        str | None, typer.Option(help="Sweeps: strengths of the feature, separated by commas.")
    ] = None,
    flip: Annotated[str | None, typer.Option(help="Sweeps: probabilities of a sign flip.")] = None,
    times: Annotated[str | None, typer.Option(help="Accuracies: training times.")] = None,
    depth: Annotated[int | None, typer.Option(help="Accuracies: number of layers.")] = None,
    width: Annotated[
        str | None, typer.Option(help="subclass-accuracy: widths, separated by commas.")
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="subclass-accuracy: contrastive or regression.")
    ] = None,
    correlation: Annotated[
        str | None,
        typer.Option(help="shift-accuracy: correlations of the spurious features with the label."),
    ] = None,
    threshold: Annotated[
        str | None, typer.Option(help="shift-accuracy: thresholds; 0 for a linear network.")
    ] = None,
    temperature: Annotated[
        str | None, typer.Option(help="cosine-gap: temperatures, separated by commas.")
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="cosine-gap: numbers of features, separated by commas.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="All but feature-sweep: number of random starts.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="All but feature-sweep: seed of every random draw.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer settings, starts and steps by default.")
    ] = False,
    json: options.Json = None,
    csv: options.Csv = None,
    plot: Annotated[
        str | None, typer.Option(metavar="FILE", help="Save the figure (png, svg, pdf).")
    ] = None,
    precision: options.Precision = "float64",
) -> int:
    """Train the networks of an experiment and print what every layer shows, beside the closed form
    where there is one.
    """
    chosen = options.choice("NAME", name, EXPERIMENTS)
    given = {
        "strength": strength,
        "flip": flip,
        "times": times,
        "depth": depth,
        "width": width,
        "loss": loss,
        "correlation": correlation,
        "threshold": threshold,
        "temperature": temperature,
        "features": features,
        "seeds": seeds,
        "seed": seed,
    }
    settings = _settings(name, chosen, {k: v for k, v in given.items() if v is not None}, quick)
    options.set_precision(precision)
    options.require_outputs(json=json, csv=csv, plot=plot)
    if plot is not None:
        from .._core.files import figure_format

        figure_format(plot)
    from rich.console import Console

    from .. import report

    with Console(stderr=True).status(f"{name}: {COMPILING}, then training") as status:
        result = chosen.run(settings, quick, lambda line: status.update(f"{name}: {line}"))
    table = report.experiment_table(result)
    deliver(table, csv, json, lambda: report.experiment_report(name, result))
    if plot is not None:
        from ..figures import save

        save(result.plot(), plot)
    return 0


class Experiment(NamedTuple):
    """An experiment: its options by default, as they are in full and with `--quick`, and its run.

    A run takes the options, whether it is quick, and a function for its progress.
    """

    defaults: dict[str, Any]
    quick: dict[str, Any]
    run: Callable[[dict[str, Any], bool, Callable[[str], None]], Any]


def _settings(name: str, chosen: Experiment, given: dict[str, Any], quick: bool) -> dict[str, Any]:
    """Defaults with the given options in their place, lists of numbers parsed."""
    for option, value in given.items():
        if option not in chosen.defaults:
            known = ", ".join(f"--{known}" for known in chosen.defaults)
            raise options.bad(option, repr(value), f"an option of {name}, which takes {known}")
    return {
        option: options.numbers(option, value)
        if isinstance(value, str) and option != "loss"
        else value
        for option, value in (chosen.defaults | (chosen.quick if quick else {}) | given).items()
    }


def _feature_sweep(
    given: dict[str, Any], quick: bool, progress: Callable[[str], None]
) -> FeatureSweep:
    import numpy as np

    from ..experiments import feature_sweep
    from ..networks import ThresholdedDiagonal

    start = ThresholdedDiagonal(np.array([[1.0], [0.8]]), np.array([[0.3], [0.25]]))
    return feature_sweep(start, given["strength"], given["flip"], t1=1e4 if quick else 1e6)


def _connected_sweep(
    given: dict[str, Any], quick: bool, progress: Callable[[str], None]
) -> ConnectedSweep:
    import jax

    from ..experiments import connected_sweep
    from ..networks import ShallowThresholded

    def start(key: Any) -> Any:
        return ShallowThresholded.init(key, (4, 16, 8), 0.4, (0.05, 0.05), final=True)

    return connected_sweep(
        start,
        given["strength"],
        given["flip"],
        key=jax.random.key(given["seed"]),
        seeds=given["seeds"],
        steps=200 if quick else 800,
        progress=progress,
    )


def _shift_accuracy(
    given: dict[str, Any], quick: bool, progress: Callable[[str], None]
) -> ShiftAccuracy:
    import jax

    from ..experiments import shift_accuracy

    return shift_accuracy(
        given["correlation"],
        given["threshold"],
        given["times"],
        key=jax.random.key(given["seed"]),
        depth=given["depth"],
        seeds=given["seeds"],
        progress=progress,
    )


def _subclass_accuracy(
    given: dict[str, Any], quick: bool, progress: Callable[[str], None]
) -> SubclassAccuracy:
    import jax

    from ..experiments import subclass_accuracy
    from ..problems import Groups

    return subclass_accuracy(
        Groups.signs([1.2, 0.9], [0.3, 0.35], [0.0]),
        given["times"],
        _counts("width", given["width"]),
        key=jax.random.key(given["seed"]),
        loss=given["loss"],
        depth=given["depth"],
        seeds=given["seeds"],
        progress=progress,
    )


def _cosine_gap(given: dict[str, Any], quick: bool, progress: Callable[[str], None]) -> CosineGap:
    import jax

    from ..experiments import cosine_gap

    return cosine_gap(
        given["temperature"],
        _counts("features", given["features"]),
        key=jax.random.key(given["seed"]),
        seeds=given["seeds"],
        steps=500 if quick else 1500,
        progress=progress,
    )


def _counts(name: str, values: list[float]) -> list[int]:
    if any(value != int(value) for value in values):
        raise options.bad(name, ",".join(f"{value:g}" for value in values), "whole numbers")
    return [int(value) for value in values]


EXPERIMENTS = {
    "feature-sweep": Experiment(
        {"strength": "0.2,0.4,0.6,0.8,1,1.2", "flip": "0,0.1,0.5"},
        {"strength": "0.2,0.6,1", "flip": "0,0.1"},
        _feature_sweep,
    ),
    "connected-sweep": Experiment(
        {"strength": "0.1,0.2,0.4,0.8", "flip": "0,0.5", "seeds": 20, "seed": 0},
        {"strength": "0.1,0.4", "seeds": 8},
        _connected_sweep,
    ),
    "shift-accuracy": Experiment(
        {
            "correlation": "0.8,0.95",
            "threshold": "0,0.05",
            "times": "1,10,100",
            "depth": 2,
            "seeds": 8,
            "seed": 0,
        },
        {"correlation": "0.9", "threshold": "0", "seeds": 2},
        _shift_accuracy,
    ),
    "subclass-accuracy": Experiment(
        {
            "times": "1,10,100,1000",
            "width": "1,2,8",
            "depth": 2,
            "loss": "contrastive",
            "seeds": 8,
            "seed": 0,
        },
        {"width": "2", "seeds": 3},
        _subclass_accuracy,
    ),
    "cosine-gap": Experiment(
        {"temperature": "0.1,0.25,0.5,1", "features": "4,16,64", "seeds": 4, "seed": 0},
        {"temperature": "0.25,1", "features": "4,16", "seeds": 2},
        _cosine_gap,
    ),
}
