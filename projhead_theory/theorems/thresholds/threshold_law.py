"""threshold-law: amplitudes of all layers of a diagonal network with thresholds."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from ... import (
    ContrastiveProblem,
    Features,
    SignFlip,
    ThresholdedDiagonal,
    gradient_descent,
    theory,
)
from ..._core import CHAIN, epsilons, named
from ...claims import Claim, Control, Offers, Rows, Verdict, numbered, rounded, verdict_of
from .._common import (
    Run,
    drawn,
    fewer,
    flow_through,
    in_place_of,
    local_error,
    replace,
    step_numbers,
    with_entries,
)

DIM, RECORDS = 4, 64


class ThresholdTask(eqx.Module):
    """Features with sign flips, the start of a diagonal network with thresholds, and save times."""

    strength: Float[Array, " d"]
    flips: Float[Array, " d"]
    weights: Float[Array, "L d"]
    thresholds: Float[Array, "L d"]
    times: Float[Array, " T"]

    @property
    def depth(self) -> int:
        return self.weights.shape[-2]

    @property
    def label(self) -> str:
        return f"depth {self.depth}, {self.strength.shape[-1]} features"

    @property
    def rho(self) -> Float[Array, " d"]:
        return (1 - 2 * self.flips) ** 2

    @property
    def given(self) -> tuple[Array, Array, Array]:
        """Weights, thresholds and strengths, as closed forms take them."""
        return self.weights, self.thresholds, self.strength

    @property
    def contrastive(self) -> ContrastiveProblem:
        return ContrastiveProblem(Features(self.strength), SignFlip(self.flips))

    def start(self) -> ThresholdedDiagonal:
        return ThresholdedDiagonal(self.weights, self.thresholds)

    def shrinks(self) -> Offers:
        """Simpler problems: one feature less, rounder numbers."""
        yield from fewer(self, "strength", "flips", "weights", "thresholds")
        yield from rounded(lambda r: r(self))


class Orbits(eqx.Module):
    """Predicted amplitudes of the features from the start of a problem, in all layers.

    - `limit`: the amplitudes in the end.
    - `assumed`: the problem whose law the amplitudes are compared with: the same, unless a control
      replaces it.
    - `law`: the amplitudes of all layers as a function of the last.
    - `time`: the time at which the last amplitude has a given value.
    """

    problem: ThresholdTask
    limit: Float[Array, "L d"]
    assumed: ThresholdTask
    law: Callable[..., Array] = eqx.field(static=True, default=theory.thresholds.threshold_law)
    time: Callable[..., Array] = eqx.field(static=True, default=theory.thresholds.threshold_time)


@eqx.filter_jit
def predict(problem: ThresholdTask) -> Orbits:
    return Orbits(problem, theory.thresholds.threshold_limit(*problem.given, problem.rho), problem)


def train(p: ThresholdTask) -> Run:
    """Gradient flow of the exact population loss to the last save time, recorded at all of them."""
    return flow_through(p.start(), p.contrastive, p.times)


def amplitudes_of(run: Run, strength: Array) -> tuple[Array, ...]:
    """Amplitudes of every layer at every save time, in the fine and the coarse run."""
    return tuple(t.each(lambda n: n.amplitudes(strength))[:-1] for t in (run.fine, run.coarse))


def time_row(orbits: Orbits, run: Run) -> Rows:
    """Row of the largest relative error of the predicted times.

    The time of a record is predicted from its last amplitude. Close to its limit an amplitude says
    little about the time: records within a thousandth of the limit are left out.
    """
    p, times = orbits.problem, run.fine.times[:-1, None]
    fine, coarse = (a[:, -1] for a in amplitudes_of(run, p.strength))
    moving = (jnp.abs(fine**2 - p.rho) > 2e-3 * p.rho) & (times > times[-1] * 1e-6)

    def when(last: Array) -> Array:
        # An amplitude that the flow never reaches counts as an error of the whole time.
        time = orbits.time(last, *p.given, p.rho)
        return jnp.where(jnp.isnan(time), 0, time)

    worst = lambda x: jnp.max(jnp.where(moving, jnp.abs(x) / jnp.where(moving, times, 1), 0))
    integration = worst(when(fine) - when(coarse)) + 1e3 * local_error(fine.dtype, 1)
    # Effect: times twice as late.
    return Rows(
        ("time",),
        worst(when(fine) - times),
        {"integration": integration, "rounding": 1e3 * orbit_rounding(orbits, run)},
        0.5,
    )


def orbit_rounding(orbits: Orbits, run: Run) -> Array:
    """Relative rounding of the amplitudes, and of the law solved for them.

    An amplitude is the difference of a larger one and a threshold, which magnifies its rounding.
    """
    inside = jnp.max(orbits.problem.thresholds, axis=0) / jnp.min(orbits.limit[:-1], axis=0)
    steps = jnp.sqrt(run.fine.steps.astype(inside.dtype))
    return epsilons(CHAIN, inside.dtype) * (1 + steps) * (1 + jnp.max(inside))


@drawn
def task(key: PRNGKeyArray, depth: int, *, index: Array | int) -> ThresholdTask:
    """A random problem with active features of unequal weights in all layers.

    Only the first two layers and the last have thresholds.
    """
    k = jax.random.split(named(key, "thresholds", index), 4)
    strength = jax.random.uniform(k[0], (DIM,), float, 0.7, 2.0)
    thresholds = jax.random.uniform(k[2], (depth, DIM), float, 0.05, 0.3)
    thresholds = thresholds.at[2:-1].set(0) if depth > 3 else thresholds
    # Each layer leaves a share between 0.4 and 0.9 of the strength, the last less than its limit.
    shares = jax.random.uniform(k[3], (depth, DIM), float, 0.4, 0.9)
    amplitudes = jnp.concatenate([jnp.ones((1, DIM)), shares[:-1], shares[-1:] / 3]) * jnp.where(
        jnp.arange(depth + 1)[:, None] < depth, strength, 1
    )
    return ThresholdTask(
        strength,
        jax.random.uniform(k[1], (DIM,), float, 0.0, 0.25),
        (amplitudes[1:] + thresholds) / amplitudes[:-1],
        thresholds,
        jnp.geomspace(1e-3, 40.0, RECORDS),
    )


@eqx.filter_jit
def equal_weights(p: ThresholdTask) -> ThresholdTask:
    """A start of equal weights, the first raised to make up for its threshold."""
    return replace(p, weights=jnp.ones_like(p.weights).at[0].add(p.thresholds[0] / p.strength))


@eqx.filter_jit
def with_thresholds(p: ThresholdTask, thresholds: Array) -> ThresholdTask:
    """Other thresholds, and weights that give the same amplitudes in the first layer."""
    weights = p.weights.at[0].add((thresholds - p.thresholds)[0] / p.strength)
    return replace(p, weights=weights, thresholds=thresholds)


@eqx.filter_jit
def judge_orbits(p: Orbits, run: Run) -> Verdict:
    """Verdict on the amplitudes below the last layer, the times, and the final last amplitudes.

    At every save time the amplitudes below are compared with the law at the last amplitude.
    """
    fine, coarse = amplitudes_of(run, p.problem.strength)
    rounding = orbit_rounding(p, run)
    below = lambda a: a[:, :-1] / p.law(a[:, -1], *p.assumed.given)[:, :-1] - 1
    worst = lambda x: jnp.max(jnp.abs(x), axis=(0, 2))
    end = lambda x: jnp.max(jnp.abs(x / p.limit[-1]))
    depth = fine.shape[1]
    return verdict_of(
        Rows(
            numbered("layer", depth - 1),
            worst(below(fine)),
            {
                "integration": worst(below(fine) - below(coarse)) + local_error(fine.dtype, 1),
                "rounding": rounding,
            },
            # Effect: amplitudes that stay as they start.
            worst(fine[:, :-1] / fine[:1, :-1] - 1),
        ),
        time_row(p, run),
        Rows(
            ("end",),
            end(fine[-1, -1] - p.limit[-1]),
            {
                "integration": end(fine[-1, -1] - coarse[-1, -1]) + local_error(fine.dtype, depth),
                "rounding": rounding,
            },
            # Effect: final amplitudes twice as large.
            0.5,
        ),
        what="relative discrepancy of the amplitudes",
        converged=run.reached,
        finite=run.finite,
    )


def _by_steps(optimiser: Callable, learning_rate: float) -> Callable[[ThresholdTask, Run], Run]:
    """Control that trains in steps of this size, recorded at the same times."""

    def run(problem: ThresholdTask, own: Run) -> Run:
        at = step_numbers(problem.times, learning_rate)
        trajectory = gradient_descent(
            problem.start(),
            problem.contrastive,
            optimiser=optimiser,
            learning_rate=learning_rate,
            steps=int(at[-1]) + 1,
            save_at=at,
        )
        return eqx.tree_at(
            lambda r: r.fine.times, in_place_of(own, trajectory), trajectory.times * learning_rate
        )

    return run


CLAIM = Claim(
    name="threshold-law",
    statement=(
        "In a diagonal network with thresholds, from any start, the amplitude of an active "
        "feature after the last layer gives that after every other, and the time; in two "
        "layers (A_1 / phi)^2 - w_2^2 is conserved, so from equal weights A_1^2 = phi (A_2 + "
        "b_2); the last amplitude ends at sqrt(rho)."
    ),
    latex=(
        r"\left(\tfrac{A_1}{\varphi}\right)^2 - w_2^2 = K; \qquad A_1^2 = \varphi (A_2 + b_2)\ "
        r"(K = 0); \qquad A_L \to \sqrt\rho"
    ),
    hypotheses=(
        "diagonal network with fixed thresholds",
        "features of two values with sign flips",
        "active feature",
        "no threshold in layers 3 to L - 1",
        "gradient flow",
    ),
    source="beyond the paper",
    problems=lambda key: (
        task(key, depth, index=index) for depth, index in ((2, 0), (3, 0), (2, 1), (4, 0), (3, 1))
    ),
    predict=predict,
    measure=train,
    compare=judge_orbits,
    sharpness={
        "layer #": (3e-11, 1e-4),
        "time": (4e-8, 5e-4),
        "end": (8e-10, 0.006),
    },
    controls=(
        Control(
            "no-thresholds",
            "predicts the law of a linear network",
            predict=lambda p, own: replace(own, assumed=with_thresholds(p, 0 * p.thresholds)),
        ),
        Control(
            "balanced",
            "predicts the law of equal weights, from unequal ones",
            predict=lambda p, own: replace(own, assumed=equal_weights(p)),
        ),
        Control(
            "exchanged",
            "predicts with the thresholds of the first and last layer exchanged",
            predict=lambda p, own: replace(
                own,
                assumed=with_thresholds(
                    p, with_entries(p.thresholds, [0, -1], np.asarray(p.thresholds)[[-1, 0]])
                ),
            ),
        ),
        Control(
            "finite-step",
            "trains by gradient descent with a coarse step",
            measure=_by_steps(optax.sgd, 1e-2),
        ),
        Control("adam", "trains with Adam", measure=_by_steps(optax.adam, 1e-2)),
    ),
    quick=1,
)
