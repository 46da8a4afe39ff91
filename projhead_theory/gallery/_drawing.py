"""A figure with its data, and the files it is saved as."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.environment import environment
from .._core.errors import bad
from .._core.files import write_atomically
from ..figures import inches, settle, styled, write
from ._entry import Entry

if TYPE_CHECKING:
    import xarray

FORMATS = ("pdf", "svg", "png")
"""Formats of pictures."""


@dataclass(frozen=True)
class Drawing:
    """A figure of the gallery with its data.

    - `entry`: definition of the figure.
    - `data`: labelled data, theory and trained networks, of which alone the picture is drawn.
    """

    entry: Entry
    data: xarray.Dataset

    @property
    def name(self) -> str:
        """Name of the figure."""
        return self.entry.name

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the data."""
        return json.loads(self.data.attrs["parameters"])

    @property
    def command(self) -> str:
        """Command that makes this figure."""
        # Of a single number as of several: a list.
        text = lambda v: ",".join(map(str, v)) if isinstance(v, list) else str(v)
        default = {n: list(v) if isinstance(v, tuple) else v for n, v in self._defaults.items()}
        parts = ["projhead", "figures", self.name]
        for name, value in self.parameters.items():
            if value != default.get(name):
                parts += ["--set", f"{name}={text(value)}"]
        precision = json.loads(self.data.attrs["environment"])["float"]
        parts += [] if precision == "float64" else ["--precision", precision]
        return shlex.join(parts)

    @property
    def _defaults(self) -> dict[str, Any]:
        return self.entry.parameters

    def plot(self, style: str = "paper", width: str | float = "single", figure: Any = None) -> Any:
        """Draw the figure.

        **Arguments:**

        - `style`: `paper`, `slides` or `dark`.
        - `width`: `single` or `double`, for one column of a journal or two, or inches.
        - `figure`: an empty Matplotlib figure to draw on; a new one if not given.

        **Returns:** the Matplotlib figure.

        **Raises:** `ValueError` for an unknown style or width.
        """
        import matplotlib.pyplot as plt

        size = inches(width, style)
        with styled(style):
            figure = plt.figure(layout="constrained") if figure is None else figure
            figure.set_size_inches(size, size)
            self.entry.draw(figure, self.data)
            settle(figure)
        return figure

    def record(self) -> dict[str, Any]:
        """Command, parameters and environment that made the data, as plain Python."""
        return {
            "name": self.name,
            "caption": self.entry.caption,
            "theorem": self.entry.theorem,
            "command": self.command,
            "parameters": self.parameters,
            "environment": json.loads(self.data.attrs["environment"]),
        }

    def save(
        self,
        folder: str | Path,
        formats: Sequence[str] = ("pdf",),
        style: str = "paper",
        width: str | float = "single",
    ) -> list[Path]:
        """Write the pictures, and beside them the data and how it was made.

        **Arguments:**

        - `folder`: where to write; made if it does not exist.
        - `formats`: formats of the picture, of `pdf`, `svg` and `png`.
        - `style`, `width`: as in `plot`.

        **Returns:** the paths: a picture in each format, the data as NetCDF (`.nc`) and CSV, and a
        JSON file with the command and the environment. Each is written whole or not at all.

        **Raises:** `ValueError` for an unknown format, style or width, and a file that cannot be
        written.
        """
        from matplotlib.figure import Figure

        paths = require_writable(folder, self.name, formats)
        with styled(style):
            figure = Figure(layout="constrained")
        self.plot(style, width, figure)
        for path in paths[: len(formats)]:
            write(figure, path, json.dumps({"command": self.command, **self.parameters}))
        netcdf, table, record = paths[len(formats) :]
        text = json.dumps(self.record(), indent=1, sort_keys=True) + "\n"
        data = _ordered(self.data)
        for path, content in (
            (netcdf, _netcdf(data)),
            (table, _csv(data).encode()),
            (record, text.encode()),
        ):
            write_atomically(path, lambda file, content=content: file.write(content), "out")
        return paths


def make(entry: Entry, given: Mapping[str, Any], quick: bool = False) -> Drawing:
    """Compute the data of a figure."""
    settings = entry.settings(given, quick)
    data = entry.data(**settings)
    attributes = {
        "figure": entry.name,
        "parameters": json.dumps(settings),
        "environment": json.dumps(environment()),
    }
    return Drawing(entry, data.assign_attrs(attributes))


def require_writable(folder: str | Path, name: str, formats: Sequence[str]) -> list[Path]:
    """Paths of the files of a figure: its pictures, then NetCDF, CSV and JSON.

    The folder is made if there is none.

    **Raises:** `ValueError` for an unknown format, and for files that cannot be written there.
    """
    for kind in formats:
        if kind not in FORMATS:
            raise bad("format", repr(kind), f"one or more of {', '.join(FORMATS)}")
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise bad(
            "out", f"{folder} ({error.strerror})", "a folder that can be written to"
        ) from error
    paths = [folder / f"{name}.{kind}" for kind in (*formats, "nc", "csv", "json")]
    for path in paths:
        if path.is_dir() or not os.access(folder, os.W_OK):
            raise bad("out", str(path), "a file in a folder that can be written to")
    return paths


def _ordered(data: xarray.Dataset) -> xarray.Dataset:
    """The data with its variables and coordinates in the order of their names.

    A file does not keep the order in which they were made.
    """
    import xarray

    coords = {name: data.coords[name].variable for name in sorted(data.coords, key=str)}
    values = {name: data[name].variable for name in sorted(data.data_vars, key=str)}
    return xarray.Dataset(values, coords, data.attrs)


def _netcdf(data: xarray.Dataset) -> bytes:
    """The data as NetCDF 3, which every reader of NetCDF knows and SciPy writes."""
    # A path of `to_netcdf` is not written atomically; without one it returns the bytes.
    return bytes(data.to_netcdf(engine="scipy"))


def _csv(data: xarray.Dataset) -> str:
    """One row a number: its variable, its coordinates, and its value."""
    dims = [str(dim) for dim in dict.fromkeys(d for v in data.values() for d in v.dims)]
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["variable", *dims, "value"])
    for name, variable in data.items():
        axes = [
            variable[d].values if d in data.coords else range(n) for d, n in variable.sizes.items()
        ]
        for place, value in zip(
            itertools.product(*axes), np.ravel(variable.values).tolist(), strict=True
        ):
            at = dict(zip(variable.dims, place, strict=True))
            rows.writerow([name, *(at.get(dim, "") for dim in dims), value])
    return out.getvalue()


def load(path: str | Path, entries: Mapping[str, Entry]) -> Drawing:
    """Read a figure from its data file.

    **Raises:** `ValueError` if the file cannot be read, or is not the data of a figure.
    """
    import xarray

    wanted = "a NetCDF file written by `save` or `projhead figures`"
    try:
        with open(path, "rb") as file:
            data = xarray.load_dataset(io.BytesIO(file.read()), engine="scipy")
    except (OSError, TypeError, ValueError) as error:
        raise bad("redraw", f"{path} ({str(error).splitlines()[0]})", wanted) from error
    name = data.attrs.get("figure")
    if name is None or name not in entries:
        raise bad("redraw", f"{path}, data of no figure", wanted)
    return Drawing(entries[name], data)
