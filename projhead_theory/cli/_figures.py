"""`projhead figures`: make the figures of the gallery, with their data."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._core.progress import COMPILING, clock, left, tell
from . import _compiler as compiler
from . import _options as options

if TYPE_CHECKING:
    from ..gallery import Entry


def figures(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Figures; all if none is given.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder to write to, made if there is none.")
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", help="Formats, separated by commas: pdf, svg, png.")
    ] = "pdf",
    style: Annotated[str, typer.Option(help="paper, slides or dark.")] = "paper",
    width: Annotated[
        str, typer.Option(metavar="WIDTH", help="single or double column, or inches.")
    ] = "single",
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A parameter of the figures, such as strength=2,1,0.5 or depth=3; repeatable.",
        ),
    ] = None,
    redraw: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE.nc", help="Draw a figure from its data file alone; repeatable."),
    ] = None,
    show: Annotated[
        bool, typer.Option("--list", help="List the figures and their parameters, and make none.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few points and short runs, for a first look.")
    ] = False,
    json: options.Json = None,
    precision: options.Precision = "float64",
) -> int:
    """Make figures: closed forms as lines, trained networks as markers.

    Each is written as a picture, its data as NetCDF and CSV, and a JSON file with the command and
    the environment that made it.
    """
    compiler.for_small_programs()
    options.set_precision(precision)
    options.require_writable("json", json)
    from .. import gallery
    from ..figures import inches

    chosen = [gallery.find(name) for name in dict.fromkeys(names or gallery.names())]
    if show:
        return _list(chosen, json)
    if out is None:
        raise options.bad("out", "nothing", "--out DIR, or --list")
    inches(width, style)
    kinds = list(dict.fromkeys(kind.strip() for kind in formats.split(",")))
    if redraw:
        if names or given or quick:
            raise options.bad("redraw", "names or settings beside it", "data files alone")
        drawings = [gallery.redraw(path) for path in redraw]
        chosen = [drawing.entry for drawing in drawings]
    else:
        drawings = gallery.make_all(
            [entry.name for entry in chosen], quick=quick, parameters=_settings(given or [])
        )
    for entry in chosen:
        gallery.require_writable(out, entry.name, kinds)
    written = {}
    start, drawn = time.monotonic(), iter(drawings)
    with compiler.compiled_lightly() if quick else contextlib.nullcontext():
        for i, entry in enumerate(chosen):
            _tell(i, len(chosen), entry.name, time.monotonic() - start)
            paths = next(drawn).save(out, kinds, style, width)
            written[entry.name] = [str(path) for path in paths]
    _tell(len(chosen), len(chosen), "", time.monotonic() - start)
    if json is not None:
        from ..report import write_json

        write_json({"out": str(Path(out).resolve()), "files": written}, json)
    if json != "-":
        files = sum(map(len, written.values()))
        print(f"{len(written)} figure{'s' * (len(written) != 1)}, {files} files in {out}")
    return 0


def _list(entries: list[Entry], json: str | None) -> int:
    """Print names, captions and parameters."""
    if json is not None:
        from ..report import write_json

        table = [
            {
                "name": entry.name,
                "caption": entry.caption,
                "theorem": entry.theorem,
                "parameters": entry.parameters,
            }
            for entry in entries
        ]
        write_json({"figures": table}, json)
    if json != "-":
        import textwrap

        for entry in entries:
            print(entry.name)
            print(textwrap.fill(entry.caption, 78, initial_indent="  ", subsequent_indent="  "))
            pairs = [f"{name}={_text(value)}" for name, value in entry.parameters.items()]
            lines = textwrap.wrap(" ".join(pairs), 70, break_long_words=False)
            print("  --set " + "\n        ".join(lines))
    return 0


def _text(value: Any) -> str:
    return ",".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)


def _settings(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise options.bad("set", repr(text), "NAME=VALUE, such as strength=2,1,0.5")
        found[name] = value
    return found


def _tell(done: int, total: int, name: str, seconds: float) -> None:
    """Say on standard error which figure is made, how many are left and for about how long."""
    if done == total:
        tell(f"{total} of {total} figures in {clock(seconds)}", last=True)
    else:
        rest = f", {left(done, total, seconds)}" if done else f", {COMPILING}"
        tell(f"figure {done + 1} of {total}: {name}{rest}")
