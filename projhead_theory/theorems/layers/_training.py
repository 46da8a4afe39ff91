"""Network sizes, problems and controls of the claims on layers."""

from collections.abc import Iterator

import optax
from jaxtyping import Array, PRNGKeyArray

from ... import gradient_descent
from ...claims import Control
from .._common import DIM, UNBALANCED, WIDTH, Run, Task, conflict, in_place_of, task

SHALLOW, PAIR, TRIPLE = (DIM, WIDTH), (DIM, WIDTH, WIDTH), (DIM, WIDTH, WIDTH, WIDTH)

SEARCHED = ((1, 1), (2, 2, 2), (3, 2, 2), (4, 3, 3, 3), (3, 4, 4))
"""Sizes of the networks in the random search of the claims on trained networks.

Their widths lie below, at and above the dimension.
"""


def balanced_problems(key: PRNGKeyArray) -> Iterator[Task]:
    """Moments in random position and in conflict, the unequal widths between them."""
    for sizes in (TRIPLE, PAIR):
        yield task(key, sizes)
        yield conflict(key, sizes)
    for sizes, index in (((DIM, 5, 4, 7), 0), (PAIR, 1), (TRIPLE, 1), (PAIR, 2), (TRIPLE, 2)):
        yield task(key, sizes, index=index)


def _settling_adam(learning_rate: Array) -> optax.GradientTransformation:
    """Adam with a decaying step: at a constant step it circles the minimum for ever."""
    return optax.adam(optax.exponential_decay(learning_rate, 1000, 0.5))


def _adam(problem: Task, run: Run) -> Run:
    return in_place_of(
        run,
        gradient_descent(
            problem.start(),
            problem.moments,
            optimiser=_settling_adam,
            learning_rate=1e-2,
            steps=10_000,
            save_at=17,
            stationarity=1e-5,
        ),
    )


SHARED = (
    UNBALANCED,
    Control("adam", "trains with Adam, which does not conserve balancedness", measure=_adam),
)
