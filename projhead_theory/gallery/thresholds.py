"""Features that a threshold keeps out of the last layer, and what is left of them below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import experiments, theory
from ..figures import MARKERS, band, boundary, closed_form, colour, key, legend, log_axis, panels
from ..figures import trained as marks
from ..networks import ShallowThresholded, ThresholdedDiagonal
from ..problems import ContrastiveProblem, Features, SignFlip
from ..simulation import Trajectory, gradient_flow
from ._common import dataset, numbered, one_each
from ._entry import Entry

if TYPE_CHECKING:
    import xarray

SIDES = (("after the head", "-", "o"), ("before the head", "--", "s"))


def _trained(
    weights: Any, thresholds: Any, strength: Any, flip: Any, times: np.ndarray
) -> Trajectory:
    """A diagonal network trained on features with sign flips, recorded at these times."""
    problem = ContrastiveProblem(Features(strength), SignFlip(flip))
    start = ThresholdedDiagonal(weights, thresholds)
    return gradient_flow(start, problem, t1=float(times[-1]), save_at=times, stationarity=0.0)


def threshold_law(
    strength: tuple[float, ...] = (1.0, 1.6, 0.8),
    flip: tuple[float, ...] = (0.05, 0.15, 0.1),
    weight_1: tuple[float, ...] = (0.7, 0.8, 1.3),
    weight_2: tuple[float, ...] = (0.6, 0.4, 0.5),
    threshold_1: tuple[float, ...] = (0.1, 0.2, 0.1),
    threshold_2: tuple[float, ...] = (0.2, 0.1, 0.3),
    points: int = 24,
) -> xarray.Dataset:
    """Amplitudes of both layers along training, and the curve that conserves the law."""
    d = len(strength)
    each = lambda name, value: one_each(name, value, d)
    weights = np.stack([each("weight_1", weight_1), each("weight_2", weight_2)])
    thresholds = np.stack([each("threshold_1", threshold_1), each("threshold_2", threshold_2)])
    phi, times = jnp.asarray(strength), np.geomspace(1e-2, 10, points)
    run = _trained(weights, thresholds, strength, each("flip", flip), times)
    seen = np.asarray(run.each(lambda n: n.amplitudes(phi)))[:points]
    share = np.linspace(0, 1, 60)[:, None]
    last = (1 - share) * seen[0, 1] + share * seen[-1, 1]
    law = theory.thresholds.threshold_law(
        jnp.asarray(last), jnp.asarray(weights), jnp.asarray(thresholds), phi
    )
    dims = ("sample", "feature")
    return dataset(
        {
            "last": (dims, last),
            "theory": (dims, law[:, 0]),
            "linear": (dims, np.sqrt(np.asarray(strength) * last)),
            "trained": (("time", "layer", "feature"), seen),
        },
        {"feature": numbered(d), "layer": [1, 2], "time": times},
    )


def draw_threshold_law(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, feature in enumerate(data.feature.values):
        own = data.sel(feature=feature)
        closed_form(ax, own["last"], own.theory, colour(i), label=f"feature {feature}")
        closed_form(ax, own["last"], own.linear, colour(i), ls=":")
        after, before = own.trained.sel(layer=2), own.trained.sel(layer=1)
        marks(ax, after[::2], before[::2], colour(i), MARKERS[i % 7])
    for label, style in (("law", "-"), ("linear, balanced", ":"), ("trained", "o")):
        key(ax, label, style)
    ax.set(xlabel="amplitude after the head", ylabel="amplitude before the head")
    legend(ax)


def absent_features(
    weight: tuple[float, float] = (1.0, 0.8),
    threshold: tuple[float, float] = (0.3, 0.25),
    flip: float = 0.1,
    largest: float = 1.2,
    points: int = 24,
) -> xarray.Dataset:
    """Amplitude of features of many strengths in both layers after training, and the edges."""
    fine, phi = np.linspace(0.01, largest, 300), np.linspace(largest / points, largest, points)
    columns = lambda values, count: np.broadcast_to(np.asarray(values)[:, None], (2, count))
    run = _trained(
        columns(weight, points),
        columns(threshold, points),
        phi,
        np.full(points, flip),
        np.array([1.0, 40.0]),
    )
    w, b = (jnp.asarray(columns(values, len(fine))) for values in (weight, threshold))
    signal = jnp.full(len(fine), (1 - 2 * flip) ** 2)
    ends = theory.thresholds.threshold_limit(w, b, jnp.asarray(fine), signal)
    return dataset(
        {
            "theory": (("layer", "fine"), ends),
            "trained": (("layer", "strength"), run.final.amplitudes(jnp.asarray(phi))),
            "edge": ("layer", theory.thresholds.threshold_reach(w, b)[:, 0]),
        },
        {"layer": [1, 2], "fine": fine, "strength": phi},
    )


def draw_absent_features(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, (side, style, marker) in enumerate(SIDES):
        own = data.sel(layer=2 - i)
        value = own.theory.values.copy()
        jump = np.searchsorted(own.fine.values, float(data.edge[1]), side="right")
        # At the edge of the last layer both jump: lines end there and begin anew.
        fine = np.insert(own.fine.values, jump, float(data.edge[1]))
        closed_form(ax, fine, np.insert(value, jump, np.nan), colour(i), ls=style, label=side)
        marks(ax, own.strength, own.trained, colour(i), marker)
        boundary(ax, own.edge)
    key(ax, "theory")
    key(ax, "trained", "o")
    ax.set(xlabel=r"strength $\phi$ (grey: edges)", ylabel="amplitude after training")
    legend(ax, 2)


def feature_sweep(
    strength: tuple[float, float] = (0.1, 1.2),
    flip: tuple[float, ...] = (0.0, 0.2, 0.5),
    weight: tuple[float, float] = (1.0, 0.8),
    threshold: tuple[float, float] = (0.3, 0.25),
    points: int = 23,
) -> xarray.Dataset:
    """Weights of both layers over strengths from one to another, at several flip probabilities."""
    start = ThresholdedDiagonal(np.asarray(weight)[:, None], np.asarray(threshold)[:, None])
    return swept(start, np.linspace(*strength, points), flip)


def swept(start: ThresholdedDiagonal, strength: Any, flip: Any) -> xarray.Dataset:
    """A sweep of features through one diagonal network, as numbers."""
    sweep = experiments.feature_sweep(start, jnp.asarray(strength), jnp.asarray(flip))
    return sweep.to_xarray().drop_vars("ended").rename(flips="flip")


def draw_feature_sweep(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    plot_strengths(ax, data)
    legend(ax, 2)


def plot_strengths(ax: Any, data: xarray.Dataset) -> None:
    """Weights over strength: colours by flip probability, lines and markers by layer."""
    strength, last = data.strength.values, float(data.reach[-1])
    jump = np.searchsorted(strength, last, side="right")
    for i, flip in enumerate(data.flip.values):
        for j, (_, style, marker) in enumerate(SIDES):
            own = data.isel(layer=-1 - j).sel(flip=flip)
            # At the edge of the last layer both layers jump: lines end there and begin anew.
            at = np.insert(strength, jump, last)
            line = np.insert(own.predicted.values, jump, np.nan)
            label = None if j else f"flip probability {flip:g}"
            closed_form(ax, at, line, colour(i), ls=style, label=label)
            marks(ax, strength, own.measured, colour(i), marker, ms=3.5)
    for side, style, marker in SIDES:
        key(ax, side, style + marker)
    for edge in data.reach.values[-2:]:
        boundary(ax, edge)
    ax.set(xlabel=r"strength $\phi$ (grey: edges)", ylabel=r"weight $A / \phi$")


def retained_when_vanishing(
    strength: float = 1.0, threshold: float = 0.2, t1: float = 1e5, points: int = 15
) -> xarray.Dataset:
    """Amplitude in both layers of a feature without signal, with a threshold and without."""
    phi, times = jnp.full(2, strength), np.geomspace(1e-1, t1, points)
    weights, thresholds = np.ones((2, 2)), np.array([[0.0, 0.0], [threshold, 0.0]])
    run = _trained(weights, thresholds, [strength] * 2, np.full(2, 0.5), times)
    seen = np.asarray(run.each(lambda n: n.amplitudes(phi)))[:points]
    # The closed form is the time to a last amplitude, which falls from that of the start.
    first = ThresholdedDiagonal(weights, thresholds).amplitudes(phi)[1]
    last = np.geomspace(0.99, 1e-3, 200)[:, None] * np.asarray(first)
    last, w, b = jnp.asarray(last), jnp.asarray(weights), jnp.asarray(thresholds)
    when = theory.thresholds.threshold_time(last, w, b, phi, jnp.zeros(2))
    law = theory.thresholds.threshold_law(last, w, b, phi)
    return dataset(
        {
            "when": (("sample", "case"), when),
            "theory": (("sample", "layer", "case"), law),
            "trained": (("time", "layer", "case"), seen),
        },
        {"case": ["threshold", "none"], "layer": [1, 2], "time": times},
        threshold=threshold,
    )


def draw_retained_when_vanishing(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, name in enumerate((f"threshold {data.threshold:g}", "no threshold")):
        for j, (_, style, marker) in enumerate(SIDES):
            own = data.isel(case=i, layer=1 - j)
            label = None if j else name
            shown = (own.when > 0.05) & (own.when <= own.time.max())
            when, line = own.when[shown], own.theory[shown]
            closed_form(ax, when, line, colour(i), ls=style, label=label)
            marks(ax, own.time, own.trained, colour(i), marker)
    for side, style, marker in SIDES:
        key(ax, side, style + marker)
    for axis in (ax.xaxis, ax.yaxis):
        log_axis(axis)
    ax.set(xlabel="time $t$", ylabel="amplitude of the feature")
    legend(ax, 2)


def fully_connected(
    strength: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8),
    flip: tuple[float, ...] = (0.0, 0.5),
    threshold: tuple[float, float] = (0.05, 0.05),
    hidden: int = 16,
    outputs: int = 8,
    scale: float = 0.4,
    steps: int = 800,
    seed: int = 0,
    seeds: int = 12,
) -> xarray.Dataset:
    """Squared weight of a weak feature in fully connected layers, as a share of a strong one's.

    Less the weight of a direction that never varied, with limits over seeds.
    """

    def start(key_of_start: Any) -> ShallowThresholded:
        sizes = (4, hidden, outputs)
        return ShallowThresholded.init(key_of_start, sizes, scale, threshold, final=True)

    sweep = experiments.connected_sweep(
        start,
        jnp.asarray(strength),
        jnp.asarray(flip),
        key=jax.random.key(seed),
        seeds=seeds,
        steps=steps,
    )
    low, high = sweep.limits
    dims = ("layer", "strength", "flip")
    return dataset(
        {
            "share": (dims, sweep.share),
            "low": (dims, low),
            "high": (dims, high),
            "edge": ("layer", sweep.reach),
        },
        {"layer": [1, 2], "strength": strength, "flip": flip},
    )


def draw_fully_connected(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, flip in enumerate(data.flip.values):
        for j, (_, style, marker) in enumerate(SIDES):
            own = data.isel(layer=-1 - j).sel(flip=flip)
            label = None if j else f"flip probability {flip:g}"
            # No closed form: markers are joined, and their limits shaded.
            band(ax, own.strength, own.low, own.high, colour(i))
            marks(ax, own.strength, own.share, colour(i), marker, ls=style, lw=0.8, label=label)
    for side, style, marker in SIDES:
        key(ax, side, style + marker)
    boundary(ax, 0, vertical=False)
    for edge in data.edge.values:
        boundary(ax, edge)
    log_axis(ax.xaxis)
    # Shares run from hundredths, where absence is decided, to tens.
    ax.set_yscale("symlog", linthresh=0.1)
    ax.set_ylim(top=1.5 * float(data.high.max()))
    ax.set(
        xlabel=r"strength $\phi$ (grey: edges of the diagonal network)",
        ylabel="squared weight, share of a strong one's",
    )
    legend(ax, 2)


ENTRIES = (
    Entry(
        "threshold-law",
        "Amplitude before the head against the amplitude after it, along training: lines of the "
        "law, markers of trained networks.",
        threshold_law,
        draw_threshold_law,
        theorem="threshold-law",
        quick={"points": 5},
    ),
    Entry(
        "absent-features",
        "Amplitude after training in both layers against the strength: between the two edges it "
        "is positive in the first and zero in the second.",
        absent_features,
        draw_absent_features,
        theorem="absent-features",
        quick={"points": 6},
    ),
    Entry(
        "feature-sweep",
        "Weight before and after the head against the strength, for several flip probabilities.",
        feature_sweep,
        draw_feature_sweep,
        theorem="absent-features",
        quick={"points": 5, "flip": (0.0, 0.2)},
    ),
    Entry(
        "retained-when-vanishing",
        "Amplitudes of a feature without signal over time in both layers, with a threshold and "
        "without: the first layer levels off, or not.",
        retained_when_vanishing,
        draw_retained_when_vanishing,
        theorem="retained-when-vanishing",
        quick={"points": 5, "t1": 1e3},
    ),
    Entry(
        "fully-connected",
        "Squared weight of a weak feature in fully connected layers, as a share of a strong one's, "
        "against its strength: means over seeds and their limits, of one level, 0.001, for all.",
        fully_connected,
        draw_fully_connected,
        theorem="fully-connected",
        quick={"strength": (0.2, 0.8), "flip": (0.0,), "steps": 100, "seeds": 3},
    ),
)
