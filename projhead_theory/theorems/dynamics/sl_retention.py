"""sl-retention: the rate at which regression loses a feature that the target does not use."""

from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ...claims import Claim, Control
from ...theory.dynamics import regression
from .._common.tasks import replace
from .._common.training import RECORDS
from ._regression import ModeTask, modes, paths, train
from .vanishing_features import Forgetting, judge_forgetting, slope_left


@eqx.filter_jit
def forgetting(problem: ModeTask) -> Forgetting:
    """Exact decay of the last mode, and the power law it tends to."""
    p = problem
    logs = jnp.log(paths(p)[:, :, -1])
    slopes = -jnp.asarray(
        [regression.retention_exponent(p.depth, level) for level in range(1, p.depth + 1)],
        logs.dtype,
    )
    transient = regression.retention_transient(p.times, p.start_weight[-1], p.second[-1], p.depth)
    return Forgetting(logs, slopes, slope_left(p.times, transient, p.depth, 2 - 2 / p.depth))


@eqx.filter_jit
def _idle(p: ModeTask) -> ModeTask:
    """Two ordinary modes at their end, and one that is uncorrelated with the target.

    Slopes are read off the last two of eight decades of time.
    """
    start = (p.target / p.second).at[-1].set(1)
    times = jnp.geomspace(1e-4, 1e4, RECORDS, dtype=p.times.dtype)
    return replace(
        p,
        target=p.target.at[-1].set(0),
        second=p.second.at[-1].set(1.5),
        start_weight=start,
        times=times,
    )


def _idle_problems(key: PRNGKeyArray) -> Iterator[ModeTask]:
    for depth, index in ((3, 20), (2, 20), (4, 20), (2, 21)):
        yield _idle(modes(key, depth, index))


def _harder_idle(depth: int) -> Callable[[PRNGKeyArray], ModeTask]:
    def draw(key: PRNGKeyArray) -> ModeTask:
        k1, k2 = jax.random.split(key)
        dtype = jnp.result_type(float)
        second = 10.0 ** jax.random.uniform(k1, (1,), dtype, -3, 3)
        start = 10.0 ** jax.random.uniform(k2, (1,), dtype, -2, 1)
        rate = second * start ** (2 - 2 / depth)
        return ModeTask(
            jnp.zeros(1, dtype),
            second,
            start,
            jnp.geomspace(1e-4, 1e4, RECORDS, dtype=dtype) / rate[0],
            depth,
        )

    return draw


CLAIM = Claim(
    name="sl-retention",
    statement="A mode that says nothing of the target is forgotten by regression as a power of "
    "time, t^(-(l/L)/(2 - 2/L)) at layer l of two or more: the lower layers keep it longer. At "
    "depth 1 it falls exponentially.",
    latex=r"\|W_{l:1} v\| \sim t^{-\frac{l/L}{2 - 2/L}} \quad (a = 0,\ L \ge 2)",
    hypotheses=(
        "linear network",
        "squared error",
        "depth at least 2",
        "aligned balanced start",
        "no signal",
        "gradient flow",
    ),
    source="beyond the paper",
    problems=_idle_problems,
    predict=forgetting,
    measure=train,
    compare=judge_forgetting,
    sharpness={
        "slope, layer #": (0.007, 0.1),
        "path, layer #": (4e-11, 3e-4),
    },
    controls=(
        Control(
            "some-signal",
            "leaves a hundredth of the signal in the mode",
            measure=lambda problem, own: train(
                replace(problem, target=problem.target.at[-1].set(1e-2))
            ),
        ),
        Control(
            "same-rate",
            "predicts that all layers forget at the rate of the last",
            predict=lambda problem, own: replace(
                own, slopes=jnp.full_like(own.slopes, own.slopes[-1])
            ),
        ),
        Control(
            "contrastive-rate",
            "predicts the exponents of the spectral contrastive loss",
            predict=lambda problem, own: replace(
                own, slopes=own.slopes * (2 * problem.depth - 2) / (4 * problem.depth - 2)
            ),
        ),
    ),
    search=tuple(_harder_idle(depth) for depth in (2, 3)),
    quick=1,
)
