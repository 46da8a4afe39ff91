"""Which features a fully connected network with thresholds keeps below its head and loses above, and how far the diagonal one foretells it.

Each network, one hidden layer and a head, both of symmetrised ReLU units with fixed thresholds, is trained by SGD on freshly drawn views of
two strong features and one weak one, of each strength and flip probability in a grid, from many random starts at once. A fourth direction
of the input never varies in training. The weight of the weak feature in each layer is then held, seed by seed, against that of this unseen
direction, probed at the same strength: a feature is *present* in a layer if its squared weight is larger, by a one-sided t-test at a level
shared among all tests, and *absent* if it is not and the confidence limit of the difference is below a hundredth of a strong feature's.
Otherwise the question is open.

The diagonal prediction takes thresholds and the size of weights from the start: the largest weight of any unit into and out of it.

    python examples/nonlinear.py [--quick] [--json FILE]
"""

import argparse
import json
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import projhead_theory as pt
from projhead_theory.measure import feature_weights
from projhead_theory.simulation import stochastic
from projhead_theory.theory import threshold_reach

jax.config.update("jax_enable_x64", True)

STRENGTHS, FLIPS = (0.1, 0.2, 0.4, 0.8), (0.0, 0.5)
WIDTHS, CUTS = (4, 16, 8), (0.05, 0.05)
LEVEL = 1e-3


def start(key):
    return pt.ShallowThresholded.init(key, WIDTHS, 0.4, CUTS, final=True)


def one(key, strength, flip, steps):
    """Squared weights of the strong, the weak and the unseen feature in both layers."""
    k1, k2, k3 = jax.random.split(key, 3)
    strong = jnp.ones(2)
    features = pt.Features(jnp.append(strong, strength), mixing=jnp.eye(4, 3))
    views = pt.SignFlip(jnp.append(0.05 * strong, flip))
    network = stochastic(start(k1), pt.ContrastiveProblem(features, views), key=k2, step=0.05, steps=steps, batch=64, record=2).final
    probe = pt.ContrastiveProblem(pt.Features(jnp.stack([1.0, 1.0, strength, strength])))
    return feature_weights(network, probe, key=k3, samples=2_048).square[:, jnp.array([0, 2, 3])]


@eqx.filter_jit
def table(key, strengths, flips, seeds, steps):
    """(settings, seeds, layers, features)."""
    batch = jax.vmap(one, in_axes=(0, None, None, None))
    return jax.vmap(batch, in_axes=(None, 0, 0, None))(jax.random.split(key, seeds), strengths, flips, steps)


def verdicts(squares, level):
    """Per setting and layer: present, absent or open, with the difference and its confidence limits as shares of the strong feature."""
    rows = []
    for setting in squares:
        row = []
        for layer in range(setting.shape[1]):
            strong, weak, unseen = setting[:, layer].T
            difference = (weak - unseen) / strong.mean()
            half = stats.t.ppf(1 - level, len(weak) - 1) * difference.std(ddof=1) / len(weak) ** 0.5
            low, high = difference.mean() - half, difference.mean() + half
            name = "present" if low > 0 else "absent" if high < 0.01 else "open"
            row.append({"verdict": name, "share": float(difference.mean()), "low": float(low), "high": float(high)})
        rows.append(row)
    return rows


def foretold(key, seeds, strengths):
    """What the diagonal network of the same thresholds shows in each layer, from the largest weights of the starts."""
    starts = jax.vmap(start)(jax.random.split(key, seeds))
    largest = [float(jnp.mean(jnp.max(jnp.abs(w), axis=(1, 2)))) for w in starts.layers]
    reach = np.asarray(threshold_reach(np.array(largest)[:, None], np.array(CUTS)[:, None]))[:, 0]
    return [["present" if s > r else "absent" for r in reach] for s in strengths], reach


def main(arguments):
    parser = argparse.ArgumentParser(description="Absent above, present below: fully connected networks with thresholds.")
    parser.add_argument("--quick", action="store_true", help="fewer settings and steps")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args(arguments)
    seeds, steps = (20, 200) if options.quick else (20, 800)
    grid = [(s, f) for f in (FLIPS) for s in (STRENGTHS[::2] if options.quick else STRENGTHS)]
    strengths, flips = np.array(grid).T
    key = jax.random.key(0)
    squares = np.asarray(table(key, strengths, flips, seeds, steps))
    rows = verdicts(squares, LEVEL / (2 * 2 * len(grid)))
    diagonal, reach = foretold(key, seeds, strengths)
    print(f"{seeds} seeds, {steps} steps; diagonal prediction: layer 1 shows strengths above {reach[0]:.3f}, layer 2 above {reach[1]:.3f}")
    print("strength  flips   below (share of strong)           above (share of strong)           diagonal")
    for (s, f), row, told in zip(grid, rows, diagonal, strict=True):
        cells = [f"{c['verdict']:8s} {c['share']:9.1e} [{c['low']:8.1e}, {c['high']:8.1e}]" for c in row]
        agree = "" if [c["verdict"] for c in row] == told else "  <- differs"
        print(f"{s:8.2f} {f:6.2f}   {'   '.join(cells)}   {told[0]}, {told[1]}{agree}")
    if options.json:
        cells = [
            {"strength": s, "flips": f, "below": row[0], "above": row[1], "diagonal": told}
            for (s, f), row, told in zip(grid, rows, diagonal, strict=True)
        ]
        with open(options.json, "w") as file:
            json.dump({"seeds": seeds, "steps": steps, "reach": reach.tolist(), "settings": cells}, file, indent=2)


if __name__ == "__main__":
    main(sys.argv[1:])
