"""threshold-law: amplitudes of all layers of a diagonal network with thresholds."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax

from ...claims import Claim, Control, Rows, Verdict, numbered, verdict_of
from ...simulation import Trajectory, gradient_descent
from .._common import Run, in_place_of, local_error, replace, step_numbers, with_entries
from ._training import (
    Orbits,
    ThresholdTask,
    amplitudes_of,
    equal_weights,
    orbit_rounding,
    predict,
    task,
    time_row,
    train,
    with_thresholds,
)


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
        trajectory: Trajectory = gradient_descent(
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
