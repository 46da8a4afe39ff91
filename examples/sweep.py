"""Weights over noise and depth: trained networks beside the closed form, interrupted and resumed.

Claim: the weight of a feature falls with its noise, in every layer as the closed form says, and
more in higher layers. A sweep that is interrupted resumes where it was.

    python examples/sweep.py [--quick] [--out DIR.zarr] [--plot FILE]

200 values of the noise of the strongest feature, two depths, five starts: 2,000 networks of three
features, 5,000 steps each. It takes about a minute on two cores; --quick takes 20 values and one
start. With --out a second call does only what is missing.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np

import projhead_theory as pt


def main(quick, out, plot):
    jax.config.update("jax_enable_x64", True)
    model = pt.sweeps.FeatureModel([2.0, 1.0, 0.5], noise=[1.0, 0.2, 0.1])
    train = pt.sweeps.Descent(learning_rate=0.01, steps=5_000)
    axes = {"noise[0]": np.linspace(0.5, 2, 20 if quick else 200), "depth": [1, 2]}
    options = {"seeds": 1 if quick else 5, "scale": 0.5, "train": train, "out": out}

    def tell(progress):
        line = f"{progress.done} of {progress.runs} runs, {progress.rate:.0f} a second"
        print(line, file=sys.stderr)

    # The first half, as if interrupted; then the rest.
    pt.sweep(model, axes, shard=(0, 2), chunk_size=500, progress=tell, **options)
    result = pt.sweep(model, axes, chunk_size=500, progress=tell, **options)
    print(f"complete: {result.complete}; {result.outcomes()}")
    data = result.dataset.load()
    print("weight of feature 1, by noise: predicted, and measured as mean over starts")
    for noise in data["noise[0]"].values[:: 5 if quick else 50]:
        cells = []
        for depth in (1, 2):
            for layer in range(1, depth + 1):
                at = {"noise[0]": noise, "depth": depth, "layer": layer, "direction": 0}
                predicted = float(data["weights_predicted"].sel(at))
                measured = float(data["weights_measured"].sel(at).mean())
                cells.append(f"layer {layer} of {depth}: {predicted:.4f} {measured:.4f}")
        print(f"{noise:.2f}  " + "   ".join(cells))
    if plot:
        pt.figures.save(result.plot(x="noise[0]", hue="layer", depth=2, direction=0), plot)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", metavar="DIR.zarr")
    parser.add_argument("--plot", metavar="FILE")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        main(given.quick, given.out or str(Path(folder) / "sweep.zarr"), given.plot)
