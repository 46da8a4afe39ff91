"""How well a subclass is read off each layer of a network trained on classes, over training time and width."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from .. import _checks, theory
from .._plain import plain
from ..losses import mse, spectral
from ..measure import group_accuracy
from ..networks import DeepLinear
from ..problems import Groups, SupervisedContrastiveProblem, SupervisedProblem
from ..simulation import gradient_flow
from ._aligned import aligned_grams, loss_name
from ._arguments import depth as layers
from ._arguments import moments_of_time, one
from ._starts import mean_and_error, reached


class SubclassAccuracy(eqx.Module):
    r"""Accuracy with which the sign of one feature is read off each layer, an average over groups.

    `times` `(T,)`; `widths` `(W,)`; `predicted` `(W, T, L)`: in closed form, from an aligned start; NaN for widths below the dimension,
    and where there is no closed form; `measured` `(W, N, T, L)`: of $N$ trained networks from random balanced starts of the same size; NaN
    after the time at which a run ended early.
    """

    times: Float[Array, " T"]
    widths: Int[Array, " W"]
    predicted: Float[Array, "W T L"]
    measured: Float[Array, "W N T L"]

    @property
    def mean(self) -> Float[Array, "W T L"]:
        """Over starts."""
        return mean_and_error(self.measured, axis=1)[0]

    @property
    def error(self) -> Float[Array, "W T L"]:
        """The standard error of the mean over starts."""
        return mean_and_error(self.measured, axis=1)[1]

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, for JSON; what is not finite is None."""
        names = ("times", "predicted", "measured", "mean", "error")
        return {"widths": np.asarray(self.widths).tolist()} | {
            name: plain(getattr(self, name)) for name in names
        }

    def to_xarray(self):
        """A labelled `xarray.Dataset`."""
        import xarray

        names = ("width", "time", "layer")
        tables = {
            name: (names, np.asarray(getattr(self, name)))
            for name in ("predicted", "mean", "error")
        }
        return xarray.Dataset(
            tables | {"measured": (("width", "seed", "time", "layer"), np.asarray(self.measured))},
            coords={
                "width": np.asarray(self.widths),
                "seed": np.arange(self.measured.shape[1]),
                "time": np.asarray(self.times),
                "layer": np.arange(1, self.measured.shape[-1] + 1),
            },
        )

    def plot(self, ax: Any = None, width: int | None = None):
        """Accuracy over training time, one colour a layer, at one width (the first if not given); returns the Matplotlib axes."""
        from ..figures import plot_subclass_accuracy

        return plot_subclass_accuracy(self, ax, width)


def subclass_accuracy(
    groups: Groups,
    times: Any,
    widths: Sequence[int],
    *,
    key: PRNGKeyArray,
    loss: str = "contrastive",
    depth: int = 2,
    feature: int = 1,
    start: _checks.Scalar = 0.5,
    blur: _checks.Scalar = 0.25,
    seeds: int = 8,
    progress: Callable[[str], None] = lambda line: None,
) -> SubclassAccuracy:
    r"""Train linear networks on the classes of `groups` by gradient flow, and read the sign of one feature off every layer.

    Predicted is what `theory.group_accuracy` makes of the Grams of an aligned balanced start, in which the class's direction is learned
    and each other one fades as a power of time. Measured is what random balanced starts show, for which there is no closed form on the
    way; late in training they agree.

    **Arguments:** `groups`: two classes; `times`: increasing, positive, `(T,)`; `widths`: of all layers, `(W,)`. Layers narrower than the
    inputs are trained as well, but a random start of less than full rank has no aligned counterpart, so there the prediction is NaN;
    `key`: of the starts; `loss`: `contrastive` (spectral, positives of one class) or `regression` (of the class, $\pm 1$ on the first
    output); `depth`: $L \ge 2$; `feature`: whose sign is read, counted from 0; `start`: $s_0$, the weight of all directions in the aligned
    start; random ones have layers of singular values between half and one and a half times $s_0^{1/L}$; `blur`: the read-out's noise, as in
    `theory.group_accuracy`; `seeds`: at least 2; `progress`: called with a line as each width ends.

    **Raises:** `ValueError` for arguments out of range.

    Source: the experiment is the paper's (section 5); the closed form is beyond the paper.
    """
    if groups.classes != 2:
        raise _checks.bad("groups", f"{groups.classes} classes", "two classes")
    read, loss, depth = groups.read(feature), loss_name(loss), layers(depth)
    dtype = groups.means.dtype
    at = moments_of_time(times).astype(dtype)
    counts = [_checks.count("widths", width) for width in widths]
    if not counts:
        raise _checks.bad("widths", "none", "at least one")
    size, noise = (
        one(name, _checks.positive(name, x)).astype(dtype)
        for name, x in (("start", start), ("blur", blur))
    )
    keys = jax.random.split(key, _checks.count("seeds", seeds, 2))
    accuracy = lambda gram: theory.group_accuracy(gram, read, read, noise).average
    closed = jax.vmap(accuracy)(aligned_grams(at, groups, size, depth, loss))
    predicted = jnp.stack(
        [closed if width >= groups.dim else jnp.full_like(closed, jnp.nan) for width in counts]
    )
    measured = []
    for width in counts:
        measured.append(
            _measured(keys, groups, read, at, size, noise, (groups.dim,) + (width,) * depth, loss)
        )
        progress(f"width {width}: {len(measured)} of {len(counts)}")
    return SubclassAccuracy(at, jnp.asarray(counts), predicted, jnp.stack(measured))


@eqx.filter_jit
def _measured(
    keys: Array,
    groups: Groups,
    read: Groups,
    times: Array,
    start: Array,
    blur: Array,
    sizes: tuple[int, ...],
    loss: str,
) -> Float[Array, "N T L"]:
    dtype = times.dtype
    if loss == "regression":
        targets = jnp.zeros((2, sizes[-1]), dtype).at[:, 0].set(jnp.asarray([-1, 1], dtype))
        data, objective = SupervisedProblem(groups, targets).moments(), mse
    else:
        data, objective = SupervisedContrastiveProblem(groups).moments(), spectral

    def one(key: Array) -> Array:
        network = DeepLinear.balanced(key, sizes, start ** (1 / (len(sizes) - 1)), dtype)
        run = gradient_flow(
            network, data, loss=objective, until=times[-1], record=times, stationarity=0.0
        )
        seen = jax.vmap(lambda n: group_accuracy(n, read, read, blur))(run.networks)[:-1]
        return jnp.where(reached(run, times)[:, None], seen @ read.probability, jnp.nan)

    return jax.vmap(one)(keys)
