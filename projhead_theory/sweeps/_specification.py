"""Specification of a sweep: everything that its numbers follow from."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from .. import losses
from .._core import checks
from ..losses import AbstractLoss
from ..problems import AbstractLabel, Downstream, DownstreamProblem
from ._document import importable, plain, resolve
from ._problem import RESERVED, FeatureModel, Named
from ._quantities import QUANTITIES, Quantity, chosen, has_minimum
from ._recipe import STARTS, Recipe
from ._training import AbstractTraining, Descent, Flow

MOST = 10**9
"""The most runs of a sweep."""

METHODS: dict[str, Any] = {"descent": Descent, "flow": Flow}

LOSSES = {
    name: value
    for name in losses.__all__
    if isinstance(value := getattr(losses, name), AbstractLoss)
}
"""Losses by name."""


@dataclass(frozen=True)
class Specification:
    """A sweep, checked.

    - `problem`: the problem as a function of named parameters.
    - `axes`: the values of each axis.
    - `static`: axes whose values change shapes.
    - `document`: the same as plain data.
    - `portable`: true if the document says all.
    """

    problem: Named
    axes: dict[str, tuple[Any, ...] | np.ndarray]
    static: frozenset[str]
    seeds: int
    seed: int
    depth: int
    width: int | None
    start: Callable[..., Any]
    scale: Any
    loss: AbstractLoss
    training: AbstractTraining
    quantities: dict[str, Quantity]
    downstream: Any
    document: dict[str, Any]
    portable: bool

    @classmethod
    def of(
        cls,
        problem: Any,
        axes: Mapping[str, Any],
        *,
        seeds: int,
        seed: int,
        depth: int,
        width: int | None,
        start: Any,
        scale: Any,
        loss: Any,
        train: AbstractTraining,
        measure: Any,
        predict: Any,
        downstream: Any,
        static: Any,
    ) -> "Specification":
        """Specification from the arguments of `sweep`.

        **Raises:** `ValueError` for arguments out of range, and for a number of runs beyond
        `MOST`.
        """
        if not isinstance(train, AbstractTraining):
            raise checks.bad("train", type(train).__name__, "a Descent or a Flow")
        named = Named.of(problem)
        shapes = frozenset({"depth", "width", *static})
        values = {name: _values(name, given, name in shapes) for name, given in axes.items()}
        for name in values:
            if name not in RESERVED:
                named.place(name)
            elif name in named.names:
                raise checks.bad("axes", repr(name), "another name for the problem's parameter")
            elif name in ("learning_rate", "weight_decay") and name not in train.axes:
                raise checks.bad("axes", repr(name), f"one of {', '.join(train.axes)}")
        if missing := set(named.required) - {
            named.place(n)[0] for n in values if n not in RESERVED
        }:
            raise checks.bad("axes", f"none of {sorted(missing)[0]}", "a value for every parameter")
        if not isinstance(loss, AbstractLoss) and not (isinstance(loss, str) and loss in LOSSES):
            raise checks.bad("loss", repr(loss), f"a loss, or one of {', '.join(LOSSES)}")
        if start not in STARTS and not callable(start):
            raise checks.bad(
                "start", repr(start), f"{', '.join(STARTS)}, or a function (key, sizes, scale)"
            )
        tasks = AbstractLabel | Downstream | DownstreamProblem | int
        if downstream is not None and not isinstance(downstream, tasks):
            raise checks.bad(
                "downstream", repr(downstream), "a task, a label or the index of a feature"
            )
        chosen_loss = LOSSES[loss] if isinstance(loss, str) else loss
        refs = _Reference()
        document = {
            "precision": "float64" if jax.config.read("jax_enable_x64") else "float32",
            "problem": refs.problem(problem),
            "network": {
                "depth": checks.count("depth", depth),
                "width": None if width is None else checks.count("width", width),
                "start": start if isinstance(start, str) else refs.function(start),
                "scale": plain(checks.nonnegative("scale", scale)),
            },
            "axes": {name: np.asarray(v).tolist() for name, v in values.items()},
            "static": sorted(static),
            "seeds": checks.count("seeds", seeds),
            "seed": checks.count("seed", seed, 0),
            "loss": refs.loss(chosen_loss),
            "train": refs.training(train),
            "measure": refs.quantities(measure),
            "predict": refs.predictions(predict),
            "downstream": refs.task(downstream),
        }
        result = cls(
            problem=named,
            axes=values,
            static=frozenset(values) & shapes,
            seeds=seeds,
            seed=seed,
            depth=depth,
            width=width,
            start=STARTS[start] if isinstance(start, str) else start,
            scale=scale,
            loss=chosen_loss,
            training=train,
            quantities=chosen(measure, predict),
            downstream=downstream,
            document=document,
            portable=refs.portable,
        )
        if result.runs > MOST:
            raise too_many(result.runs)
        result.check()
        return result

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Specification":
        """Specification from plain data that says all."""
        problem, network, train = document["problem"], document["network"], dict(document["train"])
        functions = lambda x: {n: None if f is None else resolve(f) for n, f in x.items()}
        start, predicted = network["start"], document["predict"]
        return cls.of(
            resolve(problem) if "function" in problem else FeatureModel(**problem),
            document["axes"],
            seeds=document["seeds"],
            seed=document["seed"],
            depth=network["depth"],
            width=network["width"],
            start=start if isinstance(start, str) else resolve(start),
            scale=network["scale"],
            loss=document["loss"],
            train=METHODS[train.pop("method")](**train),
            measure=functions(document["measure"]),
            predict=predicted if isinstance(predicted, bool) else functions(predicted),
            downstream=document["downstream"],
            static=document["static"],
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the dimensions of the grid."""
        return (*self.axes, "seed")

    @property
    def shape(self) -> tuple[int, ...]:
        return (*(len(v) for v in self.axes.values()), self.seeds)

    @property
    def runs(self) -> int:
        total = 1
        for n in self.shape:
            total *= n
        return total

    @property
    def by_shape(self) -> tuple[bool, ...]:
        return tuple(name in self.static for name in self.names)

    def recipe(self, fixed: dict[str, Any]) -> Recipe:
        """Recipe of the runs in which the axes that change shapes have these values."""
        depth, width = fixed.get("depth", self.depth), fixed.get("width", self.width)
        setting = tuple(sorted((n, v) for n, v in fixed.items() if n not in RESERVED))
        label = self.downstream
        recipe = Recipe(
            problem=self.problem,
            training=self.training,
            loss=self.loss,
            downstream=label,
            scale=checks.nonnegative("scale", self.scale),
            key=jax.random.key(self.seed),
            fixed=setting,
            start=self.start,
            depth=checks.count("depth", depth),
            width=None if width is None else checks.count("width", width),
            quantities=tuple(self.quantities.items()),
        )
        kept = self.quantities
        closed = [n for n, q in kept.items() if q.predicted is not None and q == QUANTITIES.get(n)]
        if closed and not self._minimum(recipe):
            kept = {n: q._replace(predicted=None) if n in closed else q for n, q in kept.items()}
        return dataclasses.replace(recipe, quantities=tuple(kept.items()))

    def _minimum(self, recipe: Recipe) -> bool:
        """True if the runs end at the minimum that the closed forms are of."""
        problem = recipe.problem(self._first() | dict(recipe.fixed))
        decay = self.axes.get("weight_decay", self.training.weight_decay)
        decayed = bool(np.any(np.asarray(decay) > 0))
        return has_minimum(self.loss, recipe.network(problem), recipe.data(problem), decayed)

    def _first(self) -> dict[str, Any]:
        """First value of every axis of the problem."""
        return {n: v[0] for n, v in self.axes.items() if n not in RESERVED}

    def check(self) -> None:
        """Build the problem at both ends of every axis, the others at their first value.

        **Raises:** `ValueError` of the problem, for a value out of range.
        """
        for name, values in self.axes.items():
            check = {"scale": checks.nonnegative, "weight_decay": checks.nonnegative}
            check |= {"learning_rate": checks.positive}
            if name in check:
                check[name](name, values)
            if name in ("depth", "width"):
                [checks.count(name, value) for value in values]
        first = self._first()
        for name, values in self.axes.items():
            if name in RESERVED:
                continue
            ends = values if name in self.static else {float(np.min(values)), float(np.max(values))}
            for value in ends:
                try:
                    problem = self.problem(first | {name: value})
                    if getattr(problem, "exact", False):
                        problem.moments()
                except ValueError as error:
                    raise ValueError(f"axes: {name} = {value}: {error}") from error


def _values(name: str, given: Any, static: bool) -> tuple[Any, ...] | np.ndarray:
    """Values of an axis: Python objects if they change shapes, else floats."""
    values = given.tolist() if isinstance(given, np.ndarray | jax.Array) else given
    if isinstance(values, str) or not isinstance(values, list | tuple | range) or not len(values):
        came = "nothing" if isinstance(values, list | tuple) else repr(values)
        raise checks.bad("axes", f"{name} = {came}", "a list of values")
    if static:
        return tuple(values)
    array = np.asarray(checks.floating(f"axes: {name}", np.asarray(values)))
    if array.ndim != 1 or not np.isfinite(array).all():
        raise checks.bad("axes", f"{name} of shape {array.shape}", "a list of finite numbers")
    if len(np.unique(array)) < len(array):
        raise checks.bad("axes", f"{name} with a value twice", "different values")
    return array


def too_many(runs: int) -> ValueError:
    """Build the error for a sweep of too many runs."""
    return checks.bad("axes", f"{runs:,} runs", f"at most {MOST:,}")


class _Reference:
    """Plain data of the arguments; `portable` stays true while the data say all."""

    def __init__(self) -> None:
        self.portable = True

    def function(self, function: Any) -> dict[str, Any]:
        self.portable &= importable(function)
        return plain(function)

    def problem(self, problem: Any) -> Any:
        if isinstance(problem, FeatureModel):
            return {name: plain(value) for name, value in vars(problem).items()}
        if hasattr(problem, "__code__"):
            return self.function(problem)
        self.portable = False
        return plain(problem)

    def loss(self, loss: AbstractLoss) -> Any:
        for name, known in LOSSES.items():
            if plain(known) == plain(loss):
                return name
        self.portable = False
        return plain(loss)

    def training(self, training: AbstractTraining) -> dict[str, Any]:
        method = next((n for n, kind in METHODS.items() if type(training) is kind), None)
        fields = {name: plain(value) for name, value in vars(training).items()}
        self.portable &= method is not None and fields.get("optimiser") is None
        return {"method": method, **fields}

    def quantities(self, measure: Any) -> dict[str, Any]:
        if not isinstance(measure, Mapping):
            measure = dict.fromkeys([measure] if isinstance(measure, str) else measure)
        return {n: None if f is None else self.function(f) for n, f in measure.items()}

    def predictions(self, predict: Any) -> Any:
        if not isinstance(predict, Mapping):
            return bool(predict)
        return {name: self.function(f) for name, f in predict.items()}

    def task(self, downstream: Any) -> Any:
        self.portable &= downstream is None or isinstance(downstream, int)
        return plain(downstream)
