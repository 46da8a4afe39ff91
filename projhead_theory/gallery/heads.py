"""Fixed heads in place of trained ones: equivalence, matching, and the best ratio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import measure, theory
from .._core.errors import bad
from ..figures import MARKERS, boundary, closed_form, colour, ink, key, legend, log_axis, panels
from ..figures import trained as marks
from ..moments import Moments
from ..networks import DeepLinear, DiagonalHead, Headed, ReweightingHead, TruncationHead
from ..problems import Downstream
from ..simulation import gradient_flow, implicit
from ._common import balanced, dataset, mixed_moments, numbered
from ._entry import Entry

if TYPE_CHECKING:
    import xarray


def _small(seed: int, dim: int) -> DeepLinear:
    return DeepLinear.init(jax.random.key(seed), (dim, dim), 0.3)


def _pair(cross: Any, second: Any) -> Moments:
    if len(cross) != len(second):
        raise bad("second", f"{len(second)} numbers", f"{len(cross)}, one for each cross moment")
    return Moments(np.diag(cross), np.diag(second))


def head_equivalence(
    kappa: tuple[float, ...] = (1.0, 1.3, 1.8),
    diagonal: tuple[float, ...] = (0.4, 1.6, 0.9, 0.7),
    truncated: int = 2,
    t1: float = 1e3,
    points: int = 200,
    seed: int = 0,
) -> xarray.Dataset:
    """Loss over time from one start under several fixed heads, and the two minima."""
    d = len(diagonal)
    data, start = mixed_moments(d, seed), _small(seed, d)
    names = ["no head" if k == 1 else rf"$\kappa$ = {k:g}" for k in kappa]
    heads = [ReweightingHead(k) for k in kappa]
    names += ["unequal diagonal", f"{truncated} of {d} units"]
    heads += [DiagonalHead(diagonal), TruncationHead(truncated)]
    times = np.append(0, np.geomspace(0.01, t1, points))
    runs = [gradient_flow(Headed(start, head), data, t1=t1, save_at=times) for head in heads]
    minima = [float(theory.layers.spectral(data, width).loss) for width in (d, truncated)]
    return dataset(
        {
            "trained": (("head", "time"), [run.loss[1 : points + 1] for run in runs]),
            "theory": ("minimum", minima),
        },
        {"head": names, "time": times[1:], "minimum": ["all units", "truncated"]},
    )


def draw_head_equivalence(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    count, times = data.sizes["head"], data.sizes["time"]
    for i, name in enumerate(data["head"].values):
        own = data.isel(head=i)
        # Markers of the heads take turns, so that runs which end together can be told apart.
        every = slice(i * times // (12 * count), None, max(1, times // 12))
        ax.plot(own.time, own.trained, color=colour(i), lw=0.8, zorder=2)
        marks(ax, own.time[every], own.trained[every], colour(i), MARKERS[i], label=name)
    for value in data.theory.values:
        boundary(ax, value, vertical=False)
    key(ax, "closed-form minimum")
    log_axis(ax.xaxis)
    ax.set(xlabel="time $t$", ylabel="loss")
    legend(ax)


def sorted_matching(
    cross: tuple[float, ...] = (0.9, 0.5, 0.35),
    second: tuple[float, ...] = (1.4, 0.6, 0.4),
    kappa: float = 1.5,
    points: int = 8,
    seed: int = 0,
) -> xarray.Dataset:
    """Weights before a fixed head over weight decay, and after gradient flow without decay."""
    data, d = _pair(cross, second), len(cross)
    rows = kappa ** -jnp.arange(float(d))
    network = Headed(_small(seed, d), DiagonalHead(rows))

    def end(decay: jax.Array) -> jax.Array:
        run = gradient_flow(network, data, weight_decay=decay, t1=1e5, save_at=2)
        return measure.layer_weights(run.final)[0]

    fine, decays = np.geomspace(2e-3, 2, 120), np.geomspace(4e-3, 1.2, points)
    c, q = jnp.asarray(cross), jnp.asarray(second)
    closed = [theory.heads.decayed_matching(c, q, rows, float(decay)) for decay in fine]
    seen = jax.jit(jax.vmap(end))(jnp.asarray(np.append(0, decays)))
    return dataset(
        {
            "theory": (("fine", "feature"), closed),
            "trained": (("weight_decay", "feature"), seen[1:]),
            "without_decay": ("feature", seen[0]),
        },
        {"fine": fine, "weight_decay": decays, "feature": numbered(d)},
        limit=float(theory.heads.matching_limit(c, q, rows)),
    )


def draw_sorted_matching(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    zero = float(data.fine.min()) / 1.5
    for i, feature in enumerate(data.feature.values):
        own = data.sel(feature=feature)
        closed_form(ax, own.fine, own.theory, colour(i), label=f"feature {feature}")
        marks(ax, own.weight_decay, own.trained, colour(i))
        marks(ax, [zero], [own.without_decay], colour(i), "s", mfc=colour(i))
    boundary(ax, data.limit)
    key(ax, "theory")
    key(ax, "trained with decay", "o")
    ax.plot([], [], "s", color=ink(), label="trained without (left edge)")
    log_axis(ax.xaxis)
    ax.set(
        xlabel=r"weight decay $\gamma$ (grey: limit of sorted pairing)",
        ylabel="weight before the head",
    )
    legend(ax, 2)


def kappa_emulation(
    cross: tuple[float, ...] = (0.9, 0.7, 0.55, 0.4),
    second: tuple[float, ...] = (1.0, 1.1, 1.5, 1.9),
    kappa: tuple[float, ...] = (1.1, 1.6),
    seed: int = 0,
) -> xarray.Dataset:
    """Weights below a trained head, below a fixed one that emulates it, and below power laws."""
    data, d = _pair(cross, second), len(cross)
    weights = jnp.sqrt(jnp.asarray(cross)) / jnp.asarray(second)
    best = float(theory.heads.kappa_emulation(weights).kappa)
    ratios = sorted([*kappa, best])

    def below(network: Any, decay: float) -> Any:
        run = gradient_flow(network, data, weight_decay=decay, t1=1e6, save_at=2)
        return measure.layer_weights(run.final)[0]

    start, rank = _small(seed, d), np.arange(d)
    emulating = theory.heads.emulating_head(weights)
    heads = [DiagonalHead(emulating), *(ReweightingHead(ratio) for ratio in ratios)]
    seen = [below(balanced(seed, d, 2, 0.5), 0.0), *(below(Headed(start, h), 1e-4) for h in heads)]
    root = jnp.sqrt(weights)
    closed = [root, root, *(weights * ratio**rank for ratio in ratios)]
    names = ["trained", "fixed, emulating"]
    names += [rf"$\kappa$ = {k:.2f}" + ", best" * (k == best) for k in ratios]
    return dataset(
        {
            "theory": (("head", "feature"), closed),
            "trained": (("head", "feature"), seen),
            "after": ("feature", weights),
        },
        {"head": names, "feature": numbered(d)},
    )


def draw_kappa_emulation(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure, height=0.8)
    closed_form(ax, data.feature, data.after, ink(), lw=0.9, ls="--", label="after the head")
    for i, name in enumerate(data["head"].values):
        # A trained head and the one that emulates it have one line of theory.
        j, own = max(i - 1, 0), data.isel(head=i)
        closed_form(ax, own.feature, own.theory, colour(j))
        size = 7.5 if i == 0 else 4
        marks(
            ax, own.feature, own.trained, colour(j), MARKERS[i % 7], ms=size, label=f"head: {name}"
        )
    log_axis(ax.yaxis)
    ax.set_xticks(data.feature.values)
    ax.set(xlabel="feature, by weight", ylabel="weight before the head")
    legend(ax, 2)


def best_kappa(
    weight: tuple[float, ...] = (1.25, 0.95, 0.7, 0.4),
    strength: tuple[float, ...] = (0.9, 1.0, 1.2, 1.1),
    variance: tuple[float, ...] = (0.9, 0.8, 0.7, 0.6),
    points: int = 5,
    seed: int = 0,
) -> xarray.Dataset:
    """Indicator before fixed heads over the ratio of their diagonal, with each feature as label."""
    if not len(weight) == len(strength) == len(variance):
        sizes = f"{len(weight)}, {len(strength)} and {len(variance)} numbers"
        raise bad("weight, strength, variance", sizes, "as many of each")
    w, phi, d = jnp.asarray(weight), jnp.asarray(strength), len(weight)
    second = np.asarray(variance) / np.square(weight)
    data = _pair((np.asarray(weight) * second) ** 2, second)
    fine, tried = np.geomspace(0.9, 2.4, 100), np.geomspace(1, 2.2, points)
    patient = {
        "weight_decay": 1e-4,
        "t1": 1e7,
        "save_at": 2,
        "solver": implicit(),
        "stationarity": 1e-10,
    }
    start = _small(seed, d)
    runs = [
        gradient_flow(Headed(start, ReweightingHead(float(k))), data, **patient).final
        for k in tried
    ]
    closed, seen, best, least = [], [], [], []
    for j in range(d):
        closed.append(theory.heads.head_complexity(jnp.asarray(fine), w, phi, j))
        target = Downstream(np.diag(np.square(strength)), np.eye(d)[j] / strength[j])
        seen.append([float(measure.sample_complexity(run, target)[0]) for run in runs])
        ratio = theory.heads.best_kappa(w, phi, j)
        best.append(float(ratio))
        finite = bool(jnp.isfinite(ratio))
        least.append(float(theory.heads.head_complexity(ratio, w, phi, j)) if finite else np.nan)
    return dataset(
        {
            "theory": (("feature", "fine"), closed),
            "trained": (("feature", "kappa"), seen),
            "best": ("feature", best),
            "least": ("feature", least),
        },
        {"feature": numbered(d), "fine": fine, "kappa": tried},
    )


def draw_best_kappa(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, feature in enumerate(data.feature.values):
        own = data.sel(feature=feature)
        closed_form(ax, own.fine, own.theory, colour(i), label=f"label: feature {feature}")
        marks(ax, own.kappa, own.trained, colour(i), MARKERS[i % 7])
        if np.isfinite(own.least) and own.fine.min() <= own.best <= own.fine.max():
            marks(ax, own.best, own.least, ink(), "|", ms=11, mew=1.3, zorder=4)
    key(ax, "theory")
    key(ax, "trained", "o")
    key(ax, "best ratio", "|", ink())
    for axis in (ax.xaxis, ax.yaxis):
        log_axis(axis)
    ax.set(xlabel=r"ratio $\kappa$ of the head's diagonal", ylabel="indicator before the head")
    legend(ax, 2)


ENTRIES = (
    Entry(
        "head-equivalence",
        "Loss over time under several fixed heads: all invertible ones end at one minimum, a "
        "truncated one at that of fewer units.",
        head_equivalence,
        draw_head_equivalence,
        theorem="head-equivalence",
        quick={"kappa": (1.0, 1.8), "diagonal": (0.4, 1.6, 0.9), "points": 20},
    ),
    Entry(
        "sorted-matching",
        "Weights before a fixed head against weight decay, predicted and trained; plain gradient "
        "flow ends elsewhere, and beyond the limit of sorted pairing another one wins.",
        sorted_matching,
        draw_sorted_matching,
        theorem="sorted-matching",
        quick={"points": 3},
    ),
    Entry(
        "kappa-emulation",
        "Weights below a trained head against those below fixed heads that stand in for it.",
        kappa_emulation,
        draw_kappa_emulation,
        theorem="kappa-emulation",
        quick={"kappa": (1.6,), "cross": (0.9, 0.7, 0.5), "second": (1.0, 1.1, 1.5)},
    ),
    Entry(
        "best-kappa",
        "Indicator against the ratio of the head's diagonal, predicted and measured on trained "
        "encoders.",
        best_kappa,
        draw_best_kappa,
        theorem="best-kappa",
        quick={"points": 2},
    ),
)
