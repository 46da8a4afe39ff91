"""Accuracy of a subclass readout in every layer over training time, predicted and measured.

The networks are trained on the classes.

Claim: an independent subclass fades from every layer as a power of time, faster by regression than
by contrast, and faster in higher layers. The accuracy of its readout falls as predicted from an
aligned start. Late in training it does so from random balanced starts too, which the closed form
does not cover. At width 1, below the dimension, the subclass is lost in all layers alike.

    python examples/coarse_to_fine.py [--quick] [--json FILE]

Depths 2 to 4, both losses, widths 1, 2 and 8. Each row is one depth, loss, width and layer. It has
the predicted accuracy at four times, and the accuracy measured from random balanced starts, as mean
and largest standard error. It takes two to three minutes on one core; --quick runs depth and
width 2 alone.
"""

import argparse

import jax
import numpy as np

import projhead_theory as pt
from projhead_theory.experiments import subclass_accuracy

TIMES = (1.0, 10.0, 100.0, 1000.0)


def main(quick, file):
    jax.config.update("jax_enable_x64", True)
    groups = pt.problems.Groups.signs([1.2, 0.9], [0.3, 0.35], [0.0])
    depths, widths, seeds = ((2,), (2,), 3) if quick else ((2, 3, 4), (1, 2, 8), 8)
    results = []
    print(
        f"accuracy at times {', '.join(f'{t:g}' for t in TIMES)}: "
        "predicted | random starts (largest standard error)"
    )
    for depth in depths:
        for loss in ("contrastive", "regression"):
            options = {"key": jax.random.key(0), "loss": loss, "depth": depth, "seeds": seeds}
            result = subclass_accuracy(groups, TIMES, widths, **options)
            results.append({"depth": depth, "loss": loss} | result.to_dict())
            for i, width in enumerate(widths):
                for layer in range(depth):
                    cells = [
                        " ".join(f"{x:.3f}" for x in table[i, :, layer])
                        for table in (result.predicted, result.mean)
                    ]
                    error = np.asarray(result.error)[i, :, layer].max()
                    print(
                        f"depth {depth}, {loss:11s}, width {width}, layer {layer + 1}: "
                        f"{' | '.join(cells)} ({error:.3f})"
                    )
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
