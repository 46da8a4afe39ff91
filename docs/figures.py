"""Make every figure of the documentation: theory as lines, simulation as markers.

python docs/figures.py [NAME ...]
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np
import optax

import projhead_theory as pt
from projhead_theory.problems import random_moments
from projhead_theory.simulation import gradient_descent, gradient_flow, layer_gradients
from projhead_theory.theory import discrete_imbalance, imbalance_bound, layerwise, unbalanced_grams

FOLDER = Path(__file__).parent / "figures"
KEY = jax.random.key(0)


def norm(matrix):
    return float(jnp.linalg.norm(matrix))


def root(gram, power):
    eigenvalues, v = np.linalg.eigh(np.asarray(gram))
    return (v * np.maximum(eigenvalues, 0) ** power) @ v.T


def moments(dim=4):
    """Second and cross moments that do not commute."""
    return random_moments(KEY, jnp.linspace(0.9, 0.4, dim), condition=5.0)


def plain_ticks(ax, ticks):
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())


def spectral_minimiser(ax):
    noise = 0.7
    fine = np.geomspace(0.15, 4, 200)
    ax.plot(fine, fine / (fine**2 + noise**2), label=r"$\phi / (\phi^2 + \sigma^2)$")
    strength = np.geomspace(0.25, 3.5, 9)
    problem = pt.ContrastiveProblem(pt.Features(strength), pt.AdditiveNoise(noise))
    run = gradient_flow(pt.DeepLinear.balanced(KEY, (9, 9), 0.5), problem.moments(), until=1e6, record=2)
    ax.plot(strength, pt.measure.layer_weights(run.final)[-1], "o", label="trained, depth 1")
    run = gradient_flow(pt.DeepLinear.balanced(KEY, (9, 9, 9), 0.7), problem.moments(), until=1e6, record=2)
    ax.plot(strength, pt.measure.layer_weights(run.final)[-1], "x", label="trained, depth 2")
    ax.axvline(noise, color="0.7", lw=0.8)
    ax.set(xscale="log", xlabel=r"strength $\phi$ (noise $\sigma$ at the grey line)", ylabel="weight in the last layer")
    plain_ticks(ax, [0.2, 0.5, 1, 2, 4])


def layerwise_law(ax):
    problem = pt.ContrastiveProblem(pt.Features([2.0, 1.2, 0.8, 0.5]), pt.AdditiveNoise([1.6, 0.5, 0.25, 0.1]))
    prediction = layerwise(problem.moments(), 3)
    run = gradient_flow(pt.DeepLinear.balanced(KEY, (4,) * 4, 0.7), problem.moments(), until=1e6, record=2)
    measured = pt.measure.layer_weights(run.final)
    for i in range(4):
        w = float(prediction.weights[-1, i])
        (line,) = ax.plot([0, 3], [1, w], label=f"feature {i + 1}")
        ax.plot([1, 2, 3], measured[:, i], "o", color=line.get_color())
    ax.set(yscale="log", xlabel="layer", ylabel="weight of the feature", xticks=[0, 1, 2, 3], xticklabels=["input", "1", "2", "3"])


def progressive_weighting(ax):
    data = moments()
    for depth in (1, 2, 3, 4):
        prediction = layerwise(data, depth)
        top = float(jnp.log(jnp.linalg.cond(prediction.grams[-1])))
        run = gradient_flow(pt.DeepLinear.balanced(KEY, (4,) * (depth + 1), 0.8), data, until=1e6, record=2)
        measured = [np.log(np.linalg.cond(g)) for g in pt.measure.layer_grams(run.final)]
        (line,) = ax.plot([0, depth], [0, top], label=f"depth {depth}")
        ax.plot(range(1, depth + 1), measured, "o", color=line.get_color())
    ax.set(xlabel="layer", ylabel="log condition number of its Gram", xticks=range(5))


def balancedness(ax):
    start = pt.DeepLinear.unbalanced(KEY, (4, 4, 4, 4), [1.0, 0.6, 0.8])
    first = pt.measure.imbalance_norms(start)
    times = jnp.linspace(0, 10, 13)
    for decay, marker in ((0.0, "o"), (0.1, "x")):
        run = gradient_flow(start, moments(), until=10.0, decay=decay, record=times)
        for level in range(2):
            (line,) = ax.plot(times, first[level] * jnp.exp(-2 * decay * times), color=f"C{level}", ls="-" if decay == 0 else "--")
            label = f"$\\|D_{level + 1}\\|$, " + ("no decay" if decay == 0 else "decay 0.1")
            ax.plot(run.times[:13], run.imbalance[:13, level], marker, color=line.get_color(), label=label)
    ax.set(yscale="log", xlabel="time of the flow", ylabel="imbalance")


def discrete_balancedness(ax):
    step, steps = 0.02, 300
    data, start = moments(), pt.DeepLinear.balanced(KEY, (4, 4, 4), 0.5)
    record = jnp.arange(steps + 1)
    plain = gradient_descent(start, data, step=step, steps=steps, record=record)
    momentum = gradient_descent(
        start, data, step=step / 10, steps=steps, record=record, optimiser=jax.tree_util.Partial(optax.sgd, momentum=0.9)
    )
    for run, eta, color, name in ((plain, step, "C0", "plain"), (momentum, step / 10, "C1", "momentum")):
        gradients = jax.jit(jax.vmap(lambda network: layer_gradients(network, data)))(run.networks)
        predicted, norms = pt.measure.imbalance(start), []
        for t in range(steps):
            predicted = discrete_imbalance(predicted, [g[t] for g in gradients], eta)
            norms.append(norm(predicted[0]))
        ax.plot(range(1, steps + 1), norms, color=color, label=f"law, {name}")
        shown = [1, 2, 4, 8, 16, 32, 64, 128, 256]
        ax.plot(shown, run.imbalance[np.array(shown), 0], "o" if name == "plain" else "x", color=color, label=f"trained, {name}")
    ax.set(xscale="log", yscale="log", xlabel="step", ylabel=r"imbalance $\|D_1\|$")


def imbalance_bound_figure(ax):
    data = moments()
    prediction = layerwise(data, 2)
    balanced = pt.DeepLinear.balanced(KEY, (4, 4, 4), 0.6)
    gaps, bounds, sizes = [], [], []
    for extra in np.geomspace(1e-3, 1, 9):
        start = pt.DeepLinear([(1 + extra) * balanced.layers[0], balanced.layers[1]])
        size = pt.measure.imbalance_norms(start)
        run = gradient_flow(start, data, until=1e6, record=2)
        grams = pt.measure.layer_grams(run.final)
        sizes.append(float(size[0]))
        gaps.append(norm(grams[0] - root(grams[1], 0.5)))
        bounds.append(float(imbalance_bound(prediction.grams, size)[0]))
    ax.plot(sizes, bounds, label=r"bound, $\sqrt{2}\,\|D_1\|$")
    ax.plot(sizes, gaps, "o", label="trained")
    ax.set(xscale="log", yscale="log", xlabel=r"imbalance of the start $\|D_1\|$", ylabel=r"$\|M_1 - M_2^{1/2}\|$")


def unbalanced_grams_figure(ax):
    data, start = moments(), pt.DeepLinear.balanced(KEY, (4, 4, 4), 0.5)
    steps = np.geomspace(2e-3, 6e-2, 6)
    gaps, predicted, left = [], [], []
    for step in steps:
        run = gradient_descent(start, data, step=float(step), steps=int(60 / step), record=2)
        grams, network = pt.measure.layer_grams(run.final), run.final
        pulled = [w.T @ d @ w for w, d in zip(network.products(), pt.measure.imbalance(network), strict=False)]
        corrected = unbalanced_grams(grams[-1], pulled)
        gaps.append(norm(grams[0] - root(grams[1], 0.5)))
        predicted.append(norm(corrected[0] - root(grams[1], 0.5)))
        left.append(norm(grams[0] - corrected[0]))
    ax.plot(steps, predicted, label="first-order correction")
    ax.plot(steps, gaps, "o", label=r"trained: $\|M_1 - M_2^{1/2}\|$")
    ax.plot(steps, left, "x", label="what the correction leaves")
    ax.plot(steps, left[0] * (steps / steps[0]) ** 2, "--", color="0.6", label="slope 2")
    ax.set(xscale="log", yscale="log", xlabel=r"step $\eta$", ylabel="gap to the law")
    plain_ticks(ax, [0.002, 0.005, 0.01, 0.02, 0.05])


FIGURES = {
    "spectral-minimiser": spectral_minimiser,
    "layerwise-law": layerwise_law,
    "progressive-weighting": progressive_weighting,
    "balancedness": balancedness,
    "discrete-balancedness": discrete_balancedness,
    "imbalance-bound": imbalance_bound_figure,
    "unbalanced-grams": unbalanced_grams_figure,
}


def main(names):
    jax.config.update("jax_enable_x64", True)
    mpl.use("svg")
    # Identifiers from a fixed salt and no date: the same run writes the same bytes.
    mpl.rcParams.update({"svg.hashsalt": "projhead", "svg.fonttype": "none", "font.size": 9, "lines.markersize": 5, "lines.linewidth": 1.2})
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        raise SystemExit(f"figure: got {unknown[0]!r}; want one of {', '.join(FIGURES)}")
    FOLDER.mkdir(exist_ok=True)
    for name in names or FIGURES:
        figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
        FIGURES[name](ax)
        ax.legend(frameon=False, fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
        figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    main(sys.argv[1:])
