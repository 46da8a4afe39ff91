"""Plan of a sweep: its programs, the variables that it fills, and the work of one chunk."""

import itertools
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from .._core import checks
from .._core.cores import cores, settings
from ._layout import Block, Layout
from ._recipe import OUTCOMES, Recipe, predict, train
from ._specification import Specification

CHUNK = 4096
"""The most runs of a chunk if there is memory for more: a few seconds of work."""

MEMORY = 2**30
"""Bytes of memory that a sweep takes at most, if the user names no number."""


class Variable(NamedTuple):
    """One array of the result.

    - `dims`, `shape`: names and lengths of its axes, the grid's first.
    - `chunk`: lengths of the part that one chunk fills.
    - `fill`: value of what is not computed.
    - `attributes`: what is said beside it.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype
    fill: Any
    attributes: dict[str, Any]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class Plan:
    """Work of a sweep, known before any run.

    - `specification`: the sweep.
    - `layout`: its grid, cut into chunks.
    - `memory`: the most bytes that the work may take.
    """

    def __init__(
        self, specification: Specification, chunk_size: int | None, max_memory: int | None
    ):
        self.specification = specification
        self.memory = MEMORY if max_memory is None else checks.count("max_memory", max_memory)
        self._compiled: set[tuple[int, ...]] = set()
        s = specification
        size = CHUNK if chunk_size is None else checks.count("chunk_size", chunk_size)
        batch = s.training.batch_size
        self.layout = Layout.of(s.shape, s.by_shape, batch, size)
        per_run = sum(math.prod(x.shape[1:]) * x.dtype.itemsize for x in self._largest)
        # A result is held as it is computed and joined, and the one before as it is compressed.
        fixed, output = self.working_memory, 4 * per_run
        room = (self.memory - fixed) // max(output, 1)
        if room < self.layout.runs_in_batch:
            least = fixed + output * self.layout.runs_in_batch
            raise checks.bad("max_memory", f"{self.memory} bytes", f"at least {least}")
        if room < self.layout.runs_in_chunk:
            self.layout = Layout.of(s.shape, s.by_shape, batch, room)

    def with_chunk(self, chunk: tuple[int, ...]) -> None:
        """Take over the chunks of a store.

        **Raises:** `ValueError` for chunks that are not whole batches.
        """
        layout = self.layout
        whole = len(chunk) == len(layout.shape) and all(
            c % b == 0 or c == n for c, b, n in zip(chunk, layout.batch, layout.shape, strict=True)
        )
        if not whole:
            raise checks.bad("out", f"chunks of {chunk}", f"whole batches of {layout.batch}")
        self.layout = Layout(layout.shape, layout.by_shape, layout.batch_size, tuple(chunk))
        self.__dict__.pop("variables", None)

    @cached_property
    def groups(self) -> dict[tuple[int, ...], Recipe]:
        """Recipes by the places of their values on the axes that change shapes."""
        s = self.specification
        names = [name for name in s.axes if name in s.static]
        places = itertools.product(*(range(len(s.axes[name])) for name in names))
        return {
            place: s.recipe({n: s.axes[n][i] for n, i in zip(names, place, strict=True)})
            for place in places
        }

    @cached_property
    def _shapes(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Shapes of what the programs of each group return for one batch."""
        result, corner = [], (slice(0, 1),) * len(self.layout.shape)
        batch = self._values(corner, self.layout.runs_in_batch)
        closed = self._values(corner, self._settings_in_batch)
        for recipe in self.groups.values():
            try:
                # Of the shapes of the work itself, whose traces are then used again.
                runs = eqx.filter_eval_shape(lambda r, a: train(r, *a), recipe, batch)
                settings = eqx.filter_eval_shape(lambda r, a: predict(r, *a), recipe, closed)
            except jax.errors.ConcretizationTypeError as error:
                reason = str(error).partition("\n")[0]
                raise checks.bad(
                    "problem",
                    f"a function that needs known values ({reason})",
                    "one of jax.numpy, or the axis in static",
                ) from error
            result.append((runs, settings))
        return result

    @property
    def _settings_in_batch(self) -> int:
        return self.layout.runs_in_batch // self.layout.batch[-1]

    @property
    def _largest(self) -> list[Any]:
        return max(
            ([*runs.values(), *settings.values()] for runs, settings in self._shapes),
            key=lambda leaves: sum(math.prod(x.shape) for x in leaves),
        )

    @property
    def programs(self) -> int:
        """Number of programs to compile."""
        return sum(1 + bool(settings) for _, settings in self._shapes)

    @property
    def working_memory(self) -> int:
        """Bytes of the batches at work, from the weights of their networks and their moments."""
        recipe = max(self.groups.values(), key=lambda r: r.depth)
        problem = eqx.filter_eval_shape(lambda: recipe.setting(self._first_values()).problem)
        sizes = recipe.sizes(problem)
        weights = sum(a * b for a, b in itertools.pairwise(sizes)) + 2 * sizes[0] ** 2
        # A step holds the weights, their update and gradient, products and records.
        return 16 * 8 * weights * self.layout.runs_in_batch * cores()

    @property
    def bytes(self) -> int:
        """Bytes of the result before compression."""
        return sum(v.bytes for v in self.variables.values())

    @cached_property
    def variables(self) -> dict[str, Variable]:
        """Arrays of the result, by name."""
        s, layout, found = self.specification, self.layout, {}
        dtype = np.dtype(self._shapes[0][0]["ended_at"].dtype)
        for name, kind in OUTCOMES.items():
            found[name] = self._variable(name, s.names, layout, (), kind or dtype)
        for name, quantity in s.quantities.items():
            for part, side in (("measured", 0), ("predicted", 1)):
                shapes = [pair[side][name] for pair in self._shapes if name in pair[side]]
                if not shapes:
                    continue
                ranks = {len(x.shape) for x in shapes}
                if len(ranks) > 1:
                    raise checks.bad("measure", f"{name} of ranks {sorted(ranks)}", "one rank")
                rest = tuple(max(n) for n in zip(*(x.shape[1:] for x in shapes), strict=True))
                dims = quantity.dims
                if dims is None or len(dims) != len(rest):
                    dims = tuple(f"{name}_{k}" for k in range(len(rest)))
                grid = s.names if part == "measured" else s.names[:-1]
                attributes = {"units": quantity.units} if quantity.units else {}
                variable = self._variable(
                    name, (*grid, *dims), layout, rest, shapes[0].dtype, attributes
                )
                found[f"{name}_{part}"] = variable
            if f"{name}_predicted" in found:
                measured = found[f"{name}_measured"]
                if (
                    measured.dims[len(s.names) :] != found[f"{name}_predicted"].dims[len(s.axes) :]
                    or measured.shape[len(s.names) :]
                    != found[f"{name}_predicted"].shape[len(s.axes) :]
                ):
                    came = found[f"{name}_predicted"].shape[len(s.axes) :]
                    raise checks.bad(
                        "predict", f"{name} of shape {came}", f"{measured.shape[len(s.names) :]}"
                    )
                found[f"{name}_error"] = measured._replace(
                    attributes=measured.attributes | {"long_name": f"{name}: measured - predicted"}
                )
        return found

    def _variable(
        self,
        name: str,
        dims: tuple[str, ...],
        layout: Layout,
        rest: tuple[int, ...],
        dtype: Any,
        attributes: dict[str, Any] | None = None,
    ) -> Variable:
        dtype, axes = np.dtype(dtype), len(dims) - len(rest)
        fill = np.nan if dtype.kind == "f" else -1 if dtype.kind == "i" else 0
        return Variable(
            dims,
            layout.shape[:axes] + rest,
            layout.chunk[:axes] + rest,
            dtype,
            dtype.type(fill),
            attributes or {},
        )

    def region(self, name: str, chunk: int) -> tuple[slice, ...]:
        """Region of a variable that a chunk fills."""
        variable, axes = self.variables[name], len(self.layout.shape)
        grid = _grid(variable, axes)
        rest = variable.shape[grid:]
        return (*self.layout.block(chunk)[:grid], *(slice(0, n) for n in rest))

    def runs(self, chunk: int) -> int:
        """Number of runs of a chunk."""
        return math.prod(part.stop - part.start for part in self.layout.block(chunk))

    def summary(self, timed: bool = False) -> dict[str, Any]:
        """Size of the work: runs, programs, chunks, bytes; with `timed` the time it takes."""
        layout = self.layout
        found: dict[str, Any] = {
            "runs": layout.runs,
            "axes": dict(zip(self.specification.names, layout.shape, strict=True)),
            "programs": self.programs,
            "chunks": layout.chunks,
            "runs_in_chunk": layout.runs_in_chunk,
            "bytes": self.bytes,
        }
        return found | ({"about_seconds": round(self.seconds(), 1)} if timed else {})

    def seconds(self) -> float:
        """Time of the whole sweep, from the time of its first batch, without compiling."""
        first = next(self.layout.batches(self.layout.block(0)))
        self._batch(first)
        begin = time.perf_counter()
        self._batch(first)
        each = (time.perf_counter() - begin) / self.layout.runs_in_batch
        busy = cores() if jax.default_backend() == "cpu" else 1
        return (
            each * self.layout.runs / min(busy, -(-self.layout.runs // self.layout.runs_in_batch))
        )

    def compute(self, chunk: int) -> dict[str, np.ndarray]:
        """Results of one chunk, of the shape of its part of the grid."""
        block = self.layout.block(chunk)
        variables, axes = self.variables, len(self.layout.shape)
        corner = [part.start for part in block]
        shape = tuple(part.stop - part.start for part in block)
        result = {
            name: np.full(shape[: _grid(v, axes)] + v.shape[_grid(v, axes) :], v.fill, v.dtype)
            for name, v in variables.items()
        }
        batches = list(self.layout.batches(block))
        # All batches of a chunk have one program, which the first of them compiles.
        group = self._group(block)
        ahead = group not in self._compiled
        for batch, found in zip(batches, _on_cores(self._batch, batches, ahead), strict=True):
            for name, values in found.items():
                variable = variables[name]
                own = batch[: _grid(variable, axes)]
                local = [slice(p.start - c, p.stop - c) for p, c in zip(own, corner, strict=False)]
                lengths = tuple(p.stop - p.start for p in own)
                rest = values.shape[1:]
                values = values[: math.prod(lengths)].reshape(lengths + rest)
                result[name][(*local, *(slice(0, n) for n in rest))] = values
        self._compiled.add(group)
        for name in variables:
            if name.endswith("_error") and f"{name.removesuffix('_error')}_predicted" in variables:
                stem = name.removesuffix("_error")
                predicted = np.expand_dims(result[f"{stem}_predicted"], axes - 1)
                result[name] = result[f"{stem}_measured"] - predicted
        return result

    def _batch(self, block: Block) -> dict[str, np.ndarray]:
        """Results of one batch, padded to a full one by its last run."""
        recipe = self.groups[self._group(block)]
        runs = train(recipe, *self._values(block, self.layout.runs_in_batch))
        found = {(name if name in OUTCOMES else f"{name}_measured"): x for name, x in runs.items()}
        if any(quantity.predicted is not None for _, quantity in recipe.quantities):
            settings = (*block[:-1], slice(block[-1].start, block[-1].start + 1))
            closed = predict(recipe, *self._values(settings, self._settings_in_batch))
            found |= {f"{name}_predicted": x for name, x in closed.items()}
        return {name: np.asarray(x) for name, x in found.items()}

    def _group(self, block: Block) -> tuple[int, ...]:
        """Place of a block on the axes that change shapes."""
        by_shape = self.layout.by_shape
        return tuple(part.start for part, shapes in zip(block, by_shape, strict=True) if shapes)

    def _values(self, block: Block, count: int) -> tuple[dict[str, Any], Any]:
        """Values of the axes and numbers of the runs of a block, repeated up to `count`."""
        s, places = self.specification, self.layout.places(block)
        pad = lambda x: np.pad(x, (0, count - len(x)), mode="edge")
        values = {
            name: pad(np.asarray(s.axes[name])[place])
            for name, place in zip(s.axes, places, strict=False)
            if name not in s.static
        }
        index = np.ravel_multi_index(places, self.layout.shape).astype(np.uint32)
        return values, pad(index)

    def _first_values(self) -> dict[str, Any]:
        values, _ = self._values((slice(0, 1),) * len(self.layout.shape), 1)
        return {name: value[0] for name, value in values.items()}


def _grid(variable: Variable, axes: int) -> int:
    """Number of axes of a variable that belong to the grid."""
    return axes if "seed" in variable.dims else axes - 1


def _on_cores(function: Callable[[Any], Any], items: list[Any], ahead: bool) -> list[Any]:
    """Results for all items; on a CPU as many at a time as there are cores.

    With `ahead` the first one is ready before the others begin, which then share its programs.
    """
    if jax.default_backend() != "cpu" or cores() == 1 or len(items) == 1:
        return [function(item) for item in items]
    begun = [function(item) for item in items[:ahead]]
    enter = settings()

    def apply(item: Any) -> Any:
        with enter():
            return function(item)

    with ThreadPoolExecutor(cores()) as pool:
        return [*begun, *pool.map(apply, items[ahead:])]
