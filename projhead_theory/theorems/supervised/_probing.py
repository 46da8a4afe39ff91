"""Group accuracies of probes on a trained network."""

from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ... import losses, measure, theory
from ..._core.linalg import diagonal, frobenius, matmul
from ...claims import Verdict, rounded
from ...moments import Moments, TargetMoments
from ...networks import DeepLinear
from ...problems import Groups, MixedPositives, SupervisedContrastiveProblem, SupervisedProblem
from ...simulation import Trajectory
from ...theory import dynamics
from ...theory.dynamics import regression
from .._common.rounding import DEVIATIONS, imbalance_rounding
from .._common.tasks import aligned, balanced, replace
from .._common.training import Run, flow

COMMUTE = "cross and second moment commute"

KINDS = {
    "classes": "supervised contrastive",
    "views": "contrastive",
    "regression": "regression, one output a dimension",
    "single": "regression, a single output",
}
"""Kinds of training.

- `classes`: positives are drawn from the class.
- `views`: positives are views.
- `regression`: the label is the first of as many outputs as inputs.
- `single`: the label is the only output.
"""


class ProbeTask(eqx.Module):
    """Groups to train on, two distributions to fit a readout on, and one to test it on.

    The start is balanced, with the same weight in all directions, along the axes in which the
    moments are diagonal. With a single output it is balanced in random directions.

    - `start_weight`: the weight of the start in every direction.
    - `blur`: the readout noise.
    - `times`: the save times.
    - `kind`: the kind of training, a key of `KINDS`.
    """

    trained: Groups
    fitted: tuple[Groups, Groups]
    tested: Groups
    start_weight: Float[Array, ""]
    blur: Float[Array, ""]
    times: Float[Array, " T"]
    key: PRNGKeyArray
    kind: str = eqx.field(static=True)
    depth: int = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"{KINDS[self.kind]}, depth {self.depth}"

    @property
    def moments(self) -> Moments | TargetMoments:
        return _moments(self)

    def start(self) -> DeepLinear:
        d = self.trained.dim
        if self.kind == "single":
            return balanced(self.key, (*(d,) * self.depth, 1), self.start_weight)
        return _aligned(self)

    def shrinks(self) -> Iterator[Callable[[], "ProbeTask"]]:
        """Simpler problems: rounder readout noise and start weight."""
        return rounded(
            lambda r: replace(self, blur=r(self.blur), start_weight=r(self.start_weight))
        )


@eqx.filter_jit
def _moments(p: ProbeTask) -> Moments | TargetMoments:
    return _pairs(p) if p.kind in ("classes", "views") else _labels(p)


def _pairs(p: ProbeTask) -> Moments:
    share = jnp.full_like(p.blur, 1 if p.kind == "classes" else 0)
    return SupervisedContrastiveProblem(p.trained, MixedPositives(share)).moments()


def _labels(p: ProbeTask) -> TargetMoments:
    g = p.trained
    first = (
        jnp.zeros((2, 1 if p.kind == "single" else g.dim), g.means.dtype)
        .at[:, 0]
        .set(jnp.asarray([-1, 1], g.means.dtype))
    )
    return SupervisedProblem(g, first).moments()


def _mean(g: Groups) -> Array:
    """Cross moment of the label and the input."""
    return matmul((g.probability * (2 * g.labels - 1).astype(g.means.dtype))[None, :], g.means)[0]


def _basis(p: ProbeTask) -> Array:
    """Eigenvectors of the second moment, the direction of the label first."""
    _, v = jnp.linalg.eigh(p.trained.second)
    along = matmul(_mean(p.trained)[None, :], v)[0]
    order = jnp.argsort(-jnp.abs(along))
    return v[:, order] * jnp.where(along[order] < 0, -1, 1)


@eqx.filter_jit
def _aligned(p: ProbeTask) -> DeepLinear:
    return aligned(jnp.full(p.trained.dim, p.start_weight), p.depth, _basis(p))


@eqx.filter_jit
def _grams(p: ProbeTask) -> Float[Array, "T L d d"]:
    """Predicted Gram of every layer at every save time."""
    if p.kind == "single":
        least = theory.regression_minimiser(_labels(p), p.depth, throw=False)
        return jnp.broadcast_to(least.grams, (p.times.size, *least.grams.shape))
    v = _basis(p)
    turned = lambda m: diagonal(matmul(matmul(v.T, m), v))
    second = turned(p.trained.second)
    if p.kind == "regression":
        target = jnp.zeros_like(second).at[0].set(jnp.linalg.norm(_mean(p.trained)))
        one = lambda t: regression.layer_weights(t, p.start_weight, target, second, p.depth)
    else:
        # Parts that do not commute are left out, and the premise reports it.
        cross = jnp.maximum(turned(_pairs(p).cross), 0)
        cross = jnp.where(cross > 64 * jnp.finfo(cross.dtype).eps * cross[0], cross, 0)
        one = lambda t: dynamics.layer_weights(t, p.start_weight, cross, second, p.depth)
    weights = jnp.swapaxes(jax.vmap(one)(p.times), 1, 2)
    return matmul(v * weights[:, :, None, :] ** 2, v.T)


class Accuracies(eqx.Module):
    """Average and worst-group accuracy, `(F, T, L)`, of readouts fitted on `F` distributions.

    `commute`: the cross and second moment commute.
    """

    average: Float[Array, "F T L"]
    worst: Float[Array, "F T L"]
    commute: Bool[Array, ""]


@eqx.filter_jit
def predict(problem: ProbeTask) -> Accuracies:
    p, grams = problem, _grams(problem)
    found = [
        jax.vmap(lambda g, f=f: theory.group_accuracy(g, f, p.tested, p.blur))(grams)
        for f in p.fitted
    ]
    m = _moments(p)
    signal = m.cross if isinstance(m, Moments) else matmul(m.target.T, m.target)
    apart = matmul(signal, m.second) - matmul(m.second, signal)
    commute = frobenius(apart) <= 256 * jnp.finfo(apart.dtype).eps * frobenius(signal) * frobenius(
        m.second
    )
    average, worst = (jnp.stack([getattr(a, name) for a in found]) for name in ("average", "worst"))
    return Accuracies(average, worst, commute | (p.kind == "single"))


def train(problem: ProbeTask) -> tuple[ProbeTask, Run]:
    """Gradient flow to the last save time; with a single output, to stationarity."""
    p = problem
    loss = losses.spectral if isinstance(p.moments, Moments) else losses.mse
    if p.kind == "single":
        return p, flow(p.start(), p.moments, loss=loss)
    return p, flow(
        p.start(), p.moments, loss=loss, until=p.times[-1], record=p.times, stationarity=0.0
    )


@eqx.filter_jit
def judge(prediction: Accuracies, trained: tuple[ProbeTask, Run]) -> Verdict:
    """Verdict on accuracies over time, one row for each readout, statistic and layer."""
    p, run = trained

    def seen(trajectory: Trajectory) -> Array:
        networks = trajectory.networks
        cut = (lambda w: w[-1:]) if p.kind == "single" else (lambda w: w[:-1])
        groups = [
            jax.vmap(lambda n, f=f: measure.group_accuracy(n, f, p.tested, p.blur))(
                jax.tree.map(cut, networks)
            )
            for f in p.fitted
        ]
        present = p.tested.probability > 0
        both = [
            (
                matmul(g, p.tested.probability[:, None])[..., 0],
                jnp.min(jnp.where(present, g, 1), axis=-1),
            )
            for g in groups
        ]
        return jnp.stack([x for pair in both for x in pair])

    rows = lambda x: jnp.moveaxis(x, 2, 1).reshape(-1, x.shape[1])
    predicted = rows(
        jnp.stack([prediction.average, prediction.worst], axis=1).reshape(
            -1, *prediction.average.shape[1:]
        )
    )
    predicted = predicted[:, -1:] if p.kind == "single" else predicted
    measured, coarse = (rows(seen(t)) for t in (run.fine, run.coarse))
    dtype, eps = predicted.dtype, jnp.finfo(predicted.dtype).eps
    # Relative errors of a Gram are twice the errors of the weights. They move the readout by at
    # most 1 / blur^2 times as much, the condition number of its linear system.
    condition = 2 / p.blur**2
    worst = lambda x: jnp.max(jnp.abs(x), axis=1)
    share = 0.01 * jnp.ones(len(predicted), dtype)
    # A single output is at its minimum to within its residual gradient. Layers then differ by the
    # imbalance of their start.
    gradient = (
        run.fine.gradient_norm[-1] / jnp.linalg.eigvalsh(p.trained.second)[0]
        if p.kind == "single"
        else jnp.zeros((), dtype)
    )
    levels, statistics = range(1, p.depth + 1), ("average", "worst")
    names = tuple(
        f"{how}, {what}, layer {level}"
        for how in ("fitted", "refitted")
        for what in statistics
        for level in levels
    )
    steps = jnp.sqrt(run.fine.steps.astype(dtype))
    # The largest of all rows and times, since one may be small by chance. Where dense records force
    # the steps of both runs, the error of a step is added.
    integration = jnp.max(worst(measured - coarse)) + condition * run.forced_error(p.depth)
    return Verdict(
        discrepancy=worst(measured - predicted),
        parts={
            "integration": jnp.full(len(predicted), integration),
            "start": jnp.full(len(predicted), condition * imbalance_rounding(run.fine.start)),
            "stationarity": jnp.full(len(predicted), condition * gradient),
            "rounding": jnp.full(
                len(predicted), condition * (64 + DEVIATIONS * steps) * p.depth * eps
            ),
        },
        # Effect: a hundredth.
        effect=share,
        predicted=predicted,
        measured=measured,
        premises={COMMUTE: prediction.commute},
        settled=run.settled if p.kind == "single" else run.reached,
        finite=run.finite,
        labels=names,
        what="accuracy of a read-out",
    )


@eqx.filter_jit
def with_layers(own: Accuracies, order: Array) -> Accuracies:
    """The accuracies with the layers in another order."""
    return replace(own, average=own.average[..., order], worst=own.worst[..., order])


@eqx.filter_jit
def upside_down(problem: ProbeTask, own: Accuracies) -> Accuracies:
    return with_layers(own, jnp.arange(problem.depth)[::-1])
