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
from scipy import stats

import projhead_theory as pt
from projhead_theory import theory
from projhead_theory.experiments import feature_sweep
from projhead_theory.problems import random_moments
from projhead_theory.simulation import (
    gradient_descent,
    gradient_flow,
    implicit,
    layer_gradients,
    minibatch,
    stochastic,
    trained_gradient,
)
from projhead_theory.theorems import check_phase
from projhead_theory.theorems.supervised import _probing
from projhead_theory.theorems.supervised.coarse_to_fine import finely
from projhead_theory.theorems.supervised.shift import shifted
from projhead_theory.theory import dynamics
from projhead_theory.theory.balance import (
    discrete_imbalance,
    imbalance_bound,
    least_norm,
    unbalanced_grams,
)
from projhead_theory.theory.decay import (
    decay_limit,
    decayed_energy,
    decayed_imbalance,
    decayed_weight,
    extinction_decay,
    regression,
)
from projhead_theory.theory.downstream import feature_complexity, feature_weights
from projhead_theory.theory.layers import layerwise

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
    run = gradient_flow(
        pt.DeepLinear.balanced(KEY, (9, 9), 0.5), problem.moments(), t1=1e6, save_at=2
    )
    ax.plot(strength, pt.measure.layer_weights(run.final)[-1], "o", label="trained, depth 1")
    run = gradient_flow(
        pt.DeepLinear.balanced(KEY, (9, 9, 9), 0.7), problem.moments(), t1=1e6, save_at=2
    )
    ax.plot(strength, pt.measure.layer_weights(run.final)[-1], "x", label="trained, depth 2")
    ax.axvline(noise, color="0.7", lw=0.8)
    ax.set(
        xscale="log",
        xlabel=r"strength $\phi$ (noise $\sigma$ at the grey line)",
        ylabel="weight in the last layer",
    )
    plain_ticks(ax, [0.2, 0.5, 1, 2, 4])


def layerwise_law(ax):
    problem = pt.ContrastiveProblem(
        pt.Features([2.0, 1.2, 0.8, 0.5]), pt.AdditiveNoise([1.6, 0.5, 0.25, 0.1])
    )
    prediction = layerwise(problem.moments(), 3)
    run = gradient_flow(
        pt.DeepLinear.balanced(KEY, (4,) * 4, 0.7), problem.moments(), t1=1e6, save_at=2
    )
    measured = pt.measure.layer_weights(run.final)
    for i in range(4):
        w = float(prediction.weights[-1, i])
        (line,) = ax.plot([0, 3], [1, w], label=f"feature {i + 1}")
        ax.plot([1, 2, 3], measured[:, i], "o", color=line.get_color())
    ax.set(
        yscale="log",
        xlabel="layer",
        ylabel="weight of the feature",
        xticks=[0, 1, 2, 3],
        xticklabels=["input", "1", "2", "3"],
    )


def progressive_weighting(ax):
    data = moments()
    for depth in (1, 2, 3, 4):
        prediction = layerwise(data, depth)
        top = float(jnp.log(jnp.linalg.cond(prediction.grams[-1])))
        run = gradient_flow(
            pt.DeepLinear.balanced(KEY, (4,) * (depth + 1), 0.8), data, t1=1e6, save_at=2
        )
        measured = [np.log(np.linalg.cond(g)) for g in pt.measure.layer_grams(run.final)]
        (line,) = ax.plot([0, depth], [0, top], label=f"depth {depth}")
        ax.plot(range(1, depth + 1), measured, "o", color=line.get_color())
    ax.set(xlabel="layer", ylabel="log condition number of its Gram", xticks=range(5))


def balancedness(ax):
    start = pt.DeepLinear.unbalanced(KEY, (4, 4, 4, 4), [1.0, 0.6, 0.8])
    first = pt.measure.imbalance_norms(start)
    times = jnp.linspace(0, 10, 13)
    for weight_decay, marker in ((0.0, "o"), (0.1, "x")):
        run = gradient_flow(start, moments(), t1=10.0, weight_decay=weight_decay, save_at=times)
        for level in range(2):
            (line,) = ax.plot(
                times,
                first[level] * jnp.exp(-2 * weight_decay * times),
                color=f"C{level}",
                ls="-" if weight_decay == 0 else "--",
            )
            label = f"$\\|D_{level + 1}\\|$, " + ("no decay" if weight_decay == 0 else "decay 0.1")
            ax.plot(
                run.times[:13],
                run.imbalance[:13, level],
                marker,
                color=line.get_color(),
                label=label,
            )
    ax.set(yscale="log", xlabel="time of the flow", ylabel="imbalance")


def discrete_balancedness(ax):
    step, steps = 0.02, 300
    data, start = moments(), pt.DeepLinear.balanced(KEY, (4, 4, 4), 0.5)
    save_at = jnp.arange(steps + 1)
    plain = gradient_descent(start, data, learning_rate=step, steps=steps, save_at=save_at)
    momentum = gradient_descent(
        start,
        data,
        learning_rate=step / 10,
        steps=steps,
        save_at=save_at,
        optimiser=jax.tree_util.Partial(optax.sgd, momentum=0.9),
    )
    for run, eta, color, name in (
        (plain, step, "C0", "plain"),
        (momentum, step / 10, "C1", "momentum"),
    ):
        gradients = jax.jit(jax.vmap(lambda network: layer_gradients(network, data)))(run.networks)
        predicted, norms = pt.measure.imbalance(start), []
        for t in range(steps):
            predicted = discrete_imbalance(predicted, [g[t] for g in gradients], eta)
            norms.append(norm(predicted[0]))
        ax.plot(range(1, steps + 1), norms, color=color, label=f"law, {name}")
        shown = [1, 2, 4, 8, 16, 32, 64, 128, 256]
        ax.plot(
            shown,
            run.imbalance[np.array(shown), 0],
            "o" if name == "plain" else "x",
            color=color,
            label=f"trained, {name}",
        )
    ax.set(xscale="log", yscale="log", xlabel="step", ylabel=r"imbalance $\|D_1\|$")


def imbalance_bound_figure(ax):
    data = moments()
    prediction = layerwise(data, 2)
    balanced = pt.DeepLinear.balanced(KEY, (4, 4, 4), 0.6)
    gaps, bounds, sizes = [], [], []
    for extra in np.geomspace(1e-3, 1, 9):
        start = pt.DeepLinear([(1 + extra) * balanced.layers[0], balanced.layers[1]])
        size = pt.measure.imbalance_norms(start)
        run = gradient_flow(start, data, t1=1e6, save_at=2)
        grams = pt.measure.layer_grams(run.final)
        sizes.append(float(size[0]))
        gaps.append(norm(grams[0] - root(grams[1], 0.5)))
        bounds.append(float(imbalance_bound(prediction.grams, size)[0]))
    ax.plot(sizes, bounds, label=r"bound, $\sqrt{2}\,\|D_1\|$")
    ax.plot(sizes, gaps, "o", label="trained")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=r"imbalance of the start $\|D_1\|$",
        ylabel=r"$\|M_1 - M_2^{1/2}\|$",
    )


def unbalanced_grams_figure(ax):
    data, start = moments(), pt.DeepLinear.balanced(KEY, (4, 4, 4), 0.5)
    steps = np.geomspace(2e-3, 6e-2, 6)
    gaps, predicted, left = [], [], []
    for step in steps:
        run = gradient_descent(
            start, data, learning_rate=float(step), steps=int(60 / step), save_at=2
        )
        grams, network = pt.measure.layer_grams(run.final), run.final
        pulled = [
            w.T @ d @ w
            for w, d in zip(network.products(), pt.measure.imbalance(network), strict=False)
        ]
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


def split(ax):
    """Make room for a second panel beside this one, and return it."""
    figure = ax.figure
    figure.set_size_inches(8.4, 3.4)
    grid = figure.add_gridspec(1, 2)
    ax.set_subplotspec(grid[0])
    right = figure.add_subplot(grid[1])
    right.spines[["top", "right"]].set_visible(False)
    return right


def empirical_moments(problem, key, pairs):
    x1, x2 = problem.sample_pairs(key, pairs)
    cross = x1.T @ x2 / pairs
    return pt.Moments((cross + cross.T) / 2, (x1.T @ x1 + x2.T @ x2) / (2 * pairs), pairs=pairs)


def finite_sample(ax):
    """Deviations in standard errors against normal quantiles, and their scatter.

    The scatter, in the right panel, is against the number of pairs.
    """
    replicates, sizes, depth = 200, (250, 1000, 4000, 16000), 2
    mixing = np.array([[0.8, -0.6], [0.6, 0.8]])
    problem = pt.ContrastiveProblem(
        pt.Features([1.5, 0.8], "gaussian", mixing=mixing), ambient=pt.AdditiveNoise([0.5, 0.6])
    )
    start = pt.DeepLinear.balanced(KEY, (2, 2, 2), 0.7)

    @jax.jit
    def weights(samples):
        flow = lambda m: gradient_flow(start, m, t1=1e5, save_at=2, rtol=1e-7, stationarity=1e-6)
        return jax.vmap(lambda m: flow(m).weights()[-1])(samples)

    seen = []
    for index, pairs in enumerate(sizes):
        keys = jax.random.split(jax.random.fold_in(KEY, index), replicates)
        samples = jax.jit(
            lambda keys, n=pairs: jax.lax.map(lambda key: empirical_moments(problem, key, n), keys)
        )(keys)
        seen.append(np.asarray(weights(samples)))
    theory = [pt.theory.samples.sampling_error(problem.moments(), depth, pairs) for pairs in sizes]
    right = split(ax)
    z = np.sort(
        (seen[-1] - np.asarray(theory[-1].weights)) / np.asarray(theory[-1].standard_error), axis=0
    )
    quantiles = stats.norm.ppf((np.arange(replicates) + 0.5) / replicates)
    ax.plot(quantiles, quantiles, color="0.3", label="normal law")
    for layer in range(depth):
        for i in range(2):
            color, name = f"C{2 * layer + i}", f"layer {layer + 1}, weight {i + 1}"
            ax.plot(
                quantiles[::4], z[::4, layer, i], "o", color=color, ms=3, label=f"trained, {name}"
            )
            right.plot(
                sizes,
                [float(t.standard_error[layer, i]) for t in theory],
                color=color,
                label=f"theory, {name}",
            )
            right.plot(sizes, [s[:, layer, i].std(ddof=1) for s in seen], "o", color=color)
    ax.set(
        xlabel="quantile of the normal law",
        ylabel=f"deviation in standard errors, {sizes[-1]} pairs",
    )
    right.set(
        xscale="log", yscale="log", xlabel="pairs $n$", ylabel="standard deviation of the weight"
    )
    plain_ticks(right, sizes)
    right.legend(frameon=False, fontsize=8)


def feature_model(strength, noise):
    problem = pt.ContrastiveProblem(pt.Features(strength), pt.AdditiveNoise(noise))
    data = problem.moments()
    return data, jnp.diagonal(data.cross), jnp.diagonal(data.second)


def aligned(weights, depth):
    d = len(weights)
    return pt.DeepLinear.aligned(jnp.eye(d), jnp.asarray(weights), (d,) * (depth + 1))


def flow_times(ax):
    depth, start = 2, 0.01
    data, cross, second = feature_model([1.5, 1.0, 0.7], [1.6, 0.6, 0.2])
    seen = jnp.linspace(0, 40, 81)
    run = gradient_flow(aligned([start] * 3, depth), data, t1=40.0, save_at=seen, stationarity=0)
    measured = run.weights()[:-1]
    fine = jnp.linspace(0, 40, 800)
    for i in range(3):
        predicted = dynamics.layer_weights(fine, start, cross[i], second[i], depth)
        for layer, style, marker in ((2, "-", "o"), (1, "--", "x")):
            name = (
                f"feature {i + 1}, layer {layer}"
                if i == 0
                else f"feature {i + 1}"
                if layer == 2
                else None
            )
            ax.plot(fine, predicted[:, layer - 1], style, color=f"C{i}", label=name)
            ax.plot(run.times[:-1:4], measured[::4, layer - 1, i], marker, color=f"C{i}", ms=4)
    ax.set(xlabel="time of the flow", ylabel="weight of the feature")


def learning_order(ax):
    """Time to half the final weight.

    The final weights of the features are in the opposite order of their cross moments.
    """
    strength = np.geomspace(0.6, 1.8, 7)
    data, cross, second = feature_model(strength, 1.2 * strength**1.5)
    final = jnp.sqrt(cross) / second
    for depth, start in ((2, 0.003), (3, 0.003)):
        t1 = 1.3 * float(jnp.max(dynamics.time_to_weight(final / 2, start, cross, second, depth)))
        run = gradient_flow(
            aligned([start] * 7, depth),
            data,
            t1=t1,
            save_at=jnp.linspace(0, t1, 4000),
            stationarity=0,
        )
        paths, times = np.asarray(run.weights()[:-1, -1]), np.asarray(run.times[:-1])
        onset = [
            np.interp(w / 2, path, times)
            for w, path in zip(np.asarray(final), paths.T, strict=True)
        ]
        color = f"C{depth - 2}"
        fine = np.geomspace(cross.min(), cross.max(), 50)
        ax.plot(
            fine,
            dynamics.onset_time(start, fine, depth),
            color=color,
            label=f"leading order, depth {depth}",
        )
        ax.plot(
            cross,
            dynamics.time_to_weight(final / 2, start, cross, second, depth),
            ":",
            color=color,
            label=f"exact, depth {depth}",
        )
        ax.plot(
            cross, onset, "o" if depth == 2 else "x", color=color, label=f"trained, depth {depth}"
        )
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="cross moment $c$",
        ylabel="time to half the final weight",
    )
    plain_ticks(ax, [0.5, 1, 2, 3])


def vanishing_features(ax):
    depth, t1 = 3, 1e4
    problem = pt.ContrastiveProblem(pt.Features([1.0]), pt.SignFlip(0.5))
    fine = jnp.geomspace(1e-3, t1, 200)
    run = gradient_flow(
        aligned([1.0], depth),
        problem.moments(),
        t1=t1,
        save_at=jnp.geomspace(1e-3, t1, 15),
        stationarity=0,
    )
    predicted = dynamics.layer_weights(fine, 1.0, 0.0, 1.0, depth)
    for layer in range(1, depth + 1):
        power = dynamics.vanishing_exponent(depth, layer)
        ax.plot(
            fine,
            predicted[:, layer - 1],
            color=f"C{layer}",
            label=f"layer {layer}, $t^{{-{power:.2g}}}$ in the end",
        )
        ax.plot(run.times[:-1], run.weights()[:-1, layer - 1, 0], "o", color=f"C{layer}")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="time of the flow",
        ylabel="weight of a feature with $c = 0$",
    )


def decayed_runs(depth, decays, cross, second):
    """Train from the weight without decay, which is in the basin of the upper minimum."""
    data = pt.Moments(cross * jnp.eye(1), second * jnp.eye(1))
    start = aligned([cross**0.5 / second], depth)
    return [
        gradient_flow(
            start, data, t1=1e5, weight_decay=float(weight_decay), save_at=2
        ).final.matrix[0, 0]
        for weight_decay in decays
    ]


def weight_decay_minimiser(ax):
    cross, second = 1.0, 1.2
    for depth in (1, 2, 3, 5):
        limit, extinct = (
            float(decay_limit(cross, second, depth)),
            float(extinction_decay(cross, second, depth)),
        )
        fine = np.linspace(0, limit, 400)
        weight = np.asarray(decayed_weight(cross, second, fine, depth))
        (line,) = ax.plot(fine[fine <= extinct], weight[fine <= extinct], label=f"depth {depth}")
        ax.plot(fine[fine > extinct], weight[fine > extinct], "--", color=line.get_color())
        shown = np.linspace(0.05, 0.95, 7) * limit
        ax.plot(shown, decayed_runs(depth, shown, cross, second), "o", color=line.get_color())
    ax.set(xlabel=r"weight decay $\gamma$", ylabel="weight in the last layer", ylim=(0, None))


def feature_extinction(ax):
    """Energy of the trained feature; the energy without the feature is zero."""
    cross, second = 1.0, 1.2
    for depth in (1, 2, 3, 5):
        limit = float(decay_limit(cross, second, depth))
        fine = np.linspace(0, limit, 400)
        (line,) = ax.plot(
            fine,
            decayed_energy(decayed_weight(cross, second, fine, depth), cross, second, fine, depth),
            label=f"depth {depth}",
        )
        ax.plot(
            float(extinction_decay(cross, second, depth)), 0, "|", color=line.get_color(), ms=14
        )
        shown = np.linspace(0.05, 0.95, 7) * limit
        weights = jnp.stack(decayed_runs(depth, shown, cross, second))
        ax.plot(
            shown, decayed_energy(weights, cross, second, shown, depth), "o", color=line.get_color()
        )
    ax.axhline(0, color="0.7", lw=0.8)
    ax.set(xlabel=r"weight decay $\gamma$ (bars: extinction)", ylabel="energy of the feature")


def min_norm(ax):
    """Sums of squares before and after training with a small decay.

    Starts lie above the bound. Trained networks come down onto it, each at its final matrix.
    """
    sizes, runs = (4, 4, 4, 4), 8
    data, before, after = moments(), [], []
    for key in jax.random.split(KEY, runs):
        k1, k2 = jax.random.split(key)
        scales = jnp.exp(0.5 * jax.random.normal(k1, (3,)))
        start = pt.DeepLinear.unbalanced(k2, sizes, [float(s) for s in scales])
        end = gradient_flow(
            start, data, t1=1e4, weight_decay=0.1 * float(jnp.exp(jax.random.normal(k1))), save_at=2
        ).final
        for network, points in ((start, before), (end, after)):
            points.append(
                (
                    float(least_norm(network.matrix, 3)),
                    float(sum(jnp.sum(w**2) for w in network.layers)),
                )
            )
    line = np.array([min(x for x, _ in before + after), max(x for x, _ in before + after)])
    ax.plot(line, line, label=r"least, $L \sum s_i^{2/L}$")
    ax.plot(*np.array(before).T, "o", label="starts")
    ax.plot(*np.array(after).T, "x", label="trained with weight decay")
    ax.set(
        xlabel=r"$L \sum_i s_i(W)^{2/L}$ of the product",
        ylabel=r"$\sum_l \|W_l\|_F^2$ of the layers",
    )


def weight_decay_balancing(ax):
    """Imbalance under weight decay, and the gap to the layer-wise law.

    The gap (dashed) is relative to the root of the last Gram, and follows the imbalance down.
    """
    start, data = pt.DeepLinear.unbalanced(KEY, (4, 4, 4), [1.0, 0.5]), moments()
    first = pt.measure.imbalance_norms(start)[0]
    for i, weight_decay in enumerate((0.02, 0.05, 0.1)):
        t1 = 8 / weight_decay
        seen = jnp.linspace(0, t1, 13)
        run = gradient_flow(
            start, data, t1=t1, weight_decay=weight_decay, save_at=seen, stationarity=0
        )
        ax.plot(
            weight_decay * seen,
            decayed_imbalance([first * jnp.ones(13)], weight_decay, seen)[0] / first,
            color="0.6",
            label="law" if i == 0 else None,
        )
        ax.plot(
            weight_decay * seen,
            run.imbalance[:13, 0] / first,
            "ox+"[i],
            color=f"C{i}",
            label=f"imbalance, decay {decay}",
        )
        gaps = [norm(g[0] - root(g[1], 0.5)) / norm(root(g[1], 0.5)) for g in run.grams[:13]]
        ax.plot(
            weight_decay * seen,
            gaps,
            "--",
            color=f"C{i}",
            label="gap of the Gram to the layer-wise law" if i == 2 else None,
        )
    ax.set(
        yscale="log",
        xlabel=r"decay times time, $\gamma t$",
        ylabel="imbalance, relative to the start; gap",
    )


def optimal_layer(ax):
    """Indicator over layers of one feature model, at depths 2, 3 and 5.

    The label is its lightest, middle or heaviest feature.
    """
    strength, noise = [1.5, 1.0, 0.5], [1.2, 0.5, 0.15]
    data = pt.ContrastiveProblem(pt.Features(strength), pt.AdditiveNoise(noise)).moments()
    fine = jnp.linspace(0, 1, 200)
    for j, name in enumerate(("lightest", "in between", "heaviest")):
        curve = feature_complexity(feature_weights(data), strength, j)
        ax.plot(fine, curve(fine), color=f"C{j}", label=f"label: {name}")
        ax.plot(float(curve.best), float(curve.least), "k|", ms=12)
        downstream = pt.problems.Downstream(
            jnp.diag(jnp.asarray(strength) ** 2), jnp.eye(3)[j] / strength[j]
        )
        for depth, marker in ((2, "o"), (3, "s"), (5, "^")):
            run = gradient_flow(pt.DeepLinear.balanced(KEY, (3,) * (depth + 1), 0.5), data)
            seen = pt.measure.sample_complexity(run.final, downstream)
            label = f"trained, depth {depth}" if j == 0 else None
            ax.plot(
                np.arange(1, depth + 1) / depth,
                seen,
                marker,
                color=f"C{j}",
                mfc="none",
                label=label,
            )
    ax.set(yscale="log", xlabel=r"layer, $\tau = l / L$ (bars: the best)", ylabel="indicator")


def when_pre_wins(ax):
    """Trained networks in the plane of the target's noise and strength.

    They lie at random points of the plane, and beside the boundary.
    """

    def problem(noise, strength):
        features = pt.Features([1.5, strength, 0.6])
        return pt.ContrastiveProblem(features, pt.AdditiveNoise([1.0, noise, 0.3]))

    diagram = pt.phase_diagram(
        problem, 1, np.linspace(0, 1.5, 256), np.linspace(0.05, 2, 256), depth=2
    )
    check = check_phase(diagram, 64, KEY)
    ax.contour(diagram.x, diagram.y, diagram.margin, levels=[0.0], colors="C0")
    ax.plot([], [], color="C0", label="closed form")
    pre = np.asarray(check.measured) > 0
    ax.plot(check.x[pre], check.y[pre], "o", color="C2", mfc="none", label="trained: pre is better")
    ax.plot(check.x[~pre], check.y[~pre], "x", color="C1", label="trained: post is better")
    ax.set(xlabel=r"noise of the target $\sigma_j$", ylabel=r"strength of the target $\phi_j$")


def head_equivalence(ax):
    """Loss over time from one start under several heads, the last of which is truncated."""
    data = moments()
    start = pt.DeepLinear.init(KEY, (4, 4), 0.3)
    heads = {
        "no head": pt.networks.ReweightingHead(1.0),
        r"$\kappa = 1.3$": pt.networks.ReweightingHead(1.3),
        r"$\kappa = 1.8$": pt.networks.ReweightingHead(1.8),
        "rows 0.4, 1.6, 0.9, 0.7": pt.networks.DiagonalHead([0.4, 1.6, 0.9, 0.7]),
        "two rows of four": pt.networks.TruncationHead(2),
    }
    for (name, head), style in zip(heads.items(), ("-", "-", "-", "-", "--"), strict=True):
        run = gradient_flow(
            pt.Headed(start, head),
            data,
            t1=1e3,
            save_at=np.append(0, np.geomspace(0.01, 1e3, 200)),
        )
        ax.plot(run.times[1:], run.loss[1:], style, label=name)
    for width in (4, 2):
        ax.axhline(float(theory.layers.spectral(data, width).loss), color="0.6", lw=0.8)
    ax.set(xscale="log", xlabel="time (grey: the two minima in closed form)", ylabel="loss")


def sorted_matching(ax):
    """Weights before the head against weight decay.

    The weights from the same start under plain gradient flow are at the left.
    """
    cross, second = jnp.array([0.9, 0.5, 0.35]), jnp.array([1.4, 0.6, 0.4])
    rows = 1.5 ** -jnp.arange(3.0)
    data = pt.Moments(jnp.diag(cross), jnp.diag(second))
    start = pt.DeepLinear.init(KEY, (3, 3), 0.3)
    fine = np.geomspace(2e-3, 2, 200)
    closed = np.asarray(
        [theory.heads.decayed_matching(cross, second, rows, weight_decay) for weight_decay in fine]
    )
    decays = np.geomspace(4e-3, 1.2, 8)
    ends = [
        gradient_flow(
            pt.Headed(start, pt.networks.DiagonalHead(rows)),
            data,
            weight_decay=d,
            t1=1e5,
            save_at=2,
        ).final
        for d in decays
    ]
    seen = np.asarray([pt.measure.layer_weights(end)[0] for end in ends])
    plain = gradient_flow(
        pt.Headed(start, pt.networks.DiagonalHead(rows)), data, t1=1e5, save_at=2
    ).final
    for i in range(3):
        c, q = float(cross[i]), float(second[i])
        ax.plot(
            fine,
            closed[:, i],
            color=f"C{i}",
            label=f"$c = {c:g}$, $q = {q:g}$, $w = {c**0.5 / q:.2f}$",
        )
        ax.plot(
            decays,
            seen[:, i],
            "o",
            color=f"C{i}",
            mfc="none",
            label="trained with decay" if i == 0 else None,
        )
        left = pt.measure.layer_weights(plain)[0][i]
        ax.plot(1e-3, left, "x", color=f"C{i}", label="trained without" if i == 0 else None)
    ax.axvline(float(theory.heads.matching_limit(cross, second, rows)), color="0.7", lw=0.8)
    ax.set(
        xscale="log",
        xlabel=r"weight decay $\gamma$ (grey: up to where sorting is best)",
        ylabel="weight before the head",
    )


def kappa_emulation(ax):
    """Weights below a trained head, below one fixed head, and below power-law heads.

    The fixed head has the weights of the trained one. The diagonal of the others falls as a power.
    """
    cross, second = jnp.array([0.9, 0.7, 0.55, 0.4]), jnp.array([1.0, 1.1, 1.5, 1.9])
    weights = jnp.sqrt(cross) / second
    data = pt.Moments(jnp.diag(cross), jnp.diag(second))
    rank = np.arange(4)

    def below(network, weight_decay):
        return pt.measure.layer_weights(
            gradient_flow(network, data, weight_decay=weight_decay, t1=1e6, save_at=2).final
        )[0]

    ax.plot(rank, weights, color="0.6", label="after the head")
    ax.plot(rank, jnp.sqrt(weights), color="C0", label=r"$\sqrt{w}$")
    ax.plot(
        rank,
        below(pt.DeepLinear.balanced(KEY, (4, 4, 4), 0.5), 0.0),
        "o",
        color="C0",
        mfc="none",
        label="trained head",
    )
    start = pt.DeepLinear.init(KEY, (4, 4), 0.3)
    ax.plot(
        rank,
        below(
            pt.Headed(start, pt.networks.DiagonalHead(theory.heads.emulating_head(weights))), 1e-4
        ),
        "x",
        color="C0",
        label="fixed head",
    )
    found = theory.heads.kappa_emulation(weights)
    for i, kappa in enumerate((1.1, float(found.kappa), 1.6), start=1):
        best = " (the best)" if i == 2 else ""
        ax.plot(
            rank,
            weights * kappa**rank,
            "--",
            color=f"C{i}",
            label=rf"rows $\kappa^{{-i}}$, $\kappa = {kappa:.2f}${best}",
        )
        ax.plot(
            rank,
            below(pt.Headed(start, pt.networks.ReweightingHead(kappa)), 1e-4),
            "x",
            color=f"C{i}",
        )
    ax.set(xticks=rank, xlabel="rank of the feature", ylabel="weight", yscale="log", ylim=(0.15, 2))
    ax.set_yticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
    ax.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())


def best_kappa(ax):
    """Indicator against the diagonal ratio of the head, for encoders trained under five heads.

    The label is each of four features of different weight.
    """
    weights, strength = jnp.array([1.25, 0.95, 0.7, 0.4]), jnp.array([0.9, 1.0, 1.2, 1.1])
    second = jnp.array([0.9, 0.8, 0.7, 0.6]) / weights**2
    cross = (weights * second) ** 2
    data = pt.Moments(jnp.diag(cross), jnp.diag(second))
    start = pt.DeepLinear.init(KEY, (4, 4), 0.3)
    fine, tried = np.geomspace(0.9, 2.4, 200), np.geomspace(1, 2.2, 5)
    patient = {
        "weight_decay": 1e-4,
        "t1": 1e7,
        "save_at": 2,
        "solver": implicit(),
        "stationarity": 1e-10,
    }
    runs = [
        gradient_flow(pt.Headed(start, pt.networks.ReweightingHead(k)), data, **patient).final
        for k in tried
    ]
    for j in range(4):
        ax.plot(
            fine,
            theory.heads.head_complexity(fine, weights, strength, j),
            color=f"C{j}",
            label=f"label of rank {j}",
        )
        downstream = pt.problems.Downstream(jnp.diag(strength**2), jnp.eye(4)[j] / strength[j])
        seen = [pt.measure.sample_complexity(run, downstream)[0] for run in runs]
        ax.plot(
            tried,
            seen,
            "o",
            color=f"C{j}",
            mfc="none",
            label="trained encoders" if j == 0 else None,
        )
        best = theory.heads.best_kappa(weights, strength, j)
        if jnp.isfinite(best):
            ax.plot(
                float(best),
                float(theory.heads.head_complexity(best, weights, strength, j)),
                "k|",
                ms=12,
            )
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=r"ratio of rows $\kappa$ (bars: the best)",
        ylabel="indicator",
    )
    plain_ticks(ax, [1, 1.2, 1.5, 2])


def measured_sample_complexity(ax):
    """Error of hard margins on both layers of a trained network.

    One label is the lightest feature, the other lies in between.
    """
    d, draws = 32, 100
    rng = np.random.default_rng(0)
    sizes = np.unique(np.round(np.geomspace(6, 96, 12)).astype(int))
    fine = np.geomspace(4, 110, 200)
    for colour, (name, noise) in enumerate({"lightest": 1.8, "in between": 1.0}.items()):
        strength = np.ones(d)
        others = np.full(d - 1, 0.8)
        if name == "in between":
            others = np.where(np.arange(d - 1) < 1, 0.25, 1.8)
            strength[1] = 4.0
        data = pt.ContrastiveProblem(
            pt.Features(np.ones(d)), pt.AdditiveNoise(np.append(noise, others))
        ).moments()
        run = gradient_flow(pt.DeepLinear.balanced(KEY, (d, d, d), 0.5), data, t1=1e5, save_at=2)
        downstream = pt.problems.Downstream(jnp.diag(jnp.asarray(strength) ** 2), jnp.eye(d)[0])
        grams = pt.measure.layer_grams(run.final)
        limit = jax.vmap(lambda n, g=grams, t=downstream: theory.downstream.margin_error(g, t, n))(
            jnp.asarray(fine)
        )
        z = rng.standard_normal((draws, sizes[-1], d)) * strength
        z[:, :, 0] = np.where(rng.random((draws, sizes[-1])) < 0.5, -1, 1)
        z[:, 0, 0], z[:, 1, 0] = 1, -1
        for layer, style in enumerate(("-", "--")):
            features = root(grams[layer], 0.5)
            ax.plot(
                fine,
                limit[:, layer],
                style,
                color=f"C{colour}",
                label=f"{name}, {('pre', 'post')[layer]}-projection",
            )
            errors = []
            for n in sizes:
                labels = (z[:, :n, 0] > 0).astype(int)
                readout = pt.probes.HardMargin().fit_many(z[:, :n] @ features, labels, throw=False)
                v = np.asarray(readout.weights)[:, 0] @ features
                across = np.linalg.norm(v[:, 1:] * strength[1:], axis=1)
                errors.append(stats.norm.cdf(-v[:, 0] / np.maximum(across, 1e-300)).mean())
            ax.plot(sizes, errors, "ox"[layer], color=f"C{colour}", mfc="none")
    ax.axhline(0.1, color="0.7", lw=0.8)
    ax.set(
        xscale="log",
        yscale="log",
        xlim=(3.5, 700),
        ylim=(4e-3, 0.6),
        xlabel="number of samples",
        ylabel="error (lines: the limit)",
    )
    plain_ticks(ax, [5, 10, 20, 50, 100])


def thresholded(weights, thresholds, strength, flips, times, **options):
    """A diagonal network trained on features with sign flips, recorded at these times."""
    problem = pt.ContrastiveProblem(pt.Features(strength), pt.SignFlip(flips))
    start = pt.ThresholdedDiagonal(weights, thresholds, **options)
    return gradient_flow(start, problem, t1=float(times[-1]), save_at=times, stationarity=0.0)


def threshold_law_figure(ax):
    phi = jnp.array([1.0, 1.6, 0.8])
    weights = jnp.array([[0.7, 0.8, 1.3], [0.6, 0.4, 0.5]])
    thresholds = jnp.array([[0.1, 0.2, 0.1], [0.2, 0.1, 0.3]])
    run = thresholded(
        weights, thresholds, phi, jnp.array([0.05, 0.15, 0.1]), jnp.geomspace(1e-2, 10, 24)
    )
    seen = run.each(lambda n: n.amplitudes(phi))
    for i in range(3):
        last = jnp.linspace(seen[0, 1, i], seen[-1, 1, i], 60)[:, None] * jnp.ones(3)
        line = theory.thresholds.threshold_law(last, weights, thresholds, phi)[:, 0, i]
        ax.plot(last[:, i], line, label=f"strength {float(phi[i]):g}")
        ax.plot(seen[:, 1, i], seen[:, 0, i], "o", color=f"C{i}")
        ax.plot(
            last[:, i],
            jnp.sqrt(phi[i] * last[:, i]),
            ":",
            color=f"C{i}",
            label="linear, from equal weights" if i == 0 else None,
        )
    ax.set(xlabel="amplitude after the last layer", ylabel="amplitude after the first")


def absent_features_figure(ax):
    w, b = (1.0, 0.8), (0.3, 0.25)
    fine = np.linspace(0.01, 1.2, 400)
    phi = jnp.linspace(0.05, 1.2, 24)
    ones = jnp.ones_like(phi)
    run = thresholded(
        jnp.stack([w[0] * ones, w[1] * ones]),
        jnp.stack([b[0] * ones, b[1] * ones]),
        phi,
        0.1 * ones,
        jnp.array([1.0, 40.0]),
    )
    seen = run.final.amplitudes(phi)
    columns = [np.full((1, 400), x) for x in (*w, *b)]
    ends = theory.thresholds.threshold_limit(
        np.concatenate(columns[:2]), np.concatenate(columns[2:]), fine, np.full(400, 0.64)
    )
    for level in range(2):
        ax.plot(fine, ends[level], label=f"layer {level + 1}")
        ax.plot(phi, seen[level], "o", color=f"C{level}")
    for edge in theory.thresholds.threshold_reach(
        np.concatenate(columns[:2]), np.concatenate(columns[2:])
    )[:, 0]:
        ax.axvline(float(edge), color="0.7", lw=0.8)
    ax.set(xlabel=r"strength $\phi$ (grey: the edges)", ylabel="amplitude after training")


def feature_sweep_figure(ax):
    start = pt.ThresholdedDiagonal([[1.0], [0.8]], [[0.3], [0.25]])
    feature_sweep(start, jnp.linspace(0.1, 1.2, 23), [0.0, 0.2, 0.5]).plot(ax)


def retained_when_vanishing(ax):
    phi, times = jnp.array([1.0, 1.0]), jnp.geomspace(1e-1, 1e5, 25)
    weights, thresholds = jnp.ones((2, 2)), jnp.array([[0.0, 0.0], [0.2, 0.0]])
    run = thresholded(weights, thresholds, phi, jnp.array([0.5, 0.5]), times)
    seen = run.each(lambda n: n.amplitudes(phi))[:-1]
    last = jnp.geomspace(0.7, 1e-3, 200)[:, None] * jnp.ones(2)
    when = theory.thresholds.threshold_time(last, weights, thresholds, phi, jnp.zeros(2))
    law = theory.thresholds.threshold_law(last, weights, thresholds, phi)
    for i, name in enumerate(("threshold 0.2", "no threshold")):
        for level in range(2):
            keep = (when[:, i] > 0.05) & (when[:, i] < 1e5)
            ax.plot(
                when[keep, i],
                law[keep, level, i],
                f"C{i}",
                ls="-" if level else "--",
                label=f"layer {level + 1}, {name}",
            )
            ax.plot(times, seen[:, level, i], "o" if level else "x", color=f"C{i}")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="time of the flow",
        ylabel="amplitude of a feature without signal",
    )


def homogeneity_figure(ax):
    phi, times = jnp.array([1.0]), jnp.linspace(0.05, 3, 16)
    weights, thresholds = jnp.array([[0.8], [0.6]]), jnp.array([[0.2], [0.1]])
    for trained, marker in ((True, "o"), (False, "x")):
        run = thresholded(weights, thresholds, phi, jnp.array([0.1]), times, trained=trained)
        w, b = run.networks.weights[:-1, :, 0], run.networks.thresholds[:-1, :, 0]
        name = "trained" if trained else "fixed"
        ax.plot(
            times,
            w[:, 0] ** 2 + b[:, 0] ** 2 - w[:, 1] ** 2,
            marker,
            color="C0",
            label=rf"$w_1^2 + b_1^2 - w_2^2$, thresholds {name}",
        )
        amplitude = (w[:, 0] * phi - b[:, 0]) / phi
        ax.plot(
            times,
            amplitude**2 - w[:, 1] ** 2,
            marker,
            color="C1",
            label=rf"$(A_1/\phi)^2 - w_2^2$, thresholds {name}",
        )
    for value, colour in ((0.64 + 0.04 - 0.36, "C0"), (0.36 - 0.36, "C1")):
        ax.axhline(value, color=colour)
    ax.set(xlabel="time of the flow", ylabel="conserved, or not", ylim=(-0.05, 0.85))


def discrete_homogeneity(ax):
    steps, rate = 300, 0.01
    problem = pt.ContrastiveProblem(pt.Features([1.5, 1.0, 0.7]), pt.AdditiveNoise(0.4))
    start = pt.ShallowReLU.init(KEY, (3, 4, 3), 0.8, slope=0.2)
    run = stochastic(
        start,
        problem,
        key=KEY,
        learning_rate=rate,
        steps=steps,
        batch_size=16,
        save_at=np.arange(steps + 1),
    )
    measured = np.asarray(jax.vmap(pt.measure.homogeneity)(run.networks)[0])

    def one(item):
        i, network = item
        return pt.measure.homogeneity(trained_gradient(network, minibatch(problem, KEY, i, 16)))[0]

    gained = jax.lax.map(one, (jnp.arange(steps), jax.tree.map(lambda x: x[:-1], run.networks)))
    followed = np.concatenate([np.zeros((1, 4)), rate**2 * np.cumsum(gained, axis=0)])
    for k in range(4):
        ax.plot(followed[:, k], label=f"unit {k + 1}")
        ax.plot(np.arange(0, steps + 1, 20), (measured - measured[0])[::20, k], "o", color=f"C{k}")
    ax.set(xlabel="step", ylabel="drift of what the unit conserves")


def pair_of(noise=(0.8, 0.5), correlation=0.5, strength=(1.5, 1.2)):
    """A class and a subclass feature."""
    return pt.problems.Groups.signs(strength, noise, [correlation])


def class_run(groups, widths, scale, share=1.0):
    """Weights in every layer of a network trained with this share of positives from the class."""
    data = pt.SupervisedContrastiveProblem(groups, pt.problems.MixedPositives(share)).moments()
    run = gradient_flow(pt.DeepLinear.balanced(KEY, widths, scale), data, t1=1e5, save_at=2)
    return np.asarray(pt.measure.layer_weights(run.final))


def start_law_figure(ax):
    """Weights before the head of four features, after training from four starts."""
    strength = np.geomspace(0.3, 2.0, 4)
    problem = pt.ContrastiveProblem(pt.Features(strength), pt.AdditiveNoise(0.3 * strength))
    fine = np.geomspace(0.3, 4, 200)
    product = 0.2 * jax.random.normal(KEY, (4, 4))
    starts = ((0.0, 0.0), (4.0, 0.25), (1.0, 1.0), (0.01, 8.0))
    for i, (a, b) in enumerate(starts):
        before = theory.starts.weights_before_head(fine, encoder=a, head=b)
        name = "balanced" if a == b == 0 else f"encoder {a:g}, head {b:g}"
        ax.plot(fine, before, color=f"C{i}", label=name)
        network = pt.DeepLinear.isotropic(KEY, (4, 8, 4), a, b, product=product)
        run = gradient_flow(network, problem.moments(), t1=300.0, save_at=2)
        seen = pt.measure.layer_weights(run.final)
        ax.plot(seen[1], seen[0], "o", color=f"C{i}", mfc="none")
    ax.set(
        xscale="log", yscale="log", xlabel="weight after the head", ylabel="weight before the head"
    )


def scl_minimiser(ax):
    fine, tried = np.linspace(0, 0.98, 60), np.linspace(0, 0.95, 7)
    lines = np.stack(
        [theory.supervised.subclass_weights([1.5, 1.2], [0.8, 0.5], r, 2) for r in fine]
    )
    seen = np.stack([class_run(pair_of(correlation=r), (2, 1, 1), 0.7) for r in tried])
    for i, feature in enumerate(("class", "subclass")):
        for layer, style in enumerate(("--", "-")):
            ax.plot(
                fine,
                lines[:, layer, i],
                style,
                color=f"C{i}",
                label=f"{feature}, {('pre', 'post')[layer]}-projection",
            )
            ax.plot(tried, seen[:, layer, i], "ox"[layer], color=f"C{i}", mfc="none")
    ax.set(xlabel="correlation of the subclass with the class", ylabel="weight")


def class_collapse(ax):
    fine, tried = np.linspace(0, 1.5, 60), np.linspace(0, 1.4, 6)
    for i, r in enumerate((0.0, 0.4, 0.8)):
        lines = np.stack(
            [
                theory.supervised.subclass_weights([1.5, 1.2], [sigma, 0.5], r, 3)[0]
                for sigma in fine
            ]
        )
        ax.plot(fine, lines[:, 1] / lines[:, 0], color=f"C{i}", label=f"correlation {r}")
        seen = np.stack([class_run(pair_of((sigma, 0.5), r), (2, 1, 1, 1), 0.7) for sigma in tried])
        for layer, marker in enumerate("ox+"):
            ax.plot(tried, seen[:, layer, 1] / seen[:, layer, 0], marker, color=f"C{i}", mfc="none")
    for layer, marker in enumerate("ox+", 1):
        ax.plot([], [], marker, color="0.4", mfc="none", label=f"trained, layer {layer}")
    ax.set(
        xlabel=r"noise of the class feature $\sigma_c$", ylabel="subclass over class, in each layer"
    )


def subclass_retention(ax):
    data = pt.SupervisedContrastiveProblem(pair_of((0.0, 0.5), 0.6)).moments()
    times = jnp.geomspace(0.01, 1000, 26)
    run = gradient_flow(
        pt.DeepLinear.balanced(KEY, (2, 2, 2, 2), 1.0),
        data,
        t1=1000.0,
        save_at=times,
        stationarity=0.0,
    )
    seen, late = np.asarray(run.weights())[:-1, :, 1], np.geomspace(0.5, 1000, 50)
    law = theory.supervised.collapsing_weight(late, data, jnp.array([0.0, 1.0]), 3)
    for layer in range(3):
        (line,) = ax.plot(late, law[:, layer], label=f"layer {layer + 1}")
        ax.plot(times, seen[:, layer], "o", color=line.get_color(), mfc="none")
    ax.set(xscale="log", yscale="log", xlabel="time", ylabel="weight (lines: the late law)")


def mixed_positives(ax):
    fine, tried = np.linspace(0, 1, 400), np.array([0.0, 0.3, 0.6, 0.8, 0.92, 0.98])
    groups = pair_of((0.6, 0.5), 0.0, (1.5, 0.6))
    for depth, style, marker in ((2, "-", "o"), (3, "--", "x")):
        lines = theory.supervised.mixed_subclass_weight(fine, 0.6, 0.5, depth)
        seen = np.stack([class_run(groups, (2,) * (depth + 1), 0.8, a)[:, 1] for a in tried])
        for layer in range(depth):
            color = f"C{layer if depth == 2 else layer + 2}"
            ax.plot(
                fine, lines[:, layer], style, color=color, label=f"depth {depth}, layer {layer + 1}"
            )
            ax.plot(tried, seen[:, layer], marker, color=color, mfc="none")
    ax.set(
        xlabel="share of positives drawn from the class",
        ylabel="weight of the subclass",
        ylim=(0, None),
    )


def sl_minimiser(ax):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 5)) * np.geomspace(1, 0.4, 5)
    y = x @ rng.standard_normal((5, 3)) + rng.standard_normal((60, 3))
    data = pt.moments.TargetMoments(y.T @ x / 60, x.T @ x / 60, (y**2).mean(0).sum())
    for i, depth in enumerate((1, 2, 3, 4)):
        last = (
            np.linalg.eigvalsh(theory.supervised.regression_minimiser(data, depth).grams[-1])[::-1][
                :3
            ]
            ** 0.5
        )
        run = gradient_flow(
            pt.DeepLinear.balanced(KEY, (5, *(3,) * depth), 0.7),
            data,
            loss=pt.losses.mse,
            t1=1e5,
            save_at=2,
        ).final
        seen = [np.linalg.svd(w, compute_uv=False)[:3] for w in run.products()]
        for mode in (0, 2):
            levels = np.linspace(0, depth, 30)
            ax.plot(
                levels,
                last[mode] ** (levels / depth),
                color=f"C{i}",
                label=f"depth {depth}" if mode == 0 else None,
            )
            ax.plot(
                range(1, depth + 1),
                [s[mode] for s in seen],
                "ox"[mode // 2],
                color=f"C{i}",
                mfc="none",
            )
    ax.set(xlabel="layer", ylabel="extreme singular values", yscale="log", xticks=range(5))


def aligned_regression(target, second, start, depth, times):
    """Weights of every mode at every layer over time."""
    data = pt.moments.TargetMoments(jnp.diag(target), jnp.diag(second))
    network = pt.DeepLinear.aligned(jnp.eye(len(target)), start, (len(target),) * (depth + 1))
    options = {"t1": float(times[-1]), "save_at": jnp.asarray(times), "stationarity": 0.0}
    return np.asarray(gradient_flow(network, data, loss=pt.losses.mse, **options).weights())[:-1]


def sl_times(ax):
    target, second, start = (
        jnp.array([1.0, 0.6, 0.3]),
        jnp.array([0.8, 0.3, 0.4]),
        jnp.full(3, 1e-3),
    )
    fine, times = np.linspace(0.01, 16, 300), np.linspace(0.5, 16, 20)
    seen = aligned_regression(target, second, start, 2, times)
    lines = theory.dynamics.regression.layer_weights(fine[:, None], start, target, second, 2)
    for i in range(3):
        for layer, style in enumerate(("--", "-")):
            name = f"mode {i + 1}, $a = {float(target[i]):g}$" if layer else None
            ax.plot(fine, lines[:, i, layer], style, color=f"C{i}", label=name)
            ax.plot(times, seen[:, layer, i], "ox"[layer], color=f"C{i}", mfc="none")
    ax.set(xlabel="time", ylabel="weight (dashed: before the head)")


def sl_retention(ax):
    times, fine = np.geomspace(0.01, 1e4, 25), np.geomspace(0.01, 1e4, 100)
    seen = aligned_regression(
        jnp.array([1.0, 0.0]), jnp.array([0.8, 1.0]), jnp.array([1.0, 1.0]), 3, times
    )
    lines = theory.dynamics.regression.layer_weights(fine, 1.0, 0.0, 1.0, 3)
    for layer in range(3):
        (line,) = ax.plot(
            fine, lines[:, layer], label=rf"layer {layer + 1}, to $t^{{-{layer + 1}/4}}$"
        )
        ax.plot(times, seen[:, layer, 1], "o", color=line.get_color(), mfc="none")
    ax.set(xscale="log", yscale="log", xlabel="time", ylabel="weight of a mode without signal")


def coarse_to_fine(ax):
    for colour, (kind, name) in enumerate(
        (("classes", "contrastive"), ("regression", "regression"))
    ):
        problem = finely(KEY, kind, 2)
        predicted = _probing.predict(problem).average[0]
        run = _probing.train(problem)[1].fine.networks
        seen = jax.vmap(
            lambda n, p=problem: pt.measure.group_accuracy(n, p.fitted[0], p.tested, p.blur)
        )(run)
        accuracy = np.asarray(seen)[:-1] @ np.asarray(problem.tested.probability)
        for layer, style in enumerate(("--", "-")):
            ax.plot(
                problem.times,
                predicted[:, layer],
                style,
                color=f"C{colour}",
                label=f"{name}, layer {layer + 1}",
            )
            ax.plot(problem.times, accuracy[:, layer], "ox"[layer], color=f"C{colour}", mfc="none")
    ax.axhline(0.5, color="0.7", lw=0.8)
    ax.set(xscale="log", xlabel="training time", ylabel="accuracy of reading the subclass")


def shift(ax):
    problem = shifted(KEY, "regression", 3)
    predicted = _probing.predict(problem).worst
    run = _probing.train(problem)[1].fine.networks
    for i, fitted in enumerate(("as trained", "refitted")):
        groups = jax.vmap(
            lambda n, f=problem.fitted[i]: pt.measure.group_accuracy(
                n, f, problem.tested, problem.blur
            )
        )(run)
        seen = np.asarray(groups)[:-1].min(-1)
        for layer, style in enumerate((":", "--", "-")):
            ax.plot(
                problem.times,
                predicted[i, :, layer],
                style,
                color=f"C{i}",
                label=f"{fitted}, layer {layer + 1}",
            )
            ax.plot(problem.times[::16], seen[::16, layer], "o", color=f"C{i}", mfc="none", ms=4)
    ax.set(
        xscale="log", xlabel="training time", ylabel="accuracy on the worst group", ylim=(0, 1.0)
    )


def sl_extinction(ax):
    """Weight of the trained mode at the lower of the minima that two starts reach."""
    target, second = 1.0, 1.2
    moments = pt.moments.TargetMoments([[target]], [[second]])
    for depth in (1, 2, 3, 5):
        fine = np.linspace(0, 1.2, 600)
        weight = np.array(regression.decay_minimiser(target, second, fine, depth))
        # A line does not cross a jump.
        weight[1:][(weight[1:] == 0) & (weight[:-1] > 0.1)] = np.nan
        (line,) = ax.plot(fine, weight, label=f"depth {depth}")
        for weight_decay in np.linspace(0.05, 1.15, 12):
            runs = [
                gradient_flow(
                    pt.DeepLinear.aligned(jnp.eye(1), [start], (1,) * (depth + 1)),
                    moments,
                    loss=pt.losses.mse,
                    weight_decay=weight_decay,
                    t1=1e4,
                    save_at=2,
                )
                for start in (1.5, 1e-3)
            ]
            best = min(runs, key=lambda run: float(run.loss[-1])).final
            ax.plot(weight_decay, abs(best.matrix[0, 0]), "o", color=line.get_color(), ms=4)
    ax.set(xlabel=r"weight decay $\gamma$ ($a = 1$, $q = 1.2$)", ylabel="weight of the mode")


def barlow_stepwise(ax):
    """Loss over time at three depths; lines as predicted, markers as trained."""
    cross, second = np.array([1.0, 0.3, 0.1]), np.array([1.5, 2.0, 0.12])
    moments = pt.Moments(np.diag(cross), np.diag(second))
    for depth, start, end in ((1, 1e-3, 30.0), (2, 1e-2, 250.0), (3, 3e-2, 250.0)):
        times = np.geomspace(0.3, end, 300)
        (line,) = ax.plot(
            times,
            dynamics.barlow_twins.loss_at_time(times, start, cross, depth),
            label=f"depth {depth}",
        )
        run = gradient_flow(
            pt.DeepLinear.aligned(jnp.eye(3), [start] * 3, (3,) * (depth + 1)),
            moments,
            loss=pt.losses.unnormalised_barlow_twins,
            t1=end,
            save_at=times[::12],
        )
        ax.plot(run.times[:-1], run.loss[:-1], "o", color=line.get_color(), mfc="none", ms=4)
    ax.set(xscale="log", xlabel="training time", ylabel="loss", yticks=[0, 1, 2, 3])


def narrow_head(ax):
    """Four objectives on two features and one unit: kept features as predicted and as trained."""
    other, other_noise, low, high = 1.0, 0.8, 0.4, 2.0
    strengths, noises = np.linspace(low, high, 6), np.linspace(0.1, 2.5, 6)
    fine = np.linspace(low, high, 200)
    limits = theory.responses
    boundaries = {
        "joint embedding": limits.joint_embedding_limit(fine, other, other_noise),
        "denoising reconstruction": limits.reconstruction_limit(fine, other, other_noise),
        "unnormalised Barlow Twins": np.where(fine > other, 9.0, 0.0),
        "PCA": np.where(fine > other, 9.0, 0.0),
    }

    def kept(name, strength, noise):
        power = np.array([strength, other]) ** 2
        second = power + np.array([noise, other_noise]) ** 2
        views = pt.Moments(np.diag(power), np.diag(second))
        inputs = power if name == "PCA" else second
        autoencoder = pt.moments.TargetMoments(np.diag(power), np.diag(inputs))
        barlow = name.endswith("Twins")
        reads = name in ("joint embedding", "unnormalised Barlow Twins")
        run = gradient_flow(
            pt.DeepLinear.balanced(KEY, (2, 1, 1) if reads else (2, 1, 2), 0.5),
            views if reads else autoencoder,
            loss=pt.losses.unnormalised_barlow_twins
            if barlow
            else pt.losses.spectral
            if reads
            else pt.losses.mse,
            weight_decay=0.1 if barlow else 0.0,
            t1=1e3,
            save_at=2,
        )
        first, second = np.linalg.norm(np.asarray(run.final.matrix), axis=0)
        return first > second

    ax.axis("off")
    for number, (name, boundary) in enumerate(boundaries.items()):
        panel = ax.inset_axes([0.07 + 0.5 * (number % 2), 0.58 - 0.5 * (number // 2), 0.42, 0.36])
        panel.fill_between(fine, 0, boundary, color="C0", alpha=0.2, lw=0, step="mid")
        for strength in strengths:
            for noise in noises:
                colour = "C0" if kept(name, strength, noise) else "C3"
                panel.plot(strength, noise, "o", color=colour, ms=3)
        panel.set_title(name, fontsize=8)
        panel.set(xlim=(low - 0.1, high + 0.1), ylim=(0, 2.65))
        panel.tick_params(labelsize=7)
        if number > 1:
            panel.set_xlabel("strength", fontsize=8)
        if number % 2 == 0:
            panel.set_ylabel("noise", fontsize=8)
    # The page explains the colours: a legend would cover a panel.
    ax.plot([], [], alpha=0, label=" ")


FIGURES = {
    "start-law": start_law_figure,
    "scl-minimiser": scl_minimiser,
    "class-collapse": class_collapse,
    "subclass-retention": subclass_retention,
    "mixed-positives": mixed_positives,
    "sl-minimiser": sl_minimiser,
    "sl-extinction": sl_extinction,
    "barlow-stepwise": barlow_stepwise,
    "narrow-head": narrow_head,
    "sl-times": sl_times,
    "sl-retention": sl_retention,
    "coarse-to-fine": coarse_to_fine,
    "shift": shift,
    "threshold-law": threshold_law_figure,
    "absent-features": absent_features_figure,
    "feature-sweep": feature_sweep_figure,
    "retained-when-vanishing": retained_when_vanishing,
    "homogeneity": homogeneity_figure,
    "discrete-homogeneity": discrete_homogeneity,
    "measured-sample-complexity": measured_sample_complexity,
    "head-equivalence": head_equivalence,
    "sorted-matching": sorted_matching,
    "kappa-emulation": kappa_emulation,
    "best-kappa": best_kappa,
    "optimal-layer": optimal_layer,
    "when-pre-wins": when_pre_wins,
    "spectral-minimiser": spectral_minimiser,
    "layerwise-law": layerwise_law,
    "progressive-weighting": progressive_weighting,
    "balancedness": balancedness,
    "discrete-balancedness": discrete_balancedness,
    "imbalance-bound": imbalance_bound_figure,
    "unbalanced-grams": unbalanced_grams_figure,
    "finite-sample": finite_sample,
    "flow-times": flow_times,
    "learning-order": learning_order,
    "vanishing-features": vanishing_features,
    "weight-decay-minimiser": weight_decay_minimiser,
    "feature-extinction": feature_extinction,
    "min-norm": min_norm,
    "weight-decay-balancing": weight_decay_balancing,
}


def main(names):
    jax.config.update("jax_enable_x64", True)
    mpl.use("svg")
    # A fixed salt and no date: the same run writes the same bytes.
    mpl.rcParams.update(
        {
            "svg.hashsalt": "projhead",
            "svg.fonttype": "none",
            "font.size": 9,
            "lines.markersize": 5,
            "lines.linewidth": 1.2,
        }
    )
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
