"""Sweep over strength and flip probability of features in a diagonal network with thresholds."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import theory
from .._core import checks
from .._core.plain import plain
from ..networks import ThresholdedDiagonal
from ..problems import ContrastiveProblem, Features, SignFlip
from ..simulation import Ended, gradient_flow
from ._arguments import grid


class FeatureSweep(eqx.Module):
    r"""Weights $A_l / \varphi$ of a feature in each layer.

    The last two layers are before and after the head.

    - `strength`: strengths $\varphi$ of the feature, `(S,)`.
    - `flips`: flip probabilities $\alpha$ of a view, `(F,)`.
    - `predicted`: final weights in closed form, `(L, S, F)`; NaN where there is none.
    - `measured`: weights after training, `(L, S, F)`.
    - `reach`: strength from which on each layer shows a feature, `(L,)`.
    - `ended`: outcome of each run, an entry of `simulation.Ended`, `(S, F)`.
    """

    strength: Float[Array, " S"]
    flips: Float[Array, " F"]
    predicted: Float[Array, "L S F"]
    measured: Float[Array, "L S F"]
    reach: Float[Array, " L"]
    ended: Any

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, for JSON; numbers that are not finite become None."""
        values = {
            name: plain(getattr(self, name))
            for name in ("strength", "flips", "predicted", "measured", "reach")
        }
        return values | {"ended": self._sentences().tolist()}

    def to_xarray(self):
        """The results as a labelled `xarray.Dataset`."""
        import xarray

        names = ("layer", "strength", "flips")
        return xarray.Dataset(
            {
                "predicted": (names, np.asarray(self.predicted)),
                "measured": (names, np.asarray(self.measured)),
                "reach": (("layer",), np.asarray(self.reach)),
                "ended": (names[1:], self._sentences()),
            },
            coords={
                "layer": np.arange(1, len(self.reach) + 1),
                "strength": np.asarray(self.strength),
                "flips": np.asarray(self.flips),
            },
        )

    def plot(self, ax: Any = None):
        """Plot weights before and after the head against the strength.

        Returns the Matplotlib axes.
        """
        from ..figures import plot_feature_sweep

        return plot_feature_sweep(self, ax)

    def _sentences(self) -> np.ndarray:
        shape = self.measured.shape[1:]
        ended = [Ended[jax.tree.map(lambda x, i=i: x[i], self.ended)] for i in np.ndindex(shape)]
        return np.asarray(ended).reshape(shape)


def feature_sweep(
    start: ThresholdedDiagonal, strength: Any, flips: Any, *, t1: checks.Scalar = 1e6
) -> FeatureSweep:
    r"""Train one unit of a diagonal network for every strength and flip probability.

    Training is by gradient flow of the spectral loss, from one start. Units of a diagonal network
    do not interact, so each setting is a network of one unit, and all are trained together. A
    feature that is learned soon stops there, and does not keep steps short for features that fade
    slowly.

    The closed form is `theory.thresholds.threshold_limit`: $A_L = \sqrt\rho$, $\rho = (1 -
    2\alpha)^2$, and the threshold law in the layers below. With thresholds in layers 3 to $L - 1$,
    or trained thresholds, it covers the last layer, and all layers for features that the last layer
    of the start does not show, which nothing moves. For other features the lower layers are NaN.

    **Arguments:**

    - `start`: diagonal network of one feature, `(L, 1)`, with two layers or more.
    - `strength`: strengths $\varphi > 0$, `(S,)`.
    - `flips`: flip probabilities $\alpha$ in [0, 1], `(F,)`.
    - `t1`: latest time. At $\alpha = \frac12$ there is no signal, and the last layer fades only as
    $t^{-1/2}$, or more slowly without a threshold in it. Its remainder at this time is the
      difference to the closed form.

    **Returns:** a `FeatureSweep`.

    **Raises:** `ValueError` for arguments out of range.

    Source: the window of strengths is the paper's (section 3) for two layers; the rest is beyond
    the paper.
    """
    if start.dim != 1 or start.depth < 2:
        raise checks.bad(
            "start",
            f"weights of shape {start.weights.shape}",
            "one feature and at least two layers, (L, 1)",
        )
    dtype = start.weights.dtype
    phi = grid("strength", checks.positive("strength", strength), "one number a setting").astype(
        dtype
    )
    alpha = grid("flips", checks.probability("flips", flips), "one probability a setting").astype(
        dtype
    )
    measured, ended = _trained(start, phi, alpha, checks.positive("t1", t1).astype(dtype))
    reach = theory.thresholds.threshold_reach(start.weights, start.thresholds)[:, 0]
    return FeatureSweep(phi, alpha, diagonal_weights(start, phi, alpha), measured, reach, ended)


def diagonal_weights(
    start: ThresholdedDiagonal, phi: Float[Array, " S"], alpha: Float[Array, " F"]
) -> Float[Array, "L S F"]:
    """Final weights in closed form; NaN where there is none."""
    units = lambda x: jnp.broadcast_to(x, (start.depth, phi.size))
    w, b = units(start.weights), units(start.thresholds)
    frozen = jnp.broadcast_to(
        ThresholdedDiagonal(w, b).amplitudes(phi)[..., None], (start.depth, phi.size, alpha.size)
    )
    rho = (1 - 2 * alpha) ** 2
    if start.trained or bool((start.thresholds[2:-1] > 0).any()):
        active = jnp.full_like(frozen, jnp.nan).at[-1].set(jnp.sqrt(rho))
        ends = jnp.where(frozen[-1] > 0, active, frozen)
    else:
        each = lambda r: theory.thresholds.threshold_limit(
            w, b, phi, jnp.broadcast_to(r, phi.shape)
        )
        ends = jax.vmap(each, out_axes=-1)(rho)
    return ends / phi[:, None]


@eqx.filter_jit
def _trained(
    start: ThresholdedDiagonal, phi: Float[Array, " S"], alpha: Float[Array, " F"], t1: Array
) -> tuple[Float[Array, "L S F"], Any]:
    def one(phi: Array, alpha: Array) -> tuple[Array, Any]:
        problem = ContrastiveProblem(Features(phi[None]), SignFlip(alpha[None]))
        run = gradient_flow(start, problem, t1=t1, save_at=2)
        return run.final.amplitudes(phi[None])[:, 0] / phi, run.ended

    return jax.vmap(
        jax.vmap(one, in_axes=(None, 0), out_axes=(-1, 0)), in_axes=(0, None), out_axes=(1, 0)
    )(phi, alpha)
