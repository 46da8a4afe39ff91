"""The option `--start`: scales of two layers that do not start balanced, and such networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import _options as options

if TYPE_CHECKING:
    from ..networks import DeepLinear
    from ..theory.starts import Start

FRAMEWORKS = ("torch", "flax")

Hidden = Annotated[
    int | None,
    typer.Option(
        help="Width between encoder and head, for a --start of two layers; needed for torch and "
        "flax, whose scales depend on it."
    ),
]


def sizes(dim: int, width: int | None, hidden: int | None, start: str) -> tuple[int, int, int]:
    """Widths of two layers; without a hidden width, the least that an exact start has room for."""
    outputs = dim if width is None else width
    if hidden is None and start in FRAMEWORKS:
        raise options.bad("hidden", "none", f"--hidden N beside --start {start}: its hidden width")
    return dim, dim + outputs if hidden is None else hidden, outputs


def scales(text: str, widths: tuple[int, int, int]) -> Start:
    """Scales of the option: a framework's, or two numbers."""
    from ..theory.starts import Start

    if text in FRAMEWORKS:
        return {"torch": Start.torch, "flax": Start.flax}[text](widths)
    found = options.numbers("start", text) if "," in text else []
    if len(found) != 2:
        raise options.bad("start", repr(text), "ENCODER,HEAD, such as 2,0.5, or torch or flax")
    return Start(*found)


def network(text: str, key: Any, widths: tuple[int, int, int], size: float) -> DeepLinear:
    """Network of the option.

    A framework's default, or an exact isotropic start, trained up to a random product of that
    `size`: without any, the loss is stationary.
    """
    import jax

    from ..networks import DeepLinear

    d, hidden, p = widths
    dtype = jax.numpy.result_type(float)
    if text not in FRAMEWORKS:
        start, (frame, entries) = scales(text, widths), jax.random.split(key)
        product = size * jax.random.normal(entries, (p, d), dtype)
        return DeepLinear.isotropic(frame, widths, start.encoder, start.head, product=product)
    draw = {
        "torch": jax.nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
        "flax": jax.nn.initializers.lecun_normal(),
    }[text]
    shapes = zip(jax.random.split(key), ((d, hidden), (hidden, p)), strict=True)
    return DeepLinear([draw(k, shape, dtype).T for k, shape in shapes])
