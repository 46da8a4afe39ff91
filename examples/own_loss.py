"""Your own loss: a spectral loss with another weight of uniformity, trained and read off.

A loss is a subclass that implements one form; every simulator takes it. Here the population form,
a function of the end-to-end matrix and the moments of positive pairs:

    - 2 tr(W C W^T) + beta tr((W S W^T)^2)

By hand its minimum has the weights sqrt(c / beta) / q. Which layers train to it is not part of the
loss: under any loss of the product, layers that start balanced are powers of the last one.

    python examples/own_loss.py [--quick] [--plot FILE]
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

import projhead_theory as pt


class Uniform(pt.losses.AbstractPopulationLoss):
    """Alignment less `beta` times uniformity."""

    beta: jax.Array

    def population(self, matrix, moments):
        aligned = jnp.trace(matrix @ moments.cross @ matrix.T)
        spread = matrix @ moments.second @ matrix.T
        return -2 * aligned + self.beta * jnp.sum(spread**2)


def main():
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="one value of beta")
    options.add_argument("--plot", metavar="FILE", help="save the figure")
    arguments = options.parse_args()
    jax.config.update("jax_enable_x64", True)

    problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0, 0.5]), pt.AdditiveNoise([1.0, 0.2, 0.1]))
    moments = problem.moments()
    cross, second = jnp.diagonal(moments.cross), jnp.diagonal(moments.second)
    start = pt.DeepLinear.balanced(jax.random.key(0), (3, 3, 3), scale=0.5)
    for beta in (4.0,) if arguments.quick else (0.25, 1.0, 4.0):
        run = pt.gradient_flow(start, moments, loss=Uniform(jnp.asarray(beta)))
        below, last = np.asarray(pt.measure.layer_weights(run.final))
        wanted = np.asarray(jnp.sqrt(cross / beta) / second)
        print(f"beta {beta:g}, weights after the head: trained {last.round(4)}, by hand", end=" ")
        print(wanted.round(4))
        if not (np.allclose(last, wanted, rtol=1e-5) and np.allclose(below**2, last, rtol=1e-5)):
            raise SystemExit("the network was not trained to the minimum")
    print("below the head: the root of these, by balance", below.round(4))
    if arguments.plot:
        pt.figures.save(run.plot(), arguments.plot)


if __name__ == "__main__":
    main()
