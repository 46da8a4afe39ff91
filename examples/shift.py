"""Average and worst-group accuracy of each layer under a shift of spurious features.

The accuracies are shown over training time, correlation and threshold. Claim: with a readout fitted
to the training distribution, lower layers gain little or nothing. With a readout refitted on data
where background and object are independent of the label, they gain, and gain more the longer
training lasts. A single output makes all layers of a linear network equal.

    python examples/shift.py [--quick] [--json FILE]

Inputs have a core, a background and a co-occurring object. Networks are trained by regression of
the label from random balanced starts, for which there is no closed form. Accuracies are measured
on trained networks; for linear ones the closed form's accuracies from an aligned start are
printed beside them. Each row is one depth, number of outputs, correlation, threshold, readout and
time. It takes a few minutes on one core; --quick runs depth 2, one correlation and no threshold.
"""

import argparse

import jax

import projhead_theory as pt
from projhead_theory.experiments import shift_accuracy

TIMES = (1.0, 10.0, 100.0)


def show(*tables):
    return ", ".join(" ".join(f"{v:.3f}" for v in x) for x in tables)


def main(quick, file):
    jax.config.update("jax_enable_x64", True)
    correlations = [[r, r - 0.1] for r in ((0.9,) if quick else (0.7, 0.8, 0.9, 0.95))]
    thresholds, seeds = ((0.0,), 2) if quick else ((0.0, 0.05, 0.2), 8)
    results = []
    print(
        "accuracy of each layer, lowest first: measured average, worst | closed form "
        "from an aligned start: average, worst"
    )
    for depth, outputs in ((2, 3),) if quick else ((2, 3), (2, 1), (3, 3), (4, 3)):
        options = {"key": jax.random.key(0), "depth": depth, "outputs": outputs, "seeds": seeds}
        result = shift_accuracy(correlations, thresholds, TIMES, **options)
        results.append({"depth": depth, "outputs": outputs} | result.to_dict())
        average, worst = result.average.mean(axis=3), result.worst.mean(axis=3)
        for i, (r, _) in enumerate(correlations):
            for j, threshold in enumerate(thresholds):
                for k, name in enumerate(("as trained", "refitted")):
                    for t, time in enumerate(TIMES):
                        closed = show(
                            result.predicted_average[k, i, t], result.predicted_worst[k, i, t]
                        )
                        beside = f" | {closed}" if threshold == 0 and outputs == 3 else ""
                        head = (
                            f"depth {depth}, outputs {outputs}, correlation {r:.2f}, "
                            f"threshold {threshold:g}, {name:10s}, time {time:3g}"
                        )
                        print(f"{head}: {show(average[k, i, j, t], worst[k, i, j, t])}{beside}")
    if file:
        pt.report.write_json({"results": results}, file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    main(arguments.quick, arguments.json)
