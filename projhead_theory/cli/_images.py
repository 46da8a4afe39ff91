"""`projhead images`: the paper's experiments on images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import _options as options
from ._output import deliver

NAMES = ("coarse-to-fine", "digit-on-photograph", "spurious-correlation", "shift")


def images(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(NAMES)}.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="16 x 16 pixels, a small network, a few epochs.")
    ] = False,
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 5,
    seed: options.Seed = 0,
    out: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder of checkpoints, NAME.json and NAME.png."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the archive: CIFAR-100 (coarse-to-fine), MNIST and CIFAR-10 "
            "(digit-on-photograph), Fashion-MNIST (spurious-correlation), CIFAR-10 (shift); "
            "without it, images that need no download.",
        ),
    ] = None,
    json: options.Json = None,
    csv: options.Csv = None,
) -> int:
    """Train image networks under projection heads, and read labels off both sides of the head.

    The same command with the same folder goes on from where it stopped.
    """
    options.choice("name", name, dict.fromkeys(NAMES))
    options.require_outputs(json=json, csv=csv)
    options.set_precision("float32")
    import jax

    from .. import images as wing
    from .. import report as reports

    if data is not None and not Path(data).is_dir():
        raise options.bad("data", repr(data), "a folder")
    if out is not None:
        options.require_folder("out", out)
    run = getattr(wing, name.replace("-", "_"))
    given = {} if data is None else _archives(name, Path(data))
    result = run(
        quick=quick, seeds=seeds, key=jax.random.key(seed), out=out, progress=True, **given
    )
    record = result.to_dict() | {"environment": reports.environment()}
    if out is not None:
        from ..figures import save

        reports.write_json(record, Path(out) / f"{name}.json")
        save(result.plot(), Path(out) / f"{name}.png")
    deliver(result.table(), csv, json, lambda: record)
    return 0


def _archives(name: str, path: Path) -> dict[str, Any]:
    """The data of an experiment, from the user's files."""
    from .. import images as wing

    both = lambda load, folder=path: tuple(load(folder, train=train) for train in (True, False))
    if name == "digit-on-photograph":
        inner = path / "MNIST" / "raw"
        items = both(wing.mnist, inner if inner.is_dir() else path)
        return {"items": items, "backgrounds": both(wing.cifar10)}
    load = {
        "coarse-to-fine": wing.cifar100,
        "spurious-correlation": wing.fashion_mnist,
        "shift": wing.cifar10,
    }[name]
    training, test = both(load)
    found = {"training": training, "test": test}
    return found | ({"scenes": False} if name == "shift" else {})
