"""`projhead predict`: the closed form alone."""

from typing import Annotated

import typer

from . import _loss as chosen
from . import _options as options
from . import _start as starts


def predict(
    strength: options.Strength,
    noise: options.Noise = None,
    flip: options.Flip = None,
    mask: options.Mask = None,
    depth: options.Depth = 2,
    width: options.Width = None,
    target: options.OptionalTarget = None,
    downstream: options.Downstream = None,
    head_depth: options.OptionalHeadDepth = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="ENCODER,HEAD|torch|flax",
            help="Scales of two layers at the start, or a framework's default; balanced if not "
            "given.",
        ),
    ] = None,
    hidden: starts.Hidden = None,
    loss: chosen.Loss = "spectral",
    temperature: chosen.Temperature = None,
    beta: chosen.Beta = None,
    json: options.Json = None,
    csv: options.Csv = None,
    precision: options.Precision = "float64",
) -> int:
    """Predict the weight of every feature at every layer, what is kept, and the minimal loss; for
    a target, the best layer.
    """
    options.set_precision(precision)
    options.require_outputs(csv=csv)
    options.require_one_printed(json, csv)
    number = chosen.parameter(loss, temperature, beta)
    if target is not None and loss != "spectral":
        raise options.bad("loss", f"{loss!r} beside --target", "spectral, or no target")
    if target is None:
        options.require_none({"head_depth": head_depth}, "--target J beside it")
    if start is None:
        options.require_none({"hidden": hidden}, "--start of two layers beside it")
    from .. import report as reports
    from .. import theory

    problem = options.problem(strength, noise, flip, mask)
    chosen.distribution(loss, None, noise, mask)
    moments = problem.moments()
    sized = None if start is None else starts.sizes(problem.dim, width, hidden, start)
    own = None if start is None or sized is None else starts.scales(start, sized)
    prediction = chosen.prediction(loss, number, moments, depth, width, own)
    report = reports.prediction_report(prediction, width, chosen.ranking(loss, moments))
    report["loss_function"] = loss
    best = None
    if target is not None:
        index = options.feature("target", target, problem.features.dim)
        best = theory.downstream.best_layer(
            problem,
            _task(problem, index, downstream),
            depth,
            head_depth=1 if head_depth is None else head_depth,
            width=width,
            start=own,
        )
        report["downstream"] = reports.complexity_report(best, index)
    elif downstream is not None:
        raise options.bad(
            "downstream",
            repr(downstream),
            "--target J beside it: the feature whose sign is the label",
        )
    table = reports.prediction_table(report, problem.features.strength.tolist())
    if json is not None:
        reports.write_json(report, json)
    if csv is not None:
        reports.write_csv(table, csv)
    if "-" not in (json, csv):
        from rich.console import Console

        console = Console()
        reports.print_table(table, console)
        if own is not None:
            console.print(
                f"From a start of scales {float(own.encoder):.4g} (encoder) and "
                f"{float(own.head):.4g} (head)."
            )
        if not report["unique"]:
            console.print(
                f"Not unique: width {width} cuts between tied "
                f"{'cross moments' if loss == 'barlow-twins' else 'signal fractions'}; "
                "the tied features' weights are undetermined."
            )
        if loss == "barlow-twins" and width is not None and width < problem.dim:
            console.print(
                "Many minimisers: the loss does not rank directions. Shown is the one of least "
                "norm, which training approaches from ever smaller starts."
            )
        if report["unresolved"]:
            console.print(
                f"Too small for {precision}: the weights of {report['unresolved']} kept are "
                "not zero, though they show as zero."
            )
        if best is not None:
            reports.print_table(reports.complexity_table(report["downstream"]), console)
            console.print(best.reason, highlight=False)
    return 0


def _task(problem, target: int, downstream: str | None):
    """Downstream task of the options: the sign of one feature, of other strengths if given."""
    from ..problems import DownstreamProblem, Features, SignLabel

    features = problem.features
    if downstream is not None:
        features = Features(options.vector("downstream", downstream, features.dim))
    return DownstreamProblem(features, SignLabel(target))
