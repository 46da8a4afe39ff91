"""Accuracy of reading a layer over training time: subclasses, and shifted groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import measure, theory
from .._core.errors import bad
from ..figures import MARKERS, boundary, closed_form, colour, key, legend, log_axis, panels
from ..figures import trained as marks
from ..losses import mse, spectral
from ..networks import DeepLinear
from ..problems import Groups, SupervisedContrastiveProblem, SupervisedProblem
from ..simulation import gradient_flow
from ._common import dataset, numbered
from ._entry import Entry

if TYPE_CHECKING:
    import xarray

DASHES = ("-", "--", ":", "-.")


def _read(
    groups: Groups,
    loss: str,
    depth: int,
    start: float,
    times: tuple[np.ndarray, np.ndarray],
    fitted: tuple[Groups, ...],
    tested: Groups,
    blur: float,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Accuracies of each readout on each group in closed form and trained, each at its times.

    The start is balanced, and has one weight in all directions.
    """
    fine, seen_at = times
    d, regression = groups.dim, loss == "regression"
    kind = SupervisedProblem.signs if regression else SupervisedContrastiveProblem
    problem = kind(groups)
    # The label is the first output, so its direction comes first, with its sign.
    _, directions = jnp.linalg.eigh(groups.second)
    along = SupervisedProblem.signs(groups).moments().target[0] @ directions
    order = jnp.argsort(-jnp.abs(along))
    directions = directions[:, order] * jnp.where(along[order] < 0, -1.0, 1.0)
    network = DeepLinear.aligned(directions, jnp.full(d, start), (d,) * (depth + 1))
    run = gradient_flow(
        network,
        SupervisedProblem.signs(groups, d).moments() if regression else problem.moments(),
        loss=mse if regression else spectral,
        t1=float(seen_at[-1]),
        save_at=seen_at,
        stationarity=0.0,
    )
    networks = jax.tree.map(lambda x: x[: len(seen_at)], run.networks)
    grams = theory.supervised.class_grams(problem, jnp.asarray(fine), start, depth)
    accuracy = theory.supervised.group_accuracy
    closed = [jax.vmap(lambda g, f=f: accuracy(g, f, tested, blur).groups)(grams) for f in fitted]
    found = [
        jax.vmap(lambda n, f=f: measure.group_accuracy(n, f, tested, blur))(networks)
        for f in fitted
    ]
    return [np.asarray(x) for x in closed], [np.asarray(x) for x in found]


def coarse_to_fine(
    strength: tuple[float, float] = (1.2, 0.9),
    noise: tuple[float, float] = (0.3, 0.35),
    depth: int = 2,
    start: float = 0.5,
    blur: float = 0.25,
    t1: float = 300.0,
    points: int = 20,
) -> xarray.Dataset:
    """Accuracy of reading the subclass off every layer over time, for both losses."""
    groups = Groups.signs(strength, noise, [0.0])
    read, fine, times = groups.read(1), np.geomspace(0.3, t1, 100), np.geomspace(0.3, t1, points)
    losses, closed, seen = ("contrastive", "regression"), [], []
    for loss in losses:
        law, found = _read(groups, loss, depth, start, (fine, times), (read,), read, blur)
        share = np.asarray(read.probability)
        closed.append(law[0] @ share)
        seen.append(found[0] @ share)
    return dataset(
        {
            "theory": (("loss", "fine", "layer"), closed),
            "trained": (("loss", "time", "layer"), seen),
        },
        {"loss": list(losses), "fine": fine, "time": times, "layer": numbered(depth)},
    )


def draw_coarse_to_fine(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    _lines(ax, data, "loss", {name: str(name) for name in data.loss.values})
    boundary(ax, 0.5, vertical=False)
    ax.set_ylabel("accuracy of reading the subclass")
    legend(ax)


def _lines(ax: Any, data: xarray.Dataset, dim: str, labels: dict[Any, str]) -> None:
    """Accuracies over time: colours along a dimension, lines and markers by layer."""
    layers = data.layer.values[::-1]
    for i, (value, label) in enumerate(labels.items()):
        for j, layer in enumerate(layers):
            own = data.sel({dim: value, "layer": layer})
            name = None if j else label
            closed_form(ax, own.fine, own.theory, colour(i), ls=DASHES[j % 4], label=name)
            marks(ax, own.time, own.trained, colour(i), MARKERS[j % 7], ms=3.5)
    for j, layer in enumerate(layers):
        key(ax, f"layer {layer}", DASHES[j % 4] + MARKERS[j % 7])
    log_axis(ax.xaxis)
    ax.set_xlabel("time $t$")


def shift(
    strength: tuple[float, ...] = (1.0, 1.2, 1.1),
    variance: float = 0.7,
    correlation: tuple[float, ...] = (0.9, 0.8),
    shifted: tuple[float, ...] = (-0.4, -0.3),
    depth: int = 3,
    start: float = 0.3,
    blur: float = 0.2,
    t1: float = 30.0,
    points: int = 12,
) -> xarray.Dataset:
    """Worst-group accuracy of every layer over time, of readouts as trained and refitted."""
    if not len(correlation) == len(shifted) == len(strength) - 1:
        sizes = f"{len(correlation)} and {len(shifted)} numbers"
        raise bad("correlation, shifted", sizes, f"{len(strength) - 1}, one for each other feature")
    r = np.asarray(correlation)
    explained = np.append(0, np.square(strength[1:]) * (1 - r**2))
    if (explained >= variance).any():
        raise bad("variance", variance, f"more than {explained.max():.3g}, the part of the groups")
    # Given the label, all features have the same variance: then the moments commute.
    noise = np.sqrt(variance - explained)
    groups = lambda r: Groups.signs(strength, noise, r)
    fitted = groups(correlation), groups(np.zeros(len(r)))
    fine, times = np.geomspace(0.3, t1, 100), np.geomspace(0.3, t1, points)
    law, seen = _read(
        fitted[0], "regression", depth, start, (fine, times), fitted, groups(shifted), blur
    )
    return dataset(
        {
            "theory": (("readout", "fine", "layer"), [x.min(-1) for x in law]),
            "trained": (("readout", "time", "layer"), [x.min(-1) for x in seen]),
        },
        {
            "readout": ["training", "refitted"],
            "fine": fine,
            "time": times,
            "layer": numbered(depth),
        },
    )


def draw_shift(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    _lines(ax, data, "readout", {"training": "readout as trained", "refitted": "readout refitted"})
    ax.set(ylabel="accuracy on the worst group", ylim=(0, 1))
    legend(ax)


ENTRIES = (
    Entry(
        "coarse-to-fine",
        "Accuracy of a subclass readout of each layer over training time, for both losses.",
        coarse_to_fine,
        draw_coarse_to_fine,
        theorem="coarse-to-fine",
        quick={"points": 4, "t1": 30.0},
    ),
    Entry(
        "shift",
        "Worst-group accuracy over training time in each layer: readouts fitted on the training "
        "distribution, and refitted.",
        shift,
        draw_shift,
        theorem="shift",
        quick={"points": 4, "depth": 2},
    ),
)
