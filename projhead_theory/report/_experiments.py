"""Results of experiments, as plain data and as tables."""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..experiments import ConnectedSweep, CosineGap, FeatureSweep, ShiftAccuracy, SubclassAccuracy
from ._json import environment
from ._sheet import Sheet, Shown

Result = ConnectedSweep | CosineGap | FeatureSweep | ShiftAccuracy | SubclassAccuracy


def experiment_report(name: str, result: Result) -> dict[str, Any]:
    """The result of an experiment, with the experiment's name and the environment."""
    return {"experiment": name} | result.to_dict() | {"environment": environment()}


def experiment_table(result: Result) -> Sheet:
    """Table of an experiment: one row a setting, measured beside the closed form.

    A question mark stands where there is no number.
    """
    title, names, rows = _content(result)
    table = Sheet(title)
    for name in names:
        # Where a row has several closed forms, each is that of the layer before it.
        table.column("closed form" if name.endswith("closed form") else name, [name])
    for row in rows:
        table.record(*row)
    return table


@functools.singledispatch
def _content(result: Any) -> tuple[str, list[str], Iterator[list[Any]]]:
    """Title, names of the columns and rows."""
    raise TypeError(f"no table of a {type(result).__name__}")


def _cells(*values: Any) -> list[float | None]:
    return [float(x) if np.isfinite(x) else None for x in values]


@_content.register
def _(result: FeatureSweep) -> tuple[str, list[str], Iterator[list[Any]]]:
    measured, predicted = np.asarray(result.measured), np.asarray(result.predicted)
    layers = range(1, len(measured) + 1)
    pairs = [name for layer in layers for name in (f"layer {layer}", f"layer {layer} closed form")]

    def rows() -> Iterator[list[Any]]:
        for i, strength in enumerate(np.asarray(result.strength)):
            for j, flip in enumerate(np.asarray(result.flips)):
                both = np.stack([measured[:, i, j], predicted[:, i, j]], axis=1)
                yield _cells(strength, flip, *both.ravel())

    return "Weight of a feature after training", ["strength", "flip", *pairs], rows()


@_content.register
def _(result: ConnectedSweep) -> tuple[str, list[str], Iterator[list[Any]]]:
    (low, high), share = result.limits, result.share
    verdict, foretold = result.verdict, result.foretold

    def rows() -> Iterator[list[Any]]:
        for i, strength in enumerate(np.asarray(result.strength)):
            for j, flip in enumerate(np.asarray(result.flips)):
                for layer in range(len(share)):
                    at = layer, i, j
                    yield [
                        *_cells(strength, flip),
                        layer + 1,
                        *_cells(share[at], low[at], high[at]),
                        verdict[at],
                        foretold[at],
                    ]

    names = ["strength", "flip", "layer", "share", "low", "high", "verdict", "diagonal"]
    title = f"Squared weight, share of a strong feature's; {result.squares.shape[3]} seeds"
    return title, names, rows()


@_content.register
def _(result: SubclassAccuracy) -> tuple[str, list[str], Iterator[list[Any]]]:
    predicted, mean, error = (np.asarray(x) for x in (result.predicted, result.mean, result.error))

    def rows() -> Iterator[list[Any]]:
        for i, width in enumerate(np.asarray(result.widths)):
            for layer in range(mean.shape[-1]):
                for t, time in enumerate(np.asarray(result.times)):
                    at = i, t, layer
                    yield [
                        int(width),
                        layer + 1,
                        *_cells(time, mean[at], error[at], predicted[at]),
                    ]

    names = ["width", "layer", "time", "accuracy", "error", "closed form"]
    return f"Accuracy of a subclass readout; {result.measured.shape[1]} starts", names, rows()


@_content.register
def _(result: ShiftAccuracy) -> tuple[str, list[str], Iterator[list[Any]]]:
    average, worst = (np.asarray(result.over_starts(name)) for name in ("average", "worst"))
    closed = np.asarray(result.predicted_average), np.asarray(result.predicted_worst)
    cuts = np.asarray(result.thresholds)

    def rows() -> Iterator[list[Any]]:
        for c, correlation in enumerate(np.asarray(result.correlation)):
            for h, threshold in enumerate(cuts):
                for r, readout in enumerate(("as trained", "refitted")):
                    for t, time in enumerate(np.asarray(result.times)):
                        for layer in range(worst.shape[-1]):
                            at = r, c, h, t, layer
                            # The closed form is of the linear network.
                            own = closed[1][r, c, t, layer] if threshold == 0 else np.nan
                            yield [
                                Shown(
                                    ", ".join(f"{x:.4g}" for x in correlation),
                                    (" ".join(map(str, map(float, correlation))),),
                                ),
                                *_cells(threshold),
                                readout,
                                *_cells(time),
                                layer + 1,
                                *_cells(average[0][at], worst[0][at], worst[1][at], own),
                            ]

    names = ["correlation", "threshold", "readout", "time", "layer"]
    names += ["average", "worst group", "error", "closed form"]
    return f"Accuracy under shift; {result.measured.shape[3]} starts", names, rows()


@_content.register
def _(result: CosineGap) -> tuple[str, list[str], Iterator[list[Any]]]:
    means = [np.asarray(x).mean(axis=-1) for x in (result.cosines, result.products)]
    (cosines, products), halves = means, result.half_widths

    def rows() -> Iterator[list[Any]]:
        for j, count in enumerate(np.asarray(result.features)):
            for i, temperature in enumerate(np.asarray(result.temperature)):
                numbers = cosines[i, j], halves[0][i, j], products[i, j], halves[1][i, j]
                yield [int(count), *_cells(temperature, *numbers)]

    names = ["features", "temperature", "cosines", "± cosines", "products", "± products"]
    title = f"Distance of trained shares from two closed forms; {result.cosines.shape[2]} starts"
    return title, names, rows()
