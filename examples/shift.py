"""Average and worst-group accuracy per layer under a shift of spurious features, over training time and correlation.

Claim: on a read-out fitted to the training distribution lower layers gain nothing, or little; on one refitted where background and object
are independent of the label they do, the more so the longer training lasts; a single output makes all layers equal.

    python examples/shift.py [--quick] [--json FILE]

A core, a background and a co-occurring object, trained by regression of the label from balanced starts at random, for which there is no
closed form: accuracies are measured on trained networks, and those of the closed form's aligned start are printed beside them.
One row a network, correlation, time and read-out. A minute or two on one core; with --quick one correlation, some seconds.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import projhead_theory as pt
from projhead_theory import theory
from projhead_theory.losses import mse
from projhead_theory.simulation import gradient_flow

STRENGTH, VARIANCE, START, BLUR, DEPTH = jnp.array([1.0, 1.2, 1.1]), 0.8, 0.3, 0.2, 2
TIMES = np.array([1.0, 10.0, 100.0])


def problem(correlation):
    """The same variance given the label in all features, so that the moments commute; the test turns the spurious features around."""
    r = jnp.array([correlation, correlation - 0.1])
    noise = jnp.sqrt(VARIANCE - jnp.append(jnp.zeros(1), STRENGTH[1:] ** 2 * (1 - r**2)))
    return pt.ShiftProblem(STRENGTH, noise, r, -r / 2), pt.Groups.signs(STRENGTH, noise, jnp.zeros(2))


def predicted(shift, fitted):
    """The closed form: the label's direction is learned, all others fade. Average and worst, `(T, L)` each."""
    mean = shift.training.class_means[1]
    size = jnp.linalg.norm(mean)
    along = jnp.outer(mean, mean) / size**2
    times = jnp.asarray(TIMES)
    learned = theory.regression.layer_weights(times, START, size, VARIANCE + size**2, DEPTH)
    faded = theory.regression.layer_weights(times, START, 0.0, VARIANCE, DEPTH)
    grams = learned[..., None, None] ** 2 * along + faded[..., None, None] ** 2 * (jnp.eye(3) - along)
    found = jax.vmap(lambda g: theory.group_accuracy(g, fitted, shift.test, BLUR))(grams)
    return np.asarray(found.average), np.asarray(found.worst)


def measured(shift, fitted, outputs, keys):
    """The same of trained networks, mean over starts."""
    targets = jnp.zeros((2, outputs)).at[:, 0].set(jnp.array([-1.0, 1.0]))
    data = pt.SupervisedProblem(shift.training, targets).moments()
    sizes = (*(3,) * DEPTH, outputs)
    both = []
    for key in keys:
        start = pt.DeepLinear.balanced(key, sizes, START ** (1 / DEPTH))
        options = {"until": TIMES[-1], "record": jnp.asarray(TIMES), "stationarity": 0.0}
        run = gradient_flow(start, data, loss=mse, **options)
        groups = jax.vmap(lambda n: pt.measure.group_accuracy(n, fitted, shift.test, BLUR))(run.networks)[:-1]
        both.append((groups @ shift.test.probability, groups.min(-1)))
    return [np.mean([np.asarray(b[i]) for b in both], axis=0) for i in range(2)]


def main(quick, file):
    jax.config.update("jax_enable_x64", True)
    rows = []
    keys = jax.random.split(jax.random.key(0), 2 if quick else 8)
    for correlation in (0.9,) if quick else (0.7, 0.8, 0.9, 0.95):
        shift, balanced = problem(correlation)
        for name, fitted in (("as trained", shift.training), ("refitted", balanced)):
            closed = predicted(shift, fitted)
            for outputs in (3, 1):
                seen = measured(shift, fitted, outputs, keys)
                for i, time in enumerate(TIMES):
                    row = {"correlation": correlation, "fitted": name, "outputs": outputs, "time": float(time)}
                    for j, statistic in enumerate(("average", "worst")):
                        row[statistic] = seen[j][i].tolist()
                        row[f"closed {statistic}"] = closed[j][i].tolist() if outputs == 3 else None
                    rows.append(row)
    show = lambda x: " ".join(f"{v:.3f}" for v in x) if x else "none"  # noqa: E731
    print("accuracy of each layer, lowest first: measured average, worst | closed form from an aligned start: average, worst")
    for r in rows:
        head = f"correlation {r['correlation']:.2f}, outputs {r['outputs']}, {r['fitted']:10s}, time {r['time']:5g}"
        print(f"{head}: {show(r['average'])}, {show(r['worst'])} | {show(r['closed average'])}, {show(r['closed worst'])}")
    if file:
        Path(file).write_text(json.dumps({"blur": BLUR, "start": START, "depth": DEPTH, "rows": rows}, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    main(arguments.quick, arguments.json)
