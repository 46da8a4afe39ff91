"""Your own features: an object on a background, and the layer that reads the object.

Inputs have a strong background, an object of middle strength and a weak texture, mixed by a matrix
of your own. The augmentation masks the background, flips the sign of the texture and adds noise.
The closed form says how strongly each layer weights each of them and which layer needs the fewest
labels for the object; a trained network has these weights.

    python examples/own_features.py [--quick] [--plot FILE]
"""

import argparse

import jax
import jax.numpy as jnp

import projhead_theory as pt

NAMES = ("background", "object", "texture")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="two layers instead of three")
    options.add_argument("--plot", metavar="FILE", help="save the figure")
    arguments = options.parse_args()
    jax.config.update("jax_enable_x64", True)

    # Columns are the directions of the features in the inputs: here a rotation.
    angle = 0.5
    mixing = jnp.array(
        [
            [jnp.cos(angle), -jnp.sin(angle), 0.0],
            [jnp.sin(angle), jnp.cos(angle), 0.0],
            [0.0, 0.0, 1.0],
        ]
    )
    problem = pt.ContrastiveProblem(
        pt.Features(strength=[2.0, 1.0, 0.5], mixing=mixing),
        pt.problems.Compose(pt.SignFlip([0.0, 0.0, 0.2]), pt.problems.Mask([0.4, 0.1, 0.0])),
        ambient=pt.AdditiveNoise([0.3, 0.3, 0.3]),
    )
    depth = 2 if arguments.quick else 3
    prediction = pt.layerwise(problem.moments(), depth=depth, directions=problem.directions)
    start = pt.DeepLinear.balanced(jax.random.key(0), (3,) * (depth + 1), scale=0.5)
    run = pt.gradient_flow(start, problem.moments())
    print(pt.compare(prediction, run))
    weights = pt.measure.layer_weights(run.final, problem.directions)
    for i, name in enumerate(NAMES):
        layers = "  ".join(f"{float(layer[i]):.3f}" for layer in weights)
        print(f"{name:12} {layers}")
    print(pt.best_layer(problem, downstream=NAMES.index("object"), depth=depth))
    if arguments.plot:
        pt.figures.save(prediction.plot(run), arguments.plot)


if __name__ == "__main__":
    main()
