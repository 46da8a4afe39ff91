"""Options shared by the commands, and the problem they describe."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._core.errors import bad

if TYPE_CHECKING:
    from ..problems import Compose, ContrastiveProblem

Strength = Annotated[
    str, typer.Option(help="Strength of each feature, separated by commas: 2,1,0.5.")
]
Noise = Annotated[
    str | None, typer.Option(help="Scale of additive Gaussian noise, one number a feature.")
]
Flip = Annotated[str | None, typer.Option(help="Probability of a sign flip, one number a feature.")]
Mask = Annotated[
    str | None, typer.Option(help="Probability of masking to zero, one number a feature.")
]
Depth = Annotated[int, typer.Option(help="Number of layers, the projection head included.")]
Width = Annotated[
    int | None, typer.Option(help="Width of every layer; the dimension if not given.")
]
_TARGET = typer.Option(
    metavar="J", help="Number of the feature, from 1, whose sign is the downstream label."
)
Target = Annotated[int, _TARGET]
OptionalTarget = Annotated[int | None, _TARGET]
Downstream = Annotated[
    str | None,
    typer.Option(help="Strength of each feature downstream; by default as in training."),
]
HeadDepth = Annotated[int, typer.Option(help="Number of layers of the projection head.")]
OptionalHeadDepth = Annotated[
    int | None,
    typer.Option(help="With --target: number of layers of the projection head, 1 if not given."),
]
Json = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE|-",
        help="Write the result as JSON to a file, or to standard output.",
    ),
]
Csv = Annotated[
    str | None,
    typer.Option(
        "--csv",
        metavar="FILE|-",
        help="Write the table as CSV, with all digits, to a file, or to standard output.",
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of every random draw.")]
Precision = Annotated[str, typer.Option(help="float64 or float32.")]


def set_precision(precision: str) -> None:
    """Set the global precision of JAX.

    A command line is a process of its own, so it may; the library never does.
    """
    if precision not in ("float64", "float32"):
        raise bad("precision", repr(precision), "float64 or float32")
    import jax

    jax.config.update("jax_enable_x64", precision == "float64")


def leave(code: int) -> None:
    """End the process at once if threads are still at work, without waiting for their step."""
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def require_writable(name: str, path: str | None) -> None:
    """Reject a file that cannot be written before a long run, not after it."""
    if path is None or (path == "-" and name in ("json", "csv")):
        return
    folder = os.path.dirname(path) or "."
    if (
        path == "-"
        or os.path.isdir(path)
        or not os.path.isdir(folder)
        or not os.access(folder, os.W_OK)
    ):
        raise bad(name, repr(path), "a file in a folder that can be written to")


def require_folder(name: str, path: str) -> None:
    """Make a folder if there is none."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise bad(name, f"{path} ({error.strerror})", "a folder that can be written to") from error


def require_none(given: Mapping[str, Any], wanted: str) -> None:
    """Reject options that do not apply, of which any that is given has another value than None."""
    for name, value in given.items():
        if value is not None:
            raise bad(name, value, wanted)


def require_outputs(**paths: str | None) -> None:
    """Reject files that cannot be written before a long run, and two results on standard output."""
    for name, path in paths.items():
        require_writable(name, path)
    require_one_printed(paths.get("json"), paths.get("csv"))


def require_one_printed(json: str | None, csv: str | None) -> None:
    """Reject two results on standard output."""
    if json == csv == "-":
        raise bad("csv", "'-' beside --json -", "one of both on standard output")


def choice(name: str, value: str, choices: dict[str, Any]) -> Any:
    if value not in choices:
        raise bad(name, repr(value), f"one of {', '.join(choices)}")
    return choices[value]


def numbers(name: str, text: str) -> list[float]:
    items = text.split(",")
    try:
        return [float(item) for item in items]
    except ValueError:
        raise bad(name, repr(text), "numbers separated by commas, such as 2,1,0.5") from None


def vector(name: str, text: str, dim: int) -> list[float]:
    """Numbers of an option, one a feature."""
    values = numbers(name, text)
    if len(values) != dim:
        wanted = f"{dim}, as many as there are strengths"
        raise bad(name, f"{len(values)} numbers ({text})", wanted)
    return values


def feature(name: str, number: int, dim: int) -> int:
    """Index of a feature, of its number in an option, which counts from 1."""
    if not 1 <= number <= dim:
        raise bad(name, number, f"the number of a feature, from 1 to {dim}")
    return number - 1


def problem(
    strength: str,
    noise: str | None,
    flip: str | None,
    mask: str | None,
    distribution: str = "rademacher",
) -> ContrastiveProblem:
    """Feature model of the options: sign flips, then masks, then noise."""
    from ..problems import ContrastiveProblem, Features

    features = Features(numbers("strength", strength), distribution)
    given = {"flip": flip, "mask": mask, "noise": noise}
    values = {n: vector(n, text, features.dim) for n, text in given.items() if text is not None}
    return ContrastiveProblem(features, augmentation(values))


def augmentation(values: dict[str, Any]) -> Compose:
    """Sign flips, then masks, then noise, of the parameters by the names of their options."""
    from ..problems import AdditiveNoise, Compose, Mask, SignFlip

    parts = []
    for name, kind in (("flip", SignFlip), ("mask", Mask), ("noise", AdditiveNoise)):
        try:
            parts += [kind(values[name])] if name in values else []
        except ValueError as error:
            # Name the option, not the argument of the class.
            raise ValueError(f"{name}: {str(error).split(': ', 1)[1]}") from None
    return Compose(*parts)
