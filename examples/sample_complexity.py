"""Measured numbers of samples on random problems, ranked against three predictions.

Claim: the limit of many samples and features (`theory.downstream.margin_samples`) gives the ratio
between layers to a few per cent. The sample-complexity indicator, and the sum of squared variances,
give little more than its sign.

    python examples/sample_complexity.py [--problems N] [--seed N] [--quick] [--json FILE]

Random feature models of 12, 24 or 40 features and depth 2 or 3; layers are exact. For each layer
the script finds the number of samples at which the mean error of 32 hard margins falls to 0.1, and
the three predictions. Kendall's tau is over pairs of layers, with an interval from resampled
problems. It takes some minutes on one core.
"""

import argparse
import itertools
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from projhead_theory.probes import HardMargin, LearningCurve, Status
from projhead_theory.problems import Downstream
from projhead_theory.theory.downstream import margin_samples, sample_complexity

ERROR, SEEDS, DIMS = 0.1, 32, (12, 24, 40)


def draw(rng):
    """Draw weights and downstream strengths.

    The label, the first feature, is disrupted, too weak, too strong, or like all others.
    """
    d, depth = int(rng.choice(DIMS)), int(rng.choice([2, 3]))
    phi, sigma = np.exp(rng.uniform(-0.7, 0.7, d)), np.exp(rng.uniform(-1.2, 0.3, d))
    scenario = rng.choice(["disrupted", "weak", "strong", "none"])
    if scenario == "disrupted":
        sigma[0], phi[0] = np.exp(rng.uniform(0.2, 1.2)), np.exp(rng.uniform(-0.2, 0.9))
    elif scenario == "weak":
        phi[0] = np.exp(rng.uniform(-1.4, -0.6))
    elif scenario == "strong":
        phi[0] = np.exp(rng.uniform(0.6, 1.6))
    later = phi.copy()
    if rng.random() < 0.5:
        later[1:] = np.exp(rng.uniform(-0.7, 0.7, d - 1))
    return phi / (phi**2 + sigma**2), later, depth


def measured(rng, layers, law):
    """Learning curve of hard margins on layers of these strengths.

    Errors are exact for Gaussian nuisance features.
    """
    d = layers.shape[1]
    sizes = np.unique(np.round(np.geomspace(3, 5 * d, 14)).astype(int))
    shape = (SEEDS, sizes[-1], d)
    z = rng.standard_normal(shape) if law == "gaussian" else rng.choice([-1.0, 1.0], shape)
    z[:, :, 0] = rng.choice([-1.0, 1.0], shape[:2])
    z[:, 0, 0], z[:, 1, 0] = 1, -1
    test = rng.choice([-1.0, 1.0], (4096, d))
    errors = np.zeros((len(layers), len(sizes), SEEDS))
    for (i, layer), (k, n) in itertools.product(enumerate(layers), enumerate(sizes)):
        if k and errors[i, k - 1].mean() < 0.03:
            continue
        readout = HardMargin().fit_many(
            z[:, :n] * layer, (z[:, :n, 0] > 0).astype(int), throw=False
        )
        v = np.asarray(readout.weights)[:, 0] * layer
        across = np.maximum(np.linalg.norm(v[:, 1:], axis=1), 1e-300)
        found = (
            stats.norm.cdf(-v[:, 0] / across)
            if law == "gaussian"
            else ((v @ test.T > 0) != (test[:, 0] > 0)).mean(1)
        )
        errors[i, k] = np.where(np.asarray(readout.status == Status.fitted), found, 0.5)
    return LearningCurve(
        sizes,
        errors,
        np.zeros(errors.shape[:2]),
        tuple(f"layer {i + 1}" for i in range(len(layers))),
    )


def predictions(layers):
    """The indicator, the sum of squared variances, and the limit, of every layer."""
    down = Downstream(np.eye(layers.shape[1]), np.eye(layers.shape[1])[0])
    variances = layers**2 / layers[:, :1] ** 2
    grams = jnp.asarray(variances[:, :, None] * np.eye(layers.shape[1]))
    return {
        "indicator": np.asarray(sample_complexity(grams, down)),
        "squares": (variances[:, 1:] ** 2).sum(1),
        "limit": np.asarray(margin_samples(grams, down, ERROR)),
    }


def agreement(problems):
    """Agreement of each prediction with the measurement, one row a prediction.

    It is measured over pairs of layers, and on the best layer if 97.5 per cent of resamples agree
    on it.
    """
    pairs = [
        np.asarray(
            [[np.log(x[b] / x[a]) for x in (p["n"], *p["said"].values())] for a, b in p["pairs"]]
        ).reshape(-1, 4)
        for p in problems
    ]
    rng, every = np.random.default_rng(0), np.concatenate(pairs)
    clear = [p for p in problems if p["share"] > 0.975]
    for k, key in enumerate(("indicator", "squares", "limit"), 1):
        tau = lambda x, k=k: stats.kendalltau(x[:, 0], x[:, k])[0]
        again = [
            tau(np.concatenate([pairs[i] for i in rng.integers(0, len(pairs), len(pairs))]))
            for _ in range(300)
        ]
        low, high = np.nanquantile(again, [0.025, 0.975])
        yield {
            "prediction": key,
            "problems": len(problems),
            "pairs": len(every),
            "tau": tau(every),
            "low": low,
            "high": high,
            "clear": len(clear),
            "right": sum(int(np.argmin(p["said"][key]) == np.argmin(p["n"])) for p in clear),
            "log_ratio_off_by": np.sqrt(np.mean((every[:, 0] - every[:, k]) ** 2)),
        }


def study(law, count, seed):
    """Random problems of this law of nuisance features, each with its measurement.

    The second result is the log ratio of the measured number to the limit, by number of features.
    """
    rng, problems, gaps = np.random.default_rng(seed), [], {d: [] for d in DIMS}
    for _ in range(count):
        weights, later, depth = draw(rng)
        layers = np.stack([weights ** (layer / depth) * later for layer in range(1, depth + 1)])
        curve, said = measured(rng, layers, law), predictions(layers)
        needed = curve.samples_needed(ERROR).value
        inside = (needed > curve.sizes[0]) & np.isfinite(needed)
        gaps[len(weights)] += list(np.log(needed[inside] / said["limit"][inside]))
        chosen = [
            (a, b) for a, b in itertools.combinations(range(depth), 2) if inside[a] and inside[b]
        ]
        rank = (
            "lightest"
            if weights[0] == weights.min()
            else "heaviest"
            if weights[0] == weights.max()
            else "between"
        )
        if chosen:
            problems.append(
                {
                    "n": needed,
                    "said": said,
                    "pairs": chosen,
                    "rank": rank,
                    "share": curve.fewest(ERROR).share,
                }
            )
    return problems, gaps


def main():
    jax.config.update("jax_enable_x64", True)
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--problems", type=int, default=150, help="random problems of each law")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--quick", action="store_true", help="8 problems")
    options.add_argument("--json", metavar="FILE", help="write the table; - for standard output")
    arguments = options.parse_args()
    rows = []
    out = sys.stderr if arguments.json == "-" else sys.stdout
    for law in ("gaussian", "rademacher"):
        problems, gaps = study(law, 8 if arguments.quick else arguments.problems, arguments.seed)
        for label in ("any", "lightest", "between"):
            chosen = [p for p in problems if label in ("any", p["rank"])]
            for row in agreement(chosen) if sum(len(p["pairs"]) for p in chosen) > 1 else ():
                rows.append({"nuisance": law, "label": label, **row})
                print(
                    f"{law:10s} label {label:8s} {row['prediction']:10s} "
                    f"tau {row['tau']:5.2f} [{row['low']:5.2f}, {row['high']:5.2f}]"
                    f"  best layer {row['right']}/{row['clear']}"
                    f"  log ratio off by {row['log_ratio_off_by']:.3f}",
                    file=out,
                )
        above = {d: round(float(np.mean(g)), 3) for d, g in gaps.items() if g}
        print(
            f"{law:10s} measured above the limit, mean log by number of features:", above, file=out
        )
    if arguments.json == "-":
        json.dump(rows, sys.stdout, indent=1)
    elif arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
