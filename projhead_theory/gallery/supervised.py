"""Networks trained on classes: weights of class and subclass, and regression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import measure, theory
from ..figures import MARKERS, closed_form, colour, key, legend, log_axis, panels
from ..figures import trained as marks
from ..losses import mse
from ..moments import TargetMoments
from ..networks import DeepLinear
from ..problems import Groups, MixedPositives, SupervisedContrastiveProblem
from ..simulation import gradient_flow
from ._common import balanced, dataset, numbered
from ._entry import Entry

if TYPE_CHECKING:
    import xarray

FEATURES = ("class", "subclass")


def _weights(groups: Groups, sizes: tuple[int, ...], seed: int, share: float = 1.0) -> Any:
    """Weights in every layer of a network trained with this share of positives from the class."""
    data = SupervisedContrastiveProblem(groups, MixedPositives(share)).moments()
    start = DeepLinear.balanced(jax.random.key(seed), sizes, 0.7)
    return measure.layer_weights(gradient_flow(start, data, t1=1e5, save_at=2).final)


def scl_minimiser(
    strength: tuple[float, float] = (1.5, 1.2),
    noise: tuple[float, float] = (0.8, 0.5),
    points: int = 7,
    seed: int = 0,
) -> xarray.Dataset:
    """Weights of class and subclass in both layers over their correlation."""
    fine, tried = np.linspace(0, 0.98, 40), np.linspace(0, 0.95, points)
    law = theory.supervised.subclass_weights
    closed = [law(list(strength), list(noise), float(r), 2) for r in fine]
    runs = [_weights(Groups.signs(strength, noise, [r]), (2, 1, 1), seed) for r in tried]
    dims = ("layer", "feature")
    return dataset(
        {"theory": (("fine", *dims), closed), "trained": (("correlation", *dims), runs)},
        {"fine": fine, "correlation": tried, "layer": [1, 2], "feature": list(FEATURES)},
    )


def draw_scl_minimiser(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, feature in enumerate(data.feature.values):
        for j, style in enumerate(("-", "--")):
            own = data.sel(feature=feature, layer=2 - j)
            label = None if j else str(feature)
            closed_form(ax, own.fine, own.theory, colour(i), ls=style, label=label)
            marks(ax, own.correlation, own.trained, colour(i), MARKERS[j])
    key(ax, "after the head", "-o")
    key(ax, "before the head", "--s")
    ax.set(xlabel="correlation of subclass and class", ylabel="weight")
    legend(ax, 2)


def class_collapse(
    strength: tuple[float, float] = (1.5, 1.2),
    noise: float = 0.5,
    correlation: tuple[float, ...] = (0.0, 0.4, 0.8),
    depth: int = 3,
    points: int = 6,
    seed: int = 0,
) -> xarray.Dataset:
    """Weight of the subclass relative to the class in every layer over the noise of the class."""
    fine, tried = np.linspace(0, 1.5, 40), np.linspace(0, 1.4, points)
    law, sizes, closed, seen = theory.supervised.subclass_weights, (2,) + (1,) * depth, [], []
    for r in correlation:
        lines = [law(list(strength), [float(s), noise], r, depth)[0] for s in fine]
        runs = [_weights(Groups.signs(strength, [s, noise], [r]), sizes, seed) for s in tried]
        closed.append([line[1] / line[0] for line in lines])
        seen.append([run[:, 1] / run[:, 0] for run in runs])
    return dataset(
        {
            "theory": (("correlation", "fine"), closed),
            "trained": (("correlation", "class_noise", "layer"), seen),
        },
        {
            "correlation": correlation,
            "fine": fine,
            "class_noise": tried,
            "layer": numbered(depth),
        },
    )


def draw_class_collapse(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    layers = data.layer.values
    for i, r in enumerate(data.correlation.values):
        own = data.sel(correlation=r)
        closed_form(ax, own.fine, own.theory, colour(i), label=f"correlation {r:g}")
        for j, layer in enumerate(layers):
            # The same in all layers: markers of growing size ring one another.
            at = own.sel(layer=layer)
            marks(ax, at.class_noise, at.trained, colour(i), MARKERS[j % 7], ms=3 + 2.5 * j)
    for j, layer in enumerate(layers):
        key(ax, f"trained, layer {layer}", MARKERS[j % 7])
    ax.set(xlabel=r"noise of the class feature $\sigma_c$", ylabel="weight of subclass over class")
    legend(ax, 2)


def subclass_retention(
    strength: tuple[float, float] = (1.5, 1.2),
    noise: float = 0.5,
    correlation: float = 0.6,
    depth: int = 3,
    t1: float = 1e3,
    points: int = 16,
    seed: int = 0,
) -> xarray.Dataset:
    """Weight of a subclass in every layer over time, with a class feature free of noise."""
    groups = Groups.signs(strength, [0.0, noise], [correlation])
    data, times = SupervisedContrastiveProblem(groups).moments(), np.geomspace(0.01, t1, points)
    start = balanced(seed, 2, depth, 1.0)
    run = gradient_flow(start, data, t1=t1, save_at=times, stationarity=0.0)
    late = np.geomspace(0.5, t1, 60)
    law = theory.supervised.collapsing_weight(jnp.asarray(late), data, jnp.eye(2)[1], depth)
    return dataset(
        {
            "theory": (("late", "layer"), law),
            "trained": (("time", "layer"), run.weights()[:points, :, 1]),
        },
        {"late": late, "time": times, "layer": numbered(depth)},
    )


def draw_subclass_retention(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, layer in enumerate(data.layer.values):
        own = data.sel(layer=layer)
        closed_form(ax, own.late, own.theory, colour(i), label=f"layer {layer}")
        marks(ax, own.time, own.trained, colour(i), MARKERS[i % 7])
    key(ax, "law of late times")
    key(ax, "trained", "o")
    for axis in (ax.xaxis, ax.yaxis):
        log_axis(axis)
    ax.set(xlabel="time $t$", ylabel="weight of the subclass")
    legend(ax)


def mixed_positives(
    strength: tuple[float, float] = (1.5, 0.6),
    noise: tuple[float, float] = (0.6, 0.5),
    depth: tuple[int, ...] = (2, 3),
    share: tuple[float, ...] = (0.0, 0.3, 0.6, 0.8, 0.92, 0.98),
    seed: int = 0,
) -> xarray.Dataset:
    """Weight of an independent subclass in every layer over the share of positives of the class."""
    fine = 1 - np.append(np.geomspace(1, 1e-4, 200), 0)
    groups, layers = Groups.signs(strength, noise, [0.0]), max(depth)
    closed = np.full((len(depth), len(fine), layers), np.nan)
    seen = np.full((len(depth), len(share), layers), np.nan)
    for i, count in enumerate(depth):
        law = theory.supervised.mixed_subclass_weight
        closed[i, :, :count] = law(jnp.asarray(fine), strength[1], noise[1], count)
        for j, a in enumerate(share):
            seen[i, j, :count] = _weights(groups, (2,) * (count + 1), seed, a)[:, 1]
    return dataset(
        {
            "theory": (("depth", "fine", "layer"), closed),
            "trained": (("depth", "share", "layer"), seen),
        },
        {"depth": depth, "fine": fine, "share": share, "layer": numbered(layers)},
    )


def draw_mixed_positives(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, depth in enumerate(data.depth.values):
        for layer in range(1, depth + 1):
            own, k = data.sel(depth=depth, layer=layer), depth - layer
            style = ("-", "--", ":", "-.")[k % 4]
            label = None if k else f"depth {depth}"
            closed_form(ax, own.fine, own.theory, colour(i), ls=style, label=label)
            marks(ax, own.share, own.trained, colour(i), MARKERS[k % 7])
    names = ("last layer", "the one before", "two before", "three before")
    for k in range(min(4, int(data.depth.max()))):
        key(ax, names[k], ("-", "--", ":", "-.")[k] + MARKERS[k])
    ax.set(xlabel="share of positives drawn from the class", ylabel="weight of the subclass")
    ax.set_ylim(bottom=0)
    legend(ax)


def sl_minimiser(
    depth: tuple[int, ...] = (1, 2, 3, 4),
    dimension: int = 5,
    outputs: int = 3,
    samples: int = 60,
    seed: int = 0,
) -> xarray.Dataset:
    """Largest and smallest singular value in every layer of networks that regress targets."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, dimension)) * np.geomspace(1, 0.4, dimension)
    y = x @ rng.standard_normal((dimension, outputs)) + rng.standard_normal((samples, outputs))
    data = TargetMoments(y.T @ x / samples, x.T @ x / samples, (y**2).mean(0).sum())
    last, kept = [], min(outputs, dimension)
    seen = np.full((len(depth), max(depth), 2), np.nan)
    for i, count in enumerate(depth):
        gram = theory.supervised.regression_minimiser(data, count).grams[-1]
        values = np.linalg.eigvalsh(gram)[::-1][:kept] ** 0.5
        last.append(values[[0, -1]])
        start = DeepLinear.balanced(jax.random.key(seed), (dimension, *(outputs,) * count), 0.7)
        run = gradient_flow(start, data, loss=mse, t1=1e5, save_at=2).final
        found = [np.linalg.svd(w, compute_uv=False)[:kept] for w in run.products()]
        seen[i, :count] = np.stack(found)[:, [0, -1]]
    return dataset(
        {
            "theory": (("depth", "mode"), last),
            "trained": (("depth", "layer", "mode"), seen),
        },
        {"depth": depth, "layer": numbered(max(depth)), "mode": ["largest", "smallest"]},
    )


def draw_sl_minimiser(figure: Any, data: xarray.Dataset) -> None:
    both = panels(figure, 2, 0.62)
    for ax, mode in zip(both, data.mode.values, strict=True):
        for i, depth in enumerate(data.depth.values):
            own = data.sel(depth=depth, mode=mode)
            levels = np.linspace(0, depth, 30)
            power = float(own.theory) ** (levels / depth)
            closed_form(ax, levels, power, colour(i), label=f"depth {depth}")
            marks(ax, own.layer, own.trained, colour(i), MARKERS[i % 7])
        log_axis(ax.yaxis)
        ax.set_xticks([0, *data.layer.values])
        ax.set(xlabel="layer (0: input)", ylabel=f"{mode} singular value")
    key(both[0], "theory")
    key(both[0], "trained", "o")
    legend(both[0])


ENTRIES = (
    Entry(
        "scl-minimiser",
        "Weights of class and subclass features against their correlation, in both layers: lines "
        "predicted, markers trained.",
        scl_minimiser,
        draw_scl_minimiser,
        theorem="scl-minimiser",
        quick={"points": 2},
    ),
    Entry(
        "class-collapse",
        "Weight of the subclass relative to the class, against the noise of the class feature, "
        "the same in all layers.",
        class_collapse,
        draw_class_collapse,
        theorem="class-collapse",
        quick={"points": 2, "correlation": (0.4,)},
    ),
    Entry(
        "subclass-retention",
        "Weight of a collapsing subclass over time in each layer, on logarithmic axes, with its "
        "leading law.",
        subclass_retention,
        draw_subclass_retention,
        theorem="subclass-retention",
        quick={"points": 5, "t1": 100.0},
    ),
    Entry(
        "mixed-positives",
        "Weight of an independent subclass against the share of positives drawn from the class, "
        "in each layer of networks of several depths.",
        mixed_positives,
        draw_mixed_positives,
        theorem="mixed-positives",
        quick={"depth": (2,), "share": (0.0, 0.6)},
    ),
    Entry(
        "sl-minimiser",
        "Largest and smallest singular value in each layer of networks that regress several "
        "outputs, over the layers.",
        sl_minimiser,
        draw_sl_minimiser,
        theorem="sl-minimiser",
        quick={"depth": (1, 2)},
    ),
)
