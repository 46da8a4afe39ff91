"""sl-times: the course of regression, at half the depth of the contrastive flow."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ...claims import Claim, Control
from .._common.training import RECORDS
from ._regression import DIM, ModeTask, modes, paths, train
from .flow_times import between_axes, judge_paths, unequal_layers, unequal_weights


def _times_problems(key: PRNGKeyArray) -> Iterator[ModeTask]:
    for depth in (3, 2, 1, 5, 4):
        yield modes(key, depth)
    for depth in (2, 3):
        yield modes(key, depth, 1)


def _harder_modes(depth: int) -> Callable[[PRNGKeyArray], ModeTask]:
    """Draws for a random search.

    Units range over six decades, with tied targets. Starts range from tiny to beyond the end.
    """

    def draw(key: PRNGKeyArray) -> ModeTask:
        k = jax.random.split(key, 5)
        dtype = jnp.result_type(float)
        unit = 10.0 ** jax.random.uniform(k[0], (), dtype, -3, 3)
        target = unit * 10.0 ** jax.random.uniform(k[1], (DIM,), dtype, -1, 0)
        target = jnp.where(jax.random.bernoulli(k[2], 0.3), target.at[1].set(target[0]), target)
        final = 10.0 ** jax.random.uniform(k[3], (DIM,), dtype, -1, 1)
        start = final * 10.0 ** jax.random.uniform(k[4], (DIM,), dtype, -1.5, 0.3)
        rate = jnp.min(depth * target * final ** (1 - 2 / depth))
        return ModeTask(
            target,
            target / final,
            start,
            jnp.geomspace(0.001 / rate, 20 / rate, RECORDS, dtype=dtype),
            depth,
        )

    return draw


CLAIM = Claim(
    name="sl-times",
    statement="In regression, from an aligned balanced start every mode evolves alone, "
    "ds/dt = L s^(2 - 2/L) (a - q s): exponentially at depth 1, along a sigmoid at depth 2, and in "
    "closed form at any depth; layer l carries s^(l/L) at every time.",
    latex=r"\dot s = L\, s^{2 - 2/L} (a - q s), \qquad "
    r"L = 2:\ s = \frac{a/q}{1 + (\frac{a}{q s_0} - 1)\, e^{-2at}}",
    hypotheses=(
        "linear network",
        "squared error",
        "aligned modes",
        "aligned balanced start",
        "gradient flow",
    ),
    source="beyond the paper; Saxe et al. 2014 for depth 2",
    problems=_times_problems,
    predict=paths,
    measure=train,
    compare=judge_paths,
    sharpness={
        "feature #": (5e-11, 0.004),
    },
    controls=(
        Control(
            "unaligned-start",
            "starts along directions between the modes",
            problem=unequal_weights,
            measure=lambda problem, own: train(problem, between_axes(problem)),
        ),
        Control(
            "unbalanced-start",
            "starts with the same product, but unequal layers",
            measure=lambda problem, own: train(problem, unequal_layers(problem)),
        ),
        Control(
            "wrong-depth",
            "predicts for one layer more",
            predict=lambda problem, own: paths(problem, problem.depth + 1),
        ),
    ),
    search=tuple(_harder_modes(depth) for depth in (1, 2, 3)),
    quick=1,
)
