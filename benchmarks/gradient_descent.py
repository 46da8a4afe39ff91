r"""Gradient descent on many small problems at once.

Claim: `gradient_descent` under `jax.vmap` and `jax.jit` takes at least as many problem-steps a
second as the same descent batched by hand, in PyTorch (`torch.bmm`) or in NumPy (`matmul`), and
far more than a loop over the problems.

The work: 1,024 problems, networks 8-8-8 (depth 2), float64, 500 steps of plain gradient descent on
the population spectral contrastive loss of random moments that do not commute. One *problem-step*
is one step of one problem. The library is timed as a user would call it: with its checks for
non-finite states, its account of how far each layer moved, and its trajectory of two records. The
hand-written loops only descend, with the gradient written out by hand in seven products a step.

Before any timing all implementations run from the same starts and must end at the same weights to
rounding. Compilation is timed apart. Repeats are interleaved (library, NumPy, PyTorch, ...,
library, ...), so that a machine that slows down slows all of them. The report gives the median and
the range over the repeats. The library is timed twice: all problems at once under `jax.vmap`, and
with `simulation.in_batches`, 64 at a time on every core, which on a CPU keeps them in the cache (on
an accelerator 65,536 at a time). NumPy and the loop over problems are timed on fewer problems, and
the loop on fewer steps; their rates are taken to be the same for more.

The *share of the roof* is the traffic that every step needs at least (to read and write the weights
and to read the moments) at the measured rate, over the rate at which an accelerator copies an array
that does not fit into its cache. On a CPU the problems stay in the cache, and no share is given.

    python benchmarks/gradient_descent.py
    python benchmarks/gradient_descent.py --count 100000 --repeats 3
    python benchmarks/gradient_descent.py --quick --json -
"""

import statistics
import time

import jax
import numpy as np
from common import (
    DIM,
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

import projhead_theory as pt

STEP = 0.02
FEW = 1024
LIBRARY = "library"


def batch_size():
    return 64 if jax.default_backend() == "cpu" else 65_536


def descend(network, data, steps):
    return pt.gradient_descent(network, data, learning_rate=STEP, steps=steps, save_at=2)


def ends(trajectories):
    return tuple(w[:, -1] for w in jax.block_until_ready(trajectories).networks.layers)


def library(networks, moments, steps):
    """Compile the library's descent under `vmap`.

    **Returns:** a function of no arguments that waits for its result, and the seconds spent on
    tracing and on compiling.
    """
    begin = time.perf_counter()
    function = jax.vmap(lambda network, data: descend(network, data, steps))
    lowered = jax.jit(function).lower(networks, moments)
    traced = time.perf_counter()
    compiled = lowered.compile()
    seconds = {"trace": traced - begin, "compile": time.perf_counter() - traced}
    return lambda: ends(compiled(networks, moments)), seconds


def in_batches(networks, moments, steps):
    """The library's descent in batches, on all cores of a CPU."""
    one = lambda network, data: descend(network, data, steps)
    run = lambda *pair: pt.simulation.in_batches(one, *pair, batch_size=batch_size())
    if jax.default_backend() != "cpu":
        run = jax.jit(run)
    return lambda: ends(run(networks, moments))


def copied_bytes_per_second():
    """Bytes read and written a second, by a copy of an array of 1 GiB."""
    x = jax.numpy.ones(2**27, jax.numpy.float64 if jax.config.jax_enable_x64 else np.float32)
    add = jax.jit(lambda x: x + 1)
    jax.block_until_ready(add(x))
    seconds = timed({"copy": lambda: jax.block_until_ready(add(x))}, 5)["copy"]
    return 2 * x.nbytes / min(seconds)


def batched_numpy(layers, cross, second, steps):
    """Descent batched by hand in NumPy."""

    def run():
        w1, w2 = (w.copy() for w in layers)
        for _ in range(steps):
            w = w2 @ w1
            ws = w @ second
            outer = 4 * ((ws @ w.swapaxes(1, 2)) @ ws - w @ cross)
            w1, w2 = (
                w1 - STEP * (w2.swapaxes(1, 2) @ outer),
                w2 - STEP * (outer @ w1.swapaxes(1, 2)),
            )
        return w1, w2

    return run


def batched_torch(layers, cross, second, steps):
    """Descent batched by hand in PyTorch, with no graph recorded."""
    start = [torch.tensor(w, device=torch_device()) for w in layers]
    cross, second = (torch.tensor(m, device=torch_device()) for m in (cross, second))

    def run():
        with torch.no_grad():
            w1, w2 = start
            for _ in range(steps):
                w = torch.bmm(w2, w1)
                ws = torch.bmm(w, second)
                outer = 4 * (torch.bmm(torch.bmm(ws, w.mT), ws) - torch.bmm(w, cross))
                w1, w2 = w1 - STEP * torch.bmm(w2.mT, outer), w2 - STEP * torch.bmm(outer, w1.mT)
            synchronise()
            return w1.cpu().numpy(), w2.cpu().numpy()

    return run


def looped_torch(layers, cross, second, steps):
    """One problem after another in PyTorch, gradients by automatic differentiation."""
    device = torch_device()
    cross, second = (torch.tensor(m, device=device) for m in (cross, second))

    def run():
        ends = []
        for index in range(len(cross)):
            w1, w2 = (torch.tensor(w[index], device=device, requires_grad=True) for w in layers)
            for _ in range(steps):
                w = w2 @ w1
                projected = w @ second[index] @ w.T
                loss = -2 * torch.sum((w @ cross[index]) * w) + torch.sum(projected * projected)
                g1, g2 = torch.autograd.grad(loss, (w1, w2))
                with torch.no_grad():
                    w1 -= STEP * g1
                    w2 -= STEP * g2
            ends.append([w.detach().cpu().numpy() for w in (w1, w2)])
        synchronise()
        return tuple(np.stack(w) for w in zip(*ends, strict=True))

    return run


def disagreement(ends, reference):
    """Largest difference of two ends, relative to the largest weight."""
    largest = max(np.abs(w).max() for w in reference)
    return float(
        max(np.abs(np.asarray(a) - b).max() for a, b in zip(ends, reference, strict=True)) / largest
    )


def measure(dtype, repeats, count, steps, few, few_steps):
    networks, moments = jax.block_until_ready(problems(count, dtype))
    layers = [np.asarray(w) for w in networks.layers]
    cross, second = np.asarray(moments.cross), np.asarray(moments.second)
    where = surroundings()

    run, compilation = library(networks, moments, steps)
    compilation = {LIBRARY: compilation}
    first = min(FEW, count)
    on_cpu = batched_numpy([w[:first] for w in layers], cross[:first], second[:first], steps)
    runs = {
        LIBRARY: (run, count * steps),
        "library, batches": (in_batches(networks, moments, steps), count * steps),
        "numpy, batched": (on_cpu, first * steps),
    }
    if torch:
        runs["torch, batched"] = (batched_torch(layers, cross, second, steps), count * steps)
        some = [w[:few] for w in layers], cross[:few], second[:few]
        runs["torch, looped"] = (looped_torch(*some, few_steps), few * few_steps)

    # A step rounds each weight by a few epsilon times the inner dimension. Over the run the errors
    # at most add up, approximately.
    tolerance = 16 * steps * DIM * float(np.finfo(dtype).eps)
    reference, short = (
        runs["numpy, batched"][0](),
        batched_numpy(*([w[:few] for w in layers], cross[:few], second[:few]), few_steps)(),
    )
    apart = {
        name: disagreement([w[:first] for w in go()], short if "looped" in name else reference)
        for name, (go, _) in runs.items()
    }
    moved = disagreement([w[:first] for w in layers], reference)
    least = 6 * DIM * DIM * np.dtype(dtype).itemsize
    bandwidth = None if jax.default_backend() == "cpu" else copied_bytes_per_second()
    for name, value in apart.items():
        if not value <= tolerance:
            raise SystemExit(
                f"{name} ends elsewhere: {value:.1e} apart, "
                f"more than rounding ({tolerance:.1e}); nothing was timed"
            )

    seconds = timed({name: go for name, (go, _) in runs.items()}, repeats)
    results = {}
    for name, (_, work) in runs.items():
        rates = [work / s for s in seconds[name]]
        ratios = [
            a / b for a, b in zip(rates, (count * steps / s for s in seconds[LIBRARY]), strict=True)
        ]
        results[name] = {
            "problem_steps": work,
            "seconds": seconds[name],
            "problem_steps_per_second": {
                "median": statistics.median(rates),
                "min": min(rates),
                "max": max(rates),
            },
            "ratio_to_library": {
                "median": statistics.median(ratios),
                "min": min(ratios),
                "max": max(ratios),
            },
            "share_of_roof": bandwidth and statistics.median(rates) * least / bandwidth,
            "relative_difference_of_weights": apart[name],
        }
    return {
        "benchmark": "gradient_descent",
        "setup": {
            "problems": count,
            "sizes": [DIM, DIM, DIM],
            "steps": steps,
            "step": STEP,
            "dtype": dtype,
            "repeats": repeats,
            "batch_size": batch_size(),
            "copied_bytes_per_second": bandwidth,
            "looped": {"problems": few, "steps": few_steps} if torch else None,
            "weights_moved_by": moved,
            "tolerance": tolerance,
        },
        **where,
        "compilation_seconds": compilation,
        "results": results,
    }


def table(report):
    setup = report["setup"]
    yield (
        f"{setup['problems']} problems, sizes {setup['sizes']}, {setup['steps']} steps, "
        f"{setup['dtype']}, {setup['repeats']} repeats"
    )
    yield place(report)
    for name, seconds in report["compilation_seconds"].items():
        yield f"{name}: traced in {seconds['trace']:.2f} s, compiled in {seconds['compile']:.2f} s"
    yield (
        f"{'':16}{'problem-steps / s':>20}{'(min - max)':>24}"
        f"{'to library':>12}{'of roof':>9}{'weights apart':>15}"
    )
    for name, result in report["results"].items():
        rate, ratio = result["problem_steps_per_second"], result["ratio_to_library"]
        share = "" if result["share_of_roof"] is None else f"{result['share_of_roof']:.1%}"
        span = f"({rate['min']:,.0f} - {rate['max']:,.0f})"
        yield (
            f"{name:16}{rate['median']:20,.0f}{span:>24}{ratio['median']:12.3f}"
            f"{share:>9}{result['relative_difference_of_weights']:15.1e}"
        )
    if setup["looped"]:
        few = setup["looped"]
        yield (
            f"torch, looped: timed on {few['problems']} problems and {few['steps']} steps, "
            "at the same rate for more"
        )
    else:
        yield "torch is not installed: only the library and NumPy were timed"


def main():
    wanted = parser(__doc__, count=(1024, 64), repeats=(7, 2))
    wanted.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    options = parse(wanted)
    jax.config.update("jax_enable_x64", options.dtype == "float64")
    size = (
        {"steps": 50, "few": 2, "few_steps": 20}
        if options.quick
        else {"steps": 500, "few": 8, "few_steps": 200}
    )
    report = measure(options.dtype, options.repeats, options.count, **size)
    tell(report, table, options.json)


if __name__ == "__main__":
    main()
