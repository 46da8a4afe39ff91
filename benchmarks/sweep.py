"""Sweeps beside the descent that they run.

Claim: a sweep of small problems, with its starts, measurements, closed forms and its store on disk,
takes at most a ninth more time than the bare batched descent of the same networks, at any number of
problems, in bounded memory.

The work: networks 8-8-8 (depth 2), float64, 500 steps of plain gradient descent on the population
spectral contrastive loss of a feature model whose noise is the axis, with several seeds. Bare:
`simulation.in_batches` of `gradient_descent`, 64 at a time on every core, from given starts and
moments. Sweep: `pt.sweep` into a new Zarr store, weights and loss beside their closed forms. Both
are compiled by a run of the same shapes before they are timed, and repeats are interleaved. The
share is also given by processor time, which other work on the machine disturbs less. Memory is the
largest resident set of the process so far.

    python benchmarks/sweep.py --count 10000 --repeats 3
    python benchmarks/sweep.py --quick
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import projhead_theory as pt

DIM, STEPS, RATE, SEEDS = 8, 500, 0.02, 4


def descend(start, moments):
    run = pt.gradient_descent(start, moments, learning_rate=RATE, steps=STEPS, save_at=2)
    return run.networks.layers, run.loss, run.ended


def bare(count):
    """A function that waits for the bare descents of so many problems."""
    keys = jax.random.split(jax.random.key(0), count)
    start = lambda key: pt.DeepLinear.init(key, (DIM,) * 3, 0.3)
    starts = jax.jit(lambda keys: jax.lax.map(start, keys))(keys)
    strength = jnp.linspace(0.5, 1.5, DIM)
    moments = lambda x: pt.ContrastiveProblem(pt.Features(strength), pt.AdditiveNoise(x)).moments()
    noise = np.repeat(np.linspace(0.1, 1.0, count // SEEDS), SEEDS)
    data = jax.jit(jax.vmap(moments))(noise)
    jax.block_until_ready((starts, data))
    return lambda: jax.block_until_ready(
        pt.simulation.in_batches(descend, starts, data, batch_size=64)
    )


def swept(count):
    """A function that sweeps over so many problems into a new store."""
    model = pt.sweeps.FeatureModel(np.linspace(0.5, 1.5, DIM), noise=0.1)
    train = pt.sweeps.Descent(RATE, steps=STEPS)
    axes = {"noise": np.linspace(0.1, 1.0, count // SEEDS)}

    def run():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "sweep.zarr"
            pt.sweep(model, axes, seeds=SEEDS, scale=0.3, train=train, out=out)

    return run


def main(count, repeats):
    jax.config.update("jax_enable_x64", True)
    for warm in (bare(count), swept(1024)):
        warm()
    seconds, busy = {"bare": [], "sweep": []}, {"bare": 0.0, "sweep": 0.0}
    runs = {"bare": bare(count), "sweep": swept(count)}
    for _ in range(repeats):
        for name, run in runs.items():
            begin, before = time.perf_counter(), time.process_time()
            run()
            seconds[name].append(time.perf_counter() - begin)
            busy[name] += time.process_time() - before
    rates = {name: count / statistics.median(values) for name, values in seconds.items()}
    ratios = [b / s for b, s in zip(seconds["bare"], seconds["sweep"], strict=True)]
    return {
        "count": count,
        "problems_per_second": rates,
        "share_of_the_bare_rate": statistics.median(ratios),
        "range_of_the_share": [min(ratios), max(ratios)],
        "share_by_processor_time": busy["bare"] / busy["sweep"],
        "load": os.getloadavg(),
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    count, repeats = (1024, 1) if given.quick else (given.count, given.repeats)
    print(json.dumps(main(count, repeats), indent=2))
