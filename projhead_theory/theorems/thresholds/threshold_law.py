"""threshold-law: amplitudes of all layers of a diagonal network with thresholds."""

import dataclasses
from collections.abc import Callable, Iterator

import equinox as eqx
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray

from ...claims import Claim, Control, Verdict
from ...simulation import Trajectory, gradient_descent
from .._common.training import Run, in_place_of, local_error, step_numbers
from ._training import (
    Orbits,
    Start,
    ThresholdTask,
    amplitudes_of,
    equal_weights,
    orbit_rounding,
    predict,
    task,
    train,
    when_seen,
    without_thresholds,
)


def _rows(orbits: Orbits, run: Run) -> tuple[Array, Array, Array]:
    """Deviations of the amplitudes below the last layer from the law, relative.

    **Returns:** the deviations, their integration error, and the effect to compare them with.
    """

    def off(amplitudes: Array) -> Array:
        law = orbits.law(amplitudes[:, -1], *orbits.assumed, orbits.strength)
        return amplitudes[:, :-1] / law[:, :-1] - 1

    fine, coarse = (off(a) for a in amplitudes_of(run, orbits.strength))
    worst = lambda x: jnp.max(jnp.abs(x), axis=(0, 2))
    # Effect: amplitudes that stay as they start.
    seen = amplitudes_of(run, orbits.strength)[0][:, :-1]
    return (
        worst(fine),
        worst(fine - coarse) + local_error(fine.dtype, 1),
        worst(seen / seen[:1] - 1),
    )


@eqx.filter_jit
def judge_orbits(prediction: Orbits, run: Run) -> Verdict:
    """Verdict on the amplitudes below the last layer, the times, and the final last amplitudes.

    At every save time the amplitudes below are compared with the law at the last amplitude.
    """
    p = prediction
    off, integration, effect = _rows(p, run)
    late, when_integration = when_seen(p, run)
    end, coarse = (a[-1, -1] for a in amplitudes_of(run, p.strength))
    relative = lambda x: jnp.max(jnp.abs(x / p.limit[-1]))
    rounding = orbit_rounding(p, run)
    rows = lambda first, *rest: jnp.concatenate(
        [first, jnp.stack([jnp.asarray(x, first.dtype) for x in rest])]
    )
    below = off.shape[0]
    return Verdict(
        discrepancy=rows(off, late, relative(end - p.limit[-1])),
        parts={
            "integration": rows(
                integration,
                when_integration,
                relative(end - coarse) + local_error(end.dtype, below + 1),
            ),
            "rounding": rows(jnp.full(below, rounding), 1e3 * rounding, rounding),
        },
        # Effects: times twice as late, and final amplitudes twice as large.
        effect=rows(effect, 0.5, 0.5),
        predicted=rows(jnp.zeros(below, off.dtype), 0, 0)[:, None],
        measured=rows(off, late, relative(end - p.limit[-1]))[:, None],
        settled=run.reached,
        finite=run.finite,
        labels=(*(f"layer {i}" for i in range(1, below + 1)), "time", "end"),
        what="relative discrepancy of the amplitudes",
    )


def _problems(key: PRNGKeyArray) -> Iterator[ThresholdTask]:
    for depth, index in ((2, 0), (3, 0), (2, 1), (4, 0), (3, 1)):
        yield task(key, depth, index)


@eqx.filter_jit
def _exchanged(p: ThresholdTask) -> Start:
    """Start with the thresholds of the first and the last layer exchanged."""
    swapped = p.thresholds.at[0].set(p.thresholds[-1]).at[-1].set(p.thresholds[0])
    return p.weights.at[0].add((swapped - p.thresholds)[0] / p.strength), swapped


def _assuming(start: Callable[[ThresholdTask], Start]) -> Callable[[ThresholdTask, Orbits], Orbits]:
    return lambda problem, own: dataclasses.replace(own, assumed=start(problem))


def _by_steps(optimiser: Callable, step: float) -> Callable[[ThresholdTask, Run], Run]:
    """Control that trains in steps of this size, recorded at the same times."""

    def run(problem: ThresholdTask, own: Run) -> Run:
        at = step_numbers(problem.times, step)
        trajectory: Trajectory = gradient_descent(
            problem.start(),
            problem.contrastive,
            optimiser=optimiser,
            step=step,
            steps=int(at[-1]) + 1,
            record=at,
        )
        replaced = in_place_of(own, trajectory)
        return eqx.tree_at(lambda r: r.fine.times, replaced, trajectory.times * step)

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
    problems=_problems,
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
            predict=_assuming(without_thresholds),
        ),
        Control(
            "balanced",
            "predicts the law of equal weights, from unequal ones",
            predict=_assuming(equal_weights),
        ),
        Control(
            "exchanged",
            "predicts with the thresholds of the first and last layer exchanged",
            predict=_assuming(_exchanged),
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
