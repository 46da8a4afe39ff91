"""What a sweep measures, and the closed form beside it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array

from .. import measure
from .._core import checks
from .._core.keys import named
from ..moments import Moments
from ..networks import AbstractLinearNetwork
from ..problems import AbstractLabel, ContrastiveProblem, Downstream, DownstreamProblem, SignLabel
from ..simulation import Trajectory
from ..theory.downstream import sample_complexity
from ..theory.layers import layerwise
from ._problem import unknown


class Setting(eqx.Module):
    """One setting of a sweep.

    - `problem`: the problem, as the user's function returns it.
    - `data`: what the networks are trained on.
    - `downstream`: the downstream task, if there is one.
    - `depth`, `width`: depth and width of the network.
    """

    problem: Any
    data: Any
    downstream: Any
    depth: int = eqx.field(static=True)
    width: int | None = eqx.field(static=True)

    @property
    def directions(self) -> Array | None:
        """Directions whose weights are measured; the coordinate axes if none."""
        features = getattr(self.problem, "features", None)
        return None if getattr(features, "mixing", None) is None else self.problem.directions

    @property
    def task(self) -> Downstream:
        """Moments of the downstream task.

        **Raises:** `ValueError` if there is none, or a label without features.
        """
        if self.downstream is None:
            raise checks.bad("downstream", "None", "a task, beside the quantity indicator")
        if isinstance(self.downstream, Downstream):
            return self.downstream
        if isinstance(self.downstream, DownstreamProblem):
            return self.downstream.moments()
        if not isinstance(self.problem, ContrastiveProblem):
            kind = type(self.problem).__name__
            raise checks.bad(
                "downstream", f"a label beside {kind}", "a Downstream with its moments"
            )
        label = self.downstream
        label = label if isinstance(label, AbstractLabel) else SignLabel(label)
        return DownstreamProblem(self.problem.features, label).moments()


class Quantity(NamedTuple):
    """A quantity of a run.

    - `measured`: its value, from the trajectory, the setting and a key.
    - `dims`: names of its axes; numbered if `None`.
    - `units`: its unit.
    - `predicted`: its closed form, from the setting and a function that returns the minimum; none
      if there is none.
    - `alone`: measured one run at a time, as what decomposes matrices must be.
    """

    measured: Callable[[Trajectory, Setting, Any], Array]
    dims: tuple[str, ...] | None
    units: str
    predicted: Callable[[Setting, Callable[[], Any]], Array] | None = None
    alone: bool = False


def _weights(run: Trajectory, setting: Setting, key: Any) -> Array:
    if isinstance(run.networks, AbstractLinearNetwork):
        return measure.layer_weights(run.final, setting.directions)
    return measure.feature_weights(run.final, setting.problem, key=named(key, "weights")).gain


def minimum(setting: Setting) -> Any:
    """Every layer at the minimum of the spectral loss."""
    return layerwise(
        setting.data,
        setting.depth,
        width=setting.width,
        directions=setting.directions,
        throw=False,
    )


QUANTITIES = {
    "weights": Quantity(
        _weights,
        ("layer", "direction"),
        "(input unit)^(-l/L) at layer l of L",
        lambda s, minimum: minimum().weights,
    ),
    "grams": Quantity(
        lambda run, s, key: measure.layer_grams(run.final),
        ("layer", "input", "input_"),
        "(input unit)^(-2l/L) at layer l of L",
        lambda s, minimum: minimum().grams,
    ),
    "loss": Quantity(
        lambda run, s, key: run.loss[-1], (), "unit of the loss", lambda s, minimum: minimum().loss
    ),
    "imbalance": Quantity(
        lambda run, s, key: measure.imbalance_norms(run.final), ("pair",), "squared unit of a layer"
    ),
    "gradient_norm": Quantity(
        lambda run, s, key: run.gradient_norm[-1], (), "unit of the loss over that of a layer"
    ),
    "indicator": Quantity(
        lambda run, s, key: measure.sample_complexity(run.final, s.task),
        ("layer",),
        "1",
        lambda s, minimum: sample_complexity(minimum().grams, s.task),
        alone=True,
    ),
}
"""Quantities by name. Closed forms are those of the minimum of the spectral loss."""


def has_minimum(loss: Any, network: Any, data: Any, decayed: bool) -> bool:
    """True if the closed forms of `QUANTITIES` hold for this training."""
    from ..losses import SpectralContrastive

    linear = isinstance(network, AbstractLinearNetwork)
    whole = linear and len(jax.eval_shape(lambda n: n.products(), network)) == network.depth
    return (
        isinstance(loss, SpectralContrastive)
        and isinstance(data, Moments)
        and whole
        and not decayed
    )


class _Own(NamedTuple):
    """The user's function of a trajectory, as a measurement."""

    function: Callable[..., Any]

    def __call__(self, run: Trajectory, setting: Setting, key: Any) -> Array:
        return self.function(run)


class _Closed(NamedTuple):
    """The user's function of a problem, as a closed form."""

    function: Callable[[Any], Array]

    def __call__(self, setting: Setting, minimum: Callable[[], Any]) -> Array:
        return self.function(setting.problem)


def chosen(measured: Any, predicted: Any) -> dict[str, Quantity]:
    """Quantities of the user's choice, by name.

    **Arguments:**

    - `measured`: names in `QUANTITIES`, or functions of a trajectory by name; a function beside a
      name in `QUANTITIES` replaces its measurement.
    - `predicted`: false for no closed forms, or functions of a problem by name.

    **Raises:** `ValueError` for an unknown name, or a closed form of what is not measured.
    """
    if not isinstance(measured, Mapping):
        measured = dict.fromkeys([measured] if isinstance(measured, str) else measured)
    own = dict(predicted) if isinstance(predicted, Mapping) else {}
    if not measured:
        raise checks.bad("measure", "nothing", "at least one quantity")
    if extra := sorted(set(own) - set(measured)):
        raise checks.bad("predict", repr(extra[0]), f"one of {', '.join(measured)}")
    result = {}
    for name, function in measured.items():
        if name not in QUANTITIES and function is None:
            raise unknown("measure", name, tuple(QUANTITIES))
        if function is not None and not callable(function):
            raise checks.bad("measure", f"{name} = {function!r}", "a function of a trajectory")
        quantity = QUANTITIES.get(name, Quantity(_weights, None, ""))
        if function is not None:
            quantity = quantity._replace(measured=_Own(function), alone=True)
        if predicted is False or name in own:
            quantity = quantity._replace(predicted=_Closed(own[name]) if name in own else None)
        result[name] = quantity
    return result
