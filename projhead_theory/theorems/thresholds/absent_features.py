"""absent-features: features that lower layers carry and the last one does not."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ... import ThresholdedDiagonal, gradient_flow, simulation, theory
from ..._core import SHORT, epsilons, named
from ...claims import Claim, Control, Rows, Verdict, numbered, verdict_of
from ...problems import AdditiveNoise, Compose, ContrastiveProblem, Features, SignFlip
from .._common import drawn, replace

DIM, RECORDS, UNTIL = 3, 8, 3.0

LOW, HIGH = 0.02, 12.0
"""Strengths below and above the edge of any unit of the problems."""


class WindowTask(eqx.Module):
    """Units of a diagonal network, to train on features of any strength."""

    weights: Float[Array, "L d"]
    thresholds: Float[Array, "L d"]
    flips: Float[Array, " d"]
    weight_decay: Float[Array, ""]
    noise: Float[Array, ""]

    @property
    def depth(self) -> int:
        return self.weights.shape[-2]

    @property
    def label(self) -> str:
        return f"depth {self.depth}, {self.weights.shape[-1]} units"


class Found(eqx.Module):
    """Edges found by bisection on trained networks, and the state of features between two edges.

    - `edges`: the least strength that each layer shows, `(L, d)`.
    - `bracket`: half the width of the last bracket of each edge.
    - `halfway`: the strengths halfway between the edges of neighbouring layers.
    - `present`: the amplitudes of these features, each in the layer below its strength.
    - `moved`: the change of their weights in training, plus their amplitudes in the layers above.
        Both are predicted to be zero.
    - `alive`: the change in training of the weights of a feature that no layer cuts off.
    - `finite`: all runs stayed finite.
    """

    edges: Float[Array, "L d"]
    bracket: Float[Array, "L d"]
    halfway: Float[Array, "J d"]
    present: Float[Array, "J d"]
    moved: Float[Array, "J d"]
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
    start = ThresholdedDiagonal(jnp.tile(p.weights, (1, depth)), jnp.tile(p.thresholds, (1, depth)))

    def trained(strength: Array) -> tuple[Array, Array, Array]:
        """Final amplitudes, largest change of a weight at any save time, finiteness of the run."""
        flat = strength.reshape(-1)
        run = gradient_flow(
            start,
            ContrastiveProblem(
                Features(flat), Compose(SignFlip(jnp.tile(p.flips, depth)), AdditiveNoise(p.noise))
            ),
            t1=jnp.asarray(UNTIL, p.weights.dtype),
            weight_decay=p.weight_decay,
            save_at=RECORDS,
            stationarity=0.0,
        )
        moved = jnp.max(jnp.abs(run.networks.weights - start.weights), axis=(0, 1))
        amplitudes = run.final.amplitudes(flat).reshape(depth, *p.weights.shape)
        return amplitudes, moved.reshape(p.weights.shape), ~(run.ended == simulation.Ended.diverged)

    def step(bracket: tuple[Array, Array], bisect: Array) -> tuple[Any, Any]:
        low, high = bracket
        edge = (low + high) / 2
        beside = jnp.concatenate([(edge[1:] + edge[:-1]) / 2, 1.5 * edge[-1:]])
        strength = jnp.where(bisect, edge, beside)
        amplitudes, moved, finite = trained(strength)
        shown = amplitudes[layers, layers] > 0
        bracket = jnp.where(bisect & ~shown, edge, low), jnp.where(bisect & shown, edge, high)
        return bracket, (strength, amplitudes, moved, finite)

    layers, one = jnp.arange(depth), jnp.ones_like(p.weights)
    (low, high), record = jax.lax.scan(
        step, (one * LOW, one * HIGH), jnp.arange(halvings + 1) < halvings
    )
    finite = jnp.all(record[-1])
    strength, amplitudes, moved = (x[-1] for x in record[:-1])
    above = layers[:, None, None] > layers[:-1, None]
    return Found(
        edges=(low + high) / 2,
        bracket=(high - low) / 2,
        halfway=strength[:-1],
        present=amplitudes[layers[:-1], layers[:-1]],
        moved=moved[:-1] + jnp.sum(jnp.where(above, amplitudes[:, :-1], 0), axis=0),
        alive=moved[-1],
        finite=finite,
    )


class Window(eqx.Module):
    """Prediction from the start alone: the problem, and the formula for the edges."""

    problem: WindowTask
    reach: Callable[..., Array] = eqx.field(static=True, default=theory.thresholds.threshold_reach)


@eqx.filter_jit
def judge_edges(prediction: Window, found: Found) -> Verdict:
    """Verdict on the edges, and on features between the edges of two layers.

    Edges and amplitudes are relative. A feature between two edges is present below, absent above,
    and its weights do not move at all.
    """
    p, count = prediction.problem, prediction.problem.depth
    edges = prediction.reach(p.weights, p.thresholds)
    worst = lambda x: jnp.max(jnp.abs(x), axis=1)
    apart = jnp.min(edges[1:] - edges[:-1], axis=1) / jnp.max(edges[1:], axis=1)
    rounding = epsilons(SHORT * count, edges.dtype)
    # At a strength between two measured edges the layers below keep their initial amplitudes.
    below = jnp.arange(count - 1)
    initial = jax.vmap(ThresholdedDiagonal(p.weights, p.thresholds).amplitudes)(found.halfway)
    expected = initial[below, below]
    scale = jnp.where(expected > 0, expected, 1)
    return verdict_of(
        Rows(
            numbered("edge of layer", count),
            worst(found.edges / edges - 1),
            {"bisection": worst(found.bracket / edges), "rounding": rounding},
            # Effect: the edge of the next layer.
            jnp.append(apart, apart[-1]),
            edges,
            found.edges,
        ),
        Rows(
            numbered("present in layer", count - 1),
            worst((found.present - expected) / scale),
            # An amplitude is the difference of terms larger than itself.
            {"rounding": rounding * worst(jnp.max(p.thresholds, axis=0) / scale + 1)},
            # Effect: an amplitude of zero.
            1.0,
            expected,
            found.present,
        ),
        Rows(
            numbered("frozen above layer", count - 1),
            worst(found.moved),
            {},
            # Effect: the move of a feature that is not absent.
            jnp.min(found.alive),
            measured=found.moved,
        ),
        what="edges of what each layer shows",
        finite=found.finite,
    )


@drawn
def _task(key: PRNGKeyArray, depth: int, *, index: Array | int) -> WindowTask:
    k = jax.random.split(named(key, "window", index), 4)
    weights = jax.random.uniform(k[0], (depth, DIM), float, 0.5, 1.5)
    # Either sign occurs: only absolute values matter.
    weights = jnp.where(jax.random.bernoulli(k[1], 0.5, weights.shape), weights, -weights)
    flips, none = jax.random.uniform(k[3], (DIM,), float, 0.0, 0.3), jnp.zeros((), float)
    return WindowTask(
        weights,
        jax.random.uniform(k[2], weights.shape, float, 0.1, 0.4),
        flips,
        weight_decay=none,
        noise=none,
    )


def exchanged(weights: Array, thresholds: Array) -> Array:
    """Edges with the thresholds in the opposite order."""
    return theory.thresholds.threshold_reach(weights, thresholds[::-1])


def unscaled(weights: Array, thresholds: Array) -> Array:
    """Edges as if every threshold cut at the input and not at its own layer."""
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
    problems=lambda key: (
        _task(key, depth, index=index) for depth, index in ((2, 0), (3, 0), (2, 1), (4, 0))
    ),
    predict=Window,
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
            predict=lambda problem, own: Window(problem, exchanged),
        ),
        Control(
            "unscaled",
            "predicts with b_2 for b_2 / w_2",
            predict=lambda problem, own: Window(problem, unscaled),
        ),
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
            measure=lambda problem, own: find_edges(
                replace(problem, weight_decay=problem.weight_decay + 0.05)
            ),
        ),
        Control(
            "unbounded-views",
            "adds Gaussian noise to the views, which at times exceeds any threshold",
            measure=lambda problem, own: find_edges(replace(problem, noise=problem.noise + 0.3)),
        ),
    ),
    quick=1,
)
