"""Average and worst-group accuracy of each layer under a shift of spurious features."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from .. import measure, probes, theory
from .._core import checks
from .._core.plain import plain
from ..losses import mse
from ..networks import DeepLinear, ShallowThresholded
from ..problems import Groups, ShiftProblem, SupervisedProblem, over_groups
from ..simulation import Ended, gradient_flow, stochastic
from ._arguments import depth as layers
from ._arguments import grid, in_batches, one, save_times
from ._starts import mean_and_error, reached

FITTED = ("training", "balanced")


class ShiftAccuracy(eqx.Module):
    """Accuracies of readouts on the shifted distribution, over training time and settings.

    The axis of size $R = 2$ has readouts fitted on the training distribution, then readouts
    refitted where spurious features are independent of the label.

    - `correlation`: correlation of each spurious feature with the label in training, `(C, K)`.
    - `thresholds`: thresholds of the networks, `(H,)`.
    - `times`: save times, `(T,)`.
    - `probability`: probability of each group in the test, `(C, G)`.
    - `predicted`: accuracies of the linear network from an aligned start, in closed form,
      `(R, C, T, L, G)`; NaN where there is none.
    - `measured`: accuracies of $N$ trained networks from random balanced starts,
      `(R, C, H, N, T, L, G)`; NaN from where a run ended early.
    """

    correlation: Float[Array, "C K"]
    thresholds: Float[Array, " H"]
    times: Float[Array, " T"]
    probability: Float[Array, "C G"]
    predicted: Float[Array, "R C T L G"]
    measured: Float[Array, "R C H N T L G"]

    @property
    def average(self) -> Float[Array, "R C H N T L"]:
        """Average over groups by their probability in the test."""
        return _over_groups(self.measured, self.probability)[0]

    @property
    def worst(self) -> Float[Array, "R C H N T L"]:
        """The least over groups that occur in the test.

        A little too low where accuracies are estimated.
        """
        return _over_groups(self.measured, self.probability)[1]

    @property
    def predicted_average(self) -> Float[Array, "R C T L"]:
        """Average over groups, in closed form."""
        return _over_groups(self.predicted, self.probability)[0]

    @property
    def predicted_worst(self) -> Float[Array, "R C T L"]:
        """The least over groups that occur in the test, in closed form."""
        return _over_groups(self.predicted, self.probability)[1]

    def over_starts(self, name: str) -> tuple[Array, Array]:
        """Mean over starts of `average` or `worst`, and its standard error.

        Each is `(R, C, H, T, L)`.
        """
        return mean_and_error(getattr(self, name), axis=3)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, for JSON: means over starts and their standard errors.

        Numbers that are not finite become None.
        """
        table = {
            name: plain(getattr(self, name)) for name in ("correlation", "thresholds", "times")
        }
        for name in ("average", "worst"):
            mean, error = self.over_starts(name)
            table |= {
                name: plain(mean),
                f"{name}_error": plain(error),
                f"predicted_{name}": plain(getattr(self, f"predicted_{name}")),
            }
        return table | {"fitted": list(FITTED), "seeds": self.measured.shape[3]}

    def to_xarray(self):
        """The results as a labelled `xarray.Dataset`; `setting` counts correlations."""
        import xarray

        outer, inner = ("fitted", "setting"), ("time", "layer")
        tables = {}
        for name in ("average", "worst"):
            tables[name] = ((*outer, "threshold", "seed", *inner), np.asarray(getattr(self, name)))
            tables[f"predicted_{name}"] = (
                (*outer, *inner),
                np.asarray(getattr(self, f"predicted_{name}")),
            )
        return xarray.Dataset(
            tables
            | {
                "group_accuracy": (
                    (*outer, "threshold", "seed", *inner, "group"),
                    np.asarray(self.measured),
                ),
                "predicted_group_accuracy": ((*outer, *inner, "group"), np.asarray(self.predicted)),
                "probability": (("setting", "group"), np.asarray(self.probability)),
                "correlation": (("setting", "spurious"), np.asarray(self.correlation)),
            },
            coords={
                "fitted": list(FITTED),
                "threshold": np.asarray(self.thresholds),
                "time": np.asarray(self.times),
                "layer": np.arange(1, self.measured.shape[-2] + 1),
                "seed": np.arange(self.measured.shape[3]),
            },
        )

    def plot(self, ax: Any = None, setting: int = 0):
        """Plot worst-group accuracy of the refitted readout over training time, at one correlation.

        Returns the Matplotlib axes.
        """
        from ..figures import plot_shift_accuracy

        return plot_shift_accuracy(self, ax, setting)


def _over_groups(
    accuracy: Float[Array, "R C *n G"], probability: Float[Array, "C G"]
) -> tuple[Array, Array]:
    """Average accuracy and worst accuracy over groups that occur."""
    return jax.vmap(over_groups, in_axes=(1, 0), out_axes=1)(accuracy, probability)


def shift_accuracy(
    correlation: Any,
    thresholds: Any,
    times: Any,
    *,
    key: PRNGKeyArray,
    depth: int = 2,
    strength: Any = (1.0, 1.2, 1.1),
    variance: checks.Scalar = 0.8,
    turned: checks.Scalar = -0.5,
    width: int | None = None,
    outputs: int | None = None,
    start: checks.Scalar = 0.3,
    blur: checks.Scalar = 0.2,
    seeds: int = 8,
    learning_rate: checks.Scalar = 0.02,
    batch_size: int = 64,
    samples: int = 2048,
    at_once: int | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> ShiftAccuracy:
    r"""Train on core and spurious features, and probe every layer on a shifted distribution.

    Networks are trained by regression of the label. At threshold 0 the network is linear, trained
    by gradient flow, and probed exactly by `measure.group_accuracy`; the closed form of an aligned
    start stands beside it. At a positive threshold every layer but the last has symmetrised ReLU
    units with this threshold. Such networks are trained from the same starts by stochastic
    gradient descent on freshly drawn inputs, and probed from samples by `probes.group_accuracy`.

    **Arguments:**

    - `correlation`: correlations with the label in training, in [-1, 1]: `(C,)`, the same for all
      spurious features, or `(C, K)`.
    - `thresholds`: thresholds $b \ge 0$, `(H,)`.
    - `times`: save times, increasing and positive, `(T,)`. For descent they are numbers of steps
      times `learning_rate`.
    - `key`: key of starts, inputs and probes.
    - `depth`: number of layers $L \ge 2$.
    - `strength`: strength of the core feature and of the $K$ spurious ones.
    - `variance`: variance of every feature given the label. It is the same for all, so that the
      moments commute: noise supplies the rest beyond the variance of the groups.
    - `turned`: correlations in the test, as a multiple of the correlations in training.
    - `width`, `outputs`: width of the layers below the last, and of the last; the dimension if not
      given. With fewer there is no closed form. One output makes all layers of a linear network
      equivalent.
    - `start`: weight of all directions in the aligned start. Random starts have layers of singular
      values between half and one and a half times its $L$-th root.
    - `blur`: relative readout noise.
    - `seeds`: number of starts, at least 2.
    - `learning_rate`, `batch_size`: learning rate and batch size of descent.
    - `samples`: number of samples of each of eight readouts of a network that is not linear.
    - `at_once`: number of runs of such networks trained together, all of them if not given. There
      is one run for each correlation, positive threshold and start.
    - `progress`: function called with a line as each batch of runs ends.

    **Returns:** a `ShiftAccuracy`.

    **Raises:** `ValueError` for arguments out of range, a variance below the variance of the
    groups, or times that are not apart by a step.

    Source: the experiment is the paper's (section 5); closed form and thresholds are beyond the
    paper.
    """
    phi = grid("strength", checks.positive("strength", strength), "the core feature first")
    if phi.size < 2:
        raise checks.bad("strength", "one feature", "a core feature and at least one spurious one")
    dtype = phi.dtype
    r = _correlations(correlation, phi.size - 1).astype(dtype)
    cuts = grid(
        "thresholds", checks.nonnegative("thresholds", thresholds), "one threshold a network"
    ).astype(dtype)
    at, depth = save_times(times).astype(dtype), layers(depth)
    spread, size, noise, rate = (
        one(name, checks.positive(name, x)).astype(dtype)
        for name, x in (
            ("variance", variance),
            ("start", start),
            ("blur", blur),
            ("learning_rate", learning_rate),
        )
    )
    factor = one("turned", checks.floating("turned", turned)).astype(dtype)
    checks.require(
        "turned",
        factor * r,
        lambda v: np.abs(v) <= 1,
        "a multiple that leaves the test's correlations in [-1, 1]",
    )
    left = spread - phi[1:] ** 2 * (1 - r**2)
    checks.require(
        "variance",
        left,
        lambda v: v >= 0,
        f"at least the variance of the groups, {float(spread - left.min()):.4g}",
    )
    deviations = jnp.sqrt(jnp.concatenate([jnp.broadcast_to(spread, (len(r), 1)), left], axis=1))
    steps = np.round(np.asarray(at) / float(rate)).astype(int)
    counts = tuple(
        checks.count(name, x, n)
        for name, x, n in (("batch_size", batch_size, 2), ("samples", samples, 2))
    )
    positive = np.flatnonzero(np.asarray(cuts) > 0)
    if positive.size and (np.diff(steps, prepend=0) <= 0).any():
        raise checks.bad(
            "times",
            f"{np.asarray(at).tolist()}",
            f"times apart, and from 0, by a step, {float(rate):g}, or more",
        )

    inner = phi.size if width is None else checks.count("width", width)
    sizes = (
        (phi.size,)
        + (inner,) * (depth - 1)
        + (phi.size if outputs is None else checks.count("outputs", outputs),)
    )
    keys = jax.vmap(lambda k: jax.random.split(k, 3), out_axes=1)(
        jax.random.split(key, checks.count("seeds", seeds, 2))
    )
    settings = _settings(phi, deviations, r, factor)
    whole = min(sizes) >= phi.size
    predicted = jnp.where(whole, _predicted(settings, at, size, noise, depth), jnp.nan)

    shape = (len(r), len(keys[0]))
    measured = np.full(
        (2, len(r), cuts.size, shape[1], at.size, depth, settings.test.probability.shape[1]),
        np.nan,
        dtype,
    )
    if positive.size < cuts.size:
        linear = np.moveaxis(np.asarray(_linear(settings, keys[0], at, size, noise, sizes)), 2, 0)
        measured[:, :, np.flatnonzero(np.asarray(cuts) == 0)] = linear[:, :, None]
        progress("linear networks")
    if positive.size:
        c, h, n = (i.ravel() for i in np.indices((len(r), positive.size, shape[1])))
        each = eqx.filter_vmap(
            lambda *run: _thresholded(run, size, noise, rate, steps, sizes, *counts)
        )
        pick = lambda rows: (
            jax.tree.map(lambda x: x[c[rows]], settings),
            cuts[positive[h[rows]]],
            keys[:, n[rows]].T,
        )
        found = np.asarray(in_batches(lambda rows: each(*pick(rows)), c.size, at_once, progress))
        measured[:, :, positive] = np.moveaxis(
            found.reshape(len(r), positive.size, shape[1], *found.shape[1:]), 3, 0
        )
    return ShiftAccuracy(r, cuts, at, settings.test.probability, predicted, jnp.asarray(measured))


def _correlations(value: Any, spurious: int) -> Array:
    r = checks.floating("correlation", value)
    if r.ndim == 1:
        r = jnp.broadcast_to(r[:, None], (r.size, spurious))
    if r.ndim != 2 or r.size == 0 or r.shape[1] != spurious:
        raise checks.bad(
            "correlation",
            f"shape {r.shape}",
            f"a non-empty vector, or (C, {spurious}): one a spurious feature",
        )
    checks.require("correlation", r, lambda v: np.abs(v) <= 1, "correlations in [-1, 1]")
    return r


class _Setting(eqx.Module):
    """Distributions of training, of the shifted test, and of the refitted readout."""

    training: Groups
    test: Groups
    balanced: Groups

    @classmethod
    def of(cls, strength: Array, noise: Array, correlation: Array, turned: Array) -> "_Setting":
        shift = ShiftProblem(strength, noise, correlation, turned * correlation)
        return cls(
            shift.training, shift.test, Groups.signs(strength, noise, jnp.zeros_like(correlation))
        )


@eqx.filter_jit
def _settings(
    strength: Array, noise: Float[Array, "C d"], correlation: Float[Array, "C K"], turned: Array
) -> _Setting:
    return eqx.filter_vmap(lambda noise, r: _Setting.of(strength, noise, r, turned))(
        noise, correlation
    )


@eqx.filter_jit
def _predicted(
    settings: _Setting, times: Array, start: Array, blur: Array, depth: int
) -> Float[Array, "R C T L G"]:
    def one(s: _Setting) -> Array:
        grams = theory.supervised.class_grams(
            SupervisedProblem.signs(s.training), times, start, depth
        )
        each = lambda fitted: jax.vmap(
            lambda g: theory.supervised.group_accuracy(g, fitted, s.test, blur).groups
        )(grams)
        return jnp.stack([each(s.training), each(s.balanced)])

    return eqx.filter_vmap(one, out_axes=1)(settings)


def _start(key: Array, size: Array, sizes: tuple[int, ...]) -> DeepLinear:
    return DeepLinear.balanced(key, sizes, size ** (1 / (len(sizes) - 1)), size.dtype)


@eqx.filter_jit
def _linear(
    settings: _Setting, keys: Array, times: Array, start: Array, blur: Array, sizes: tuple[int, ...]
) -> Float[Array, "C N R T L G"]:
    def run(s: _Setting, key: Array) -> Array:
        data = SupervisedProblem.signs(s.training, sizes[-1]).moments()
        run = gradient_flow(
            _start(key, start, sizes),
            data,
            loss=mse,
            t1=times[-1],
            save_at=times,
            stationarity=0.0,
        )
        each = lambda fitted: jax.vmap(lambda n: measure.group_accuracy(n, fitted, s.test, blur))(
            run.networks
        )[:-1]
        seen = jnp.stack([each(s.training), each(s.balanced)])
        return jnp.where(reached(run, times)[:, None, None], seen, jnp.nan)

    return eqx.filter_vmap(lambda s: jax.vmap(lambda k: run(s, k))(keys))(settings)


def _thresholded(
    run: tuple[Any, ...],
    start: Array,
    blur: Array,
    rate: Array,
    steps: np.ndarray,
    sizes: tuple[int, ...],
    batch_size: int,
    samples: int,
) -> Float[Array, "R T L G"]:
    s, cut, keys = run
    network = ShallowThresholded(
        _start(keys[0], start, sizes).layers, [jnp.broadcast_to(cut, (p,)) for p in sizes[1:-1]]
    )
    options = {
        "loss": mse,
        "learning_rate": rate,
        "steps": int(steps[-1]),
        "batch_size": batch_size,
        "save_at": steps,
    }
    trained = stochastic(
        network, SupervisedProblem.signs(s.training, sizes[-1]), key=keys[1], **options
    )

    def probed(fitted: Groups) -> Array:
        # The same draws for both readouts and all times: shared noise makes no difference.
        probe = lambda n: (
            probes.group_accuracy(n, fitted, s.test, blur, key=keys[2], samples=samples).groups
        )
        return jax.vmap(probe)(trained.networks)

    seen = jnp.stack([probed(s.training), probed(s.balanced)])
    alive = ~(trained.ended == Ended.diverged) | (jnp.asarray(steps) <= trained.ended_at)
    return jnp.where(alive[:, None, None], seen, jnp.nan)
