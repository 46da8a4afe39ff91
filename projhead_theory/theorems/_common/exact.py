"""Networks at the closed form, which every check must pass, and mutants, which it must reject."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ... import DeepLinear, losses, simulation, theory
from ..._core import frobenius, matmul
from ...claims import Verdict
from ...moments import Moments, TargetMoments
from .training import Run

TOLERANCES = 10.0
"""Size of the error in a mutant's weight, in tolerances of the exact network."""


class Exact(eqx.Module):
    r"""Balanced network in frames and singular values: $W_l = Q_l \Sigma_l Q_{l-1}^\top$."""

    frames: tuple[Float[Array, "..."], ...]
    roots: Float[Array, "L r"]

    @property
    def network(self) -> DeepLinear:
        pairs = zip(itertools.pairwise(self.frames), self.roots, strict=True)
        return DeepLinear([matmul(above * root, below.T) for (below, above), root in pairs])


def frames(key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> list[Array]:
    """Random orthonormal columns for every layer, as many as the network's width."""
    return [
        jnp.linalg.qr(jax.random.normal(k, (m, min(sizes)), dtype))[0]
        for k, m in zip(jax.random.split(key, len(sizes)), sizes, strict=True)
    ]


def singular(
    matrix: Float[Array, "k d"], kept: Int[Array, ""], r: int
) -> tuple[Array, Array, Array]:
    r"""$U$, $\sigma$ and $V$ of the `r` largest singular values, zero beyond the first `kept`.

    Every row of $V$ is precise relative to its own size: the columns of `matrix` lie decades
    apart where strengths do.
    """
    # The largest columns first: a triangle with decreasing diagonal keeps the small ones, which are
    # lost from a matrix in any other order.
    q, triangle = jnp.linalg.qr(matrix[:, jnp.argsort(-jnp.sum(matrix**2, axis=0))])
    turned, values, _ = jnp.linalg.svd(triangle, full_matrices=False)
    left = matmul(q, turned)[:, :r]
    values = jnp.where(jnp.arange(r) < kept, values[:r], 0)
    return left, values, matmul(matrix.T, left) / jnp.where(values > 0, values, 1)


def exact(
    prediction: theory.layers.LayerPrediction, sizes: tuple[int, ...], key: PRNGKeyArray
) -> Exact:
    """Balanced network of these sizes in random frames, with the predicted last Gram."""
    r, depth = min(sizes), len(sizes) - 1
    minimiser = prediction.minimiser
    modes = minimiser.modes * jnp.sqrt(jnp.maximum(minimiser.signal_fraction, 0))
    _, values, right = singular(
        jnp.where(jnp.arange(modes.shape[1]) < minimiser.kept, modes, 0).T, minimiser.kept, r
    )
    return Exact((right, *frames(key, sizes, values.dtype)[1:]), roots(values, depth))


def roots(values: Float[Array, " r"], depth: int) -> Float[Array, "L r"]:
    """Singular values of every layer, from the singular values of the product."""
    return jnp.broadcast_to(
        jnp.where(values > 0, jnp.where(values > 0, values, 1) ** (1 / depth), 0),
        (depth, values.size),
    )


def off(own: Exact, level: Array, mode: Array, factor: Array) -> Exact:
    """Multiply the square of one weight by `factor` at one level, and undo it at the next."""
    depth = own.roots.shape[0]
    scale = jnp.ones_like(own.roots).at[level, mode].set(jnp.sqrt(factor))
    after = jnp.minimum(level + 1, depth - 1)
    scale = scale.at[after, mode].multiply(jnp.where(level + 1 < depth, 1 / jnp.sqrt(factor), 1))
    return eqx.tree_at(lambda e: e.roots, own, own.roots * scale)


def weight_off(own: Exact, level: Array, change: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
    """Choose a weight, and the factor of its square that changes a level's Gram by `change`.

    Any weight whose square changes by less than half may be chosen, or else the largest.
    """
    squares = own.roots[0] ** (2 * (level + 1))
    relative = change / jnp.where(squares > 0, squares, 1)
    choice = jnp.argmax(
        jnp.where(
            (squares > 0) & (relative < 0.5),
            1 + jax.random.uniform(key, squares.shape, squares.dtype),
            squares / (1 + jnp.sum(squares)),
        )
    )
    return choice, 1 + relative[choice]


def run_of(
    start: DeepLinear,
    end: DeepLinear,
    moments: Moments | TargetMoments,
    loss: losses.AbstractLoss = losses.spectral,
) -> Run:
    """Converged run from `start` to `end`, with zero gradient."""
    zero = jnp.zeros((), end.layers[0].dtype)
    trajectory = simulation.Trajectory(
        times=jnp.stack([zero, zero + 1]),
        networks=jax.tree.map(lambda a, b: jnp.stack([a, b]), start, end),
        loss=jnp.stack([loss(start, moments), loss(end, moments)]),
        gradient_norm=jnp.stack([zero, zero]),
        ended=simulation.Ended.converged,
        ended_at=zero + 1,
        steps=jnp.zeros((), int),
        drift=jnp.zeros(end.depth - 1, zero.dtype),
        noise=zero,
    )
    return Run(trajectory, trajectory)


def exact_check(
    judge: Callable[[Any, Run], Verdict], predict: Callable[[Any], Any], **options: Any
) -> Callable[[Any], tuple[Verdict, Verdict, Bool[Array, ""]]]:
    """The check of a claim as a function of the problem, with `options` as in `try_exact`."""
    return functools.partial(try_exact, judge, predict, **options)


@eqx.filter_jit
def try_exact(
    judge: Callable[[Any, Run], Verdict],
    predict: Callable[[Any], Any],
    problem: Any,
    *,
    build: Callable[[Any, tuple[int, ...], PRNGKeyArray], Exact] = exact,
    loss: losses.AbstractLoss = losses.spectral,
    logarithmic: bool = False,
) -> tuple[Verdict, Verdict, Bool[Array, ""]]:
    """Judge the network of the closed form, and a mutant with one weight off by ten tolerances.

    **Arguments:**

    - `judge`: the claim's comparison.
    - `predict`: problem -> closed form, with `grams` and `moments`.
    - `problem`: with a `key` and `sizes`.
    - `build`: closed form, sizes and key -> network of the closed form.
    - `loss`: the loss of a run.
    - `logarithmic`: true if tolerances apply to the logarithm of a layer's condition number,
      which its largest weight moves, and not relative to its Gram.

    **Returns:** the verdicts on the exact network and on the mutant, and whether the change is
    smaller than the effect that the check must detect.
    """
    prediction = predict(problem)
    k1, k2, k3 = jax.random.split(problem.key, 3)
    own = build(prediction, problem.sizes, k1)
    network, depth = own.network, own.roots.shape[0]
    judged = lambda end: judge(prediction, run_of(network, end, prediction.moments, loss))
    first = judged(network)
    # One row a layer, or the last layer alone.
    every = sum(label.startswith("layer") for label in first.labels) == depth
    level = jax.random.randint(k2, (), 0, depth) if every else jnp.asarray(depth - 1)
    row = level if every else 0
    change = TOLERANCES * jnp.asarray(first.tolerance)[row]
    choice, factor = jnp.asarray(0), jnp.exp(change)
    if not logarithmic:
        choice, factor = weight_off(own, level, change * frobenius(prediction.grams[level]), k3)
    return first, judged(off(own, level, choice, factor).network), change < first.effect[row]
