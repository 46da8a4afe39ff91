"""`projhead simulate`: train a network, and show it beside the closed form."""

import sys
import time
from typing import Annotated, Any

import typer

from .._core.progress import COMPILING
from . import _loss as chosen
from . import _options as options
from . import _start as starts


def simulate(
    strength: options.Strength,
    noise: options.Noise = None,
    flip: options.Flip = None,
    mask: options.Mask = None,
    distribution: Annotated[
        str | None,
        typer.Option(
            help="Distribution of a feature: rademacher, gaussian, uniform, laplace or "
            "spike-and-slab. If not given, what the loss needs, or rademacher."
        ),
    ] = None,
    depth: options.Depth = 2,
    width: options.Width = None,
    method: Annotated[
        str,
        typer.Option(
            help="flow (gradient flow), descent (full batch) or "
            "stochastic (fresh views every step)."
        ),
    ] = "flow",
    start: Annotated[
        str,
        typer.Option(
            help="gaussian, balanced or orthogonal; of two layers also torch, flax, or the scales "
            "ENCODER,HEAD."
        ),
    ] = "balanced",
    hidden: starts.Hidden = None,
    scale: Annotated[
        float, typer.Option(help="Scale of the start; after ENCODER,HEAD, of its product.")
    ] = 0.1,
    seed: options.Seed = 0,
    t1: Annotated[
        float | None, typer.Option(help="flow: the latest time; 1e8 if not given.")
    ] = None,
    solver: Annotated[
        str | None,
        typer.Option(help="flow: explicit, or implicit for stiff runs; explicit if not given."),
    ] = None,
    optimiser: Annotated[
        str | None,
        typer.Option(help="descent, stochastic: sgd, momentum or adam; sgd if not given."),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="descent, stochastic: learning rate; 0.01 if not given."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="descent, stochastic: number of steps; 10,000 if not given."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="stochastic: pairs a step; 256 if not given.")
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="Weight decay.")] = 0.0,
    loss: chosen.Loss = "spectral",
    temperature: chosen.Temperature = None,
    beta: chosen.Beta = None,
    json: options.Json = None,
    csv: options.Csv = None,
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Save a figure: theory as lines, simulation as markers."),
    ] = None,
    precision: options.Precision = "float64",
) -> int:
    """Train a deep linear network on a feature model and print measured beside predicted
    weights.
    """
    options.set_precision(precision)
    options.require_outputs(json=json, csv=csv, plot=plot)
    methods = {"flow": _flow, "descent": _descent, "stochastic": _stochastic}
    run = options.choice("method", method, methods)
    given = {
        "t1": t1,
        "solver": solver,
        "optimiser": optimiser,
        "learning_rate": learning_rate,
        "steps": steps,
        "batch_size": batch_size,
    }
    settings = _settings(method, given)
    if plot is not None:
        from .._core.files import figure_format

        # Reject an unknown ending before the run, not after it.
        figure_format(plot)
    if start not in starts.FRAMEWORKS and "," not in start:
        options.require_none({"hidden": hidden}, "--start of two layers beside it")
    import jax
    from rich.console import Console

    from .. import report as reports
    from .. import simulation
    from ..networks import DeepLinear
    from ..theorems import compare

    number = chosen.parameter(loss, temperature, beta)
    objective = chosen.trained(loss, number)
    views = chosen.distribution(loss, distribution, noise, mask)
    problem = options.problem(strength, noise, flip, mask, views)
    moments = problem.moments()
    draw, train = jax.random.split(jax.random.key(seed))
    kinds = {
        "gaussian": DeepLinear.init,
        "balanced": DeepLinear.balanced,
        "orthogonal": DeepLinear.orthogonal,
    }
    own = None
    if start in starts.FRAMEWORKS or "," in start:
        sized = starts.sizes(problem.dim, width, hidden, start)
        own, network = starts.scales(start, sized), starts.network(start, draw, sized, scale)
    else:
        choices = kinds | dict.fromkeys((*starts.FRAMEWORKS, "ENCODER,HEAD"))
        network = options.choice("start", start, choices)(
            draw, (problem.dim, *(problem.dim if width is None else width,) * depth), scale
        )
    prediction = chosen.prediction(loss, number, moments, depth, width, own)
    quiet = Console(stderr=True)
    begin = time.perf_counter()
    with quiet.status(f"{COMPILING}, then training by {method}"):
        trajectory = run(
            network, problem, moments, weight_decay, train, settings | {"loss": objective}
        )
        jax.block_until_ready(trajectory.loss)
    seconds = time.perf_counter() - begin

    diverged = bool(trajectory.ended == simulation.Ended.diverged)
    # Weight decay changes the minimiser: measured weights are shown without a prediction. That of
    # an unbalanced start is shown without a verdict. A verdict is about the spectral loss, or one
    # that equals it on other moments. The loss of a finite batch is another loss, but for the
    # spectral loss, of which it is an unbiased estimate.
    predicted = None if weight_decay > 0 or diverged else prediction
    another = method == "stochastic" and loss != "spectral"
    same = (
        None
        if predicted is None or own is not None or another
        else chosen.comparable(loss, number, moments, depth, width)
    )
    verdict = None if same is None else compare(same, trajectory)
    report = reports.trajectory_report(trajectory, predicted, verdict, seconds)
    report["loss_function"] = loss
    if json is not None:
        reports.write_json(report, json)
    if diverged:
        unit, smaller = (
            ("time", "scale of the start") if method == "flow" else ("step", "learning rate")
        )
        print(
            f"projhead: the run diverged: it is not finite after {unit} {report['ended_at']:g}; "
            f"the last finite state recorded has loss {report['loss']:g} at {unit} "
            f"{report['history']['times'][-1]:g}; want a smaller {smaller}",
            file=sys.stderr,
        )
        return 2
    table = reports.comparison_table(report)
    if csv is not None:
        reports.write_csv(table, csv)
    if "-" not in (json, csv):
        console = Console()
        reports.print_table(table, console)
        console.print(
            f"{simulation.Ended[trajectory.ended]} ({report['steps']} steps, {seconds:.1f} s)"
        )
        if verdict is not None:
            console.print(str(verdict), markup=False, highlight=False)
    if plot is not None:
        from ..figures import plot_trajectory, plot_verdict, save

        save(plot_verdict(verdict) if verdict is not None else plot_trajectory(trajectory), plot)
    return 0


# Settings of each method, with those that are not given.
SETTINGS = {
    "flow": {"t1": 1e8, "solver": "explicit"},
    "descent": {"optimiser": "sgd", "learning_rate": 1e-2, "steps": 10_000},
    "stochastic": {"optimiser": "sgd", "learning_rate": 1e-2, "steps": 10_000, "batch_size": 256},
}


def _settings(method: str, given: dict[str, Any]) -> dict[str, Any]:
    """Settings of the method, after a check that those given are its own."""
    own = SETTINGS[method]
    for name, value in given.items():
        if value is not None and name not in own:
            takers = [other for other, known in SETTINGS.items() if name in known]
            raise options.bad(name, f"{value} for {method}", f"it for {', '.join(takers)} alone")
    return own | {name: value for name, value in given.items() if value is not None}


def _flow(network, problem, moments, weight_decay, key, s):
    from .. import simulation

    solvers = {"explicit": simulation.explicit, "implicit": simulation.implicit}
    return simulation.gradient_flow(
        network,
        moments,
        t1=s["t1"],
        solver=options.choice("solver", s["solver"], solvers)(),
        weight_decay=weight_decay,
        loss=s["loss"],
    )


def _descent(network, problem, moments, weight_decay, key, s):
    from .. import simulation

    return simulation.gradient_descent(network, moments, weight_decay=weight_decay, **_discrete(s))


def _stochastic(network, problem, moments, weight_decay, key, s):
    from .. import simulation

    return simulation.stochastic(
        network,
        problem,
        key=key,
        weight_decay=weight_decay,
        batch_size=s["batch_size"],
        **_discrete(s),
    )


def _discrete(s):
    """Settings common to the two discrete-time methods."""
    save_at = max(min(64, s["steps"] + 1), 2) if s["steps"] else [0]
    return {
        "optimiser": _optimiser(s["optimiser"]),
        "learning_rate": s["learning_rate"],
        "steps": s["steps"],
        "save_at": save_at,
        "loss": s["loss"],
    }


def _optimiser(name: str):
    import jax
    import optax

    momentum = jax.tree_util.Partial(optax.sgd, momentum=0.9)
    return options.choice(
        "optimiser", name, {"sgd": optax.sgd, "momentum": momentum, "adam": optax.adam}
    )
