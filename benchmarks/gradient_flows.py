r"""Gradient flow of many small problems, to their ends.

Claim: `simulation.gradient_flows`, whose lanes take up the next problem when a run has ended, takes
less time than `jax.vmap` of `gradient_flow`, where all runs wait for the slowest, than one run
after another (`jax.lax.map`), and than SciPy's DOP853 one problem at a time. The longer the longest
run beside the mean, the larger the gain.

The work: networks 8-8-8 (depth 2), float64, from Gaussian starts of scale 0.3 to stationarity on
the population spectral contrastive loss of random moments that do not commute. All integrators have
the relative tolerance 1e-8, and stop where the gradient's size times that of the weights is 1e-7 of
the loss, or at time 20,000, where a few still sit at a saddle. Before any timing, the end-to-end
Gram of every network that came to rest must be within 1e-5 of the closed form, relative to its
norm.

Repeats are interleaved. SciPy is timed on a few problems, and its time is taken to be in proportion
to their number.

    python benchmarks/gradient_flows.py
    python benchmarks/gradient_flows.py --quick --json -
"""

import statistics
import time

import jax
import numpy as np
from common import (
    DIM,
    closed_form,
    distances,
    parse,
    parser,
    place,
    problems,
    surroundings,
    tell,
    timed,
)
from scipy.integrate import solve_ivp

import projhead_theory as pt

RTOL, STATIONARITY, END = 1e-8, 1e-7, 2e4
NEAR = 1e-5
LIBRARY = "lanes"
OPTIONS = {"rtol": RTOL, "stationarity": STATIONARITY, "t1": END, "save_at": 2}


def compiled(function, networks, moments):
    """A compiled function of the starts and moments, the seconds to compile, and a call of it."""
    begin = time.perf_counter()
    run = jax.jit(function).lower(networks, moments).compile()
    seconds = time.perf_counter() - begin
    return seconds, lambda: jax.block_until_ready(run(networks, moments))


def in_lanes(networks, moments):
    return pt.simulation.gradient_flows(networks, moments, **OPTIONS)


def alone(network, moments):
    return pt.gradient_flow(network, moments, **OPTIONS)


def one_by_one(networks, moments):
    return jax.lax.map(lambda problem: alone(*problem), (networks, moments))


def scipy_runs(networks, moments):
    """SciPy's DOP853 on each problem, with the gradient written out by hand: the last weights."""
    layers = [np.asarray(w) for w in networks.layers]
    cross, second = np.asarray(moments.cross), np.asarray(moments.second)

    def run():
        ends = []
        for first, above, c, s in zip(*layers, cross, second, strict=True):
            start = np.concatenate([first.ravel(), above.ravel()])

            def gradient(t, y, c=c, s=s):
                w, v = y.reshape(2, DIM, DIM)
                m = v @ w
                slope = 4 * (m @ s @ (m.T @ (m @ s)) - m @ c)
                return -np.concatenate([(v.T @ slope).ravel(), (slope @ w.T).ravel()])

            def stationary(t, y, gradient=gradient, c=c, s=s):
                w, v = y.reshape(2, DIM, DIM)
                gram = (v @ w).T @ (v @ w)
                loss = abs(np.trace(gram @ s @ gram @ s) - 2 * np.trace(gram @ c))
                size = np.linalg.norm(gradient(t, y)) * np.linalg.norm(y)
                return size - STATIONARITY * loss

            stationary.terminal, stationary.direction = True, -1
            solution = solve_ivp(
                gradient,
                (0, END),
                start,
                method="DOP853",
                rtol=RTOL,
                atol=1e-2 * RTOL,
                events=stationary,
            )
            ends.append(solution.y[:, -1].reshape(2, DIM, DIM))
        return [np.stack(w) for w in zip(*ends, strict=True)]

    return run


def measure(repeats, count, few):
    networks, moments = jax.block_until_ready(problems(count, "float64"))
    where, wanted = surroundings(), np.asarray(closed_form(moments))
    some = jax.tree.map(lambda x: x[:few], (networks, moments))
    functions = {
        LIBRARY: in_lanes,
        "vmap": jax.vmap(alone),
        "one by one": one_by_one,
    }
    runs, compilation = {}, {}
    for name, function in functions.items():
        compilation[name], runs[name] = compiled(function, networks, moments)
    runs["scipy DOP853"] = scipy_runs(*some)

    apart, steps, rests = {}, None, None
    for name, run in runs.items():
        end = run()
        if name == LIBRARY:
            steps = np.asarray(end.steps)
            rests = np.asarray(end.ended == pt.simulation.Ended.converged)
        short = name.startswith("scipy")
        layers = end if short else [w[:, -1] for w in end.networks.layers]
        near = distances(layers, wanted[:few] if short else wanted)
        apart[name] = float(np.max(near, where=rests[: len(near)], initial=0))
        if not apart[name] <= NEAR:
            raise SystemExit(
                f"{name} ends {apart[name]:.1e} from the closed form, more than {NEAR}; "
                "nothing was timed"
            )

    seconds = timed(runs, repeats)
    seconds["scipy DOP853"] = [count / few * s for s in seconds["scipy DOP853"]]
    return {
        "benchmark": "gradient_flows",
        "setup": {
            "problems": count,
            "sizes": [DIM, DIM, DIM],
            "rtol": RTOL,
            "stationarity": STATIONARITY,
            "repeats": repeats,
            "scipy_problems": few,
            "at_rest": int(np.sum(rests)),
            "steps": {
                "mean": float(np.mean(steps)),
                "median": float(np.median(steps)),
                "max": int(np.max(steps)),
            },
        },
        **where,
        "compilation_seconds": compilation,
        "results": {
            name: {
                "seconds": values,
                "median": statistics.median(values),
                "ratio_to_lanes": statistics.median(
                    a / b for a, b in zip(values, seconds[LIBRARY], strict=True)
                ),
                "distance_from_closed_form": apart[name],
            }
            for name, values in seconds.items()
        },
    }


def table(report):
    setup = report["setup"]
    steps = setup["steps"]
    yield (
        f"{setup['problems']} problems, sizes {setup['sizes']}, {setup['at_rest']} to rest; "
        f"{setup['repeats']} repeats; steps a run: median {steps['median']:,.0f}, "
        f"mean {steps['mean']:,.0f}, longest {steps['max']:,}"
    )
    yield place(report)
    yield f"{'':14}{'seconds':>10}{'to lanes':>10}{'from theory':>13}{'compiled in':>13}"
    for name, result in report["results"].items():
        compilation = report["compilation_seconds"].get(name)
        yield (
            f"{name:14}{result['median']:10.2f}{result['ratio_to_lanes']:10.2f}"
            f"{result['distance_from_closed_form']:13.1e}"
            + (f"{compilation:11.1f} s" if compilation else "")
        )


def main():
    options = parse(parser(__doc__, count=(64, 8), repeats=(3, 1)))
    jax.config.update("jax_enable_x64", True)
    tell(measure(options.repeats, options.count, min(2, options.count)), table, options.json)


if __name__ == "__main__":
    main()
