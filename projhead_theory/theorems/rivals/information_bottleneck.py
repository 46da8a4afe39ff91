"""information-bottleneck: what a head passes on, and published bounds on what is before it."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import DeepLinear, simulation, theory
from ..._core import SOLVED, epsilons, layer_powers, matmul, named
from ...claims import Claim, Control, Rows, Verdict, verdict_of
from .._common import (
    RECORDS,
    FeatureTask,
    Run,
    drawn,
    flow_through,
    local_error,
    orthonormal,
    uniform,
    with_entries,
)

DIM, DEPTH = 3, 3
LABELS = (
    "before the head",
    "after the head",
    "passed on",
    "lower bound",
    "lower bound, other view",
    "upper bound",
    "critical scale",
)
LOWER, UPPER = 3, 5


class Noisy(eqx.Module):
    """Gaussian features under a linear network whose representations are read with noise.

    - `task`: the features and the training; the head is the last layer.
    - `noise`: its scale, the same before and after the head and in the target.
    - `key`: of the directions in which the layers carry the features.
    """

    task: FeatureTask
    noise: Float[Array, ""]
    key: PRNGKeyArray

    @property
    def label(self) -> str:
        return f"{self.task.label}, noise {float(self.noise):.2g}"

    def start(self) -> DeepLinear:
        return _turned(self.task.start(), self.key)


@eqx.filter_jit
def _turned(network: DeepLinear, key: PRNGKeyArray) -> DeepLinear:
    """The same network in random frames above the inputs."""
    turns = [orthonormal(k, DIM) for k in jax.random.split(key, network.depth)]
    first, *rest = network.layers
    return DeepLinear(
        [
            matmul(turns[0], first),
            *(
                matmul(matmul(above, w), below.T)
                for below, w, above in zip(turns[:-1], rest, turns[1:], strict=True)
            ),
        ]
    )


class Trained(eqx.Module):
    """A run, with the moments and the noise with which its layers are read."""

    run: Run
    cross: Float[Array, "d d"]
    second: Float[Array, "d d"]
    noise: Float[Array, ""]
    upstream: Array = eqx.field(default=False, converter=jnp.asarray)


def train(problem: Noisy) -> Trained:
    p = problem.task
    run = flow_through(
        problem.start(), p.moments, p.times, loss=p.loss, weight_decay=p.weight_decay
    )
    return Trained(run, p.moments.cross, p.moments.second, problem.noise)


def _information(joint: Array, first: slice, second: slice) -> Array:
    """Mutual information of two parts of a Gaussian vector, from determinants."""
    volume = lambda *parts: jnp.linalg.slogdet(
        jnp.block([[joint[a, b] for b in parts] for a in parts])
    )[1]
    return (volume(first) + volume(second) - volume(first, second)) / 2


def _measured(trained: Trained, trajectory: simulation.Trajectory) -> Float[Array, " k"]:
    """All quantities, from the joint covariance of features, representations and targets.

    The joint vector has the features, both views, the representations, and three targets.
    """
    *_, below, _ = trajectory.final.products()
    head, eye = trajectory.final.layers[-1], jnp.eye(DIM, dtype=below.dtype)
    zero, nu = jnp.zeros_like(eye), trained.noise * jnp.eye(DIM, dtype=below.dtype)
    # Everything as a linear map of independent parts of unit variance: the features, the noise of
    # two views, and that of four readouts.
    strength = jnp.sqrt(trained.cross)
    blur = jnp.sqrt(jnp.maximum(trained.second - trained.cross, 0))
    features = [strength, *[zero] * 7]
    first = [strength, blur, *[zero] * 6]
    second = [strength, zero, blur, *[zero] * 5]
    at = lambda k: [nu if i == k else zero for i in range(8)]
    through = lambda matrix, parts, k: [
        matmul(matrix, part) + own for part, own in zip(parts, at(k), strict=True)
    ]
    z1 = through(below, first, 3)
    z2 = through(head, z1, 4)
    target = through(eye, z2, 5)
    other = through(head, through(below, second, 6), 7)
    rows = [jnp.concatenate(x, axis=1) for x in (features, first, z1, z2, target, other)]
    # A target upstream of the representations: the view itself.
    rows[4] = jnp.where(trained.upstream, rows[1] + jnp.concatenate(at(5), axis=1), rows[4])
    stacked = jnp.concatenate(rows)
    joint = matmul(stacked, stacked.T)
    y, _, z1, z2, r, s = (slice(DIM * i, DIM * (i + 1)) for i in range(6))
    info = lambda a, b: _information(joint, a, b)
    before, after, passed = info(y, z1), info(y, z2), info(z1, z2)
    bound = lambda t: info(z1, t) - passed + info(t, y)
    volume = jnp.linalg.slogdet(2 * np.pi * np.e * joint[z1, z1])[1]
    upper = after - passed + volume / 2
    scale = jnp.exp((before - upper) / DIM)
    return jnp.stack([before, after, passed, bound(r), bound(s), upper, scale])


@eqx.filter_jit
def predict(problem: Noisy, share: Array | None = None) -> Float[Array, " k"]:
    """All quantities; the weight before the head is the last to the power `share`, (L - 1) / L."""
    p = problem.task
    weights = layer_powers(p.final, p.depth)
    below = weights[:, -2] if share is None else p.final**share
    bounds = theory.rivals.information_bounds(p.cross, p.second, below, p.final, problem.noise)
    return jnp.stack(
        [
            bounds.before,
            bounds.after,
            bounds.passed,
            bounds.lower,
            bounds.lower_other,
            bounds.upper,
            bounds.critical_scale,
        ]
    )


@eqx.filter_jit
def judge(prediction: Float[Array, " k"], trained: Trained) -> Verdict:
    """Verdict on every quantity, and on the order of the bound and of data processing."""
    run = trained.run
    fine, coarse = (_measured(trained, t) for t in (run.fine, run.coarse))
    # A weight with the relative error x changes an information by at most about x for each feature.
    step = 2 * DIM * local_error(fine.dtype, DEPTH)
    # Determinants lose the digits by which noise is below the variance.
    rounding = epsilons(SOLVED, fine.dtype) * (1 + 1 / trained.noise**2)
    lower = fine[LOWER : LOWER + 2]
    return verdict_of(
        Rows(
            LABELS,
            jnp.abs(fine - prediction),
            {"integration": jnp.abs(fine - coarse) + step, "rounding": rounding},
            # The effect to detect: a hundredth of a nat.
            effect=0.01,
            predicted=prediction,
            measured=fine,
        ),
        Rows(
            (
                "lower bound within data processing",
                "lower bound, other view, within data processing",
            ),
            jnp.maximum(lower - fine[1], 0) + jnp.maximum(fine[1] - fine[0], 0),
            {"rounding": rounding},
            effect=fine[0] - lower,
            measured=fine[0] - lower,
        ),
        what="nats",
        converged=run.reached,
        finite=run.finite,
    )


@drawn
def _noisy(key: PRNGKeyArray, *, noise: Array | float, index: Array | int = 0) -> Noisy:
    k = jax.random.split(named(key, "informative features", index), 3)
    cross = jnp.asarray([1.0, 0.7, 0.4], jnp.result_type(float)) * uniform(k[0], 0.9, 1.1, (DIM,))
    second = cross / uniform(k[1], 0.4, 0.9, (DIM,))
    final = jnp.sqrt(cross) / second
    rate = jnp.min(DEPTH * cross * final ** (2 - 2 / DEPTH))
    times = jnp.geomspace(0.001, 20, RECORDS, dtype=cross.dtype) / rate
    task = FeatureTask(cross, second, 0.5 * final, times, jnp.zeros_like(rate), DEPTH)
    return Noisy(task, jnp.asarray(noise, cross.dtype), k[2])


def _problems(key: PRNGKeyArray) -> Iterator[Noisy]:
    for index, noise in enumerate((0.1, 1.0, 0.3)):
        yield _noisy(key, noise=noise, index=index)


CLAIM = Claim(
    name="information-bottleneck",
    statement="For Gaussian features the lower bound I(Z1;R) - I(Z1;Z2) + I(R;Y) on what the "
    "representation before the head knows of them holds and is never above that after the head, "
    "I(Y;Z2); the upper bound I(Y;Z2) - I(Z1;Z2) + H(Z1) fails if Z1 is continuous and scaled "
    "below a factor known in closed form.",
    latex=r"I(Z_1;R) - I(Z_1;Z_2) + I(R;Y) \le I(Y;Z_2) \le I(Y;Z_1), \qquad "
    r"I(Y;Z_1) > I(Y;Z_2) - I(Z_1;Z_2) + h(a Z_1) \iff a < a^\star",
    hypotheses=(
        "linear network",
        "Gaussian feature model",
        "noise of one scale on every representation",
        "target computed from Z2, or Z2 of the other view",
        "aligned balanced start",
        "trained to stationarity",
    ),
    source="beyond Ouyang et al. 2025, whose upper bound is the control `published-upper-bound`",
    problems=_problems,
    predict=predict,
    measure=train,
    compare=judge,
    sharpness={
        "before the head": (2e-8, 0),
        "after the head": (2e-8, 0),
        "passed on": (2e-8, 0),
        "lower bound": (2e-8, 0),
        "lower bound, other view": (2e-8, 0),
        "upper bound": (2e-8, 0),
        "critical scale": (2e-8, 0),
        "lower bound within data processing": (5e-11, 0),
        "lower bound, other view, within data processing": (5e-11, 0),
    },
    controls=(
        Control(
            "published-upper-bound",
            "predicts an upper bound that is not below what it bounds",
            predict=lambda problem, own: with_entries(
                own, UPPER, max(float(own[UPPER]), float(own[0]))
            ),
        ),
        Control(
            "target-upstream",
            "takes the view itself as the target, from which Z2 is computed",
            measure=lambda problem, own: eqx.tree_at(lambda t: t.upstream, own, jnp.asarray(True)),
        ),
        Control(
            "equal-layers",
            "predicts the weights after the head before it as well",
            predict=lambda problem, own: predict(problem, jnp.ones_like(problem.noise)),
        ),
    ),
    quick=1,
)
