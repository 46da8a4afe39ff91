"""The options that choose a loss, its minimiser, and its form for training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import _options as options

if TYPE_CHECKING:
    from ..losses import AbstractPopulationLoss
    from ..moments import Moments
    from ..theory.layers import LayerPrediction
    from ..theory.responses import AbstractResponse
    from ..theory.starts import Start

# Name -> the response, the loss that is trained, and the option that both take.
LOSSES = {
    "spectral": ("Spectral", "SpectralContrastive", None),
    "vicreg": ("VICReg", "SquaredVICReg", "beta"),
    "infonce": ("InfoNCE", "GaussianInfoNCE", "temperature"),
    "infonce-distance": ("InfoNCEDistance", "DistanceInfoNCE", "temperature"),
    "infonce-rademacher": ("InfoNCERademacher", "RademacherInfoNCE", "temperature"),
    "whitening": ("Whitening", None, None),
    "barlow-twins": ("BarlowTwins", "UnnormalisedBarlowTwins", None),
}

Loss = Annotated[str, typer.Option(help=f"Loss: {', '.join(LOSSES)}.")]
Temperature = Annotated[
    float | None, typer.Option(help="infonce losses: temperature, 1 if not given.")
]
Beta = Annotated[
    float | None, typer.Option(help="vicreg: weight of the invariance, 1 if not given.")
]


def parameter(loss: str, temperature: float | None, beta: float | None) -> tuple[float, ...]:
    """The number that the loss takes, if it takes one."""
    own = options.choice("loss", loss, LOSSES)[2]
    given = {"temperature": temperature, "beta": beta}
    for name, value in given.items():
        if value is not None and name != own:
            takers = [k for k, (_, _, option) in LOSSES.items() if option == name]
            raise options.bad(name, f"{value:g} for {loss}", f"it for {', '.join(takers)} alone")
    if own is None:
        return ()
    number = given[own]
    return (1.0 if number is None else number,)


def response(loss: str, numbers: tuple[float, ...]) -> AbstractResponse:
    """Response function of a loss."""
    from ..theory import responses

    return getattr(responses, LOSSES[loss][0])(*numbers)


def trained(loss: str, numbers: tuple[float, ...]) -> AbstractPopulationLoss:
    """Loss to train on."""
    from .. import losses

    name = LOSSES[loss][1]
    if name is None:
        known = ", ".join(k for k, (_, form, _) in LOSSES.items() if form is not None)
        raise options.bad("loss", f"{loss!r}, which is a constraint", f"one of {known}")
    return getattr(losses, name)(*numbers)


def distribution(loss: str, given: str | None, noise: str | None, mask: str | None) -> str:
    """Distribution of the features, after a check that the closed form holds for their views."""
    from ..theory import responses

    premise = getattr(responses, LOSSES[loss][0]).premise
    if not premise:
        return "rademacher" if given is None else given
    wanted, barred = "gaussian", {"mask": mask}
    if premise == "Rademacher features":
        wanted, barred = "rademacher", {"mask": mask, "noise": noise}
    if given not in (None, wanted):
        raise options.bad("distribution", repr(given), f"{wanted}: {loss} needs {premise}")
    for name, value in barred.items():
        if value is not None and any(options.numbers(name, value)):
            raise options.bad(name, repr(value), f"none: {loss} needs {premise}")
    return wanted


def prediction(
    loss: str,
    numbers: tuple[float, ...],
    moments: Moments,
    depth: int,
    width: int | None,
    start: Start | None = None,
) -> LayerPrediction:
    """Closed form of every layer, with the least value of the loss as it is trained."""
    import equinox as eqx
    import jax.numpy as jnp

    from .. import theory

    if loss == "spectral":
        return theory.layers.layerwise(moments, depth, width=width, start=start, throw=False)
    form = response(loss, numbers)
    found = theory.responses.layers(moments, form, depth, width=width, start=start, throw=False)
    if LOSSES[loss][1] is None:
        return found
    zero = jnp.zeros((moments.dim if width is None else width, moments.dim), found.loss.dtype)
    constant = trained(loss, numbers).population(zero, moments)
    return eqx.tree_at(lambda p: p.loss, found, found.loss + constant)


def ranking(loss: str, moments: Moments) -> Any:
    """Numbers by which a narrow network ranks features, if not by signal fraction."""
    import numpy as np

    return np.diag(np.asarray(moments.cross)) if loss == "barlow-twins" else None


def comparable(
    loss: str, numbers: tuple[float, ...], moments: Moments, depth: int, width: int | None
) -> LayerPrediction | None:
    """Prediction to compare a run with, by an equal spectral loss, if there is one."""
    from .. import theory

    try:
        same = response(loss, numbers).spectral_moments(moments)
    except ValueError:
        return None
    return theory.layers.layerwise(same, depth, width=width, throw=False)
