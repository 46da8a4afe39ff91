"""barlow-stepwise: the steps in which unnormalised Barlow Twins learns."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ... import Moments, losses
from ..._core import CHAIN, epsilons, layer_powers, named
from ...claims import Claim, Control, Rows, Verdict, verdict_of
from ...theory import dynamics
from .._common import (
    RECORDS,
    AbstractAlignedTask,
    FeatureTask,
    Run,
    decades,
    drawn,
    flow_rounding,
    over,
    replace,
    uniform,
)
from .flow_times import DIM, SMALLEST, judge_paths, log_weights, paths, start_controls, train


class BarlowTask(AbstractAlignedTask):
    """Feature model under Barlow Twins without normalisation."""

    loss: ClassVar[losses.AbstractLoss] = losses.unnormalised_barlow_twins
    theory: ClassVar[Any] = dynamics.barlow_twins
    word: ClassVar[str] = "direction"
    order: ClassVar[int] = 4

    @property
    def moments(self) -> Moments:
        return Moments(jnp.diag(self.cross), jnp.diag(self.second))

    @property
    def final(self) -> Float[Array, " d"]:
        return 1 / jnp.sqrt(self.cross)


class Stepwise(eqx.Module):
    """Predicted weight of every direction at every layer and time, and the loss at every time."""

    paths: Float[Array, "T L d"]
    loss: Float[Array, " T"]


@eqx.filter_jit
def predict_steps(p: BarlowTask) -> Stepwise:
    last = p.theory.weight_at_time(p.times[:, None], p.start_weight, p.cross, p.depth)
    return Stepwise(
        jnp.swapaxes(layer_powers(last, p.depth), 1, 2),
        p.theory.loss_at_time(p.times, p.start_weight, p.cross, p.depth),
    )


@eqx.filter_jit
def judge_steps(prediction: Stepwise, run: Run) -> Verdict:
    """Verdict on the logarithm of every weight, and on the loss, at every time.

    The error of the loss is the error of the logarithm of each weight, times $4 g (1 - g)$ with
    $g = c s^2$.
    """
    weights = judge_paths(prediction.paths, run)
    outputs = prediction.paths.shape[2]
    # The final weights, from the prediction itself: g is the share of their squares.
    gaps = jnp.clip((prediction.paths[:, -1] / prediction.paths[-1, -1]) ** 2, 0, 1)
    apart = log_weights(run)[1][:, -1]
    grown = jnp.sum(4 * gaps * (1 - gaps) * (apart + flow_rounding(run.fine)), axis=1)
    rounding = epsilons(CHAIN * outputs, apart.dtype)
    worst = lambda x: jnp.max(jnp.abs(x)) / outputs
    return verdict_of(
        Rows(
            tuple(label.replace("feature", "direction") for label in weights.labels),
            weights.discrepancy,
            weights.parts,
            weights.effect,
            weights.predicted,
            weights.measured,
        ),
        Rows(
            ("loss",),
            worst(run.fine.loss[:-1] - prediction.loss),
            {
                "integration": worst(run.error(lambda t: t.loss[:-1])) + worst(grown),
                "rounding": rounding,
            },
            # The effect to detect: one step.
            1 / outputs,
            prediction.loss[-1:],
            run.fine.loss[-2:-1],
        ),
        what="log weight and loss over time",
        converged=weights.converged,
        finite=weights.finite,
    )


def _watched(cross: Array, second: Array, start: Array, depth: int) -> BarlowTask:
    """Task whose save times span the steps of all directions."""
    onset = dynamics.onset_time(start, cross, depth)
    settling = 3 / (depth * cross ** (1 / depth))
    times = jnp.geomspace(
        jnp.min(onset) / 20,
        2 * jnp.max(onset) + jnp.max(settling),
        RECORDS,
        dtype=cross.dtype,
    )
    return BarlowTask(cross, second, start, times, jnp.zeros_like(cross[0]), depth)


@drawn
def directions(key: PRNGKeyArray, depth: int, *, index: Array | int = 0) -> BarlowTask:
    """Three directions with eigenvalues a factor two or three apart, and noise of any size."""
    k1, k2 = jax.random.split(named(key, "directions", index))
    cross = jnp.asarray([1.0, 0.5, 0.2], jnp.result_type(float)) * uniform(k1, 0.8, 1.2, (DIM,))
    start = jnp.full_like(cross, SMALLEST[FeatureTask][depth])
    return _watched(cross, cross / uniform(k2, 0.3, 0.95, (DIM,)), start, depth)


def _harder_directions(key: PRNGKeyArray, depth: int) -> BarlowTask:
    """Draw eigenvalues over seven decades, with ties; starts range up to the final weight."""
    k = jax.random.split(key, 5)
    cross = decades(k[0], -3, 3) * decades(k[1], -1, 0, (DIM,))
    cross = jnp.where(jax.random.bernoulli(k[2], 0.3), cross.at[1].set(cross[0]), cross)
    share = SMALLEST[FeatureTask][depth] * 30 ** uniform(k[3], 0, 1, (DIM,))
    times = jnp.geomspace(0.001, 20, RECORDS, dtype=cross.dtype) / jnp.min(
        depth * cross ** (1 / depth)
    )
    return BarlowTask(
        cross,
        cross / uniform(k[4], 0.02, 1.0, (DIM,)),
        share / jnp.sqrt(cross),
        times,
        jnp.zeros_like(cross[0]),
        depth,
    )


def _as_features(p: BarlowTask, second: Array, depth: int | None = None) -> Array:
    """The course of the flow of the spectral contrastive loss, by a program that claims share."""
    task = FeatureTask(p.cross, second, p.start_weight, p.times, p.weight_decay, p.depth)
    return paths(task, depth) if depth else paths(task)


CLAIM = Claim(
    name="barlow-stepwise",
    statement="Under Barlow Twins without normalisation, from an aligned balanced start, every "
    "eigendirection of the cross moment, of eigenvalue c, evolves alone, ds/dt = 4 L s^(3 - 2/L) c "
    "(1 - c s^2), whatever the noise; the loss falls by one for each learned direction.",
    latex=r"\dot s = 4 L\, s^{3 - 2/L}\, c\, (1 - c s^2), \qquad "
    r"\mathcal L(t) = \sum_i (1 - c_i s_i^2)^2",
    hypotheses=(
        "linear network",
        "unnormalised Barlow Twins",
        "aligned balanced start",
        "gradient flow",
    ),
    source="beyond the paper; Simon et al. 2023 for depth 1",
    problems=lambda key: (
        directions(key, depth, index=index)
        for depth, index in ((3, 0), (2, 0), (1, 0), (4, 0), (2, 1))
    ),
    predict=predict_steps,
    measure=train,
    compare=judge_steps,
    sharpness={
        "direction #": (5e-10, 0.004),
        "loss": (1e-9, 1e-4),
    },
    controls=(
        *start_controls(BarlowTask),
        Control(
            "noise-enters",
            "predicts the course under the spectral contrastive loss, which depends on the noise",
            predict=lambda problem, own: replace(own, paths=_as_features(problem, problem.second)),
        ),
        Control(
            "wrong-depth",
            "predicts for one layer more",
            predict=lambda problem, own: replace(
                own, paths=_as_features(problem, problem.cross, problem.depth + 1)
            ),
        ),
    ),
    search=over(_harder_directions, "depth", (1, 2, 3)),
    quick=1,
)
