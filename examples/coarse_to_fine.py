"""Train on classes, read the subclasses off every layer over training time: in closed form and from trained networks.

Claim: an independent subclass fades from every layer as a power of time, faster by regression than by contrast and faster in higher
layers, and the accuracy of reading it falls as predicted: from an aligned start at every time, and late in training also from random
balanced starts, which the closed form does not cover.

    python examples/coarse_to_fine.py [--quick] [--json FILE]

Depths 2 to 4, both losses. One row a depth, loss and layer: predicted accuracy at four times, as measured from the aligned start, and as
measured from a random balanced start of the same size, mean over seeds and the largest deviation of a seed.
A minute or two on one core; with --quick depth 2 alone, some seconds.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import projhead_theory as pt
from projhead_theory import theory
from projhead_theory.losses import mse, spectral
from projhead_theory.simulation import gradient_flow

TIMES, START, BLUR = np.array([1.0, 10.0, 100.0, 1000.0]), 0.5, 0.25
GROUPS = pt.Groups.signs([1.2, 0.9], [0.3, 0.35], [0.0])


def grams(loss, depth):
    """The closed form: both features evolve alone, and the subclass has no signal."""
    second = jnp.diagonal(GROUPS.second)
    if loss == "regression":
        weights = theory.regression.layer_weights(TIMES[:, None], START, jnp.array([1.2, 0.0]), second, depth)
    else:
        weights = theory.dynamics.layer_weights(TIMES[:, None], START, jnp.array([1.44, 0.0]), second, depth)
    return jnp.swapaxes(weights, 1, 2)[..., None] ** 2 * jnp.eye(2)


def run(loss, start):
    """Accuracy of reading the subclass at every time and layer of a trained network."""
    data = pt.SupervisedProblem(GROUPS, [[-1.0, 0.0], [1.0, 0.0]]) if loss == "regression" else pt.SupervisedContrastiveProblem(GROUPS)
    options = {"until": TIMES[-1], "record": jnp.asarray(TIMES), "stationarity": 0.0}
    trained = gradient_flow(start, data.moments(), loss=mse if loss == "regression" else spectral, **options)
    seen = jax.vmap(lambda n: pt.measure.group_accuracy(n, GROUPS.read(1), GROUPS.read(1), BLUR))(trained.networks)
    return np.asarray(seen[:-1] @ GROUPS.probability)


def main(quick, file):
    jax.config.update("jax_enable_x64", True)
    rows = []
    for depth in (2,) if quick else (2, 3, 4):
        for loss in ("contrastive", "regression"):
            predicted = jax.vmap(lambda g: theory.group_accuracy(g, GROUPS.read(1), GROUPS.read(1), BLUR).average)(grams(loss, depth))
            sizes = (2,) * (depth + 1)
            aligned = run(loss, pt.DeepLinear.aligned(jnp.eye(2), jnp.full(2, START), sizes))
            scale = START ** (1 / depth)
            keys = jax.random.split(jax.random.key(0), 3 if quick else 8)
            random = np.stack([run(loss, pt.DeepLinear.balanced(k, sizes, scale)) for k in keys])
            for layer in range(depth):
                rows.append(
                    {
                        "depth": depth,
                        "loss": loss,
                        "layer": layer + 1,
                        "predicted": np.asarray(predicted)[:, layer].tolist(),
                        "aligned": aligned[:, layer].tolist(),
                        "random": random[:, :, layer].mean(0).tolist(),
                        "deviation": float(np.abs(random[:, :, layer] - np.asarray(predicted)[:, layer]).max()),
                    }
                )
    print(f"accuracy at times {', '.join(f'{t:g}' for t in TIMES)}: predicted | aligned start | random starts (largest deviation)")
    for r in rows:
        cells = " | ".join(" ".join(f"{x:.3f}" for x in r[name]) for name in ("predicted", "aligned", "random"))
        print(f"depth {r['depth']}, {r['loss']:11s}, layer {r['layer']}: {cells} ({r['deviation']:.3f})")
    if file:
        Path(file).write_text(json.dumps({"times": TIMES.tolist(), "blur": BLUR, "start": START, "rows": rows}, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    main(arguments.quick, arguments.json)
