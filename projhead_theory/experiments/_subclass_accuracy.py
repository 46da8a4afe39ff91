"""Accuracy of reading a subclass off each layer of a network trained on classes."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from .. import theory
from .._core import checks
from .._core.plain import plain
from ..losses import mse, spectral
from ..measure import group_accuracy
from ..networks import DeepLinear
from ..problems import Groups, SupervisedContrastiveProblem, SupervisedProblem
from ..simulation import gradient_flow
from ._arguments import depth as layers
from ._arguments import loss_name, one, save_times
from ._starts import mean_and_error, reached


class SubclassAccuracy(eqx.Module):
    """Accuracy of reading the sign of one feature off each layer, averaged over groups.

    - `times`: save times, `(T,)`.
    - `widths`: widths of all layers, `(W,)`.
    - `predicted`: closed form from an aligned start, `(W, T, L)`; NaN for widths below the
      dimension, and where there is no closed form.
    - `measured`: accuracies of $N$ trained networks from random balanced starts of the same size,
      `(W, N, T, L)`; NaN after the time at which a run ended early.
    """

    times: Float[Array, " T"]
    widths: Int[Array, " W"]
    predicted: Float[Array, "W T L"]
    measured: Float[Array, "W N T L"]

    @property
    def mean(self) -> Float[Array, "W T L"]:
        """Mean over starts."""
        return mean_and_error(self.measured, axis=1)[0]

    @property
    def error(self) -> Float[Array, "W T L"]:
        """Standard error of the mean over starts."""
        return mean_and_error(self.measured, axis=1)[1]

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, for JSON; numbers that are not finite become None."""
        names = ("times", "predicted", "measured", "mean", "error")
        return {"widths": np.asarray(self.widths).tolist()} | {
            name: plain(getattr(self, name)) for name in names
        }

    def to_xarray(self):
        """The results as a labelled `xarray.Dataset`."""
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
        """Plot accuracy over training time, one colour a layer, at one width.

        The first width is shown if none is given. Returns the Matplotlib axes.
        """
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
    start: checks.Scalar = 0.5,
    blur: checks.Scalar = 0.25,
    seeds: int = 8,
    progress: Callable[[str], None] = lambda line: None,
) -> SubclassAccuracy:
    r"""Train linear networks on classes, and read the sign of one feature off every layer.

    Training is by gradient flow on the classes of `groups`. The prediction applies
    `theory.supervised.group_accuracy` to the Grams of an aligned balanced start. From it the class
    direction is learned, and each other direction fades as a power of time. The measurement is for
    random balanced starts, which have no closed form during training; late in training both agree.

    **Arguments:**

    - `groups`: groups of two classes.
    - `times`: save times, increasing and positive, `(T,)`.
    - `widths`: widths of all layers, `(W,)`. Layers narrower than the inputs are trained as well,
    but a random start of less than full rank has no aligned counterpart, so there the
      prediction is NaN.
    - `key`: key of the starts.
    - `loss`: `contrastive` (spectral, positive pairs of one class) or `regression` (of the class,
    $\pm 1$ on the first output).
    - `depth`: number of layers $L \ge 2$.
    - `feature`: number of the feature whose sign is read, from 0.
    - `start`: weight $s_0$ of all directions in the aligned start. Random starts have layers of
    singular values between half and one and a half times $s_0^{1/L}$.
    - `blur`: readout noise, as in `theory.supervised.group_accuracy`.
    - `seeds`: number of starts, at least 2.
    - `progress`: function called with a line as each width ends.

    **Returns:** a `SubclassAccuracy`.

    **Raises:** `ValueError` for arguments out of range.

    Source: the experiment is the paper's (section 5); the closed form is beyond the paper.
    """
    if groups.classes != 2:
        raise checks.bad("groups", f"{groups.classes} classes", "two classes")
    read, loss, depth = groups.read(feature), loss_name(loss), layers(depth)
    dtype = groups.means.dtype
    at = save_times(times).astype(dtype)
    counts = [checks.count("widths", width) for width in widths]
    if not counts:
        raise checks.bad("widths", "none", "at least one")
    size, noise = (
        one(name, checks.positive(name, x)).astype(dtype)
        for name, x in (("start", start), ("blur", blur))
    )
    keys = jax.random.split(key, checks.count("seeds", seeds, 2))
    accuracy = lambda gram: theory.supervised.group_accuracy(gram, read, read, noise).average
    closed = jax.vmap(accuracy)(
        theory.supervised.class_grams(_problem(groups, loss), at, size, depth)
    )
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


def _problem(
    groups: Groups, loss: str, outputs: int = 1
) -> SupervisedContrastiveProblem | SupervisedProblem:
    if loss == "regression":
        return SupervisedProblem.signs(groups, outputs)
    return SupervisedContrastiveProblem(groups)


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
    data = _problem(groups, loss, sizes[-1]).moments()
    objective = mse if loss == "regression" else spectral

    def one(key: Array) -> Array:
        network = DeepLinear.balanced(key, sizes, start ** (1 / (len(sizes) - 1)), dtype)
        run = gradient_flow(
            network, data, loss=objective, t1=times[-1], save_at=times, stationarity=0.0
        )
        seen = jax.vmap(lambda n: group_accuracy(n, read, read, blur))(run.networks)[:-1]
        return jnp.where(reached(run, times)[:, None], seen @ read.probability, jnp.nan)

    return jax.vmap(one)(keys)
