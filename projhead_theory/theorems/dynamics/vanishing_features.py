"""vanishing-features: the rate at which a feature without signal is lost, layer by layer."""

from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...claims import Claim, Control, Verdict
from ...theory import dynamics
from .._common.tasks import FeatureTask, replace
from .._common.training import RECORDS, Run
from ._contrastive import features, log_rounding, log_weights, paths, train


class Forgetting(eqx.Module):
    """Predicted path of a disrupted feature at every layer.

    - `logs`: the logarithmic weights over time.
    - `slopes`: the slopes they tend to.
    - `left`: the contribution of the next term of the expansion to the measured slope.
    """

    logs: Float[Array, "T L"]
    slopes: Float[Array, " L"]
    left: Float[Array, " L"]


def slopes_of(times: Array, logs: Float[Array, "T L"]) -> Float[Array, " L"]:
    """Slopes of the log weights over log time, through the last quarter of the records."""
    i = 3 * times.shape[0] // 4
    return (logs[-1] - logs[i]) / jnp.log(times[-1] / times[i])


def slope_left(times: Array, transient: Array, depth: int, exponent: float) -> Float[Array, " L"]:
    r"""Contribution of the factor $(1 + u)^{-(l/L)/e}$ to the slope at every layer.

    It is $\frac{l/L}{e} \frac{u_i - u_T}{\ln(t_T / t_i)}$ to first order, and no more than that,
    since the series alternates; `exponent` is $e$.
    """
    i = 3 * times.shape[0] // 4
    levels = jnp.arange(1, depth + 1, dtype=times.dtype) / depth
    return levels / exponent * (transient[i] - transient[-1]) / jnp.log(times[-1] / times[i])


@eqx.filter_jit
def forgetting(problem: FeatureTask) -> Forgetting:
    """Exact decay of the last feature, and the power law it tends to."""
    p = problem
    logs = jnp.log(paths(p)[:, :, -1])
    slopes = -jnp.asarray(
        [dynamics.vanishing_exponent(p.depth, level) for level in range(1, p.depth + 1)], logs.dtype
    )
    transient = dynamics.vanishing_transient(p.times, p.start_weight[-1], p.second[-1], p.depth)
    return Forgetting(logs, slopes, slope_left(p.times, transient, p.depth, 4 - 2 / p.depth))


@eqx.filter_jit
def judge_forgetting(prediction: Forgetting, run: Run) -> Verdict:
    """Verdict on the slope of the weight in log time, and on the whole path, at every layer."""
    logs, apart = (x[:, :, -1] for x in log_weights(run))
    times = run.fine.times[:-1]
    slope = slopes_of(times, logs)
    slope_error = 2 * jnp.max(apart, axis=0) / jnp.log(times[-1] / times[3 * times.shape[0] // 4])
    depth = logs.shape[1]
    rounding = jnp.full(depth, log_rounding(run) * (1 + jnp.max(jnp.abs(logs))))
    both = lambda a, b: jnp.concatenate([a, b])
    return Verdict(
        discrepancy=both(
            jnp.abs(slope - prediction.slopes), jnp.max(jnp.abs(logs - prediction.logs), axis=0)
        ),
        parts={
            "asymptotics": both(prediction.left, jnp.zeros(depth, logs.dtype)),
            "integration": both(slope_error, jnp.max(apart, axis=0)),
            "rounding": both(8 * rounding, rounding),
        },
        # The effect to detect: the slope of the neighbouring layer, and the decay itself.
        effect=both(
            jnp.abs(prediction.slopes[0]) * jnp.ones(depth, logs.dtype),
            jnp.max(jnp.abs(prediction.logs), axis=0),
        ),
        predicted=both(prediction.slopes, prediction.logs[-1])[:, None],
        measured=both(slope, logs[-1])[:, None],
        settled=run.reached,
        finite=run.finite,
        labels=(
            *(f"slope, layer {i}" for i in range(1, depth + 1)),
            *(f"path, layer {i}" for i in range(1, depth + 1)),
        ),
        what="log weight of a disrupted feature",
    )


@eqx.filter_jit
def _vanishing(p: FeatureTask) -> FeatureTask:
    """Two ordinary features, and one without signal: its cross moment is zero."""
    cross = p.cross.at[-1].set(0)
    times = jnp.geomspace(1e-2, 1e3, RECORDS, dtype=cross.dtype)
    start = jnp.sqrt(p.cross) / p.second
    return replace(
        p,
        cross=cross,
        times=times,
        start_weight=start.at[-1].set(1),
        second=p.second.at[-1].set(0.5),
    )


def _vanishing_problems(key: PRNGKeyArray) -> Iterator[FeatureTask]:
    for depth, index in ((3, 20), (2, 20), (1, 20), (5, 20), (2, 21)):
        yield _vanishing(features(key, depth, index))


def _not_vanishing(problem: FeatureTask, own: Run) -> Run:
    return train(replace(problem, cross=problem.cross.at[-1].set(1e-3)))


def _same_rate(problem: FeatureTask, own: Forgetting) -> Forgetting:
    return replace(own, slopes=jnp.full_like(own.slopes, own.slopes[-1]))


def _harder_vanishing(depth: int) -> Callable[[PRNGKeyArray], FeatureTask]:
    def draw(key: PRNGKeyArray) -> FeatureTask:
        k = jax.random.split(key, 3)
        dtype = jnp.result_type(float)
        second = 10.0 ** jax.random.uniform(k[0], (1,), dtype, -3, 3)
        start = 10.0 ** jax.random.uniform(k[1], (1,), dtype, -2, 1)
        rate = second**2 * start ** (4 - 2 / depth)
        times = jnp.geomspace(1e-2, 1e4, RECORDS, dtype=dtype) / rate[0]
        return FeatureTask(jnp.zeros(1, dtype), second, start, times, jnp.zeros((), dtype), depth)

    return draw


CLAIM = Claim(
    name="vanishing-features",
    statement="A feature that the augmentation fully disrupts is forgotten as a power of time, "
    "t^(-(l/L)/(4 - 2/L)) at layer l: the lower layers forget more slowly.",
    latex=r"\|W_{l:1} v\| \sim t^{-\frac{l/L}{4 - 2/L}} \quad (c = 0)",
    hypotheses=(
        "linear network",
        "feature model",
        "aligned balanced start",
        "cross moment zero",
        "gradient flow",
    ),
    source="beyond the paper",
    problems=_vanishing_problems,
    predict=forgetting,
    measure=train,
    compare=judge_forgetting,
    sharpness={
        "slope, layer #": (0.02, 0.1),
        "path, layer #": (2e-10, 2e-4),
    },
    controls=(
        Control(
            "not-vanishing",
            "leaves a thousandth of the signal in the views",
            measure=_not_vanishing,
        ),
        Control(
            "same-rate",
            "predicts that all layers forget at the rate of the last",
            predict=_same_rate,
        ),
    ),
    search=tuple(_harder_vanishing(depth) for depth in (1, 2, 4)),
    quick=1,
)
