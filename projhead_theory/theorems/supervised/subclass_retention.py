"""subclass-retention: the rate at which a subclass feature is lost."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import theory
from ...claims import Claim, Control, Rows, Verdict, numbered, verdict_of
from .._common import Run, flow_rounding, flow_through, local_error, replace
from .class_collapse import collapse
from .scl_minimiser import ClassTask

RETENTION_RECORDS, DECADE = 16, 5
"""Save times over three decades of time, and in each decade.

The last two decades are fitted. The rest of the transient follows from the changes between the
three.
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
    subclass, one = jnp.asarray([0.0, 1.0], task.scale.dtype), jnp.ones_like(task.scale)
    depth, e = task.depth, 4 - 2 / task.depth
    last = theory.supervised.collapsing_weight(one, task.moments, subclass, depth)[-1]
    slopes = [-theory.dynamics.vanishing_exponent(depth, level) for level in range(1, depth + 1)]
    return Fading(jnp.asarray(slopes, last.dtype), last**-e)


def train_long(task: ClassTask) -> Run:
    """Gradient flow over three decades of time, stationary or not."""
    return flow_through(
        task.start(),
        task.moments,
        jnp.asarray(np.geomspace(2.0, 2000.0, RETENTION_RECORDS, dtype=task.scale.dtype)),
    )


@eqx.filter_jit
def judge_fading(prediction: Fading, run: Run) -> Verdict:
    """Verdict on the decay of the subclass weight, in two rows a layer.

    - *slope*: the slope over the last two decades of time.
    - *rate*: the growth of the weight to the power -L e / l in the last decade.
    """
    depth, e = run.fine.networks.depth, 4 - 2 / run.fine.networks.depth
    times = run.fine.times[:-1]
    logs, coarse = (jnp.log(t.weights()[:-1, :, 1]) for t in (run.fine, run.coarse))
    powers = depth * e / jnp.arange(1, depth + 1, dtype=logs.dtype)
    slope = lambda a, b: (logs[b] - logs[a]) / jnp.log(times[b] / times[a])
    inverse = jnp.exp(-powers * logs)
    rate = lambda a, b: (inverse[b] - inverse[a]) / (times[b] - times[a])
    begin, first, middle, end = (RETENTION_RECORDS - 1 - k * DECADE for k in (3, 2, 1, 0))
    # The logarithms err by these.
    errors = {
        "integration": jnp.max(jnp.abs(logs - coarse), axis=0) + local_error(logs.dtype, depth),
        "rounding": flow_rounding(run.fine) * (1 + jnp.max(jnp.abs(logs))),
    }
    carried = lambda factor: {name: factor * error for name, error in errors.items()}
    # The transient is y t^(-1/e) + x t^(-2/e): a series in the last layer's weight. A decade leaves
    # the fraction r of the first term and r^2 of the second, which may have the other sign. Of the
    # changes from decade to decade, the last and r times the one before, the larger is therefore
    # at least (1 - r) / (1 + r) of the change of the first term, y (1 - r), and y r is left.
    r = 10 ** (-1 / e)

    def left(number: Callable[[int, int], Array]) -> Array:
        before, change = (
            jnp.abs(number(a, b) - number(b, c))
            for a, b, c in ((begin, first, middle), (first, middle, end))
        )
        return (1 + r) / (1 - r) ** 2 * jnp.maximum(r * before, change)

    growth = rate(middle, end) / prediction.rate
    return verdict_of(
        Rows(
            numbered("slope, layer", depth),
            jnp.abs(slope(first, end) - prediction.slopes),
            {"asymptotics": (1 + r) / 2 * left(slope)}
            | carried(2 / jnp.log(times[end] / times[first])),
            # Effect: the slope of the neighbouring layer.
            jnp.abs(prediction.slopes[0]),
            prediction.slopes,
            slope(first, end),
        ),
        Rows(
            numbered("rate, layer", depth),
            jnp.abs(growth - 1),
            {"asymptotics": r * left(rate) / prediction.rate} | carried(2 * powers),
            # Effect: half of the rate.
            0.5,
            1.0,
            growth,
        ),
        what="decay of the subclass",
        converged=run.reached,
        finite=run.finite,
    )


def _fading_task(key: PRNGKeyArray, depth: int = 2, **numbers: Any) -> ClassTask:
    """Numbers as in `collapse`; a large start, of which little is left to be forgotten."""
    return collapse(key, depth, **numbers).classes(2, 1.3)


def _some_noise(problem: ClassTask, own: Run) -> Run:
    """Train with a little noise in the class feature.

    The subclass is then of use where it agrees with the class.
    """
    g = problem.groups
    return train_long(replace(problem, groups=replace(g, noise=np.full_like(g.noise, 0.3))))


def _alone(problem: ClassTask, own: Fading) -> Fading:
    """Prediction of the rate with all the variance of the subclass.

    It counts the subclass's own noise and the part that the class explains alike.
    """
    second = np.asarray(problem.moments.second)
    return replace(own, rate=own.rate * (second[1, 1] * np.linalg.inv(second)[1, 1]) ** 2)


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
    problems=lambda key: (
        _fading_task(key, depth, noise=noise, correlation=correlation, index=index)
        for depth, noise, correlation, index in (
            (2, 0.0, 0.6, 10),
            (2, 0.6, 0.0, 11),
            (3, 0.0, 0.6, 12),
            (2, 0.0, -0.8, 13),
        )
    ),
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
    search=(lambda key: _fading_task(key, noise=0.0, correlation=0.5),),
    quick=1,
)
