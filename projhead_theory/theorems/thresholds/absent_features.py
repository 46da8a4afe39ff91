"""absent-features: features that lower layers carry and the last one does not."""

import dataclasses
from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ... import theory
from ...claims import Claim, Control, Verdict
from ...networks import ThresholdedDiagonal
from ...problems import AdditiveNoise, Compose, ContrastiveProblem, Features, SignFlip
from ...simulation import Ended, gradient_flow
from .._common.tasks import replace

DIM, RECORDS = 3, 8


class WindowTask(eqx.Module):
    """Units of a diagonal network, to train on features of any strength from `low` to `high`."""

    weights: Float[Array, "L d"]
    thresholds: Float[Array, "L d"]
    flips: Float[Array, " d"]
    low: Float[Array, ""]
    high: Float[Array, ""]
    until: Float[Array, ""]
    decay: Float[Array, ""]
    noise: Float[Array, ""]

    @property
    def depth(self) -> int:
        return self.weights.shape[-2]

    @property
    def label(self) -> str:
        return f"depth {self.depth}, {self.weights.shape[-1]} units"


class Edges(eqx.Module):
    """Edges of all layers, and the state of features between two edges.

    - `edges`: the least strength that each layer shows, `(L, d)`.
    - `present`: the amplitude, in each layer below the last, of a feature halfway to the next edge.
    - `moved`: the change of that feature's weights in training, plus its amplitudes in the layers
      above. Both are predicted to be zero.
    """

    edges: Float[Array, "L d"]
    present: Float[Array, "J d"]
    moved: Float[Array, "J d"]


class Found(eqx.Module):
    """Edges found by bisection on trained networks.

    - `seen`: the edges.
    - `halfway`: the strengths halfway between the edges of neighbouring layers.
    - `bracket`: half the width of the last bracket of each edge.
    - `alive`: the change in training of the weights of a feature that no layer cuts off.
    - `finite`: all runs stayed finite.
    """

    seen: Edges
    halfway: Float[Array, "J d"]
    bracket: Float[Array, "L d"]
    alive: Float[Array, " d"]
    finite: Bool[Array, ""]


@eqx.filter_jit
def find_edges(problem: WindowTask) -> Found:
    """Bisect the edge of every unit in every layer, training all networks at once.

    A layer shows a feature if its amplitude after training is not zero. The last training takes
    strengths halfway between the edges of neighbouring layers, and half as large again as the last
    edge.
    """
    p, depth = problem, problem.depth
    halvings: int = 48 if p.weights.dtype == jnp.float64 else 22
    tiled = lambda x: jnp.tile(x, depth)
    start = ThresholdedDiagonal(jnp.tile(p.weights, (1, depth)), jnp.tile(p.thresholds, (1, depth)))
    views = Compose(SignFlip(tiled(p.flips)), AdditiveNoise(p.noise))
    unit = jnp.arange(p.weights.shape[1])

    def trained(strength: Array) -> tuple[Array, Array, Array]:
        """Final amplitudes, largest change of a weight at any save time, finiteness of the run."""
        data = ContrastiveProblem(Features(strength.reshape(-1)), views)
        run = gradient_flow(
            start, data, until=p.until, decay=p.decay, record=RECORDS, stationarity=0.0
        )
        amplitudes = run.final.amplitudes(strength.reshape(-1)).reshape(depth, depth, -1)
        moved = jnp.max(jnp.abs(run.networks.weights - start.weights), axis=(0, 1))
        return amplitudes, moved.reshape(depth, -1), ~(run.ended == Ended.diverged)

    def step(
        bracket: tuple[Array, Array], bisect: Array
    ) -> tuple[tuple[Array, Array], tuple[Array, Array, Array, Array]]:
        low, high = bracket
        edge = (low + high) / 2
        beside = jnp.concatenate([(edge[1:] + edge[:-1]) / 2, 1.5 * edge[-1:]])
        strength = jnp.where(bisect, edge, beside)
        amplitudes, moved, finite = trained(strength)
        shown = jax.vmap(lambda i: amplitudes[i, i])(jnp.arange(depth)) > 0
        bracket = jnp.where(bisect & ~shown, edge, low), jnp.where(bisect & shown, edge, high)
        return bracket, (strength, amplitudes, moved, finite)

    ends = (jnp.full_like(p.weights, 1) * p.low, jnp.full_like(p.weights, 1) * p.high)
    (low, high), (strength, amplitudes, moved, finite) = jax.lax.scan(
        step, ends, jnp.arange(halvings + 1) < halvings
    )
    last, below = amplitudes[-1], jnp.arange(depth - 1)
    present = last[below, below][:, unit]
    above = jnp.sum(
        jnp.where(jnp.arange(depth)[:, None, None] > below[None, :, None], last[:, :-1], 0), axis=0
    )
    seen = Edges((low + high) / 2, present, moved[-1, :-1] + above)
    return Found(seen, strength[-1, :-1], (high - low) / 2, moved[-1, -1], jnp.all(finite))


class Window(eqx.Module):
    """Prediction from the start alone: its parameters and the formula for the edges."""

    weights: Float[Array, "L d"]
    thresholds: Float[Array, "L d"]
    reach: Callable[..., Array] = eqx.field(static=True, default=theory.threshold_reach)


def predict(problem: WindowTask) -> Window:
    return Window(problem.weights, problem.thresholds)


@eqx.filter_jit
def judge_edges(prediction: Window, found: Found) -> Verdict:
    """Verdict on the edges, and on features between the edges of two layers.

    Edges and amplitudes are relative. A feature between two edges is present below, absent above,
    and its weights do not move at all.
    """
    p = prediction
    edges = p.reach(p.weights, p.thresholds)
    # At a strength between two measured edges the layers below keep their initial amplitudes.
    amplitude, present = found.halfway, []
    for level in range(len(p.weights) - 1):
        amplitude = amplitude.at[level:].set(
            jnp.maximum(jnp.abs(p.weights[level]) * amplitude[level:] - p.thresholds[level], 0)
        )
        present.append(amplitude[level])
    expected = jnp.stack(present)
    scale = jnp.where(expected > 0, expected, 1)
    worst = lambda x: jnp.max(jnp.abs(x), axis=1)
    count, eps = len(edges), jnp.finfo(edges.dtype).eps
    both = lambda *x: jnp.concatenate(x)
    none = jnp.zeros(count - 1, edges.dtype)
    off, kept, moved = (
        worst(found.seen.edges / edges - 1),
        worst((found.seen.present - expected) / scale),
        worst(found.seen.moved),
    )
    # An amplitude is the difference of terms larger than itself.
    rounding = 16 * count * eps * worst(jnp.max(p.thresholds, axis=0) / scale + 1)
    apart = jnp.min(edges[1:] - edges[:-1], axis=1) / jnp.max(edges[1:], axis=1)
    return Verdict(
        discrepancy=both(off, kept, moved),
        parts={
            "bisection": both(worst(found.bracket / edges), none, none),
            "rounding": both(jnp.full(count, 16 * count * eps), rounding, none),
        },
        # Effects: the edge of the next layer, an amplitude of zero, and the move of a feature that
        # is not absent.
        effect=both(jnp.append(apart, apart[-1]), none + 1, none + jnp.min(found.alive)),
        predicted=both(edges, expected, jnp.zeros_like(expected)),
        measured=both(found.seen.edges, found.seen.present, found.seen.moved),
        finite=found.finite,
        labels=(
            *(f"edge of layer {i}" for i in range(1, count + 1)),
            *(f"present in layer {i}" for i in range(1, count)),
            *(f"frozen above layer {i}" for i in range(1, count)),
        ),
        what="edges of what each layer shows",
    )


@eqx.filter_jit
def _task(key: PRNGKeyArray, depth: int, index: Array) -> WindowTask:
    k = jax.random.split(jax.random.fold_in(key, 12_000 + index), 4)
    number = lambda x: jnp.asarray(x, jnp.result_type(float))
    weights = jax.random.uniform(k[0], (depth, DIM), number(0).dtype, 0.5, 1.5)
    # Either sign occurs: only absolute values matter.
    weights = jnp.where(jax.random.bernoulli(k[1], 0.5, weights.shape), weights, -weights)
    thresholds = jax.random.uniform(k[2], (depth, DIM), weights.dtype, 0.1, 0.4)
    flips = jax.random.uniform(k[3], (DIM,), weights.dtype, 0.0, 0.3)
    # The edge of any such unit lies between `low` and `high`.
    return WindowTask(
        weights,
        thresholds,
        flips,
        number(0.02),
        number(12.0),
        number(3.0),
        number(0.0),
        number(0.0),
    )


def _problems(key: PRNGKeyArray) -> Iterator[WindowTask]:
    for depth, index in ((2, 0), (3, 0), (2, 1), (4, 0)):
        yield _task(key, depth, jnp.asarray(index))


def _with_reach(reach: Callable[..., Array]) -> Callable[[WindowTask, Window], Window]:
    return lambda problem, own: dataclasses.replace(own, reach=reach)


def exchanged(weights: Array, thresholds: Array) -> Array:
    """Edges with the thresholds in the opposite order."""
    return theory.threshold_reach(weights, thresholds[::-1])


def unscaled(weights: Array, thresholds: Array) -> Array:
    """Edges as if every threshold cut at the input and not at its own layer: b_2 for b_2 / w_2."""
    return jnp.cumsum(thresholds, axis=0) / jnp.abs(weights[0])


CLAIM = Claim(
    name="absent-features",
    statement=(
        "A diagonal layer shows the features whose strength exceeds sum_k b_k / prod_j |w_j|, "
        "j <= k <= l, of the start: between the edges of two layers a feature is present below "
        "and zero above, for ever, and its weights do not move at all."
    ),
    latex=(
        r"\varphi \in \left(\tfrac{b_1}{w_1}, \tfrac{b_1 + b_2/w_2}{w_1}\right] "
        r"\;\Rightarrow\; A_1 > 0,\ A_2 = 0,\ \dot w = 0"
    ),
    hypotheses=(
        "diagonal network with thresholds that are fixed",
        "views of bounded size: two values with sign flips",
        "gradient flow",
        "no weight decay",
    ),
    source="paper section 3; edges at any depth beyond the paper",
    problems=_problems,
    predict=predict,
    measure=find_edges,
    compare=judge_edges,
    sharpness={
        "edge of layer #": (5e-12, 0.1),
        "present in layer #": (7e-13, 0),
        "frozen above layer #": (0, 0),
    },
    controls=(
        Control(
            "exchanged",
            "predicts with the thresholds in the opposite order",
            predict=_with_reach(exchanged),
        ),
        Control("unscaled", "predicts with b_2 for b_2 / w_2", predict=_with_reach(unscaled)),
        Control(
            "no-thresholds",
            "trains linear layers",
            measure=lambda problem, own: find_edges(
                replace(problem, thresholds=0 * problem.thresholds)
            ),
        ),
        Control(
            "weight-decay",
            "trains with weight decay, which absent features do feel",
            measure=lambda problem, own: find_edges(replace(problem, decay=problem.decay + 0.05)),
        ),
        Control(
            "unbounded-views",
            "adds Gaussian noise to the views, which at times exceeds any threshold",
            measure=lambda problem, own: find_edges(replace(problem, noise=problem.noise + 0.3)),
        ),
    ),
    quick=1,
)
