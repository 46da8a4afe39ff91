"""Record of a run, as returned by every simulator."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import measure
from ..networks import AbstractLinearNetwork


class Ended(eqx.Enumeration):
    """Result code of a run."""

    converged = "The gradient vanished, relative to the loss and to the gradient at the start."
    limit = "The time or step limit was reached before the gradient vanished."
    rounding = (
        "The gradient fell to rounding level, where a saddle cannot be told from a minimum: "
        "start larger, use float64, or set stationarity=0 to run on."
    )
    diverged = "The state stopped being finite; what is reported is the last finite state."
    solver_failed = (
        "The differential equation solver could not meet its tolerance within its step limit."
    )


class Trajectory(eqx.Module):
    r"""A run, at its save times.

    The leading axis of every recorded array is the record, of length $T$; under `vmap` a batch
    axis stands before it. A save time after the end repeats the end.

    - `times`: time of the flow, or step number.
    - `networks`: the recorded networks, of the type of the start, stacked.
    - `loss`: the loss, with the penalty if there was decay.
    - `gradient_norm`: the norm of the gradient.
    - `ended`: the result code of the run, an `Ended`.
    - `ended_at`: the time or step of the last finite state.
    - `steps`: the number of steps the solver or optimiser took.
    - `drift`: `(L - 1,)`, a bound on the change of each $\|D_l\|_F$ by the discretisation alone.
    - `noise`: for a `stochastic` run, the size of the fluctuations of $M_L$, before any fixed
      head, about their mean over the last half of the record, in Frobenius norm; zero otherwise.
      Of a non-linear network, the fluctuations are in the second moment of the outputs on the
      held-out batch.

    Grams, weights and imbalance exist only for linear layers, not for a non-linear network. Under
    a fixed head there is one Gram, and one row of weights, more than layers: the last is taken
    after the head.
    """

    times: Float[Array, " T"]
    networks: Any
    loss: Float[Array, " T"]
    gradient_norm: Float[Array, " T"]
    ended: Any
    ended_at: Array
    steps: Array
    drift: Float[Array, " J"]
    noise: Float[Array, ""]

    @property
    def final(self) -> Any:
        """The network at the end (the last finite network, if the run diverged)."""
        return jax.tree.map(lambda w: jnp.take(w, -1, axis=self.times.ndim - 1), self.networks)

    @property
    def start(self) -> Any:
        """The network at the first record."""
        return jax.tree.map(lambda w: jnp.take(w, 0, axis=self.times.ndim - 1), self.networks)

    @property
    def grams(self) -> Float[Array, "*B T L d d"]:
        """Grams of every layer at every save time."""
        return _each(measure.layer_grams, self.times.ndim, self.networks)

    @property
    def imbalance(self) -> Float[Array, "*B T J"]:
        r"""Imbalance $\|D_l\|_F$ of every layer pair at every save time."""
        return _each(measure.imbalance_norms, self.times.ndim, self.networks)

    def weights(self, directions: Float[Array, "d k"] | None = None) -> Float[Array, "*B T L k"]:
        """Weight of each direction at every layer and save time."""
        return _each(lambda n: measure.layer_weights(n, directions), self.times.ndim, self.networks)

    def each(self, measurement: Callable[[Any], Array]) -> Array:
        """Any measurement of a network, at every save time."""
        return _each(measurement, self.times.ndim, self.networks)

    def to_xarray(self):
        """Weights, Grams, loss and imbalance over time, as a labelled `xarray.Dataset`.

        For a non-linear network, the loss and the gradient norm alone.
        """
        import xarray

        ended = {
            "ended": Ended[self.ended],
            "ended_at": float(self.ended_at),
            "steps": int(self.steps),
        }
        losses = {
            "loss": (("time",), jax.device_get(self.loss)),
            "gradient_norm": (("time",), jax.device_get(self.gradient_norm)),
        }
        if not isinstance(self.networks, AbstractLinearNetwork):
            return xarray.Dataset(losses, coords={"time": jax.device_get(self.times)}, attrs=ended)
        weights, imbalance = self.weights(), self.imbalance
        return xarray.Dataset(
            {
                "weight": (("time", "layer", "direction"), jax.device_get(weights)),
                "gram": (("time", "layer", "input", "input_"), jax.device_get(self.grams)),
                **losses,
                "imbalance": (("time", "joint"), jax.device_get(imbalance)),
            },
            coords={
                "time": jax.device_get(self.times),
                "layer": list(range(1, weights.shape[1] + 1)),
            },
            attrs=ended,
        )

    def plot(self, prediction: Any = None, ax: Any = None):
        """Weights over training time, with the weights of a `LayerPrediction` as dotted lines.

        For a non-linear network, the loss. Returns the Matplotlib axes.
        """
        from ..figures import plot_trajectory

        return plot_trajectory(self, prediction, ax)


def _each(measurement: Callable, levels: int, networks: Any) -> Array:
    """Measurement of every network under a number of leading axes.

    The axes are the record and, before it, a batch of runs.
    """
    for _ in range(levels):
        measurement = jax.vmap(measurement)
    return measurement(networks)


def standing(
    gradient: Array,
    size: Array,
    loss: Array,
    first_gradient: Array,
    first_loss: Array,
    tolerance: Array,
) -> Any:
    r"""Result code of a run, from the norm of its gradient.

    The code is `converged`, `rounding`, or `limit` if the run has to continue.

    Convergence takes two conditions:

    - $\|G\| \|W\| \le \text{tol} \cdot \max(|\mathcal L|, |\mathcal L_0|)$, which is free of
      units, with $\|W\|$ the norm of all layers.
    - $\|G\| \le 10^{-4} \|G_0\|$. At a saddle where a mode is still to be learned, the gradient
      of the mode is about as large as at the start; at a minimum nothing is left of it.

    Where the second bound lies below the resolution of the dtype, a gradient at rounding level is
    accepted and flagged as `rounding`.
    """
    scale = jnp.maximum(jnp.abs(loss), jnp.abs(first_loss))
    floor = (
        64
        * jnp.finfo(gradient.dtype).eps
        * scale
        / jnp.maximum(size, jnp.finfo(gradient.dtype).tiny)
    )
    small = gradient * size <= tolerance * scale
    ended = Ended.where(small & (gradient <= floor), Ended.rounding, Ended.limit)
    return Ended.where(small & (gradient <= 1e-4 * first_gradient), Ended.converged, ended)
