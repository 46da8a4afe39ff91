"""Which layer to keep: a network trained in plain NumPy on handwritten digits.

The 1,797 images of scikit-learn need no download. A view is a digit with pixels masked and noise
added. Three linear layers are trained on the views by gradient descent on the spectral contrastive
loss, in a dozen lines of NumPy; the library sees only the matrices and the views. It says what each
layer weights, which layer reads the digit from few labels, and which hypotheses hold.

Run: python examples/inspect_network.py [--quick] [--output FILE.npz] [--html FILE]
    [--plot FILE] [--seed N]
"""

import argparse
import sys
from itertools import pairwise

import jax
import numpy as np
from rich.console import Console

import projhead_theory as pt


def view(rng, images):
    """One view of every image: one pixel in ten masked, and noise."""
    return images * (rng.random(images.shape) > 0.1) + 0.1 * rng.standard_normal(images.shape)


def train(rng, x1, x2, width, steps, rate=0.02):
    """Gradient descent on the spectral contrastive loss from a Gaussian start."""
    cross = (x1.T @ x2 + x2.T @ x1) / (2 * len(x1))
    second = (x1.T @ x1 + x2.T @ x2) / (2 * len(x1))
    sizes = (x1.shape[1], width, width, width)
    w = [rng.standard_normal((p, d)) * (1.5 / d) ** 0.5 for d, p in pairwise(sizes)]
    for _ in range(steps):
        whole = w[2] @ w[1] @ w[0]
        slope = 4 * (whole @ second @ whole.T @ whole @ second - whole @ cross)
        gradients = [
            (w[2] @ w[1]).T @ slope,
            w[2].T @ slope @ w[0].T,
            slope @ (w[1] @ w[0]).T,
        ]
        w = [a - rate * g for a, g in zip(w, gradients, strict=True)]
    return w


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer images and steps")
    parser.add_argument("--output", metavar="FILE.npz", help="write views and matrices to a file")
    parser.add_argument("--html", metavar="FILE", help="write the report as one page")
    parser.add_argument("--plot", metavar="FILE", help="save the figure")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        print(
            "inspect_network.py: scikit-learn is not installed; want: pip install scikit-learn",
            file=sys.stderr,
        )
        return 2

    jax.config.update("jax_enable_x64", True)
    images, labels = load_digits(return_X_y=True)
    images = images / 16 - images.mean(axis=0) / 16
    rng = np.random.default_rng(arguments.seed)
    rows = rng.permutation(len(images))[: 500 if arguments.quick else None]
    images, labels = images[rows], labels[rows]
    x1, x2 = view(rng, images), view(rng, images)
    weights = train(rng, x1, x2, width=16, steps=3_000 if arguments.quick else 20_000)
    if arguments.output:
        named = {f"weights_{i}": w for i, w in enumerate(weights, 1)}
        np.savez_compressed(arguments.output, x1=x1, x2=x2, labels=labels, **named)
    # Pixels are no features of digits: the strongest principal directions are followed instead.
    directions = np.linalg.svd(images, full_matrices=False)[2][:10].T
    report = pt.inspect(x1, x2, weights, labels=labels, directions=directions)
    # As on a terminal of 80 columns, wherever it goes.
    console = Console(width=80, force_terminal=True, color_system=None)
    pt.report.print_table(pt.report.inspection_table(report), console)
    print(report.reason)
    print(*pt.report.hypotheses_lines(report), sep="\n")
    if arguments.html:
        pt.report.write_html(pt.report.inspection_html(report), arguments.html)
    if arguments.plot:
        pt.figures.save(report.plot(), arguments.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
