"""optimal-layer: sample complexities of all layers."""

import dataclasses
from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._core.linalg import matmul
from ...claims import Claim, Control, Verdict
from ...problems import AdditiveNoise, ContrastiveProblem, Downstream, Features
from ...theory import LayerPrediction, complexity_curve, layerwise
from .._common import Run, Task, replace, task
from ._probing import Probing, judge_logarithms, train_lopsided, train_probing

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
    span = jnp.max(predicted) - jnp.min(predicted)
    best, seen = jnp.argmin(predicted), jnp.argmin(measured)
    second = jnp.min(jnp.where(jnp.arange(depth) == best, jnp.inf, predicted)) - predicted[best]
    curve, expected = jnp.exp(measured), jnp.exp(predicted)
    bend = (
        (lambda y: jnp.min((y[2:] + y[:-2] - 2 * y[1:-1]) / y[1:-1]))
        if depth > 2
        else (lambda y: jnp.ones((), y.dtype))
    )
    # The error of three neighbours, relative to the middle one.
    around = lambda part: (
        jnp.max((curve[2:] + curve[:-2] + 2 * curve[1:-1]) / curve[1:-1]) * jnp.max(part)
    )
    rows = {
        name: jnp.concatenate(
            [part, jnp.stack([part[best] + part[seen], around(part) if depth > 2 else part[0]])]
        )
        for name, part in budget.parts.items()
    }
    discrepancy = jnp.stack([measured[best] - measured[seen], jnp.maximum(-bend(curve), 0)])
    return dataclasses.replace(
        budget,
        discrepancy=jnp.concatenate([jnp.abs(measured - predicted), discrepancy]),
        parts=rows,
        effect=jnp.concatenate([jnp.full(depth, span), jnp.stack([second, bend(expected)])]),
        predicted=jnp.concatenate([predicted, jnp.stack([predicted[best], jnp.zeros_like(span)])])[
            :, None
        ],
        measured=jnp.concatenate([measured, jnp.stack([measured[best], discrepancy[1]])])[:, None],
        labels=(*(f"layer {level}" for level in range(1, depth + 1)), "best layer", "convexity"),
    )


@eqx.filter_jit
def _probing(key: PRNGKeyArray, sizes: tuple[int, ...], index: Array) -> Probing:
    """A task in random position, with a downstream moment and target in other random positions."""
    key = jax.random.fold_in(key, 20_000 + index)
    k1, k2 = jax.random.split(key)
    root = jax.random.normal(k1, (sizes[0], sizes[0]))
    return Probing(
        task(key, sizes),
        Downstream(matmul(root, root.T) / sizes[0], jax.random.normal(k2, (sizes[0],))),
    )


@eqx.filter_jit
def _featured(key: PRNGKeyArray, sizes: tuple[int, ...], index: Array) -> Probing:
    """A feature model whose label is the sign of a feature of middle weight."""
    key = jax.random.fold_in(key, 21_000 + index)
    k1, k2, k3 = jax.random.split(key, 3)
    d = sizes[0]
    strength = 2.0 ** jax.random.uniform(k1, (d,), minval=-1, maxval=1)
    noise = strength * jax.random.uniform(k2, (d,), minval=0.2, maxval=1.2)
    moments = ContrastiveProblem(Features(strength), AdditiveNoise(noise)).moments()
    after = strength * 2.0 ** jax.random.uniform(k3, (d,), minval=-1, maxval=1)
    middle = jnp.argsort(strength / (strength**2 + noise**2))[d // 2]
    target = jnp.where(jnp.arange(d) == middle, 1 / after, 0)
    return Probing(
        Task(moments, key, jnp.asarray(0.5, strength.dtype), sizes),
        Downstream(jnp.diag(after**2), target),
    )


def _problems(key: PRNGKeyArray) -> Iterator[Probing]:
    for index in range(3):
        yield _featured(key, SQUARE, jnp.asarray(index))
        yield _probing(key, SQUARE, jnp.asarray(index))
    for index in range(2):
        yield _featured(key, DEEP, jnp.asarray(index))
        yield _probing(key, DEEP, jnp.asarray(index))


def _train(problem: Probing) -> Run:
    return train_probing(problem, problem.task.start())


@eqx.filter_jit
def _restated(prediction: Needs, share: Array) -> Needs:
    """The prediction with these shares of the depth in place of l / L."""
    curve = complexity_curve(prediction.layers.grams[-1], prediction.downstream)
    return replace(prediction, complexity=curve(share))


def _unsquared(problem: Probing, own: Needs) -> Needs:
    depth = problem.task.depth
    return _restated(own, jnp.arange(1, depth + 1, dtype=own.complexity.dtype) / (2 * depth))


@eqx.filter_jit
def _turned(problem: Probing, own: Needs) -> Needs:
    """Prediction for another target."""
    other = Downstream(problem.downstream.second, jnp.roll(problem.downstream.target, 1))
    return replace(
        own, complexity=complexity_curve(own.layers.grams[-1], other).layers(problem.task.depth)
    )


@eqx.filter_jit
def _upstream(problem: Probing, own: Needs) -> Needs:
    """Prediction for downstream inputs with the second moment of the training inputs."""
    other = Downstream(problem.task.moments.second, problem.downstream.target)
    return replace(
        own, complexity=complexity_curve(own.layers.grams[-1], other).layers(problem.task.depth)
    )


def _harder(sizes: tuple[int, ...]) -> Callable[[PRNGKeyArray], Probing]:
    def draw(key: PRNGKeyArray) -> Probing:
        k1, k2 = jax.random.split(key)
        general, featured = (
            _probing(k1, sizes, jnp.asarray(0)),
            _featured(k1, sizes, jnp.asarray(0)),
        )
        return jax.tree.map(
            lambda a, b: (
                jnp.where(jax.random.bernoulli(k2), a, b) if eqx.is_inexact_array(a) else a
            ),
            general,
            featured,
        )

    return draw


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
    problems=_problems,
    predict=predict,
    measure=_train,
    compare=judge_layers_needs,
    sharpness={
        "layer #": (4e-9, 0.01),
        "best layer": (3e-8, 0),
        "convexity": (3e-7, 0),
    },
    controls=(
        Control(
            "unbalanced-start",
            "starts with a lowest layer several times larger than the others",
            measure=train_lopsided,
        ),
        Control(
            "wrong-exponent",
            "predicts weights to the power l / L where they are squared",
            predict=_unsquared,
        ),
        Control(
            "other-target", "predicts for a target along other directions", predict=_turned, on=1
        ),
        Control(
            "training-inputs",
            "predicts for downstream inputs like those of training",
            predict=_upstream,
            on=1,
        ),
    ),
    search=(_harder((2, 2, 2)), _harder((4, 4, 4, 4)), _harder((3, 4, 3, 5))),
)
