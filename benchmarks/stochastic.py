r"""Stochastic gradient descent on views that are drawn anew at every step.

Claim: `simulation.stochastic` takes at least as many steps a second as the same training in
PyTorch, eager, with automatic differentiation.

The work: 64 features of strengths 2 to 1 with additive Gaussian noise of scale 0.3, networks
64-64-64 (depth 2), float32, batches of 1,024 positive pairs, plain gradient descent on the spectral
contrastive loss of the batch. The draws differ, so that the ends agree in the loss alone: before
any timing the two population losses must be far below that of the start, and as near to one another
as a fiftieth of the minimal one.

    python benchmarks/stochastic.py
    python benchmarks/stochastic.py --quick --json -
"""

import statistics

import jax
import jax.numpy as jnp
import numpy as np
from common import (
    parse,
    parser,
    place,
    surroundings,
    synchronise,
    tell,
    timed,
    torch,
    torch_device,
)

import projhead_theory as pt

FEATURES, BATCH, RATE, NEAR = 64, 1024, 0.01, 0.02
LIBRARY, PEER = "library", "torch"


def problem():
    strength = jnp.linspace(2.0, 1.0, FEATURES)
    return pt.ContrastiveProblem(pt.Features(strength), pt.AdditiveNoise(jnp.full(FEATURES, 0.3)))


def start():
    return pt.DeepLinear.init(jax.random.key(0), (FEATURES,) * 3, scale=0.3)


def library(steps):
    def run():
        trained = pt.simulation.stochastic(
            start(),
            problem(),
            key=jax.random.key(1),
            learning_rate=RATE,
            steps=steps,
            batch_size=BATCH,
            save_at=2,
        )
        return np.asarray(jax.block_until_ready(trained).final.matrix)

    return run


def in_torch(steps):
    device = torch_device()
    features = problem().features
    strength = torch.tensor(np.asarray(features.strength), device=device)
    begin = [torch.tensor(np.asarray(w), device=device) for w in start().layers]

    def run():
        layers = [w.clone().requires_grad_() for w in begin]
        optimiser = torch.optim.SGD(layers, lr=RATE)
        for _ in range(steps):
            signs = torch.randint(0, 2, (BATCH, FEATURES), device=device) * 2 - 1
            clean = signs * strength
            y1, y2 = (
                (clean + 0.3 * torch.randn(BATCH, FEATURES, device=device))
                @ layers[0].T
                @ layers[1].T
                for _ in range(2)
            )
            positive = (y1 * y2).sum(1)
            everything = ((y1.T @ y1) * (y2.T @ y2)).sum()
            loss = -2 * positive.mean() + (everything - (positive**2).sum()) / (BATCH * (BATCH - 1))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        synchronise()
        return (layers[1] @ layers[0]).detach().cpu().numpy()

    return run


def above_minimum(matrix):
    """Population loss above the minimal one, relative to it."""
    moments = problem().moments()
    least = pt.layerwise(moments, 2).loss
    return float((pt.losses.spectral(pt.DeepLinear([matrix]), moments) - least) / -least)


def measure(steps, repeats):
    where = surroundings()
    runs = {LIBRARY: library(steps)}
    if torch:
        runs[PEER] = in_torch(steps)
    above = {name: above_minimum(run()) for name, run in runs.items()}
    begin = above_minimum(start().matrix)
    if not max(above.values()) <= begin / 4 or max(above.values()) - min(above.values()) > NEAR:
        raise SystemExit(f"losses above the minimum: {above}, start {begin:.2f}; nothing was timed")
    seconds = timed(runs, repeats)
    ratios = [a / b for a, b in zip(seconds.get(PEER, []), seconds[LIBRARY], strict=False)]
    return {
        "benchmark": "stochastic",
        "setup": {
            "features": FEATURES,
            "batch": BATCH,
            "steps": steps,
            "dtype": "float32",
            "repeats": repeats,
        },
        **where,
        "loss_above_minimum": above,
        "seconds": seconds,
        "steps_per_second": {n: steps / statistics.median(s) for n, s in seconds.items()},
        "ratio_to_torch": statistics.median(ratios) if ratios else None,
    }


def table(report):
    setup = report["setup"]
    yield f"{setup['features']} features, {setup['batch']} pairs a step, {setup['steps']} steps"
    yield place(report)
    for name, rate in report["steps_per_second"].items():
        yield (
            f"{name:10}{rate:10.0f} steps / s, loss {report['loss_above_minimum'][name]:.1%} above "
            "the minimum"
        )
    if report["ratio_to_torch"]:
        yield f"library over torch: {report['ratio_to_torch']:.2f}"


def main():
    options = parse(parser(__doc__, repeats=(5, 1)))
    tell(measure(1000 if options.quick else 3000, options.repeats), table, options.json)


if __name__ == "__main__":
    main()
