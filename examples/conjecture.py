"""Check two conjectures of your own, one true and one false.

Each takes about fifteen lines: problems, a prediction, a measurement and controls. The false one is
violated, and comes with the smallest problem found that refutes it.

    python examples/conjecture.py [--quick] [--html FILE] [--plot FILE]
"""

import argparse

import jax
import jax.numpy as jnp

import projhead_theory as pt
from projhead_theory.claims import Claim, Control, check
from projhead_theory.theorems import trained

jax.config.update("jax_enable_x64", True)

SIZES = (3, 3, 3)


def problems(key):
    """Three features with additive noise: one fixed problem, then random ones."""
    yield pt.ContrastiveProblem(pt.Features([2.0, 1.0, 0.5]), pt.AdditiveNoise([1.0, 0.2, 0.1]))
    for k in jax.random.split(key, 3):
        strength, noise = jax.random.uniform(k, (2, 3), minval=0.3, maxval=2.0)
        yield pt.ContrastiveProblem(pt.Features(strength), pt.AdditiveNoise(noise))


def train(problem, quantity):
    """Train a two-layer network from a balanced start, and measure a quantity with its errors."""
    start = pt.DeepLinear.balanced(jax.random.key(0), SIZES, scale=0.7)
    return trained(start, problem.moments(), quantity)


def last_weights(problem):
    return pt.layerwise(problem.moments(), depth=2).weights[-1]


# True: the layer below the head weights each feature by the root of its final weight.
root_law = Claim(
    name="pre-projection-root",
    statement=(
        "Before a one-layer projection head, a feature's weight is the square root of "
        "its weight after it."
    ),
    latex=r"\|W_1 v_i\| = \sqrt{w_i}",
    problems=problems,
    predict=lambda problem: jnp.sqrt(last_weights(problem)),
    measure=lambda problem: train(problem, lambda network: pt.measure.layer_weights(network)[0]),
    controls=(
        Control(
            "same-weight", "predicts the final weight itself", predict=lambda problem, own: own**2
        ),
        Control(
            "after-the-head",
            "measures after the head",
            measure=lambda problem, own: train(problem, after_the_head),
        ),
    ),
)


def after_the_head(network):
    return pt.measure.layer_weights(network)[1]


# False, though as plausible: "contrastive learning weights a feature by its signal fraction".
signal_fraction_law = Claim(
    name="signal-fraction-weight",
    statement="After the head, a feature's weight is its signal fraction.",
    latex=r"\|W_2 W_1 v_i\| = \lambda_i",
    problems=problems,
    predict=lambda problem: jnp.diag(problem.moments().cross) / jnp.diag(problem.moments().second),
    measure=lambda problem: train(problem, after_the_head),
    controls=(Control("square", "predicts the square of it", predict=lambda problem, own: own**2),),
)


def main():
    options = argparse.ArgumentParser(description="Judge two conjectures.")
    options.add_argument("--quick", action="store_true", help="try fewer problems")
    options.add_argument("--html", metavar="FILE", help="write a report")
    options.add_argument("--plot", metavar="FILE", help="save the figure of the false one")
    arguments = options.parse_args()

    results = [check(claim, quick=arguments.quick) for claim in (root_law, signal_fraction_law)]
    for result in results:
        print(f"{result.claim.name}: {result.outcome}, verified: {result.verified}")
        print("   ", result.worst.verdict)
        for control in result.controls:
            print(
                f"    control {control.control.name}: "
                f"{'caught' if control.caught else 'not caught'}"
            )
        if result.counterexample is not None:
            print("    refuted by", pt.claims.numbers(result.counterexample.problem))
    if arguments.html:
        pt.report.write_html(pt.report.claims_html(results), arguments.html)

    true, false = results
    if arguments.plot:
        pt.figures.save(false.worst.verdict.plot(), arguments.plot)
    if not (true.verified and false.outcome == "violated" and false.counterexample is not None):
        raise SystemExit("the conjectures were not judged as they should be")


if __name__ == "__main__":
    main()
