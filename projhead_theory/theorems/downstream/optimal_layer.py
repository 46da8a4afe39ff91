"""optimal-layer: sample complexities of all layers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import DeepLinear, measure
from ..._core import CHAIN, epsilons, frobenius, layer_shares, matmul, named
from ...claims import Claim, Control, Offers, Rows, Verdict, verdict_of
from ...problems import AdditiveNoise, ContrastiveProblem, Downstream, Features
from ...theory.downstream import complexity_curve, sample_complexity
from ...theory.layers import LayerPrediction, layerwise
from .._common import (
    RECORDS,
    Run,
    Task,
    carried,
    drawn,
    flow,
    judge_layers,
    lopsided,
    over,
    replace,
    task,
    unbalanced_start,
)


class Probing(eqx.Module):
    """A network to train, and the downstream task that its layers are probed on."""

    task: Task
    downstream: Downstream

    @property
    def label(self) -> str:
        return f"{self.task.label}"

    def shrinks(self) -> Offers:
        """Simpler problems: one layer less, which leaves the downstream task as it is."""
        t = self.task
        if t.depth > 2:
            yield lambda: Probing(
                Task(t.moments, t.key, t.scale, t.sizes[:-1], t.stiff), self.downstream
            )


@eqx.filter_jit
def judge_logarithms(prediction: LayerPrediction, run: Run, downstream: Downstream) -> Verdict:
    r"""Verdict on the logarithms of the sample complexities, layer by layer.

    The tolerances of the Grams are carried to $\ln \mathrm{SC}_l$ as measured. A relative error
    $\epsilon$ of $M_l$ in the Frobenius norm moves $\mathrm{tr}(M S')$ by at most
    $\epsilon \|M\| \|S'\|$, and $\beta^\top M^{-1} \beta$ by at most
    $\epsilon \|M\| \|M^{-1} \beta\|^2 / (1 - \epsilon \|M\| \|M^{-1}\|)$.
    """
    law = judge_layers(prediction, run)

    def sensitivity(gram: Array, relative: Array) -> Array:
        values, v = jnp.linalg.eigh(gram)
        least = jnp.maximum(values[0], jnp.finfo(values.dtype).tiny)
        along = jnp.sum(v * downstream.target[:, None], axis=0)
        norm = frobenius(gram)
        steep = jnp.sum((along / jnp.maximum(values, least)) ** 2) / jnp.sum(
            along**2 / jnp.maximum(values, least)
        )
        left = 1 - relative * norm / least
        return norm * (
            frobenius(downstream.second) / jnp.sum(gram * downstream.second)
            + steep / jnp.where(left > 0, left, 0)
        )

    # Singular vectors of a layer err by its rounding over its least singular value: by the root
    # of the condition number of the Gram.
    spectra = jnp.linalg.eigvalsh(prediction.grams)
    least = jnp.maximum(spectra[:, 0], jnp.finfo(spectra.dtype).tiny)
    predicted = jnp.log(sample_complexity(prediction.grams, downstream))
    measured = jnp.log(measure.sample_complexity(run.fine.final, downstream))
    return carried(
        law,
        jnp.abs(measured - predicted),
        jax.vmap(sensitivity)(prediction.grams, jnp.asarray(law.tolerance)),
        effect=law.effect,
        predicted=predicted,
        measured=measured,
        what="logarithm of the indicator",
        rounding=epsilons(CHAIN * spectra.shape[-1], spectra.dtype)
        * jnp.sqrt(spectra[:, -1] / least),
    )


def train_probing(problem: Probing, start: DeepLinear | None = None) -> Run:
    """Gradient flow with `RECORDS` save times.

    The claims on dynamics record as often, so that one compiled program trains the networks of all.
    """
    return flow(
        problem.task.start() if start is None else start, problem.task.moments, save_at=RECORDS
    )


SQUARE, DEEP = (3, 3, 3, 3), (3, 4, 3, 5, 3, 3)


class Needs(eqx.Module):
    """Predicted indicator of every layer. The best layer has the least.

    - `layers`: the prediction of the layers.
    - `complexity`: the indicator of every layer.
    - `downstream`: the downstream task.
    """

    layers: LayerPrediction
    complexity: Float[Array, " L"]
    downstream: Downstream


def predict(problem: Probing) -> Needs:
    """Indicators of all layers, from the end-to-end minimiser alone."""
    prediction = layerwise(problem.task.moments, problem.task.depth, throw=False)
    return Needs(
        prediction,
        complexity_curve(prediction.grams[-1], problem.downstream).layers(problem.task.depth),
        problem.downstream,
    )


@eqx.filter_jit
def judge_layers_needs(prediction: Needs, run: Run) -> Verdict:
    """Verdict on the indicator of every layer, its convexity over the layers, and the best layer.

    The predicted best layer must be the best measured one.
    """
    budget = judge_logarithms(prediction.layers, run, prediction.downstream)
    predicted, measured = jnp.log(prediction.complexity), budget.measured[:, 0]
    depth = predicted.shape[0]
    best, seen = jnp.argmin(predicted), jnp.argmin(measured)
    curve, expected = jnp.exp(measured), jnp.exp(predicted)
    bend = lambda y: jnp.min((y[2:] + y[:-2] - 2 * y[1:-1]) / y[1:-1]) if depth > 2 else 1.0
    # The error of three neighbours, relative to the middle one.
    around = lambda part: (
        jnp.max((curve[2:] + curve[:-2] + 2 * curve[1:-1]) / curve[1:-1]) * jnp.max(part)
    )
    return verdict_of(
        Rows(
            budget.labels,
            jnp.abs(measured - predicted),
            budget.parts,
            # Effect: the range of the indicator.
            jnp.max(predicted) - jnp.min(predicted),
            predicted,
            measured,
        ),
        Rows(
            ("best layer",),
            measured[best] - measured[seen],
            {name: part[best] + part[seen] for name, part in budget.parts.items()},
            # Effect: the second best layer.
            jnp.min(jnp.where(jnp.arange(depth) == best, jnp.inf, predicted)) - predicted[best],
            predicted[best],
            measured[best],
        ),
        Rows(
            ("convexity",),
            jnp.maximum(-bend(curve), 0),
            {name: around(part) if depth > 2 else part[0] for name, part in budget.parts.items()},
            bend(expected),
        ),
        what=budget.what,
        premises=budget.premises,
        converged=budget.converged,
        finite=budget.finite,
    )


@drawn
def general(key: PRNGKeyArray, sizes: tuple[int, ...], *, index: Array | int = 0) -> Probing:
    """A task in random position, with a downstream moment and target in other random positions."""
    key = named(key, "general task", index)
    k1, k2 = jax.random.split(key)
    root = jax.random.normal(k1, (sizes[0], sizes[0]))
    return Probing(
        task(key, sizes),
        Downstream(matmul(root, root.T) / sizes[0], jax.random.normal(k2, (sizes[0],))),
    )


@drawn
def featured(key: PRNGKeyArray, sizes: tuple[int, ...], *, index: Array | int = 0) -> Probing:
    """A feature model whose label is the sign of a feature of middle weight."""
    key = named(key, "feature task", index)
    k1, k2, k3 = jax.random.split(key, 3)
    d = sizes[0]
    strength = 2.0 ** jax.random.uniform(k1, (d,), minval=-1, maxval=1)
    noise = strength * jax.random.uniform(k2, (d,), minval=0.2, maxval=1.2)
    after = strength * 2.0 ** jax.random.uniform(k3, (d,), minval=-1, maxval=1)
    middle = jnp.argsort(strength / (strength**2 + noise**2))[d // 2]
    return Probing(
        Task(
            ContrastiveProblem(Features(strength), AdditiveNoise(noise)).moments(),
            key,
            jnp.asarray(0.5, strength.dtype),
            sizes,
        ),
        Downstream(jnp.diag(after**2), jnp.where(jnp.arange(d) == middle, 1 / after, 0)),
    )


def _harder(key: PRNGKeyArray, sizes: tuple[int, ...]) -> Probing:
    """A problem of either kind."""
    k1, k2 = jax.random.split(key)
    first = jax.random.bernoulli(k2)
    either = lambda a, b: jnp.where(first, a, b) if eqx.is_inexact_array(a) else a
    return jax.tree.map(either, general(k1, sizes), featured(k1, sizes))


@eqx.filter_jit
def _restated(
    own: Needs, share: Array | None = None, downstream: Downstream | None = None
) -> Needs:
    """The prediction with other shares of the depth than l / L, or another downstream task."""
    curve = complexity_curve(own.layers.grams[-1], downstream or own.downstream)
    shares = layer_shares(own.layers.depth, own.complexity.dtype)
    return replace(own, complexity=curve(shares if share is None else share))


CLAIM = Claim(
    name="optimal-layer",
    statement=(
        "The number of labels a layer needs is indicated by a sum of exponentials in its "
        "depth, convex with one best layer: the lowest if the label's feature has the least "
        "weight, the highest if it has the largest, and where both kinds balance otherwise."
    ),
    latex=(
        r"\mathrm{SC}(\tau) = \mathrm{tr}(M^\tau S')\, \beta^\top M^{-\tau} \beta, \qquad "
        r"\mathrm{SC}'' \ge 0, \qquad \tau = l / L"
    ),
    hypotheses=(
        "linear network",
        "balanced start",
        "gradient flow",
        "width at least the dimension",
        "trained to stationarity",
    ),
    source=(
        "paper section 3, for features and two layers; beyond the paper for any depth, moment "
        "and target"
    ),
    problems=lambda key: (
        draw(key, sizes, index=index)
        for sizes, index in ((SQUARE, 0), (SQUARE, 1), (SQUARE, 2), (DEEP, 0), (DEEP, 1))
        for draw in (featured, general)
    ),
    predict=predict,
    measure=train_probing,
    compare=judge_layers_needs,
    sharpness={
        "layer #": (4e-9, 0.01),
        "best layer": (3e-8, 0),
        "convexity": (3e-7, 0),
    },
    controls=(
        unbalanced_start(train_probing, lambda problem: lopsided(problem.task)),
        Control(
            "wrong-exponent",
            "predicts weights to the power l / L where they are squared",
            predict=lambda problem, own: _restated(
                own, layer_shares(problem.task.depth, own.complexity.dtype) / 2
            ),
        ),
        Control(
            "other-target",
            "predicts for a target along other directions",
            predict=lambda problem, own: _restated(
                own,
                downstream=Downstream(
                    problem.downstream.second, np.roll(problem.downstream.target, 1)
                ),
            ),
            on=1,
        ),
        Control(
            "training-inputs",
            "predicts for downstream inputs like those of training",
            predict=lambda problem, own: _restated(
                own,
                downstream=Downstream(problem.task.moments.second, problem.downstream.target),
            ),
            on=1,
        ),
    ),
    search=over(_harder, "sizes", ((2, 2, 2), (4, 4, 4, 4), (3, 4, 3, 5))),
)
