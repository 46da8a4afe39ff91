"""Average and worst-group accuracy per layer under a shift of spurious features, over training time, correlation and threshold.

Claim: on a read-out fitted to the training distribution lower layers gain nothing, or little; on one refitted where background and object
are independent of the label they do, the more so the longer training lasts; a single output makes all layers of a linear network equal.

    python examples/shift.py [--quick] [--json FILE]

A core, a background and a co-occurring object, trained by regression of the label from balanced starts at random, for which there is no
closed form: accuracies are measured on trained networks, and those of the closed form's aligned start are printed beside those of linear
ones. One row a depth, number of outputs, correlation, threshold, read-out and time. A few minutes on one core; with --quick depth 2, one
correlation and no threshold.
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
        "accuracy of each layer, lowest first: measured average, worst | closed form from an aligned start: average, worst"
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
                        head = f"depth {depth}, outputs {outputs}, correlation {r:.2f}, threshold {threshold:g}, {name:10s}, time {time:3g}"
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
