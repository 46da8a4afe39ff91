r"""Gradient descent on one large problem.

Claim: a step of `gradient_descent` on a deep linear network of 512 or 1,024 dimensions runs at 85 %
or more of the rate at which JAX multiplies matrices of that size in the same run, and at least as
fast as NumPy and PyTorch with the gradient written out by hand.

The work: a network of three layers, all d-d-d-d, float64, plain gradient descent on the population
spectral contrastive loss of random moments. A step takes eleven products of d-by-d matrices: two
for the map from input to output, four for the derivative of the loss in it, five for the layers.
*Share of products* is the rate of these eleven products alone over the rate of a product of two
matrices by the same library, and of the fastest library's product.

    python benchmarks/large.py
    python benchmarks/large.py --quick --json -
"""

import statistics

import jax
import jax.numpy as jnp
import numpy as np
from common import parse, parser, place, surroundings, tell, timed, torch

import projhead_theory as pt

PRODUCTS = 11
STEP = 0.01
LIBRARY = "library"


def problem(dim):
    """A Gaussian start and moments, in general position."""
    network = pt.DeepLinear.init(jax.random.key(0), (dim,) * 4, scale=0.5)
    fractions = jnp.linspace(0.9, 0.1, dim)
    return network, pt.problems.random_moments(jax.random.key(1), fractions, condition=3.0)


def library(network, moments, steps):
    run = lambda: pt.gradient_descent(network, moments, learning_rate=STEP, steps=steps, save_at=2)
    return lambda: [np.asarray(w[-1]) for w in jax.block_until_ready(run()).networks.layers]


def by_hand(layers, cross, second, steps, transposed):
    """Descent with the gradient written out, for arrays that know `@`."""

    def run():
        w1, w2, w3 = layers
        for _ in range(steps):
            w21, w32 = w2 @ w1, w3 @ w2
            w = w3 @ w21
            ws = w @ second
            outer = 4 * ((ws @ transposed(w)) @ ws - w @ cross)
            below = outer @ transposed(w1)
            w1, w2, w3 = (
                w1 - STEP * (transposed(w32) @ outer),
                w2 - STEP * (transposed(w3) @ below),
                w3 - STEP * (below @ transposed(w2)),
            )
        return [np.asarray(w) for w in (w1, w2, w3)]

    return run


def products(dim, steps):
    """As many products of two matrices as the steps take, by each library."""
    a, b = np.random.default_rng(0).standard_normal((2, dim, dim)) / np.sqrt(dim)

    def chain(x, y):
        return jax.lax.fori_loop(0, PRODUCTS * steps, lambda _, z: x @ z, y)

    chained = jax.jit(chain)
    arrays = jnp.asarray(a), jnp.asarray(b)

    def repeated(x, y):
        def run():
            z = y
            for _ in range(PRODUCTS * steps):
                z = x @ z
            return z

        return run

    runs = {
        f"{LIBRARY}, products": lambda: chained(*arrays).block_until_ready(),
        "numpy, products": repeated(a, b),
    }
    if torch:
        runs["torch, products"] = repeated(torch.tensor(a), torch.tensor(b))
    return runs


def measure(dims, steps_of, repeats):
    where = surroundings()
    results = {}
    for dim in dims:
        steps = steps_of(dim)
        network, moments = problem(dim)
        layers = [np.asarray(w) for w in network.layers]
        data = np.asarray(moments.cross), np.asarray(moments.second)
        runs = {
            LIBRARY: library(network, moments, steps),
            "numpy": by_hand(layers, *data, steps, np.transpose),
        }
        if torch:
            tensors = [torch.tensor(x) for x in (*layers, *data)]
            runs["torch"] = by_hand(tensors[:3], *tensors[3:], steps, torch.t)
        ends = {name: run() for name, run in runs.items()}
        tolerance = 16 * steps * dim * float(np.finfo(float).eps)
        for name, layers_end in ends.items():
            apart = max(np.abs(a - b).max() for a, b in zip(layers_end, ends["numpy"], strict=True))
            if not apart <= tolerance:
                raise SystemExit(f"{name} ends elsewhere: {apart:.1e} apart; nothing was timed")
        runs |= products(dim, steps)
        for run in runs.values():
            run()
        seconds = timed(runs, repeats)
        rate = lambda name, s=seconds, n=steps, d=dim: (
            2 * d**3 * PRODUCTS * n / statistics.median(s[name]) / 1e9
        )
        rates = {name: rate(name) for name in runs}
        best = max(value for name, value in rates.items() if "products" in name)
        results[dim] = {
            "steps": steps,
            "seconds": seconds,
            "gigaflops": rates,
            "share_of_own_products": {
                name: rates[name] / rates[f"{name}, products"]
                for name in rates
                if "products" not in name
            },
            "share_of_fastest_products": {
                name: value / best for name, value in rates.items() if "products" not in name
            },
        }
    return {
        "benchmark": "large",
        "setup": {"depth": 3, "dtype": "float64", "products": PRODUCTS, "repeats": repeats},
        **where,
        "results": results,
    }


def table(report):
    yield f"depth 3, float64, {report['setup']['repeats']} repeats"
    yield place(report)
    yield f"{'dimension':>9}  {'':10}{'gigaflops':>10}{'of its products':>17}{'of the fastest':>16}"
    for dim, result in report["results"].items():
        for name, own in result["share_of_own_products"].items():
            yield (
                f"{dim:9}  {name:10}{result['gigaflops'][name]:10.1f}{own:17.0%}"
                f"{result['share_of_fastest_products'][name]:16.0%}"
            )


def main():
    options = parse(parser(__doc__, repeats=(5, 1)))
    jax.config.update("jax_enable_x64", True)
    if options.quick:
        report = measure((64,), lambda dim: 4, options.repeats)
    else:
        report = measure((128, 512, 1024), lambda dim: max(8, 2**29 // dim**3 * 8), options.repeats)
    tell(report, table, options.json)


if __name__ == "__main__":
    main()
