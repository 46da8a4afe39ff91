"""subclass-retention: the rate at which a subclass feature is lost."""

from collections.abc import Iterator

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ... import theory
from ...claims import Claim, Control, Verdict
from ...theory import dynamics
from .._common import DEVIATIONS, Run, flow, local_error, replace
from ._classes import ClassTask
from ._subclasses import draw_collapse, pair

RETENTION_RECORDS, DECADE = 16, 5
"""Save times over three decades of time, and in each decade.

The last two decades are fitted. The rest of the transient follows from their difference.
"""


class Fading(eqx.Module):
    """Predicted decay of the subclass weight in every layer.

    - `slopes`: the slope of each layer's weight in logarithmic time.
    - `rate`: the rate at which the inverse power of the weight grows.
    """

    slopes: Float[Array, " L"]
    rate: Float[Array, ""]


@eqx.filter_jit
def fading(task: ClassTask) -> Fading:
    subclass = jnp.asarray([0.0, 1.0], task.scale.dtype)
    depth, e = task.depth, 4 - 2 / task.depth
    last = theory.collapsing_weight(jnp.ones((), task.scale.dtype), task.moments, subclass, depth)[
        -1
    ]
    slopes = -jnp.asarray(
        [dynamics.vanishing_exponent(depth, level) for level in range(1, depth + 1)], last.dtype
    )
    return Fading(slopes, last**-e)


def train_long(task: ClassTask) -> Run:
    """Gradient flow over three decades of time, stationary or not."""
    times = jnp.geomspace(2.0, 2000.0, RETENTION_RECORDS, dtype=task.scale.dtype)
    return flow(task.start(), task.moments, until=times[-1], record=times, stationarity=0.0)


@eqx.filter_jit
def judge_fading(prediction: Fading, run: Run) -> Verdict:
    """Verdict on the decay of the subclass weight, in two rows a layer.

    - *slope*: the slope over the last two decades of time.
    - *rate*: the growth of the weight to the power -L e / l in the last decade.
    """
    depth, e = run.fine.networks.depth, 4 - 2 / run.fine.networks.depth
    times = run.fine.times[:-1]
    logs, coarse = (jnp.log(t.weights()[:-1, :, 1]) for t in (run.fine, run.coarse))
    apart = jnp.max(jnp.abs(logs - coarse), axis=0) + local_error(logs.dtype, depth)
    rounding = (
        (64 + DEVIATIONS * jnp.sqrt(run.fine.steps.astype(logs.dtype)))
        * depth
        * jnp.finfo(logs.dtype).eps
    )
    slope = lambda a, b: (logs[b] - logs[a]) / jnp.log(times[b] / times[a])
    powers = depth * e / jnp.arange(1, depth + 1, dtype=logs.dtype)
    rate = lambda a, b: (
        (jnp.exp(-powers * logs[b]) - jnp.exp(-powers * logs[a])) / (times[b] - times[a])
    )
    first, middle, end = (
        RETENTION_RECORDS - 1 - 2 * DECADE,
        RETENTION_RECORDS - 1 - DECADE,
        RETENTION_RECORDS - 1,
    )
    # The transient falls at least as fast as the last layer's weight, t^(-1/e) with e < 4. At most
    # 1.3 times its fall from one decade to the next is left in the second, and 1.8 times in both
    # together.
    slope_left = 2 * jnp.abs(slope(first, middle) - slope(middle, end))
    rate_left = 2 * jnp.abs(rate(first, middle) - rate(middle, end)) / prediction.rate
    both = lambda a, b: jnp.concatenate([a, b])
    rounded = jnp.full(depth, rounding * (1 + jnp.max(jnp.abs(logs))))
    spread = both(jnp.full(depth, 2 / jnp.log(times[end] / times[first])), 2 * powers)
    noise = lambda x: spread * both(x, x)
    predicted = both(prediction.slopes, jnp.ones(depth, logs.dtype))
    measured = both(slope(first, end), rate(middle, end) / prediction.rate)
    return Verdict(
        discrepancy=jnp.abs(measured - predicted),
        parts={
            "asymptotics": both(slope_left, rate_left),
            "integration": noise(apart),
            "rounding": noise(rounded),
        },
        # Effects: the slope of the neighbouring layer, and half of the rate.
        effect=both(
            jnp.full(depth, jnp.abs(prediction.slopes[0])), jnp.full(depth, 0.5, logs.dtype)
        ),
        predicted=predicted[:, None],
        measured=measured[:, None],
        settled=run.reached,
        finite=run.finite,
        labels=(
            *(f"slope, layer {i}" for i in range(1, depth + 1)),
            *(f"rate, layer {i}" for i in range(1, depth + 1)),
        ),
        what="decay of the subclass",
    )


def _fading_task(
    key: PRNGKeyArray, noise: float, correlation: float, index: int, depth: int = 2
) -> ClassTask:
    p = draw_collapse(key, noise, correlation, index, depth)
    # A large start, of which little is left to be forgotten.
    return replace(
        pair(p.strength, p.noise, p.correlation, p.key, (2,) * (depth + 1)),
        scale=jnp.full_like(p.correlation, 1.3),
    )


def _fading_problems(key: PRNGKeyArray) -> Iterator[ClassTask]:
    yield _fading_task(key, 0.0, 0.6, 10)
    yield _fading_task(key, 0.6, 0.0, 11)
    yield _fading_task(key, 0.0, 0.6, 12, 3)
    yield _fading_task(key, 0.0, -0.8, 13)


def _some_noise(problem: ClassTask, own: Run) -> Run:
    """Train with a little noise in the class feature.

    The subclass is then of use where it agrees with the class.
    """
    return train_long(
        replace(
            problem, groups=replace(problem.groups, noise=jnp.full_like(problem.groups.noise, 0.3))
        )
    )


def _alone(problem: ClassTask, own: Fading) -> Fading:
    """Prediction of the rate with all the variance of the subclass.

    It counts the subclass's own noise and the part that the class explains alike.
    """
    return replace(
        own,
        rate=own.rate
        * (problem.moments.second[1, 1] * jnp.linalg.inv(problem.moments.second)[1, 1]) ** 2,
    )


def _harder_fading(key: PRNGKeyArray) -> ClassTask:
    return _fading_task(key, 0.0, 0.5, 0)


CLAIM = Claim(
    name="subclass-retention",
    statement=(
        "Where classes make a subclass collapse, time saves it: its weight at layer l falls as "
        "(4 L e q^2 t)^(-(l/L)/e) with e = 4 - 2/L and q the variance of the subclass that "
        "what is learned does not explain: lower layers keep it longer."
    ),
    latex=(
        r"\|W_{l:1} v\| \sim (4 L e\, q^2 t)^{-\frac{l/L}{e}}, \qquad e = 4 - \tfrac2L, \quad "
        r"q = \frac{1}{v^\top S^{-1} v}"
    ),
    hypotheses=(
        "linear network",
        "one direction collapses",
        "width at least two",
        "balanced start",
        "late",
        "gradient flow",
    ),
    source="beyond the paper",
    problems=_fading_problems,
    predict=fading,
    measure=train_long,
    compare=judge_fading,
    sharpness={
        "slope, layer #": (0.2, 0.1),
        "rate, layer #": (0.3, 0.03),
    },
    controls=(
        Control(
            "noisy-class",
            "trains with noise in the class feature, by which the subclass is not lost",
            measure=_some_noise,
        ),
        Control(
            "same-rate",
            "predicts that all layers forget at the rate of the last",
            predict=lambda problem, own: replace(
                own, slopes=jnp.full_like(own.slopes, own.slopes[-1])
            ),
        ),
        Control(
            "all-variance",
            "predicts with all of the subclass's variance for what the class leaves of it",
            predict=_alone,
        ),
    ),
    search=(_harder_fading,),
    quick=1,
)
