"""Sweeps beside the descent that they run.

Claim: the runs of a sweep of small problems, with their starts, measurements, closed forms and
store on disk, go at nine tenths of the rate of the bare batched descent of such networks, from a
thousand of them to a hundred thousand, in bounded memory. To begin and to open a sweep takes less
than a fifth of a second of a core, which shows in the whole time of a thousand.

The work: networks 8-8-8 (depth 2), float64, from Gaussian starts, 500 steps of plain gradient
descent on the population spectral contrastive loss of a feature model whose noise is the axis, with
several seeds. Bare: `simulation.in_batches` of `gradient_descent`, 64 at a time on every core, from
given starts and moments. Sweep: `pt.sweep` into a new Zarr store, weights and loss beside their
closed forms. Both are compiled by a run of the same shapes before they are timed, and repeats are
interleaved; smaller numbers of problems are repeated more often.

Of every number of problems: the bare rate over that of the whole call, by the clock and by
processor time, which other work on the machine disturbs less; the same without the time before the
first run and after the last; and the largest resident set of the process after a first sweep.

    python benchmarks/sweep.py
    python benchmarks/sweep.py --count 10000 --json -
    python benchmarks/sweep.py --quick
"""

import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import DIM, parse, parser, place, surroundings, tell

import projhead_theory as pt

STEPS, RATE, SEEDS, SCALE = 500, 0.02, 4, 0.3
STRENGTH = np.linspace(0.5, 1.5, DIM)
LEAST, MOST_REPEATS = 1_000, 20


def descend(start, moments):
    run = pt.gradient_descent(start, moments, learning_rate=RATE, steps=STEPS, save_at=2)
    return run.networks.layers, run.loss, run.ended


def noises(count):
    return np.linspace(0.1, 1.0, count // SEEDS)


def bare(count):
    """A function that waits for the bare descents of so many problems."""
    keys = jax.random.split(jax.random.key(0), count)
    starts = jax.jit(jax.vmap(lambda key: pt.DeepLinear.init(key, (DIM,) * 3, SCALE)))(keys)
    features = pt.Features(jnp.asarray(STRENGTH))
    moments = lambda x: pt.ContrastiveProblem(features, pt.AdditiveNoise(x)).moments()
    data = jax.jit(jax.vmap(moments))(np.repeat(noises(count), SEEDS))
    jax.block_until_ready((starts, data))
    return lambda: jax.block_until_ready(
        pt.simulation.in_batches(descend, starts, data, batch_size=64)
    )


def swept(count):
    """A function that sweeps over so many problems into a new store: the seconds of the runs."""
    model = pt.sweeps.FeatureModel(STRENGTH, noise=0.1)
    train = pt.sweeps.Descent(RATE, steps=STEPS)

    def run():
        seconds = []
        with tempfile.TemporaryDirectory() as folder:
            pt.sweep(
                model,
                {"noise": noises(count)},
                seeds=SEEDS,
                start="gaussian",
                scale=SCALE,
                train=train,
                out=Path(folder) / "sweep.zarr",
                progress=lambda progress: seconds.append(progress.seconds),
            )
        return seconds[-1]

    return run


def compared(count, repeats):
    """Rates and their ratios for one number of problems."""
    sweep = swept(count)
    sweep()
    # Before the bare descents hold the starts and results of all problems.
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    runs = {"bare": bare(count), "sweep": sweep}
    seconds = {"bare": [], "sweep": [], "runs": []}
    busy = {"bare": [], "sweep": []}
    for _ in range(repeats):
        for name, run in runs.items():
            begin, before = time.perf_counter(), time.process_time()
            inside = run()
            seconds[name].append(time.perf_counter() - begin)
            busy[name].append(time.process_time() - before)
            if name == "sweep":
                seconds["runs"].append(inside)
    share = lambda times, name: statistics.median(
        a / b for a, b in zip(times["bare"], times[name], strict=True)
    )
    return {
        "count": count,
        "repeats": repeats,
        "seconds": seconds,
        "processor_seconds": busy,
        "problems_per_second": {
            name: count / statistics.median(values) for name, values in seconds.items()
        },
        "share_of_the_bare_rate": share(seconds, "sweep"),
        "share_by_processor_time": share(busy, "sweep"),
        "share_of_the_runs": share(seconds, "runs"),
        "load": os.getloadavg(),
        "memory_mib": memory,
    }


def measure(most, repeats):
    where = surroundings()
    for warm in (bare(min(most, LEAST)), swept(min(most, LEAST))):
        warm()
    counts = [c for c in (LEAST, 10 * LEAST, 100 * LEAST) if c < most]
    return {
        "benchmark": "sweep",
        "setup": {"sizes": [DIM, DIM, DIM], "steps": STEPS, "seeds": SEEDS},
        **where,
        "results": [
            compared(count, min(MOST_REPEATS, repeats * (most // count))) for count in counts
        ]
        + [compared(most, repeats)],
    }


def table(report):
    setup = report["setup"]
    yield f"sizes {setup['sizes']}, {setup['steps']} steps of descent, into a Zarr store"
    yield place(report)
    yield (
        f"{'problems':>9}{'bare a s':>10}{'sweep a s':>11}{'share':>8}"
        f"{'by processor':>14}{'of the runs':>13}{'MiB':>7}"
    )
    for result in report["results"]:
        rate = result["problems_per_second"]
        yield (
            f"{result['count']:9,}{rate['bare']:10,.0f}{rate['sweep']:11,.0f}"
            f"{result['share_of_the_bare_rate']:8.2f}{result['share_by_processor_time']:14.2f}"
            f"{result['share_of_the_runs']:13.2f}{result['memory_mib']:7.0f}"
        )


def main():
    options = parse(parser(__doc__, count=(100 * LEAST, 256), repeats=(1, 1)))
    jax.config.update("jax_enable_x64", True)
    tell(measure(options.count, options.repeats), table, options.json)


if __name__ == "__main__":
    main()
