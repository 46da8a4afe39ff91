"""Network sizes, problems and controls of the claims on layers."""

from collections.abc import Iterator

import optax
from jaxtyping import Array, PRNGKeyArray

from ...claims import Control
from ...simulation import gradient_descent
from .._common.tasks import DIM, WIDTH, Task, conflict, lopsided, task
from .._common.training import Run, flow, in_place_of

SHALLOW, PAIR, TRIPLE = (DIM, WIDTH), (DIM, WIDTH, WIDTH), (DIM, WIDTH, WIDTH, WIDTH)

SEARCHED = ((1, 1), (2, 2, 2), (3, 2, 2), (4, 3, 3, 3), (3, 4, 4))
"""Sizes of the networks in the random search of the claims on trained networks.

Their widths lie below, at and above the dimension.
"""

UNEQUAL = (DIM, 5, 4, 7)


def balanced_problems(key: PRNGKeyArray) -> Iterator[Task]:
    yield task(key, TRIPLE)
    yield conflict(key, TRIPLE)
    yield task(key, PAIR)
    yield conflict(key, PAIR)
    yield task(key, UNEQUAL)
    for index in range(1, 3):
        yield task(key, PAIR, index=index)
        yield task(key, TRIPLE, index=index)


def _lopsided(problem: Task, run: Run) -> Run:
    return flow(lopsided(problem), problem.moments)


def _settling_adam(step: Array) -> optax.GradientTransformation:
    """Adam with a decaying step: at a constant step it circles the minimum for ever."""
    return optax.adam(optax.exponential_decay(step, 500, 0.5))


def _adam(problem: Task, run: Run) -> Run:
    trajectory = gradient_descent(
        problem.start(),
        problem.moments,
        optimiser=_settling_adam,
        step=1e-2,
        steps=10_000,
        record=17,
        stationarity=1e-5,
    )
    return in_place_of(run, trajectory)


SHARED = (
    Control(
        "unbalanced-start",
        "starts with a lowest layer several times larger than the others",
        measure=_lopsided,
    ),
    Control("adam", "trains with Adam, which does not conserve balancedness", measure=_adam),
)
