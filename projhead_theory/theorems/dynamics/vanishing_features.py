"""vanishing-features: the rate at which a feature without signal is lost, layer by layer."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._core import layer_shares
from ...claims import Claim, Control, Rows, Verdict, numbered, verdict_of
from ...theory import dynamics
from .._common import (
    AbstractAlignedTask,
    FeatureTask,
    Run,
    flow_rounding,
    over,
    replace,
    with_entries,
)
from .flow_times import fading, features, harder_fading, log_weights, paths, train


class Forgetting(eqx.Module):
    """Predicted path of a disrupted feature at every layer.

    - `logs`: the logarithmic weights over time.
    - `slopes`: the slopes they tend to.
    - `left`: the contribution of the next term of the expansion to the measured slope.
    """

    logs: Float[Array, "T L"]
    slopes: Float[Array, " L"]
    left: Float[Array, " L"]


def late(times: Array) -> Array:
    """Logarithm of the ratio of times over which slopes are measured."""
    return jnp.log(times[-1] / times[3 * times.shape[0] // 4])


@eqx.filter_jit
def forgetting(
    p: AbstractAlignedTask,
    exponent: Callable[[int, int], float] = dynamics.vanishing_exponent,
    transient: Callable[..., Array] = dynamics.vanishing_transient,
) -> Forgetting:
    r"""Exact decay of the last feature, and the power law it tends to.

    The factor $(1 + u)^{-(l/L)/e}$ of the decay contributes $\frac{l/L}{e} \frac{u_i - u_T}{\ln(t_T
    / t_i)}$ to the slope at layer $l$, to first order, and no more than that, since the series
    alternates. The `transient` is $u$, and the weight of the last layer falls with the power
    $1/e$.
    """
    slopes = [-exponent(p.depth, level) for level in range(1, p.depth + 1)]
    u = transient(p.times, p.start_weight[-1], p.second[-1], p.depth)
    shares = layer_shares(p.depth, p.times.dtype) / (p.order - 2 / p.depth)
    left = shares * (u[3 * u.shape[0] // 4] - u[-1]) / late(p.times)
    return Forgetting(jnp.log(paths(p)[:, :, -1]), jnp.asarray(slopes, u.dtype), left)


@eqx.filter_jit
def judge_forgetting(prediction: Forgetting, run: Run) -> Verdict:
    """Verdict on the slope of the weight in log time, and on the whole path, at every layer.

    The slope is taken through the last quarter of the records.
    """
    logs, apart = (x[:, :, -1] for x in log_weights(run))
    times, depth = run.fine.times[:-1], logs.shape[1]
    worst = lambda x: jnp.max(jnp.abs(x), axis=0)
    slope = (logs[-1] - logs[3 * times.shape[0] // 4]) / late(times)
    rounding = flow_rounding(run.fine) * (1 + jnp.max(jnp.abs(logs)))
    return verdict_of(
        Rows(
            numbered("slope, layer", depth),
            jnp.abs(slope - prediction.slopes),
            {
                "asymptotics": prediction.left,
                "integration": 2 * worst(apart) / late(times),
                "rounding": 8 * rounding,
            },
            # The effect to detect: the slope of the neighbouring layer.
            effect=jnp.abs(prediction.slopes[0]),
            predicted=prediction.slopes,
            measured=slope,
        ),
        Rows(
            numbered("path, layer", depth),
            worst(logs - prediction.logs),
            {"integration": worst(apart), "rounding": rounding},
            # The effect to detect: the decay itself.
            effect=worst(prediction.logs),
            predicted=prediction.logs[-1],
            measured=logs[-1],
        ),
        what="log weight of a disrupted feature",
        converged=run.reached,
        finite=run.finite,
    )


def same_rate(problem: AbstractAlignedTask, own: Forgetting) -> Forgetting:
    return replace(own, slopes=np.full_like(own.slopes, own.slopes[-1]))


def some_signal(cross: float) -> Callable[[AbstractAlignedTask, Run], Run]:
    """Training with this cross moment of the last feature in place of none."""
    return lambda problem, own: train(
        replace(problem, cross=with_entries(problem.cross, -1, cross))
    )


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
    problems=lambda key: (
        fading(features(key, depth, index=index), 0.5, 1e-2, 1e3)
        for depth, index in ((3, 20), (2, 20), (1, 20), (5, 20), (2, 21))
    ),
    predict=forgetting,
    measure=train,
    compare=judge_forgetting,
    sharpness={
        "slope, layer #": (0.02, 0.1),
        "path, layer #": (2e-10, 5e-5),
    },
    controls=(
        Control(
            "not-vanishing",
            "leaves a thousandth of the signal in the views",
            measure=some_signal(1e-3),
        ),
        Control(
            "same-rate",
            "predicts that all layers forget at the rate of the last",
            predict=same_rate,
        ),
    ),
    search=over(harder_fading, "depth", (1, 2, 4), kind=FeatureTask, first=1e-2),
    quick=1,
)
