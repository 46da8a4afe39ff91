"""layerwise-law: Grams of the intermediate layers."""

from collections.abc import Iterator

import optax
from jaxtyping import Array, PRNGKeyArray

from ... import gradient_descent
from ...claims import Claim, Control
from .._common import (
    DIM,
    PREMISE,
    UNBALANCED,
    WIDTH,
    WRONG_EXPONENT,
    Run,
    Task,
    conflict,
    exact_check,
    harder,
    in_place_of,
    judge_layers,
    over,
    predict,
    task,
    train,
)

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


CLAIM = Claim(
    name="layerwise-law",
    statement="In a balanced network the Gram of layer l is the last one to the power l/L; in a "
    "feature model the weight of a feature at layer l is its final weight to the power l/L.",
    latex=r"M_l = M_L^{\,l/L}, \qquad \|W_{l:1} v_i\| = w_i^{\,l/L}",
    hypotheses=(
        "linear network",
        PREMISE,
        "gradient flow",
        "unique minimiser",
        "trained to stationarity",
    ),
    source="paper section 3, for depth 2; beyond the paper for any depth, width and pair of "
    "moments",
    problems=balanced_problems,
    predict=predict,
    measure=train,
    compare=judge_layers,
    sharpness={
        "layer #": (7e-9, 0.09),
    },
    controls=(*SHARED, WRONG_EXPONENT),
    search=over(harder, "sizes", SEARCHED[1:]),
    exact=exact_check(judge_layers, predict),
)
