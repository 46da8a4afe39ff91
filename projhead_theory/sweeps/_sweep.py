"""Sweeps: many problems over named axes, trained, measured and set beside the closed form."""

import functools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from .._core import checks
from ..losses import AbstractLoss
from ._cluster import on_cluster
from ._file import read
from ._plan import Plan
from ._specification import Specification
from ._store import Memory, ZarrStore, open_dataset, opened
from ._training import AbstractTraining, Descent


class Progress(NamedTuple):
    """State of a sweep after a chunk.

    - `done`, `runs`: runs that are done, before and in this call, and runs to be done in all.
    - `here`, `seconds`: runs done in this call, and its time so far.
    """

    done: int
    runs: int
    here: int
    seconds: float

    @property
    def rate(self) -> float:
        """Runs a second."""
        return self.here / self.seconds if self.seconds > 0 else 0.0

    @property
    def left(self) -> float:
        """Seconds left at this rate; infinite before the first run."""
        return (self.runs - self.done) / self.rate if self.rate > 0 else float("inf")


@dataclass(frozen=True)
class Sweep:
    """Result of a sweep.

    - `dataset`: a labelled `xarray.Dataset` over the axes and `seed`. For every quantity it has
      `NAME_measured` and, where there is a closed form, `NAME_predicted` and `NAME_error`, their
      difference. `ended` has the codes of `simulation.Ended`, whose names and sentences are its
      attributes, or -1 for a run that is not done. Entries of a layer or direction that a smaller
      network does not have are NaN.
    """

    dataset: Any

    @property
    def complete(self) -> bool:
        """True if all runs are done."""
        return bool((self.dataset["ended"] >= 0).all())

    def outcomes(self) -> dict[str, int]:
        """Number of runs by how they ended; `missing` for runs that are not done."""
        attributes, codes = self.dataset["ended"].attrs, self.dataset["ended"].values
        known = zip(attributes["flag_values"], attributes["flag_meanings"].split(), strict=True)
        counts = {name: int((codes == code).sum()) for code, name in known}
        return {n: c for n, c in (counts | {"missing": int((codes < 0).sum())}).items() if c}

    @property
    def specification(self) -> dict[str, Any]:
        """Specification of the sweep, as plain data."""
        return json.loads(self.dataset.attrs["specification"])

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, device and precision of the runs."""
        return json.loads(self.dataset.attrs["environment"])

    def to_xarray(self) -> Any:
        """The results as a labelled `xarray.Dataset`."""
        return self.dataset

    def plot(
        self,
        x: str,
        y: str | None = None,
        hue: str | None = None,
        *,
        ax: Any = None,
        **at: Any,
    ) -> Any:
        """Plot a quantity against an axis: closed form as a line, mean over seeds as markers.

        **Arguments:**

        - `x`, `hue`: dimensions along the horizontal axis, and of the colours.
        - `y`: the quantity, the first one with these dimensions if not given.
        - `ax`: Matplotlib axes.
        - `at`: one value of each further dimension; its last value if not given.

        **Returns:** the Matplotlib axes.

        **Raises:** `ValueError` for an unknown name.
        """
        from ..figures import plot_sweep

        return plot_sweep(self.dataset, x, y, hue, ax=ax, **at)


def sweep(
    problem: Any,
    axes: Mapping[str, Any],
    *,
    seeds: int = 1,
    seed: int = 0,
    depth: int = 2,
    width: int | None = None,
    start: str | Callable[..., Any] = "balanced",
    scale: checks.Scalar = 0.1,
    loss: str | AbstractLoss = "spectral",
    train: AbstractTraining | None = None,
    measure: Any = ("weights", "loss"),
    predict: bool | Mapping[str, Callable[..., Any]] = True,
    downstream: Any = None,
    static: tuple[str, ...] = (),
    out: str | Path | None = None,
    chunk_size: int | None = None,
    max_memory: int | None = None,
    shard: tuple[int, int] | None = None,
    executor: Executor | None = None,
    scheduler: Any = None,
    progress: Callable[[Progress], None] | None = None,
) -> Sweep:
    """Train networks on every point of a grid of problems, and set them beside the closed form.

    Every run has its own key, from its number in the grid. Its numbers do not depend on how the
    work is cut: they are equal, bit by bit, for every chunk size, number of workers, shard or
    interruption, on one kind of device and with one version of JAX.

    **Arguments:**

    - `problem`: a function of named parameters that returns a problem or data; a `FeatureModel`; or
      a problem or data whose arrays are the parameters, such as `"features.strength"`.
    - `axes`: values of each axis, by name: a parameter (`"noise"`), an entry of one (`"noise[0]"`),
      `"depth"`, `"width"`, `"scale"`, `"learning_rate"` or `"weight_decay"`. A function gets traced
      numbers.
    - `seeds`: number of starts for each setting.
    - `seed`: seed of all draws.
    - `depth`, `width`: depth and width of the network; as wide as the input if not given.
    - `start`, `scale`: `"balanced"`, `"gaussian"` or `"orthogonal"`, or a function of a key, the
      sizes and a scale that returns a network.
    - `loss`: a loss, or its name.
    - `train`: a `Descent` or a `Flow`; descent with its defaults if not given.
    - `measure`: names of quantities (`"weights"`, `"grams"`, `"loss"`, `"imbalance"`,
      `"gradient_norm"`, `"indicator"`), or a mapping from names to functions of a `Trajectory`.
    - `predict`: false for no closed forms, or a mapping from names to functions of the problem. By
      default the minimum of the spectral loss, for linear networks without decay.
    - `downstream`: the task of the indicator: a task, a label, or the number of the feature whose
      sign is the label.
    - `static`: parameters that change shapes. Each value of such an axis, of depth and of width
      compiles a program; other numbers never do.
    - `out`: folder of a Zarr store. A call with the same folder resumes.
    - `chunk_size`: the most runs that are written together.
    - `max_memory`: the most bytes that the work may take, without the program itself.
    - `shard`: `(i, n)` for part i of n, counted from 0; the parts may run in any order, and at the
      same time. It needs `out`.
    - `executor`: a `concurrent.futures.Executor` whose workers are spawned, such as a
      `ProcessPoolExecutor`. Only names of files and numbers of chunks are sent; functions must be
      importable. It needs `out`.
    - `scheduler`: the address of a Dask scheduler, or a `distributed.Client`, whose workers do the
      chunks, under the same conditions. A chunk whose worker dies is done by another one.
    - `progress`: a function called with a `Progress` after every chunk.

    **Returns:** a `Sweep`, with all chunks that are done.

    **Raises:** `ValueError` for arguments out of range, a store of another specification, and a
    folder that cannot be written to.

    !!! example

        ```pycon
        >>> model = pt.sweeps.FeatureModel([2.0, 1.0], noise=[1.0, 0.2])
        >>> train = pt.sweeps.Descent(0.02, steps=2_000)
        >>> result = pt.sweep(model, {"noise[0]": [0.5, 1.0]}, train=train)
        >>> np.round(result.dataset["weights_measured"].sel(layer=2, direction=0), 3).values
        array([[0.471],
               [0.4  ]])

        ```
    """
    specification = Specification.of(
        problem,
        axes,
        seeds=seeds,
        seed=seed,
        depth=depth,
        width=width,
        start=start,
        scale=scale,
        loss=loss,
        train=Descent() if train is None else train,
        measure=measure,
        predict=predict,
        downstream=downstream,
        static=static,
    )
    plan = Plan(specification, chunk_size, max_memory)
    return perform(plan, out, shard, executor, progress, scheduler)


def load_plan(
    path: str | Path, *, chunk_size: int | None = None, max_memory: int | None = None
) -> Plan:
    """Plan of a specification file, TOML or JSON.

    **Arguments:**

    - `path`: the file.
    - `chunk_size`, `max_memory`: as in `sweep`.

    **Returns:** the plan, for `perform`.

    **Raises:** `ValueError` with one line for each error of the file.
    """
    return Plan(Specification.from_document(read(path)), chunk_size, max_memory)


def perform(
    plan: Plan,
    out: str | Path | None,
    shard: tuple[int, int] | None = None,
    executor: Executor | None = None,
    progress: Callable[[Progress], None] | None = None,
    scheduler: Any = None,
) -> Sweep:
    """Do what is left to do of a plan.

    **Arguments:**

    - `plan`: the plan of a specification file, as from `load_plan`.
    - the others: as in `sweep`.

    **Returns:** a `Sweep`, with all chunks that are done.

    **Raises:** `ValueError` as `sweep`.
    """
    others = {"shard": shard, "executor": executor, "scheduler": scheduler}
    for name, value in others.items():
        if value is None:
            continue
        if out is None:
            raise checks.bad("out", "None", f"a folder, beside {name}")
        if name != "shard" and not plan.specification.portable:
            raise checks.bad(
                name,
                "a problem, function or object that has no importable name",
                "a FeatureModel, or functions of a module",
            )
    if executor is not None and scheduler is not None:
        raise checks.bad("scheduler", "one beside an executor", "one of them")
    store = Memory(plan) if out is None else ZarrStore(plan, out)
    part, parts = (0, 1) if shard is None else shard
    if not 0 <= part < checks.count("shard", parts):
        raise checks.bad("shard", f"{part} of {parts}", "a part from 0, below the number of parts")
    mine = range(part, plan.layout.chunks, parts)
    runs = {chunk: plan.runs(chunk) for chunk in mine}
    present = store.done()
    left = [chunk for chunk in mine if chunk not in present]
    total, done, here, begin = sum(runs.values()), 0, 0, time.perf_counter()
    done = sum(runs[chunk] for chunk in mine if chunk in present)
    work = functools.partial(_work, str(Path(out or "").resolve()))
    if scheduler is not None:
        finished = on_cluster(scheduler, work, left)
    elif executor is not None:
        finished = _on_executor(executor, work, left)
    else:
        finished = _in_turn(plan, store, left)
    for chunk in finished:
        done, here = done + runs[chunk], here + runs[chunk]
        if progress is not None:
            progress(Progress(done, total, here, time.perf_counter() - begin))
    return Sweep(store.dataset())


def open_sweep(path: str | Path) -> Sweep:
    """Open the store of a sweep, whole or not; its arrays are read when they are used.

    **Raises:** `ValueError` for a folder that no sweep has begun.
    """
    return Sweep(open_dataset(path))


def _in_turn(plan: Plan, store: Any, chunks: list[int]) -> Iterator[int]:
    """Chunks of this process as they are written, each while the next one is computed."""

    def write(chunk: int, found: dict[str, np.ndarray]) -> int:
        store.write(chunk, found)
        return chunk

    with ThreadPoolExecutor(1) as writer:
        written: list[Future[int]] = []
        for chunk in chunks:
            found = plan.compute(chunk)
            yield from (future.result() for future in written)
            written = [writer.submit(write, chunk, found)]
        yield from (future.result() for future in written)


def _on_executor(
    executor: Executor, work: Callable[[int], None], chunks: list[int]
) -> Iterator[int]:
    """Chunks of other processes as they are written."""
    futures = {executor.submit(work, chunk): chunk for chunk in chunks}
    try:
        for future in as_completed(futures):
            future.result()
            yield futures[future]
    except BrokenExecutor as error:
        raise checks.bad(
            "executor",
            "a worker process that died, of too little memory or a kill; what was done is kept",
            "the same call again",
        ) from error
    finally:
        for future in futures:
            future.cancel()


def _work(path: str, chunk: int) -> None:
    """Compute a chunk in another process, which knows its sweep from the store alone."""
    document = json.loads(opened(path).attrs["specification"])
    with jax.enable_x64(document["precision"] == "float64"):
        store = _store(path)
        store.write(chunk, store.plan.compute(chunk))


@functools.lru_cache(maxsize=4)
def _store(path: str) -> ZarrStore:
    document = json.loads(opened(path).attrs["specification"])
    return ZarrStore(Plan(Specification.from_document(document), None, None), path)
