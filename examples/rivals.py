"""One problem, many theories: the same three features under each theory of the projection head.

Networks are trained by the loss of each theory, and the table shows the weights of the features
below and above the head, as trained and as predicted, and the verdict on what the theory says.

    python examples/rivals.py [--quick]
"""

import argparse
import itertools
import sys

import jax
import jax.numpy as jnp
import numpy as np

import projhead_theory as pt

jax.config.update("jax_enable_x64", True)

STRENGTH, NOISE = jnp.asarray([1.5, 1.0, 0.6]), jnp.asarray([1.0, 0.4, 1.0])
PROBLEM = pt.ContrastiveProblem(pt.Features(STRENGTH), pt.AdditiveNoise(NOISE))
rivals = pt.theory.rivals


def row(theory, below, above, predicted, says):
    """Print trained weights, their largest distance from the prediction, and the outcome."""
    cells = [" ".join(f"{x:6.3f}" for x in np.asarray(part)) for part in (below, above)]
    error = max(float(jnp.abs(a - b).max()) for a, b in zip((below, above), predicted, strict=True))
    outcome = "holds" if error < 1e-3 else "violated"
    print(f"{theory:32s} {cells[0]:>22s} {cells[1]:>22s} {error:9.0e}   {outcome}: {says}")


def contrastive(t1):
    """Layer-wise law: the head squares the weights that are before it."""
    moments = PROBLEM.moments()
    start = pt.DeepLinear.balanced(jax.random.key(0), (3, 3, 3), scale=0.7)
    run = pt.gradient_flow(start, moments, t1=t1)
    want = pt.layerwise(moments, 2).weights
    row("spectral contrastive", *run.weights()[-1], want, "root of the weight above")
    return run.grams[-1]


def self_prediction(t1):
    """Self-prediction: the signal fraction below, its square above."""
    moments = PROBLEM.moments()
    start = pt.DeepLinear.aligned(jnp.eye(3), jnp.full(3, 0.5**3), (3, 3, 3, 3))
    run = pt.gradient_flow(start, moments, loss=pt.losses.self_prediction, t1=t1)
    c, q = jnp.diagonal(moments.cross), jnp.diagonal(moments.second)
    want = rivals.self_prediction_weights(c, q, depth=2).T
    row("self-prediction", *run.weights()[-1, :2], want, "powers of the signal fraction")


def distance(steps, clean):
    """Distance critic, one layer: every sign of three features and of the noise of each view."""
    signs = jnp.asarray(list(itertools.product((1.0, -1.0), repeat=6)))
    inputs = STRENGTH * signs[:, :3]
    # Noise of the first view: none, or signs uncorrelated with those of the other noise.
    first = inputs if clean else inputs + NOISE * signs[:, 3:] * signs[:, [1, 2, 0]]
    views = pt.Views(first, inputs + NOISE * signs[:, 3:])
    run = pt.gradient_descent(
        pt.DeepLinear([0.5 * jnp.eye(3)]),
        views,
        loss=pt.losses.distance_contrastive,
        learning_rate=0.3,
        steps=steps,
    )
    weights = run.weights()[-1, 0]
    anchored = jnp.sqrt(rivals.anchored_square(STRENGTH, NOISE))
    # With both views noisy only the collapse itself is predicted.
    want = anchored if clean else jnp.where(anchored > 0, weights, 0)
    name = "distance critic, clean anchors" if clean else "distance critic, both noisy"
    row(name, weights, weights, (want, want), "noise over twice the signal collapses")


def compression(grams):
    """Two classes by the sign of the first feature: is the ratio geometric from layer to layer?"""
    between = jnp.diag(STRENGTH**2 * jnp.asarray([1.0, 0.0, 0.0]))
    within = jnp.diag(STRENGTH**2 + NOISE**2) - between
    ratios = np.asarray(
        rivals.compression(jnp.concatenate([jnp.eye(3)[None], grams]), within, between)
    )
    print(
        "\nwithin- over between-class variance of the input and both layers: "
        + " ".join(f"{x:.3f}" for x in ratios)
    )
    last = ratios[1] ** 2 / ratios[0]
    outcome = "holds" if abs(last / ratios[2] - 1) < 1e-3 else "violated"
    print(f"a geometric law predicts {last:.3f} at the last: {outcome}")


def information(grams):
    """The head as an information bottleneck, with noise 0.1 on every representation."""
    below, above = jnp.sqrt(jnp.diagonal(grams, axis1=1, axis2=2))
    moments = PROBLEM.moments()
    c, q = jnp.diagonal(moments.cross), jnp.diagonal(moments.second)
    at = rivals.information_bounds(c, q, below, above, 0.1)
    print(
        f"\ninformation on the features before the head: {float(at.before):.3f} nats\n"
        f"    data processing {float(at.after):.3f}\n"
        f"    lower bound {float(at.lower):.3f}: "
        + ("holds" if at.lower <= at.before else "violated")
        + "\n"
        f"    upper bound {float(at.upper):.3f}: "
        + ("violated" if at.upper < at.before else "holds in these units")
        + f"; false below {float(at.critical_scale):.2f} times these units"
    )


def main(arguments):
    parser = argparse.ArgumentParser(description="Three features under rival theories of the head.")
    parser.add_argument("--quick", action="store_true", help="shorter runs")
    options = parser.parse_args(arguments)
    t1, steps = (1e3, 400) if options.quick else (1e6, 4_000)
    print(f"{'theory':32s} {'below the head':>22s} {'above':>22s} {'error':>9s}   what it says")
    grams = contrastive(t1)
    self_prediction(t1)
    for clean in (True, False):
        distance(steps, clean)
    compression(grams)
    information(grams)


if __name__ == "__main__":
    main(sys.argv[1:])
