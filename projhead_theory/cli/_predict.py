"""`projhead predict`: the closed form alone."""

from . import _options as options


def predict(
    strength: options.Strength,
    noise: options.Noise = None,
    flip: options.Flip = None,
    mask: options.Mask = None,
    depth: options.Depth = 2,
    width: options.Width = None,
    target: options.OptionalTarget = None,
    downstream: options.Downstream = None,
    head: options.Head = 1,
    json: options.Json = None,
    precision: options.Precision = "float64",
) -> int:
    """Predict the weight of every feature at every layer, what is kept, and the minimal loss; for
    a target, the best layer.
    """
    options.set_precision(precision)
    from .. import report as reports
    from .. import theory

    problem = options.problem(strength, noise, flip, mask)
    prediction = theory.layerwise(problem.moments(), depth, width=width, throw=False)
    report = reports.prediction_report(prediction, width)
    if target is not None:
        curve = _curve(prediction, width, target, downstream, problem.features.strength)
        report["downstream"] = reports.complexity_report(curve, depth, target, head)
    elif downstream is not None:
        raise options.bad(
            "downstream",
            repr(downstream),
            "--target J beside it: the feature whose sign is the label",
        )
    if json != "-":
        from rich.console import Console

        console = Console()
        console.print(reports.prediction_table(report, problem.features.strength.tolist()))
        if not report["unique"]:
            console.print(
                f"Not unique: width {width} cuts between tied signal fractions; "
                "the tied features' weights are undetermined."
            )
        if report["unresolved"]:
            console.print(
                f"Too small for {precision}: the weights of {report['unresolved']} kept are "
                "not zero, though they show as zero."
            )
        if target is not None:
            console.print(reports.complexity_table(report["downstream"]))
            console.print(reports.complexity_sentence(report["downstream"]), highlight=False)
    if json is not None:
        reports.write_json(report, json)
    return 0


def _curve(prediction, width: int | None, target: int, downstream: str | None, strength):
    """Sample complexity of the target over depth.

    A tie at the cut of the width is an error: it leaves weights undetermined.
    """
    import jax.numpy as jnp

    from .. import theory

    after = strength if downstream is None else options.numbers("downstream", downstream)
    if len(after) != len(strength):
        raise options.bad(
            "downstream",
            f"{len(after)} numbers ({downstream})",
            f"{len(strength)}, as many as there are strengths",
        )
    weights = theory.feature_weights(prediction.moments, width)
    if jnp.isnan(weights).any():
        raise options.bad(
            "width",
            str(width),
            "a width that does not cut between tied signal fractions, for --target",
        )
    return theory.feature_complexity(weights, after, target)
