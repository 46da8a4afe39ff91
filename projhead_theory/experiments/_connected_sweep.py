"""Sweep over strength and flip probability of a weak feature in fully connected networks."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from .._core import checks
from .._core.plain import plain
from .._core.student import half_width
from ..measure import feature_weights
from ..networks import AbstractNetwork, ThresholdedDiagonal
from ..problems import ContrastiveProblem, Features, SignFlip
from ..simulation import Ended, stochastic
from ..theory.thresholds import threshold_reach
from ._arguments import grid, in_batches, one
from ._feature_sweep import diagonal_weights


class ConnectedSweep(eqx.Module):
    """Squared weights of a weak feature in each layer, beside strong features and an unseen one.

    The unseen direction never varied in training.

    - `strength`: strengths of the weak feature, `(S,)`.
    - `flips`: flip probabilities of the weak feature, `(F,)`.
    - `squares`: squared weights of a strong feature, the weak feature and the unseen direction,
      for each of $N$ seeds, `(L, S, F, N, 3)`. They are unbiased and may be negative; NaN for a
      run that diverged.
    - `predicted`: final weights of the weak feature in a diagonal network with the largest
      weights of the starts and their lowest thresholds, `(L, S, F)`.
    - `reach`: strength from which on each layer of the diagonal network shows the feature, `(L,)`.
    - `level`: probability that any confidence limit is wrong.
    - `negligible`: share below which the weak feature counts as absent.
    """

    strength: Float[Array, " S"]
    flips: Float[Array, " F"]
    squares: Float[Array, "L S F N 3"]
    predicted: Float[Array, "L S F"]
    reach: Float[Array, " L"]
    level: float
    negligible: float

    @property
    def differences(self) -> Float[np.ndarray, "L S F N"]:
        """Squared weight of the weak feature less the unseen direction's, relative to a strong one.

        The unit is a strong feature's mean squared weight over seeds. Not finite, and the verdict
        open, where a layer shows no strong feature either.
        """
        strong, weak, unseen = np.moveaxis(np.asarray(self.squares), -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (weak - unseen) / strong.mean(axis=-1, keepdims=True)

    @property
    def share(self) -> Float[np.ndarray, "L S F"]:
        """Mean difference over seeds."""
        return self.differences.mean(axis=-1)

    @property
    def limits(self) -> tuple[Float[np.ndarray, "L S F"], Float[np.ndarray, "L S F"]]:
        """One-sided confidence limits of the share, lower and upper, by Student's t.

        The level is shared among all limits.
        """
        differences = self.differences
        tests = 2 * differences[..., 0].size
        half = half_width(differences, 1 - self.level / tests)
        return self.share - half, self.share + half

    @property
    def verdict(self) -> np.ndarray:
        """Verdict for each layer and setting, `(L, S, F)`.

        `present` if the lower limit is positive, `absent` if it is not and the upper limit is
        negligible, else `open`.
        """
        low, high = self.limits
        return np.where(low > 0, "present", np.where(high < self.negligible, "absent", "open"))

    @property
    def foretold(self) -> np.ndarray:
        """Final verdict of the diagonal network, `(L, S, F)`: `present` or `absent`.

        `open` where it has no closed form.
        """
        predicted = np.asarray(self.predicted)
        return np.where(np.isnan(predicted), "open", np.where(predicted > 0, "present", "absent"))

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, for JSON: shares with their limits and verdicts, not every seed.

        Numbers that are not finite become None.
        """
        low, high = self.limits
        numbers = {
            name: plain(getattr(self, name))
            for name in ("strength", "flips", "share", "predicted", "reach", "level", "negligible")
        }
        words = {"verdict": self.verdict.tolist(), "foretold": self.foretold.tolist()}
        return (
            numbers
            | {"low": plain(low), "high": plain(high), "seeds": self.squares.shape[3]}
            | words
        )

    def to_xarray(self):
        """The results as a labelled `xarray.Dataset`."""
        import xarray

        names = ("layer", "strength", "flips")
        low, high = self.limits
        return xarray.Dataset(
            {
                "square": ((*names, "seed", "direction"), np.asarray(self.squares)),
                "share": (names, self.share),
                "low": (names, low),
                "high": (names, high),
                "verdict": (names, self.verdict),
                "predicted": (names, np.asarray(self.predicted)),
                "foretold": (names, self.foretold),
                "reach": (("layer",), np.asarray(self.reach)),
            },
            coords={
                "layer": np.arange(1, len(self.reach) + 1),
                "strength": np.asarray(self.strength),
                "flips": np.asarray(self.flips),
                "seed": np.arange(self.squares.shape[3]),
                "direction": ["strong", "weak", "unseen"],
            },
            attrs={"level": self.level, "negligible": self.negligible},
        )

    def plot(self, ax: Any = None):
        """Plot shares with their limits before and after the head, against the strength.

        Returns the Matplotlib axes.
        """
        from ..figures import plot_connected_sweep

        return plot_connected_sweep(self, ax)


def connected_sweep(
    start: Callable[[PRNGKeyArray], AbstractNetwork],
    strength: Any,
    flips: Any,
    *,
    key: PRNGKeyArray,
    seeds: int = 20,
    strong: Any = (1.0, 1.0),
    strong_flips: Any = 0.05,
    learning_rate: checks.Scalar = 0.05,
    steps: int = 800,
    batch_size: int = 64,
    samples: int = 2048,
    at_once: int | None = None,
    level: float = 1e-3,
    negligible: float = 0.01,
    progress: Callable[[str], None] = lambda line: None,
) -> ConnectedSweep:
    r"""Train fully connected networks on strong features and a weak one, over a grid of settings.

    Views are drawn afresh in every step, and many networks are trained at once. Inputs have one
    coordinate more than there are features, which never varies in training. A random start gives it
    weight, as it does to any direction, and training leaves this weight as it is. In each layer the
    squared weight of the weak feature is compared with it, seed by seed, both probed at the same
    strength. Fully connected networks have no closed form; the prediction for a diagonal network
    stands beside the measurement.

    **Arguments:**

    - `start`: function of a key that returns a network of `len(strong) + 2` inputs.
    - `strength`: strengths $\varphi > 0$ of the weak feature, `(S,)`.
    - `flips`: flip probabilities of the weak feature in [0, 1], `(F,)`.
    - `key`: key of starts, views and probes. It is the same for every setting, so that settings are
    compared on the same seeds.
    - `seeds`: number of seeds, at least 2.
    - `strong`: strengths of the strong features.
    - `strong_flips`: flip probability of the strong features, one number or one each.
    - `learning_rate`, `steps`, `batch_size`: learning rate, number of steps and batch size of
    stochastic gradient descent on the spectral loss.
    - `samples`: number of samples of the probe.
    - `at_once`: number of the $S F N$ runs trained together, all of them if not given.
    - `level`: probability that any confidence limit is wrong.
    - `negligible`: share of a strong feature's squared weight below which a feature is absent.
    - `progress`: function called with a line as each batch of runs ends.

    **Returns:** a `ConnectedSweep`.

    **Raises:** `ValueError` for arguments out of range, or a start with another number of inputs or
    with fewer than two layers.

    Source: beyond the paper, whose section 3 has two layers and says that features are absent
    above.
    """
    strong = grid("strong", checks.positive("strong", strong), "one number a feature")
    strong_flips = checks.probability("strong_flips", strong_flips)
    if strong_flips.shape not in ((), strong.shape):
        raise checks.bad(
            "strong_flips",
            f"shape {strong_flips.shape}",
            f"one probability, or {strong.size}: one a strong feature",
        )
    phi = grid("strength", checks.positive("strength", strength), "one number a setting")
    alpha = grid("flips", checks.probability("flips", flips), "one probability a setting")
    seeds = checks.count("seeds", seeds, 2)
    for name, value in (("level", level), ("negligible", negligible)):
        checks.require(
            name,
            one(name, checks.floating(name, value)),
            lambda v: (v > 0) & (v < 1),
            "a number between 0 and 1",
        )
    keys = jax.vmap(lambda k: jax.random.split(k, 3), out_axes=1)(jax.random.split(key, seeds))
    starts = eqx.filter_vmap(start)(keys[0])
    depth, inputs = len(starts.layers), starts.layers[0].shape[-1]
    if depth < 2 or inputs != strong.size + 2:
        raise checks.bad(
            "start",
            f"{inputs} inputs, {depth} layers",
            f"{strong.size + 2} inputs, at least 2 layers",
        )
    dtype = starts.layers[0].dtype
    cast = lambda x: x.astype(dtype)
    phi, alpha, strong, strong_flips = (
        cast(x) for x in (phi, alpha, strong, jnp.broadcast_to(strong_flips, strong.shape))
    )
    rate = cast(checks.positive("learning_rate", learning_rate))
    counts = (
        checks.count("steps", steps),
        checks.count("batch_size", batch_size, 2),
        checks.count("samples", samples, 64),
    )
    shape = (phi.size, alpha.size, seeds)
    i, j, seed = (index.ravel() for index in np.indices(shape))
    each = eqx.filter_vmap(lambda *run: _run(run, strong, strong_flips, rate, *counts))
    pick = lambda index: jax.tree.map(lambda x: x[index], (starts, keys[1], keys[2]))
    found = in_batches(
        lambda rows: each(*pick(seed[rows]), phi[i[rows]], alpha[j[rows]]),
        seed.size,
        at_once,
        progress,
    )
    squares = jnp.moveaxis(found.reshape(*shape, *found.shape[1:]), -2, 0)
    template = _diagonal(starts)
    reach = threshold_reach(template.weights, template.thresholds)[:, 0]
    return ConnectedSweep(
        phi,
        alpha,
        squares,
        diagonal_weights(template, phi, alpha),
        reach,
        float(level),
        float(negligible),
    )


def _run(
    run: tuple[Any, ...],
    strong: Float[Array, " m"],
    strong_flips: Float[Array, " m"],
    rate: Array,
    steps: int,
    batch: int,
    samples: int,
) -> Float[Array, "L 3"]:
    """Squared weights from one start, with its keys, in one setting."""
    network, training, probing, phi, alpha = run
    m = len(strong)
    features = Features(jnp.append(strong, phi), mixing=jnp.eye(m + 2, m + 1, dtype=phi.dtype))
    problem = ContrastiveProblem(features, SignFlip(jnp.append(strong_flips, alpha)))
    trained = stochastic(
        network, problem, key=training, learning_rate=rate, steps=steps, batch_size=batch, save_at=2
    )
    probe = ContrastiveProblem(Features(jnp.append(strong, jnp.stack([phi, phi]))))
    square = _square(trained.final, probe, probing, samples)
    # All strong features count alike: the mean of their squares.
    seen = jnp.stack([jnp.mean(square[:, :m], axis=1), square[:, m], square[:, m + 1]], axis=1)
    return jnp.where(trained.ended == Ended.diverged, jnp.nan, seen)


@eqx.filter_jit
def _square(
    network: AbstractNetwork, probe: ContrastiveProblem, key: Array, samples: int
) -> Float[Array, "L d"]:
    """Squared weights alone.

    Compiled as one function, which leaves out the readouts; they cost the most in wide layers.
    """
    return feature_weights(network, probe, key=key, samples=samples).square


def _diagonal(starts: AbstractNetwork) -> ThresholdedDiagonal:
    """Diagonal network of one feature that stands for the starts.

    Its weight in each layer is the largest of a start, averaged over starts. Its threshold is the
    lowest.
    """
    weights = jnp.stack([jnp.mean(jnp.max(jnp.abs(w), axis=(1, 2))) for w in starts.layers])
    cuts = starts.thresholds
    lowest = jnp.stack(
        [
            *(jnp.min(b) for b in cuts),
            *(jnp.zeros((), weights.dtype) for _ in starts.layers[len(cuts) :]),
        ]
    )
    trained = len(starts.trained_thresholds) > 0
    return ThresholdedDiagonal(weights[:, None], lowest[:, None], trained)
