"""Balance of the layers: what gradient flow conserves, and what follows for the Grams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import measure, theory
from ..figures import MARKERS, closed_form, colour, ink, key, legend, log_axis, panels
from ..figures import trained as marks
from ..networks import DeepLinear
from ..simulation import gradient_flow
from ._common import LONG, balanced, dataset, gap_to_law, mixed_moments, norm, numbered
from ._entry import Entry

if TYPE_CHECKING:
    import xarray


def _unbalanced(seed: int, dimension: int, scales: tuple[float, ...]) -> DeepLinear:
    sizes = (dimension,) * (len(scales) + 1)
    return DeepLinear.unbalanced(jax.random.key(seed), sizes, list(scales))


def balancedness(
    scale: tuple[float, ...] = (1.0, 0.6, 0.8),
    weight_decay: tuple[float, ...] = (0.0, 0.1),
    dimension: int = 4,
    t1: float = 10.0,
    points: int = 13,
    seed: int = 0,
) -> xarray.Dataset:
    """Imbalance of every pair of layers over time, from layers of these scales."""
    start, data = _unbalanced(seed, dimension, scale), mixed_moments(dimension, seed)
    first, times = measure.imbalance_norms(start), jnp.linspace(0, t1, points)
    law, seen = [], []
    for decay in weight_decay:
        alike = [size * jnp.ones(points) for size in first]
        law.append(np.stack(theory.decay.decayed_imbalance(alike, decay, times), 1))
        run = gradient_flow(start, data, t1=t1, weight_decay=decay, save_at=times, stationarity=0)
        seen.append(run.imbalance[:points])
    dims = ("weight_decay", "time", "pair")
    return dataset(
        {"theory": (dims, law), "trained": (dims, seen)},
        {"weight_decay": weight_decay, "time": times, "pair": numbered(len(first))},
    )


def draw_balancedness(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, pair in enumerate(data.pair.values):
        for j, decay in enumerate(data.weight_decay.values):
            own = data.sel(pair=pair, weight_decay=decay)
            label = rf"layers {pair} and {pair + 1}" if j == 0 else None
            closed_form(
                ax, own.time, own.theory, colour(i), ls=("-", "--", ":")[j % 3], label=label
            )
            marks(ax, own.time, own.trained, colour(i), MARKERS[j % len(MARKERS)])
    for j, decay in enumerate(data.weight_decay.values):
        style = MARKERS[j % len(MARKERS)] + ("-", "--", ":")[j % 3]
        key(ax, "no weight decay" if decay == 0 else f"weight decay {decay:g}", style)
    log_axis(ax.yaxis)
    ax.set(xlabel="time $t$", ylabel=r"imbalance $\|D_l\|$")
    legend(ax, 2)


def imbalance_bound(
    excess: tuple[float, float] = (1e-3, 1.0), points: int = 9, dimension: int = 4, seed: int = 0
) -> xarray.Dataset:
    """Gap to the layer-wise law of networks whose first layer starts larger by these factors."""
    data, even = mixed_moments(dimension, seed), balanced(seed, dimension, 2, 0.6)
    prediction = theory.layers.layerwise(data, 2)
    gaps, bounds, sizes = [], [], []
    for extra in np.geomspace(*excess, points):
        start = DeepLinear([(1 + extra) * even.layers[0], even.layers[1]])
        size = measure.imbalance_norms(start)
        grams = measure.layer_grams(gradient_flow(start, data, **LONG).final)
        sizes.append(float(size[0]))
        gaps.append(gap_to_law(grams))
        bounds.append(float(theory.balance.imbalance_bound(prediction.grams, size)[0]))
    return dataset(
        {"bound": ("imbalance", bounds), "trained": ("imbalance", gaps)}, {"imbalance": sizes}
    )


def draw_imbalance_bound(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    closed_form(ax, data.imbalance, data.bound, ink(), label=r"bound $\sqrt{2}\,\|D_1\|$")
    marks(ax, data.imbalance, data.trained, colour(0), label="trained")
    for axis in (ax.xaxis, ax.yaxis):
        log_axis(axis)
    ax.set(xlabel=r"imbalance of the start $\|D_1\|$", ylabel=r"$\|M_1 - M_2^{1/2}\|$")
    legend(ax)


def min_norm(
    runs: int = 8, depth: int = 3, weight_decay: float = 0.1, dimension: int = 4, seed: int = 0
) -> xarray.Dataset:
    """Sums of squares before and after training, and the least for the same product."""
    data, least, sums = mixed_moments(dimension, seed), [], []
    for key_of_run in jax.random.split(jax.random.key(seed), runs):
        k1, k2 = jax.random.split(key_of_run)
        scales = jnp.exp(0.5 * jax.random.normal(k1, (depth,), float))
        sizes = (dimension,) * (depth + 1)
        start = DeepLinear.unbalanced(k2, sizes, [float(s) for s in scales])
        decay = weight_decay * float(jnp.exp(jax.random.normal(k1, (), float)))
        end = gradient_flow(start, data, t1=1e3 / weight_decay, weight_decay=decay, save_at=2).final
        pair = (start, end)
        least.append([float(theory.balance.least_norm(n.matrix, depth)) for n in pair])
        sums.append([sum(norm(w) ** 2 for w in n.layers) for n in pair])
    dims = ("run", "when")
    return dataset(
        {"least": (dims, least), "trained": (dims, sums)},
        {"run": numbered(runs), "when": ["start", "end"]},
    )


def draw_min_norm(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    ends = np.array([float(data.least.min()), float(data.least.max())])
    closed_form(ax, ends, ends, ink(), label=r"least, $L \sum_i s_i^{2/L}$")
    for i, (when, label) in enumerate((("start", "starts"), ("end", "trained with weight decay"))):
        own = data.sel(when=when)
        marks(ax, own.least, own.trained, colour(i), MARKERS[i], label=label)
    ax.set(
        xlabel=r"$L \sum_i s_i(W)^{2/L}$ of the product",
        ylabel=r"$\sum_l \|W_l\|_F^2$ of the layers",
    )
    legend(ax, 2)


def weight_decay_balancing(
    weight_decay: tuple[float, ...] = (0.02, 0.05, 0.1),
    scale: tuple[float, float] = (1.0, 0.5),
    dimension: int = 4,
    points: int = 25,
    seed: int = 0,
) -> xarray.Dataset:
    """Imbalance, and gap to the layer-wise law, over time in units of the decay."""
    start, data = _unbalanced(seed, dimension, scale), mixed_moments(dimension, seed)
    first, scaled = measure.imbalance_norms(start)[0], np.linspace(0, 8, points)
    seen, gaps = [], []
    for decay in weight_decay:
        times = scaled / decay
        run = gradient_flow(
            start,
            data,
            t1=float(times[-1]),
            weight_decay=decay,
            save_at=times,
            stationarity=0,
        )
        seen.append(run.imbalance[:points, 0] / first)
        gaps.append([gap_to_law(g) / norm(g[0]) for g in np.asarray(run.grams[:points])])
    law = theory.decay.decayed_imbalance([jnp.ones(points)], 1.0, jnp.asarray(scaled))[0]
    dims = ("weight_decay", "scaled_time")
    return dataset(
        {"theory": ("scaled_time", law), "trained": (dims, seen), "gap": (dims, gaps)},
        {"weight_decay": weight_decay, "scaled_time": scaled},
    )


def draw_weight_decay_balancing(figure: Any, data: xarray.Dataset) -> None:
    left, right = panels(figure, 2, 0.66)
    closed_form(left, data.scaled_time, data.theory, ink(), label="law")
    count = data.sizes["weight_decay"]
    for i, decay in enumerate(data.weight_decay.values):
        own, marker = data.sel(weight_decay=decay), MARKERS[i % len(MARKERS)]
        # All lie on the law: each decay shows its own share of the times.
        few = own.isel(scaled_time=slice(i, None, count))
        label = rf"trained, $\gamma$ = {decay:g}"
        marks(left, few.scaled_time, few.trained, colour(i), marker, label=label)
        marks(
            right, own.scaled_time, own.gap, colour(i), marker, ls="-", lw=0.6, markevery=(i, count)
        )
    for ax in (left, right):
        log_axis(ax.yaxis)
        ax.set_xlabel(r"time in units of the decay, $\gamma t$")
    left.set_ylabel(r"imbalance, $\|D_1\| / \|D_1(0)\|$")
    right.set_ylabel("relative gap to the layer-wise law")
    legend(left, 2)


ENTRIES = (
    Entry(
        "balancedness",
        "Imbalance of the layers over time: constant without weight decay, exponential with it.",
        balancedness,
        draw_balancedness,
        theorem="balancedness",
        quick={"points": 4, "t1": 4.0, "scale": (1.0, 0.6), "dimension": 3},
    ),
    Entry(
        "imbalance-bound",
        "Gap to the layer-wise law against the imbalance of the start: trained networks lie below "
        "the bound.",
        imbalance_bound,
        draw_imbalance_bound,
        theorem="imbalance-bound",
        quick={"points": 3, "dimension": 3},
    ),
    Entry(
        "min-norm",
        "Sum of squared norms of the layers against the least for their product: starts above the "
        "line, networks trained with weight decay on it.",
        min_norm,
        draw_min_norm,
        theorem="min-norm",
        quick={"runs": 2, "depth": 2, "dimension": 3},
    ),
    Entry(
        "weight-decay-balancing",
        "Imbalance over time for several strengths of the weight decay, and the gap to the "
        "layer-wise law, which falls with it.",
        weight_decay_balancing,
        draw_weight_decay_balancing,
        theorem="weight-decay-balancing",
        quick={"points": 4, "weight_decay": (0.1, 0.2), "dimension": 3},
    ),
)
