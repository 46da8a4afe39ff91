"""shift: accuracies of probes under a shift of the correlation between features."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ... import DeepLinear, losses, measure, simulation, theory
from ..._core import CHAIN, SOLVED, diagonal, epsilons, frobenius, matmul, named
from ...claims import Claim, Control, Offers, Rows, Verdict, numbered, rounded, verdict_of
from ...moments import Moments, TargetMoments
from ...problems import (
    Groups,
    MixedPositives,
    SupervisedContrastiveProblem,
    SupervisedProblem,
    over_groups,
)
from .._common import (
    RECORDS,
    Run,
    aligned,
    balanced,
    drawn,
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


TRAINING, TEST = (0.9, 0.8), (-0.4, -0.3)
"""Correlations of background and co-occurring object with the label, in training and in test."""


@drawn
def shifted(key: PRNGKeyArray, kind: str, depth: int, *, index: Array | int = 0) -> ProbeTask:
    """A core, a background and an object, whose moments commute.

    Given the label, all features have the same variance; in the problem of views, the same noise.
    """
    k1, k2, k3 = jax.random.split(named(key, "shift", index), 3)
    strength = jnp.asarray([1.0, 1.2, 1.1], float) * jax.random.uniform(k1, (3,), float, 0.9, 1.1)
    training, test = jnp.asarray(TRAINING, float), jnp.asarray(TEST, float)
    variance = jax.random.uniform(k2, (), float, 0.6, 0.8)
    explained = jnp.append(jnp.zeros(1, float), strength[1:] ** 2 * (1 - training**2))
    noise = jnp.full(3, 0.5, float) if kind == "views" else jnp.sqrt(variance - explained)
    signs = lambda r: Groups.signs(strength, noise, r)
    start, blur = jnp.asarray(0.3, float), jnp.asarray(0.2, float)
    return ProbeTask(
        signs(training),
        (signs(training), signs(0 * training)),
        signs(test),
        start,
        blur,
        jnp.geomspace(0.3, 30.0, RECORDS, dtype=float),
        k3,
        kind,
        depth,
    )


@eqx.filter_jit
def _uneven(p: ProbeTask) -> ProbeTask:
    """The problem with more noise in the core, so that the label is no eigenvector any more."""
    louder = lambda g: replace(g, noise=g.noise.at[0].mul(1.5))
    return replace(
        p,
        trained=louder(p.trained),
        fitted=tuple(louder(g) for g in p.fitted),
        tested=louder(p.tested),
    )


CLAIM = Claim(
    name="shift",
    statement=(
        "Average and worst-group accuracy on a shifted distribution, of a readout of any "
        "layer at any time, follow from the layers' closed-form Grams. Of a network that "
        "regresses the label, lower layers serve a readout that is refitted where no feature "
        "is spurious, at any finite time; a single output makes all layers equivalent."
    ),
    latex=(
        r"\mathrm{acc}_g = \Phi\Big(\tfrac{y_g\, \beta^\top m_g}{\sqrt{\beta^\top \Sigma \beta "
        r"+ \tau^2 |v|^2}}\Big), \quad \beta = M_l^{1/2} v,\ v = (M_l^{1/2} S M_l^{1/2} + "
        r"\tau^2)^{-1} M_l^{1/2} a"
    ),
    hypotheses=(
        "linear network",
        COMMUTE,
        "aligned balanced start",
        "gradient flow",
        "readout with noise",
    ),
    source="paper section 5; in closed form, and where it does not help, beyond the paper",
    problems=lambda key: (
        shifted(key, kind, depth, index=index)
        for kind, depth, index in (
            ("regression", 3, 0),
            ("single", 2, 0),
            ("views", 2, 0),
            ("classes", 2, 0),
            ("regression", 2, 0),
            ("regression", 2, 1),
        )
    ),
    predict=predict,
    measure=train,
    compare=judge,
    sharpness={
        "fitted, average, layer #": (9e-7, 2e-5),
        "fitted, worst, layer #": (9e-7, 2e-4),
        "refitted, average, layer #": (9e-7, 0.001),
        "refitted, worst, layer #": (9e-7, 0.001),
    },
    controls=(
        Control(
            "upside-down",
            "predicts the accuracy of each layer for the one at the other end",
            predict=upside_down,
        ),
        Control(
            "no-shift",
            "predicts for a test on the training distribution",
            predict=lambda problem, own: predict(replace(problem, tested=problem.trained)),
        ),
        Control(
            "uneven-noise",
            "more noise in the core: moments do not commute",
            problem=_uneven,
            expects="premise_failed",
        ),
    ),
    search=(lambda key: shifted(key, "regression", 2),),
    quick=1,
)
