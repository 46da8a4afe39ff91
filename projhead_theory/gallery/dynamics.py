"""Course of training: weights over time, the order of learning, and what fades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from .. import theory
from ..figures import MARKERS, closed_form, colour, key, legend, log_axis, panels
from ..figures import trained as marks
from ..losses import mse, unnormalised_barlow_twins
from ..moments import Moments, TargetMoments
from ..simulation import gradient_flow
from ._common import aligned, dataset, diagonals, feature_model, numbered, one_each
from ._entry import Entry

if TYPE_CHECKING:
    import xarray

DASHES = ("-", "--", ":", "-.")
"""Lines of the layers, from the last down."""


def flow_times(
    strength: tuple[float, ...] = (1.5, 1.0, 0.7),
    noise: tuple[float, ...] = (1.6, 0.6, 0.2),
    depth: int = 2,
    start: float = 0.01,
    t1: float = 40.0,
    points: int = 21,
) -> xarray.Dataset:
    """Weight of every feature in every layer over time, from a small aligned start."""
    data, times = feature_model(strength, noise).moments(), np.linspace(0, t1, points)
    run = gradient_flow(
        aligned([start] * len(strength), depth), data, t1=t1, save_at=times, stationarity=0
    )
    fine = np.linspace(0, t1, 400)
    closed = [
        theory.dynamics.layer_weights(jnp.asarray(fine), start, c, q, depth)
        for c, q in zip(*diagonals(data), strict=True)
    ]
    return dataset(
        {
            "theory": (("feature", "fine", "layer"), closed),
            "trained": (("time", "layer", "feature"), run.weights()[:points]),
        },
        {
            "feature": numbered(len(strength)),
            "layer": numbered(depth),
            "fine": fine,
            "time": times,
        },
    )


def draw_over_time(figure: Any, data: xarray.Dataset) -> None:
    """Colours by feature, lines and markers by layer."""
    (ax,) = panels(figure)
    layers = data.layer.values[::-1]
    for i, feature in enumerate(data.feature.values):
        for j, layer in enumerate(layers):
            own = data.sel(feature=feature, layer=layer)
            label = None if j else f"{data.attrs.get('noun', 'feature')} {feature}"
            closed_form(ax, own.fine, own.theory, colour(i), ls=DASHES[j % 4], label=label)
            marks(ax, own.time, own.trained, colour(i), MARKERS[j % len(MARKERS)], ms=3.5)
    for j, layer in enumerate(layers):
        key(ax, f"layer {layer}", DASHES[j % 4] + MARKERS[j % len(MARKERS)])
    ax.set(xlabel="time $t$", ylabel="weight")
    legend(ax)


def learning_order(
    strength: tuple[float, ...] = (0.6, 0.72, 0.87, 1.04, 1.25, 1.5, 1.8),
    noise: tuple[float, ...] = (0.56, 0.73, 0.97, 1.27, 1.68, 2.2, 2.9),
    depth: tuple[int, ...] = (2, 3),
    start: float = 0.003,
    times: int = 4000,
) -> xarray.Dataset:
    """Time to half the final weight, where final weights are in the opposite order."""
    data = feature_model(strength, noise).moments()
    cross, second = diagonals(data)
    final, seen, exact, leading = jnp.sqrt(cross) / second, [], [], []
    for count in depth:
        closed = theory.dynamics.time_to_weight(final / 2, start, cross, second, count)
        t1 = 1.3 * float(jnp.max(closed))
        run = gradient_flow(
            aligned([start] * len(strength), count),
            data,
            t1=t1,
            save_at=np.linspace(0, t1, times),
            stationarity=0,
        )
        paths, at = np.asarray(run.weights()[:-1, -1]), np.asarray(run.times[:-1])
        halves = zip(np.asarray(final) / 2, paths.T, strict=True)
        seen.append([np.interp(half, path, at) for half, path in halves])
        exact.append(closed)
        leading.append(theory.dynamics.onset_time(start, cross, count))
    dims = ("depth", "cross")
    return dataset(
        {"theory": (dims, exact), "leading_order": (dims, leading), "trained": (dims, seen)},
        {"depth": depth, "cross": cross},
    )


def draw_learning_order(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    own = data.sortby("cross")
    for i, depth in enumerate(data.depth.values):
        at = own.sel(depth=depth)
        closed_form(ax, at.cross, at.theory, colour(i), label=f"depth {depth}")
        closed_form(ax, at.cross, at.leading_order, colour(i), ls="--", lw=0.9)
        marks(ax, at.cross, at.trained, colour(i), MARKERS[i % len(MARKERS)])
    for label, style in (("exact", "-"), ("leading order", "--"), ("trained", "o")):
        key(ax, label, style)
    for axis in (ax.xaxis, ax.yaxis):
        log_axis(axis)
    ax.set(xlabel="cross moment $c$ of the feature", ylabel="time to half the final weight")
    legend(ax)


def vanishing_features(
    depth: int = 3, start: float = 1.0, t1: float = 1e4, points: int = 15
) -> xarray.Dataset:
    """Weight in every layer of a feature that augmentation leaves without signal."""
    data, times = Moments(jnp.zeros((1, 1)), jnp.ones((1, 1))), np.geomspace(1e-2, t1, points)
    run = gradient_flow(aligned([start], depth), data, t1=t1, save_at=times, stationarity=0)
    fine = np.geomspace(1e-2, t1, 200)
    closed = theory.dynamics.layer_weights(jnp.asarray(fine), start, 0.0, 1.0, depth)
    layers = numbered(depth)
    powers = [float(theory.dynamics.vanishing_exponent(depth, int(layer))) for layer in layers]
    return dataset(
        {
            "theory": (("fine", "layer"), closed),
            "trained": (("time", "layer"), run.weights()[:points, :, 0]),
            "exponent": ("layer", powers),
        },
        {"fine": fine, "time": times, "layer": layers},
        what="weight of a feature without signal",
    )


def draw_fading(figure: Any, data: xarray.Dataset) -> None:
    """Weights that fade as powers of time, one colour a layer."""
    (ax,) = panels(figure)
    for i, layer in enumerate(data.layer.values):
        own = data.sel(layer=layer)
        label = rf"layer {layer}, to $t^{{-{float(own.exponent):.2g}}}$"
        closed_form(ax, own.fine, own.theory, colour(i), label=label)
        marks(ax, own.time, own.trained, colour(i), MARKERS[i % len(MARKERS)])
    key(ax, "theory")
    key(ax, "trained", "o")
    for axis in (ax.xaxis, ax.yaxis):
        log_axis(axis)
    ax.set(xlabel="time $t$", ylabel=data.attrs["what"])
    legend(ax, 2)


def _regression(target: Any, second: Any, start: Any, depth: int, times: np.ndarray) -> np.ndarray:
    """Weights of every mode in every layer over time, trained by regression."""
    data = TargetMoments(np.diag(target), np.diag(second))
    run = gradient_flow(
        aligned(start, depth),
        data,
        loss=mse,
        t1=float(times[-1]),
        save_at=times,
        stationarity=0.0,
    )
    return np.asarray(run.weights())[: len(times)]


def sl_times(
    target: tuple[float, ...] = (1.0, 0.6, 0.3),
    second: tuple[float, ...] = (0.8, 0.3, 0.4),
    depth: int = 2,
    start: float = 1e-3,
    t1: float = 16.0,
    points: int = 20,
) -> xarray.Dataset:
    """Weight of every mode of a regression in every layer over time."""
    second_ = one_each("second", second, len(target))
    fine, times = np.linspace(t1 / 1600, t1, 300), np.linspace(t1 / points, t1, points)
    seen = _regression(target, second_, [start] * len(target), depth, times)
    closed = theory.dynamics.regression.layer_weights(
        jnp.asarray(fine)[:, None], start, jnp.asarray(target), jnp.asarray(second_), depth
    )
    return dataset(
        {
            "theory": (("fine", "feature", "layer"), closed),
            "trained": (("time", "layer", "feature"), seen),
        },
        {
            "feature": numbered(len(target)),
            "layer": numbered(depth),
            "fine": fine,
            "time": times,
        },
        noun="mode",
    )


def sl_retention(
    depth: int = 3, start: float = 1.0, t1: float = 1e4, points: int = 15
) -> xarray.Dataset:
    """Weight in every layer of a mode that the target does not need."""
    times, fine = np.geomspace(0.01, t1, points), np.geomspace(0.01, t1, 200)
    seen = _regression([1.0, 0.0], [0.8, 1.0], [start, start], depth, times)
    closed = theory.dynamics.regression.layer_weights(jnp.asarray(fine), start, 0.0, 1.0, depth)
    layers, power = numbered(depth), theory.dynamics.regression.retention_exponent
    powers = [float(power(depth, int(layer))) for layer in layers]
    return dataset(
        {
            "theory": (("fine", "layer"), closed),
            "trained": (("time", "layer"), seen[:, :, 1]),
            "exponent": ("layer", powers),
        },
        {"fine": fine, "time": times, "layer": layers},
        what="weight of a mode without signal",
    )


def barlow_stepwise(
    cross: tuple[float, ...] = (1.0, 0.3, 0.1),
    depth: tuple[int, ...] = (1, 2, 3),
    start: tuple[float, ...] = (1e-3, 1e-2, 3e-2),
    t1: float = 250.0,
    points: int = 25,
) -> xarray.Dataset:
    """Loss of Barlow Twins without normalisation over time, from small aligned starts."""
    starts, d = one_each("start", start, len(depth)), len(cross)
    data = Moments(np.diag(cross), np.diag(np.asarray(cross) + 0.5))
    fine, times = np.geomspace(0.3, t1, 300), np.geomspace(0.3, t1, points)
    seen, closed = [], []
    for count, size in zip(depth, starts, strict=True):
        law = theory.dynamics.barlow_twins.loss_at_time
        closed.append(law(jnp.asarray(fine), float(size), jnp.asarray(cross), count))
        run = gradient_flow(
            aligned([size] * d, count),
            data,
            loss=unnormalised_barlow_twins,
            t1=t1,
            save_at=times,
            stationarity=0.0,
        )
        seen.append(run.loss[:points])
    return dataset(
        {"theory": (("depth", "fine"), closed), "trained": (("depth", "time"), seen)},
        {"depth": depth, "fine": fine, "time": times},
        features=d,
    )


def draw_barlow_stepwise(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, depth in enumerate(data.depth.values):
        own = data.sel(depth=depth)
        closed_form(ax, own.fine, own.theory, colour(i), label=f"depth {depth}")
        marks(ax, own.time, own.trained, colour(i), MARKERS[i % len(MARKERS)])
    key(ax, "theory")
    key(ax, "trained", "o")
    log_axis(ax.xaxis)
    ax.set(xlabel="time $t$", ylabel="loss", yticks=range(int(data.features) + 1))
    legend(ax)


ENTRIES = (
    Entry(
        "flow-times",
        "Weights of the features over time in every layer of a network: lines as predicted, "
        "markers as trained.",
        flow_times,
        draw_over_time,
        theorem="flow-times",
        quick={"points": 4},
    ),
    Entry(
        "learning-order",
        "Time to half the final weight against the cross moment, for features whose final weights "
        "are in the opposite order.",
        learning_order,
        draw_learning_order,
        theorem="learning-order",
        quick={"depth": (2,), "times": 500},
    ),
    Entry(
        "vanishing-features",
        "Weight of a feature without signal over time in each layer, on logarithmic axes.",
        vanishing_features,
        draw_fading,
        theorem="vanishing-features",
        quick={"points": 4, "t1": 1e3, "depth": 2},
    ),
    Entry(
        "sl-times",
        "Weights of the modes of a regression over time in every layer: lines as predicted, "
        "markers as trained.",
        sl_times,
        draw_over_time,
        theorem="sl-times",
        quick={"points": 4},
    ),
    Entry(
        "sl-retention",
        "Weight of a mode without signal over time in each layer, on logarithmic axes.",
        sl_retention,
        draw_fading,
        theorem="sl-retention",
        quick={"points": 4, "t1": 1e3, "depth": 2},
    ),
    Entry(
        "barlow-stepwise",
        "Loss over time at several depths, in steps, one a feature: lines as predicted, markers "
        "as trained.",
        barlow_stepwise,
        draw_barlow_stepwise,
        theorem="barlow-stepwise",
        quick={"points": 4, "depth": (2,), "start": (1e-2,)},
    ),
)
