"""Group accuracies of probes on a trained network."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ... import DeepLinear, losses, measure, simulation, theory
from ..._core import CHAIN, SOLVED, diagonal, epsilons, frobenius, matmul
from ...claims import Offers, Rows, Verdict, numbered, rounded, verdict_of
from ...moments import Moments, TargetMoments
from ...problems import (
    Groups,
    MixedPositives,
    SupervisedContrastiveProblem,
    SupervisedProblem,
    over_groups,
)
from .._common import (
    Run,
    aligned,
    balanced,
    flow,
    flow_rounding,
    flow_through,
    imbalance_rounding,
    replace,
)

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
    @eqx.filter_jit
    def moments(self) -> Moments | TargetMoments:
        g = self.trained
        if self.kind in ("classes", "views"):
            share = jnp.full_like(self.blur, self.kind == "classes")
            return SupervisedContrastiveProblem(g, MixedPositives(share)).moments()
        return SupervisedProblem.signs(g, 1 if self.kind == "single" else g.dim).moments()

    def start(self) -> DeepLinear:
        if self.kind == "single":
            return balanced(self.key, (*(self.trained.dim,) * self.depth, 1), self.start_weight)
        return _aligned(self)

    def shrinks(self) -> Offers:
        """Simpler problems: rounder readout noise and start weight."""
        return rounded(
            lambda r: replace(self, blur=r(self.blur), start_weight=r(self.start_weight))
        )


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
    moments, v = p.moments, _basis(p)
    along = lambda m: diagonal(matmul(matmul(v.T, m), v))
    second = along(moments.second)
    if isinstance(moments, Moments):
        # Parts that do not commute are left out, and the premise reports it.
        cross = jnp.maximum(along(moments.cross), 0)
        cross = jnp.where(cross > epsilons(CHAIN, cross.dtype) * cross[0], cross, 0)
        return theory.dynamics.layer_grams(p.times, p.start_weight, cross, second, v, p.depth)
    if p.kind == "single":
        least = theory.supervised.regression_minimiser(moments, p.depth, throw=False)
        return jnp.broadcast_to(least.grams, (p.times.size, *least.grams.shape))
    target = jnp.where(jnp.arange(p.trained.dim) == 0, frobenius(_mean(p.trained)[None]), 0)
    return theory.dynamics.regression.layer_grams(
        p.times, p.start_weight, target, second, v, p.depth
    )


class Accuracies(eqx.Module):
    """Average and worst-group accuracy, `(F, T, L)`, of readouts fitted on `F` distributions.

    `commute`: the cross and second moment commute.
    """

    average: Float[Array, "F T L"]
    worst: Float[Array, "F T L"]
    commute: Bool[Array, ""]


@eqx.filter_jit
def predict(problem: ProbeTask) -> Accuracies:
    p, m, grams = problem, problem.moments, _grams(problem)
    each = lambda f: jax.vmap(lambda g: theory.supervised.group_accuracy(g, f, p.tested, p.blur))(
        grams
    )
    found = jax.tree.map(lambda *x: jnp.stack(x), *(each(f) for f in p.fitted))
    signal = m.cross if isinstance(m, Moments) else matmul(m.target.T, m.target)
    apart = matmul(signal, m.second) - matmul(m.second, signal)
    size = frobenius(signal) * frobenius(m.second)
    commute = frobenius(apart) <= epsilons(SOLVED, apart.dtype) * size
    return Accuracies(found.average, found.worst, commute | (p.kind == "single"))


def train(p: ProbeTask) -> tuple[ProbeTask, Run]:
    """Gradient flow to the last save time; with a single output, to stationarity."""
    if p.kind == "single":
        return p, flow(p.start(), p.moments, loss=losses.mse)
    loss = losses.spectral if isinstance(p.moments, Moments) else losses.mse
    return p, flow_through(p.start(), p.moments, p.times, loss=loss)


@eqx.filter_jit
def judge(prediction: Accuracies, trained: tuple[ProbeTask, Run]) -> Verdict:
    """Verdict on accuracies over time, one row for each readout, statistic and layer."""
    p, run = trained
    single = p.kind == "single"
    table = lambda average, worst: jnp.swapaxes(jnp.stack([average, worst], axis=1), 2, 3).reshape(
        -1, average.shape[1]
    )

    def seen(trajectory: simulation.Trajectory) -> Array:
        at = jax.tree.map(lambda w: w[-1:] if single else w[:-1], trajectory.networks)
        each = lambda f: jax.vmap(lambda n: measure.group_accuracy(n, f, p.tested, p.blur))(at)
        return table(*over_groups(jnp.stack([each(f) for f in p.fitted]), p.tested.probability))

    predicted = table(prediction.average, prediction.worst)[:, -1 if single else 0 :]
    measured, coarse = (seen(t) for t in (run.fine, run.coarse))
    worst = lambda x: jnp.max(jnp.abs(x), axis=1)
    # Relative errors of a Gram are twice the errors of the weights. They move the readout by at
    # most 1 / blur^2 times as much, the condition number of its linear system.
    condition = 2 / p.blur**2
    # A single output is at its minimum to within its residual gradient. Layers then differ by the
    # imbalance of their start.
    gradient = run.fine.gradient_norm[-1] / jnp.linalg.eigvalsh(p.trained.second)[0]
    return verdict_of(
        Rows(
            tuple(
                label
                for how in ("fitted", "refitted")
                for what in ("average", "worst")
                for label in numbered(f"{how}, {what}, layer", p.depth)
            ),
            worst(measured - predicted),
            {
                # The largest of all rows and times, since one may be small by chance. Where dense
                # records force the steps of both runs, the error of a step is added.
                "integration": jnp.max(worst(measured - coarse))
                + condition * run.forced_error(p.depth),
                "start": condition * imbalance_rounding(run.fine.start),
                "stationarity": condition * gradient if single else 0.0,
                "rounding": condition * flow_rounding(run.fine),
            },
            # Effect: a hundredth.
            0.01,
            predicted,
            measured,
        ),
        what="accuracy of a readout",
        premises={COMMUTE: prediction.commute},
        converged=run.converged if single else run.reached,
        finite=run.finite,
    )


@eqx.filter_jit
def upside_down(problem: ProbeTask, own: Accuracies) -> Accuracies:
    """The accuracies with the layers in the opposite order."""
    return replace(own, average=own.average[..., ::-1], worst=own.worst[..., ::-1])
