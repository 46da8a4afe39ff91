"""First page of the README: state a problem, predict, train, compare, choose a layer, plot.

Run: python examples/first_page.py [--quick] [--plot FILE]
"""

import argparse

import jax

import projhead_theory as pt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a larger start, which waits less")
    parser.add_argument("--plot", metavar="FILE", help="save the figure")
    arguments = parser.parse_args()

    jax.config.update("jax_enable_x64", True)
    problem = pt.ContrastiveProblem(
        pt.Features(strength=[2.0, 1.0, 0.5]), pt.AdditiveNoise(scale=[1.0, 0.2, 0.1])
    )
    prediction = pt.layerwise(problem.moments(), depth=2)
    network = pt.DeepLinear.init(
        jax.random.key(0), sizes=(3, 3, 3), scale=1e-1 if arguments.quick else 1e-2
    )
    trajectory = pt.gradient_flow(network, problem.moments())
    verdict = pt.compare(prediction, trajectory)
    print(prediction.weights)
    print(verdict)
    print(pt.best_layer(problem, downstream=0, depth=3))
    if arguments.plot:
        pt.figures.save(verdict.plot(), arguments.plot)


if __name__ == "__main__":
    main()
