"""The result of an experiment on images, beside what the theory foresees."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from .._core.enumeration import name_of
from .._core.plain import plain
from .._core.student import half_width

LAYERS = ("pre", "post")
CONFIDENCE = 0.95


class Outcome(eqx.Enumeration):
    """The theory's preference between both sides of a head, against the measurement."""

    agrees = "The layer that the theory prefers reads the labels better."
    disagrees = "The other layer reads the labels better."
    undecided = "The seeds do not tell both layers apart, in the theory or in the measurement."
    no_head = "There is no head, and one representation."


class Interval(eqx.Module):
    """Mean over seeds with a 95 per cent interval of Student's t distribution.

    - `mean`, `half`: the centre and half the width.
    """

    mean: Float[np.ndarray, "..."]
    half: Float[np.ndarray, "..."]

    def sign(self) -> Float[np.ndarray, "..."]:
        """Sign of the mean where the interval does not have zero, else zero."""
        return np.where(np.abs(self.mean) > self.half, np.sign(self.mean), 0.0)


def interval(values: Float[np.ndarray, "... n"]) -> Interval:
    """Interval over the last axis, the seeds; of one seed it is infinite."""
    values = np.asarray(values, float)
    count = values.shape[-1]
    if count < 2:
        return Interval(values.mean(axis=-1), np.full(values.shape[:-1], np.inf))
    return Interval(values.mean(axis=-1), half_width(values, (1 + CONFIDENCE) / 2))


class ImageExperiment(eqx.Module):
    r"""Accuracy of readouts before and after the head, for each condition, measure and seed.

    - `accuracy` `(C, M, 2, N)`: conditions, measures, before and after the head, seeds.
    - `predicted` `(C, N)`: ridge indicator after the head over that before it, which the theory
      gives from the layer below the head.
    - `indicator` `(C, 2, N)`: ridge indicator of both layers by `pt.inspect`, from the layers' own
      moments.
    - `signal` `(C, 2, N, m)`: their largest signal fractions.
    - `loss` `(C, N)`: training loss of the last epoch.
    - `name`, `conditions`, `measures`: of the experiment, and of the axes.
    - `heads`: whether there is a head, for each condition.
    - `chance`: the accuracy of guessing.
    - `settings`: of the runs.
    - `seconds`: of the experiment.

    A ratio above 1 prefers the layer before the head, a ratio below 1 the layer after it.
    """

    accuracy: Float[np.ndarray, "C M 2 N"]
    predicted: Float[np.ndarray, "C N"]
    indicator: Float[np.ndarray, "C 2 N"]
    signal: Float[np.ndarray, "C 2 N m"]
    loss: Float[np.ndarray, "C N"]
    name: str = eqx.field(static=True)
    conditions: tuple[str, ...] = eqx.field(static=True)
    measures: tuple[str, ...] = eqx.field(static=True)
    heads: tuple[bool, ...] = eqx.field(static=True)
    chance: float = eqx.field(static=True)
    settings: dict[str, Any] = eqx.field(static=True)
    seconds: float = eqx.field(static=True)

    @property
    def difference(self) -> Interval:
        """Accuracy before minus after the head, `(C, M)`, in pairs of the same seed."""
        return interval(self.accuracy[:, :, 0] - self.accuracy[:, :, 1])

    @property
    def preferred(self) -> Interval:
        """Logarithm of the predicted ratio, `(C,)`: above zero the theory prefers pre."""
        return interval(np.log(self.predicted))

    @property
    def inspected(self) -> Interval:
        """Logarithm of the ratio of both layers' own indicators, `(C,)`."""
        return interval(np.log(self.indicator[:, 1] / self.indicator[:, 0]))

    def summary(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean accuracies with half the width of their intervals, and the theory's preferences.

        `(C, M, 2)` twice, and `(C,)`: 1 for pre, -1 for post, 0 for neither.
        """
        accuracy = interval(self.accuracy)
        return accuracy.mean, accuracy.half, self.preferred.sign()

    def outcomes(self) -> list[list[Any]]:
        """An entry of `Outcome` for each condition and measure."""
        wanted, measured = self.preferred.sign(), self.difference.sign()
        found = []
        for i, head in enumerate(self.heads):
            row = []
            for j in range(len(self.measures)):
                if not head:
                    row.append(Outcome.no_head)
                elif wanted[i] == 0 or measured[i, j] == 0:
                    row.append(Outcome.undecided)
                else:
                    same = wanted[i] == measured[i, j]
                    row.append(Outcome.agrees if same else Outcome.disagrees)
            found.append(row)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, for JSON."""
        accuracy, names = interval(self.accuracy), self.outcomes()
        rows = []
        for i, condition in enumerate(self.conditions):
            for j, measure in enumerate(self.measures):
                rows.append(
                    {
                        "condition": condition,
                        "measure": measure,
                        "pre": plain(accuracy.mean[i, j, 0]),
                        "pre_half": plain(accuracy.half[i, j, 0]),
                        "post": plain(accuracy.mean[i, j, 1]),
                        "post_half": plain(accuracy.half[i, j, 1]),
                        "difference": plain(self.difference.mean[i, j]),
                        "difference_half": plain(self.difference.half[i, j]),
                        "predicted_log_ratio": plain(self.preferred.mean[i]),
                        "predicted_log_ratio_half": plain(self.preferred.half[i]),
                        "inspected_log_ratio": plain(self.inspected.mean[i]),
                        "inspected_log_ratio_half": plain(self.inspected.half[i]),
                        "outcome": name_of(Outcome, names[i][j]),
                    }
                )
        arrays = ("accuracy", "predicted", "indicator", "signal", "loss")
        return {
            "name": self.name,
            "conditions": list(self.conditions),
            "measures": list(self.measures),
            "seeds": self.accuracy.shape[-1],
            "chance": self.chance,
            "settings": self.settings,
            "seconds": round(self.seconds, 1),
            "rows": rows,
            **{name: plain(getattr(self, name)) for name in arrays},
        }

    def to_xarray(self):
        """All numbers as a labelled `xarray.Dataset`."""
        import xarray

        axes = {
            "accuracy": ("condition", "measure", "layer", "seed"),
            "predicted": ("condition", "seed"),
            "indicator": ("condition", "layer", "seed"),
            "signal": ("condition", "layer", "seed", "mode"),
            "loss": ("condition", "seed"),
        }
        return xarray.Dataset(
            {name: (dims, getattr(self, name)) for name, dims in axes.items()},
            coords={
                "condition": list(self.conditions),
                "measure": list(self.measures),
                "layer": list(LAYERS),
                "seed": np.arange(self.accuracy.shape[-1]),
            },
            attrs={"name": self.name, "chance": self.chance, "seconds": self.seconds},
        )

    def table(self):
        """A `report.Sheet`, a row for each condition and measure, for `report.print_table`.

        Accuracies and differences in per cent with half the width of their intervals; the
        predicted logarithm of the ratio of indicators, above zero where the theory prefers pre.
        """
        from ..report import Sheet, Shown

        table = Sheet(f"{self.name}: accuracy in per cent, {self.accuracy.shape[-1]} seeds")
        for name in ("condition", "measure"):
            table.column(name, text=True)
        for name in ("pre", "post", "pre - post"):
            table.column(name, [name, f"{name} half width"])
        table.column("theory")
        for name in ("prefers", "came out"):
            table.column(name, text=True)
        accuracy, gap, names = interval(self.accuracy), self.difference, self.outcomes()
        show = lambda a, b: Shown(
            f"{100 * a:.1f}" + (f" ± {100 * b:.1f}" if np.isfinite(b) else ""),
            (100 * float(a), 100 * float(b) if np.isfinite(b) else None),
        )
        none = Shown("", (None, None))
        sides = {1.0: "pre", -1.0: "post", 0.0: "neither"}
        for i, condition in enumerate(self.conditions):
            for j, measure in enumerate(self.measures):
                mean, half = accuracy.mean[i, j], accuracy.half[i, j]
                cells = [show(mean[0], half[0]), none, none, "", "", "no head"]
                if self.heads[i]:
                    ratio = self.preferred
                    cells = [
                        show(mean[0], half[0]),
                        show(mean[1], half[1]),
                        show(gap.mean[i, j], gap.half[i, j]),
                        Shown(f"{ratio.mean[i]:+.2f}", (float(ratio.mean[i]),)),
                        sides[float(ratio.sign()[i])],
                        name_of(Outcome, names[i][j]),
                    ]
                first = Shown(condition if j == 0 else "", (condition,))
                table.record(first, measure, *cells)
        return table

    def plot(self, ax: Any = None):
        """Plot accuracies before and after the head with their intervals; returns the axes."""
        from ..figures import plot_image_experiment

        return plot_image_experiment(self, ax)
