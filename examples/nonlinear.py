"""Features of fully connected networks with thresholds, present below the head, absent above it.

The table shows these features and the agreement with the prediction for a diagonal network. Each
network has one hidden layer and a head, both of symmetrised ReLU units with fixed thresholds. It is
trained by SGD on fresh views of two strong features and one weak one, for each strength and flip
probability of a grid, from many random starts at once. A fourth direction of the input never varies
in training.

The weight of the weak feature in each layer is compared, seed by seed, with the weight of this
unseen direction, probed at the same strength. A feature is *present* in a layer if its squared
weight is larger, by a one-sided t-test at a level shared among all tests. It is *absent* if it is
not present and the confidence limit of the difference is below a hundredth of a strong feature's
squared weight. Otherwise it is *open*.

The diagonal prediction takes the thresholds and the size of the weights from the starts: the
largest weight of each layer.

    python examples/nonlinear.py [--quick] [--json FILE]
"""

import argparse
import sys

import jax

import projhead_theory as pt
from projhead_theory.experiments import connected_sweep

jax.config.update("jax_enable_x64", True)


def start(key):
    return pt.networks.ShallowThresholded.init(key, (4, 16, 8), 0.4, (0.05, 0.05), final=True)


def main(arguments):
    parser = argparse.ArgumentParser(
        description="Absent above, present below: fully connected networks with thresholds."
    )
    parser.add_argument("--quick", action="store_true", help="fewer settings and steps")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args(arguments)
    strengths, steps = ((0.1, 0.4), 200) if options.quick else ((0.1, 0.2, 0.4, 0.8), 800)
    sweep = connected_sweep(
        start, strengths, (0.0, 0.5), key=jax.random.key(0), seeds=20, steps=steps
    )
    (low, high), reach = sweep.limits, sweep.reach
    print(
        f"20 seeds, {steps} steps; diagonal prediction: "
        f"layer 1 shows strengths above {reach[0]:.3f}, layer 2 above {reach[1]:.3f}"
    )
    print(
        "strength  flips   below (share of strong)            above (share of "
        "strong)            diagonal, in the end"
    )
    for j, flips in enumerate(sweep.flips):
        for i, strength in enumerate(sweep.strength):
            found, told = sweep.verdict[:, i, j], sweep.foretold[:, i, j]
            numbers = zip(found, sweep.share[:, i, j], low[:, i, j], high[:, i, j], strict=True)
            cells = [
                f"{word:8s} {share:9.1e} [{least:8.1e}, {most:8.1e}]"
                for word, share, least, most in numbers
            ]
            contradicted = any(f not in ("open", t) for f, t in zip(found, told, strict=True))
            print(
                f"{strength:8.2f} {flips:6.2f}   {'   '.join(cells)}   {', '.join(told)}"
                f"{'  <- contradicted' if contradicted else ''}"
            )
    if options.json:
        pt.report.write_json({"steps": steps} | sweep.to_dict(), options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
