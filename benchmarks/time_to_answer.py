r"""Time from a start to the trained network, for thousands of small problems.

Claim: for networks from Gaussian starts, `simulation.gradient_flows` with `stabilised()` and
`simulation.gradient_descents` reach the closed form to 1e-6 in less time than descent batched by
hand in PyTorch at its best fixed rate, and than SciPy's DOP853 one problem at a time; and the flow
takes a tenth of the time of `jax.vmap` of `gradient_flow` with its default method, or less.

The work: 4,096 networks 8-8-8 (depth 2), float64, from Gaussian starts of scale 0.3, on the
population spectral contrastive loss of random moments that do not commute. A problem is *solved*
when its end-to-end Gram is within 1e-6 of the closed form, relative to the norm of the closed form.
A few networks sit at a saddle for very long: every method may go on to the time 20,000 of gradient
flow, or so many steps of descent, and the share that it solves is reported.

The library does not know the closed form: it stops by its gradient. The descent in PyTorch is
granted the closed form. Every 64 steps it drops the problems that are solved. Both descents take
the fixed rate at which PyTorch is fastest on 256 of the problems. DOP853 and the flow under `vmap`
are timed on a few problems, and their times are taken to be in proportion to the number (under
`vmap` all wait for the slowest, so that this is too kind to it).

    python benchmarks/time_to_answer.py
    python benchmarks/time_to_answer.py --quick --json -
"""

import statistics

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
    synchronise,
    tell,
    timed,
    torch,
    torch_device,
)
from gradient_flows import END, STATIONARITY, scipy_runs

import projhead_theory as pt

NEAR, LOOK, RTOL = 1e-6, 64, 1e-4
RATES = (0.08, 0.1, 0.12, 0.14, 0.16)
FLOW, DESCENT, PEER = "flows", "descents", "torch, batched"


def flows(networks, moments, lanes):
    runs = pt.simulation.gradient_flows(
        networks,
        moments,
        solver=pt.simulation.stabilised(),
        rtol=RTOL,
        stationarity=STATIONARITY,
        t1=END,
        save_at=2,
        lanes=lanes,
    )
    return [w[:, -1] for w in jax.block_until_ready(runs).networks.layers]


def descents(networks, moments, rate, lanes):
    runs = pt.simulation.gradient_descents(
        networks,
        moments,
        learning_rate=rate,
        steps=int(END / rate),
        stationarity=STATIONARITY,
        lanes=lanes,
    )
    return [w[:, -1] for w in jax.block_until_ready(runs).networks.layers]


def vmapped(networks, moments):
    """The flow by the default method, under `vmap`, with the tolerance of its own benchmark."""
    alone = lambda network, data: pt.gradient_flow(
        network, data, rtol=1e-8, stationarity=STATIONARITY, t1=END, save_at=2
    )
    run = jax.jit(jax.vmap(alone))
    return lambda: [w[:, -1] for w in jax.block_until_ready(run(networks, moments)).networks.layers]


def by_hand(layers, cross, second, wanted, rate):
    """Descent batched by hand in PyTorch, which drops what is solved."""
    device = torch_device()
    given = [torch.tensor(x, device=device) for x in (*layers, cross, second, wanted)]
    size = torch.linalg.matrix_norm(given[4])

    def run():
        with torch.no_grad():
            ends = [w.clone() for w in given[:2]]
            left = torch.arange(len(wanted), device=device)
            w1, w2, c, s, goal = (x.clone() for x in given)
            for step in range(int(END / rate)):
                w = torch.bmm(w2, w1)
                if step % LOOK == 0:
                    apart = torch.linalg.matrix_norm(torch.bmm(w.mT, w) - goal)
                    going = ~(apart <= NEAR * size[left])
                    ends[0][left], ends[1][left] = w1, w2
                    left, w = left[going], w[going]
                    w1, w2, c, s, goal = (x[going] for x in (w1, w2, c, s, goal))
                    if not len(left):
                        break
                ws = torch.bmm(w, s)
                outer = 4 * (torch.bmm(torch.bmm(ws, w.mT), ws) - torch.bmm(w, c))
                w1, w2 = w1 - rate * torch.bmm(w2.mT, outer), w2 - rate * torch.bmm(outer, w1.mT)
            ends[0][left], ends[1][left] = w1, w2
            synchronise()
            return [w.cpu().numpy() for w in ends]

    return run


def solved(layers, wanted):
    """Share of the problems whose end-to-end Gram is near the closed form."""
    return float(np.mean(distances(layers, wanted) <= NEAR))


def best_rate(layers, cross, second, wanted):
    """The rate at which PyTorch solves most problems, and of those the fastest."""
    runs = {rate: by_hand(layers, cross, second, wanted, rate) for rate in RATES}
    share = {rate: solved(run(), wanted) for rate, run in runs.items()}
    most = max(share.values())
    seconds = timed({r: run for r, run in runs.items() if share[r] > most - 0.01}, 1)
    return min(seconds, key=lambda rate: seconds[rate][0])


def measure(repeats, count, few, lanes, rate):
    networks, moments = jax.block_until_ready(problems(count, "float64"))
    where, wanted = surroundings(), np.asarray(closed_form(moments))
    few = [min(n, count) for n in few]
    part = lambda n: jax.tree.map(lambda x: x[:n], (networks, moments))
    host = lambda n: (
        [np.asarray(w)[:n] for w in networks.layers],
        np.asarray(moments.cross)[:n],
        np.asarray(moments.second)[:n],
        wanted[:n],
    )
    if rate is None:
        rate = best_rate(*host(min(256, count))) if torch else 0.08
    runs = {
        FLOW: (lambda: flows(networks, moments, lanes[0]), count),
        DESCENT: (lambda: descents(networks, moments, rate, lanes[1]), count),
        "vmap": (vmapped(*part(few[0])), few[0]),
        "scipy DOP853": (scipy_runs(*part(few[1])), few[1]),
    }
    if torch:
        runs[PEER] = (by_hand(*host(count), rate), count)
    runs = {name: run for name, run in runs.items() if run[1]}
    shares = {name: solved(run(), wanted[:n]) for name, (run, n) in runs.items()}
    seconds = timed({name: run for name, (run, _) in runs.items()}, repeats)
    seconds = {name: [count / runs[name][1] * s for s in all_] for name, all_ in seconds.items()}
    return {
        "benchmark": "time_to_answer",
        "setup": {
            "problems": count,
            "sizes": [DIM, DIM, DIM],
            "near": NEAR,
            "rtol": RTOL,
            "stationarity": STATIONARITY,
            "learning_rate": rate,
            "end": END,
            "lanes": lanes,
            "repeats": repeats,
        },
        **where,
        "results": {
            name: {
                "problems": runs[name][1],
                "seconds_for_all": values,
                "median": statistics.median(values),
                "ratio_to_flows": statistics.median(
                    a / b for a, b in zip(values, seconds[FLOW], strict=True)
                ),
                "solved": shares[name],
            }
            for name, values in seconds.items()
        },
    }


def table(report):
    setup = report["setup"]
    yield (
        f"{setup['problems']} problems, sizes {setup['sizes']}, rate {setup['learning_rate']}, "
        f"{setup['repeats']} repeats"
    )
    yield place(report)
    yield f"{'':16}{'seconds for all':>16}{'to flows':>10}{'solved':>9}{'timed on':>10}"
    for name, result in report["results"].items():
        yield (
            f"{name:16}{result['median']:16.2f}{result['ratio_to_flows']:10.2f}"
            f"{result['solved']:9.1%}{result['problems']:10}"
        )


def main():
    wanted = parser(__doc__, count=(4096, 16), repeats=(3, 1))
    wanted.add_argument(
        "--lanes", type=int, nargs=2, default=(32, 128), help="of flows and of descents"
    )
    wanted.add_argument(
        "--few", type=int, nargs=2, help="problems of vmap and of SciPy, 0 to leave out"
    )
    wanted.add_argument("--rate", type=float, help="of the descents (default: the best of some)")
    options = parse(wanted)
    jax.config.update("jax_enable_x64", True)
    few = options.few or ([2, 1] if options.quick else [32, 2])
    report = measure(options.repeats, options.count, few, options.lanes, options.rate)
    tell(report, table, options.json)


if __name__ == "__main__":
    main()
