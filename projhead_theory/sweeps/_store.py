"""Results of a sweep, in memory or in a Zarr store that an interrupted sweep resumes."""

import contextlib
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .._core import checks
from .._core.enumeration import names
from .._core.environment import environment
from .._core.files import as_new
from ..simulation import Ended
from ._document import differences
from ._plan import Plan

FORMAT = 1
RECORD = "chunk_done"
"""Array that has a one for every chunk that is in the store."""


def attributes(plan: Plan) -> dict[str, Any]:
    """Attributes of the result: specification, chunks and environment, as JSON."""
    return {
        "projhead_sweep": FORMAT,
        "specification": json.dumps(plan.specification.document),
        "chunk": list(plan.layout.chunk),
        "variables": list(plan.variables),
        "environment": json.dumps(environment()),
    }


def coordinates(plan: Plan) -> dict[str, tuple[str, np.ndarray, dict[str, Any]]]:
    """Coordinate of every axis and layer, with its attributes."""
    s, found = plan.specification, {}
    for name, values in s.axes.items():
        found[name] = (name, np.asarray(values), {})
    found["seed"] = ("seed", np.arange(s.seeds), {"long_name": "number of the start"})
    for variable in plan.variables.values():
        for dim, length in zip(variable.dims, variable.shape, strict=True):
            if dim == "layer":
                found[dim] = (dim, np.arange(1, length + 1), {})
    return found


def outcome_attributes() -> dict[str, Any]:
    """Names and sentences of the codes in `ended`."""
    entries = names(Ended)
    return {
        "flag_values": list(range(len(entries))),
        "flag_meanings": " ".join(entries),
        "sentences": [Ended[getattr(Ended, name)] for name in entries],
        "long_name": "outcome of the run, or -1 before it",
    }


class Memory:
    """Results in memory."""

    def __init__(self, plan: Plan):
        if plan.bytes > plan.memory:
            raise checks.bad(
                "max_memory",
                f"{plan.memory} bytes for a result of {plan.bytes}",
                "more, or a folder in out",
            )
        self.plan = plan
        self.arrays = {
            name: np.full(v.shape, v.fill, v.dtype) for name, v in plan.variables.items()
        }

    def done(self) -> set[int]:
        return set()

    def write(self, chunk: int, found: dict[str, np.ndarray]) -> None:
        for name, values in found.items():
            self.arrays[name][self.plan.region(name, chunk)] = values

    def dataset(self) -> Any:
        import xarray

        data = {}
        for name, variable in self.plan.variables.items():
            said = outcome_attributes() if name == "ended" else variable.attributes
            data[name] = (variable.dims, self.arrays[name], said)
        return xarray.Dataset(data, coordinates(self.plan), attributes(self.plan))


class ZarrStore:
    """Results in a Zarr store. A chunk is in it if its record is, which is written last.

    Every file of a chunk is written beside its place and moved there in one step. What a broken
    process has left of a chunk is replaced when the chunk is computed again.
    """

    def __init__(self, plan: Plan, path: str | Path):
        self.plan, self.path = plan, Path(path)
        if not self.path.exists():
            self._create()
        root = opened(self.path)
        stored = json.loads(root.attrs["specification"])
        # What went through JSON, on both sides.
        wanted = json.loads(json.dumps(plan.specification.document))
        if found := differences(stored, wanted):
            more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
            raise checks.bad(
                "out", f"{path}, begun with another specification: {found[0]}{more}", "a new folder"
            )
        before, now = json.loads(root.attrs["environment"]), environment()
        for name in ("backend", "device", "jax", "projhead_theory"):
            if before[name] != now[name]:
                raise checks.bad(
                    "out", f"{path}, begun with {name} {before[name]}; now {now[name]}", "the same"
                )
        plan.with_chunk(tuple(root.attrs["chunk"]))
        self.arrays = dict(root.arrays())
        missing = {*plan.variables, RECORD} - set(self.arrays)
        if missing:
            raise checks.bad("out", f"{path}, without {sorted(missing)[0]}", "a whole store")

    def _create(self) -> None:
        """Make an empty store beside its place, and move it there in one step."""
        path = self.path
        try:
            temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
            try:
                _begin(temporary, self.plan)
                as_new(temporary, 0o777)
                # Another process may have been first; then its store is used.
                with contextlib.suppress(OSError):
                    os.rename(temporary, path)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        except OSError as error:
            raise checks.bad("out", f"{path} ({error.strerror})", "a folder to write to") from error

    def done(self) -> set[int]:
        """Numbers of the chunks in the store."""
        return set(np.flatnonzero(self.arrays[RECORD][:]).tolist())

    def write(self, chunk: int, found: dict[str, np.ndarray]) -> None:
        """Write a chunk, and then its record.

        **Raises:** `ValueError` if it cannot be written.
        """
        try:
            for name, values in found.items():
                self.arrays[name][self.plan.region(name, chunk)] = values
            self.arrays[RECORD][chunk] = 1
        except OSError as error:
            raise checks.bad(
                "out", f"{self.path} ({error.strerror})", "room to write in"
            ) from error

    def dataset(self) -> Any:
        return open_dataset(self.path)


def _begin(folder: Path, plan: Plan) -> None:
    """Make an empty store: arrays of one chunk file for each chunk, coordinates, attributes."""
    import zarr

    root = zarr.open_group(folder, mode="w", attributes=attributes(plan))
    for name, v in plan.variables.items():
        root.create_array(
            name,
            shape=v.shape,
            chunks=tuple(max(n, 1) for n in v.chunk),
            dtype=v.dtype,
            fill_value=v.fill,
            dimension_names=v.dims,
            attributes=outcome_attributes() if name == "ended" else v.attributes,
        )
    for name, (dim, values, said) in coordinates(plan).items():
        array = root.create_array(
            name,
            shape=values.shape,
            chunks=values.shape,
            dtype=values.dtype,
            dimension_names=(dim,),
            attributes=said,
        )
        array[:] = values
    root.create_array(
        RECORD,
        shape=(plan.layout.chunks,),
        chunks=(1,),
        dtype="int8",
        fill_value=0,
        dimension_names=("chunk",),
        attributes={"long_name": "1 if the chunk is in the store"},
    )
    with warnings.catch_warnings():
        # Consolidated metadata are no part of version 3 of the format yet; xarray reads them.
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(folder)


def opened(path: str | Path) -> Any:
    """Root of a store that a sweep has begun.

    **Raises:** `ValueError` for any other folder.
    """
    import zarr

    wanted = "a folder that a sweep has begun, or a new one"
    try:
        root = zarr.open_group(path, mode="r+", use_consolidated=False)
        known = root.attrs.get("projhead_sweep")
    except Exception as error:
        raise checks.bad("out", f"{path}, which is no Zarr store", wanted) from error
    if known != FORMAT:
        raise checks.bad("out", f"{path}, which no sweep of this version has begun", wanted)
    return root


def open_dataset(path: str | Path) -> Any:
    """Dataset of a store, read when it is used."""
    import xarray

    names = opened(path).attrs["variables"]
    return xarray.open_zarr(path, chunks=None)[[*names, RECORD]]
