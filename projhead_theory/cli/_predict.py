"""`projhead predict`: the closed form alone."""

from . import _options as options


def predict(
    strength: options.Strength,
    noise: options.Noise = None,
    flip: options.Flip = None,
    mask: options.Mask = None,
    depth: options.Depth = 2,
    width: options.Width = None,
    json: options.Json = None,
    precision: options.Precision = "float64",
) -> int:
    """Predict the weight of every feature at every layer, what is kept, and the minimal loss."""
    options.set_precision(precision)
    from .. import theory
    from ..report import prediction_report, prediction_table, write_json

    problem = options.problem(strength, noise, flip, mask)
    prediction = theory.layerwise(problem.moments(), depth, width=width, throw=False)
    report = prediction_report(prediction, width)
    if json != "-":
        from rich.console import Console

        console = Console()
        console.print(prediction_table(report, problem.features.strength.tolist()))
        if not report["unique"]:
            console.print(f"Not unique: width {width} cuts between tied signal fractions; the tied features' weights are undetermined.")
    if json is not None:
        write_json(report, json)
    return 0
