"""Pairing of features with the diagonal of a fixed head under plain gradient flow.

Sorted matching pairs the i-th largest diagonal entry of the head with the i-th largest weight
w = sqrt(c) / q. Training with a small weight decay reaches it. Without decay the loss does not
determine the pairing: the start and the order of events do. Two hypotheses:

- by cross moment: from a vanishing start, row i grows on feature r as exp(4 h_i^2 c_r t), so that
  the largest row takes the feature of largest c;
- the tournament: a row that holds feature a keeps growing on any free feature r of larger signal
  fraction lambda = c / q, at the rate 4 h_i^2 q_r (lambda_r - lambda_a), and leaves a for r unless
  another row takes r first. Amplitudes start at the scale. In units of the logarithm of the scale,
  the order of events depends on c, q and h alone.

This script trains random problems from Gaussian starts of several scales, under heads of diagonal
kappa^(-i), and counts the final pairings of each kind. It also fits the power of the scale with
which the second row keeps a part of the first feature.

    python examples/matching.py [--quick] [--json FILE]
"""

import argparse
import itertools
import json
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import projhead_theory as pt
from projhead_theory.simulation import gradient_flow, implicit

jax.config.update("jax_enable_x64", True)

FEATURES = 3
KAPPAS = (1.2, 1.5, 2.0, 4.0)
SCALES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-8)


@eqx.filter_jit
def problems(key, count):
    """Random cross moments and signal fractions, nearly unrelated to the order of the weights."""
    k1, k2 = jax.random.split(key)
    cross = jax.random.uniform(k1, (count, FEATURES), minval=0.2, maxval=1.0)
    return cross, cross / jax.random.uniform(k2, (count, FEATURES), minval=0.2, maxval=0.95)


def end(cross, second, kappa, scale, key):
    """Final encoder of gradient flow, and whether it has the least loss."""
    start = pt.DeepLinear.init(key, (FEATURES, FEATURES), scale)
    run = gradient_flow(
        pt.Headed(start, pt.networks.ReweightingHead(kappa)),
        pt.Moments(jnp.diag(cross), jnp.diag(second)),
        save_at=2,
        t1=1e6,
        solver=implicit(),
        rtol=1e-6,
        atol=1e-15,
        stationarity=1e-9,
        max_steps=4_000,
    )
    least = -jnp.sum((cross / second) ** 2)
    return run.final.layers[0], jnp.abs(run.loss[-1] - least) < 1e-6 * jnp.abs(least)


train = eqx.filter_jit(
    jax.vmap(jax.vmap(end, in_axes=(None, None, None, None, 0)), in_axes=(0, 0, None, None, 0))
)


def tournament(cross, second, rows):
    """Final feature of each row, from a vanishing start.

    Amplitudes are followed event by event, in units of the logarithm of the scale.
    """
    fraction, size = cross / second, len(cross)
    left = np.ones((size, size))  # what is still to grow before row i holds feature r
    held = [None] * size
    while True:
        free = [r for r in range(size) if r not in held]
        rates = np.zeros((size, size))
        for i, r in itertools.product(range(size), free):
            drive = cross[r] if held[i] is None else second[r] * (fraction[r] - fraction[held[i]])
            rates[i, r] = 4 * rows[i] ** 2 * drive
        if not (rates > 0).any():
            return held
        times = np.where(rates > 0, left / np.where(rates > 0, rates, 1), np.inf)
        i, r = np.unravel_index(np.argmin(times), times.shape)
        left = np.maximum(left - rates * times[i, r], 0)
        if held[i] is not None:
            left[i, held[i]] = 0
        held[i], left[i, r] = int(r), 0


def spilling(cross, second, rows):
    """Power of the scale with which the second row keeps a part of the first feature.

    It assumes that c and lambda agree on the order. Until the first row has saturated, the second
    grows on the same feature, which gives 1 - h_1^2 / h_0^2. Or the first row has grown on the
    second feature, and has not forgotten it when the second row takes that feature. The larger
    part decides.
    """
    a, b = by(cross)[:2]
    fraction, share = cross / second, (rows[1] / rows[0]) ** 2
    kept = (
        1
        - cross[b] / cross[a]
        + (fraction[a] - fraction[b]) / (share * fraction[b]) * (1 - share * cross[b] / cross[a])
    )
    return min(1 - share, kept)


def by(values):
    """Pairing of the rows, in order, with features in descending order of these values."""
    return list(np.argsort(-values))


def measure(count, starts, kappas, scales, key):
    """Shares of the final pairings of each kind, and distances of the Gram from the sorted one.

    One entry for each ratio and scale.
    """
    cross, second = problems(key, count)
    c, q = np.asarray(cross), np.asarray(second)
    keys = jax.random.split(jax.random.fold_in(key, 1), (count, starts))
    table = []
    for kappa in kappas:
        rows, spill, powers = kappa ** -np.arange(FEATURES, dtype=float), [], []
        for scale in scales:
            layers, reached = (
                np.asarray(x)
                for x in train(cross, second, jnp.asarray(kappa), jnp.asarray(scale), keys)
            )
            ways = {"weight": 0, "cross_moment": 0, "signal_fraction": 0, "tournament": 0}
            distance, spilt, runs = [], [], 0
            for i, j in zip(*np.nonzero(reached), strict=True):
                layer, w, runs = layers[i, j], np.sqrt(c[i]) / q[i], runs + 1
                # The largest feature of each row, after the head and whitened, so that all
                # features count alike.
                seen = np.abs(layer) * np.sqrt(q[i] / (c[i] / q[i]))
                found = list(np.argmax(seen, axis=1))
                wanted = {
                    "weight": by(w),
                    "cross_moment": by(c[i]),
                    "signal_fraction": by(c[i] / q[i]),
                    "tournament": tournament(c[i], q[i], rows),
                }
                for name, order in wanted.items():
                    ways[name] += found == order
                square = np.diag((w * kappa ** np.argsort(by(w))) ** 2)
                distance.append(np.linalg.norm(layer.T @ layer - square) / np.linalg.norm(square))
                if wanted["cross_moment"] == wanted["signal_fraction"]:
                    first = by(c[i])[0]
                    spilt.append(np.log(np.abs(layer[1, first] / layer[0, first])))
                    powers.append(spilling(c[i], q[i], rows))
            spill.append(np.mean(spilt) if spilt else np.nan)
            entry = {
                "kappa": kappa,
                "scale": scale,
                "runs": runs,
                "left_out": int(reached.size - runs),
            }
            entry |= {f"by_{name}": n / max(runs, 1) for name, n in ways.items()}
            table.append(
                entry
                | {
                    "distance": float(np.median(distance)),
                    "within_1_percent": float(np.mean(np.less(distance, 0.01))),
                }
            )
        power = float(np.polyfit(np.log(scales[-2:]), spill[-2:], 1)[0])
        for entry in table[-len(scales) :]:
            entry |= {
                "power": power,
                "predicted_power": float(np.mean(powers)) if powers else np.nan,
                "simple_power": 1 - kappa**-2,
            }
    return table


def main():
    options = argparse.ArgumentParser(
        description=(
            "How often plain gradient flow pairs the rows of a fixed head with features as sorted."
        )
    )
    options.add_argument(
        "--quick", action="store_true", help="few problems, two ratios, two scales"
    )
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--json", metavar="FILE", help="write the table; - for standard output")
    arguments = options.parse_args()
    key = jax.random.key(arguments.seed)
    sizes = (8, 2, (1.5, 4.0), (1e-1, 1e-3)) if arguments.quick else (40, 3, KAPPAS, SCALES)
    table = measure(*sizes, key)
    if arguments.json == "-":
        json.dump(table, sys.stdout, indent=1)
        return
    names = (
        "by_weight",
        "by_cross_moment",
        "by_signal_fraction",
        "by_tournament",
        "distance",
        "within_1_percent",
        "power",
        "predicted_power",
        "simple_power",
    )
    columns = ("kappa", "scale", "runs", *names)
    print("  ".join(columns))
    for row in table:
        print("  ".join(f"{row[name]:{len(name)}.3g}" for name in columns))
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(table, file, indent=1)


if __name__ == "__main__":
    main()
