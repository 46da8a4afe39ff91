r"""Errors of trained networks of two layers against closed forms, over values of one knob.

The error of a network is $\big( \frac12 \sum_l \|M_l - M_l^\star\|_F^2 / \|M_l^\star\|_F^2
\big)^{1/2}$ over both layers, or the relative error of its one squared weight.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from .._core import checks
from .._core.linalg import frobenius, matmul, psd_power
from ..losses import ExpectedInfoNCE, spectral
from ..measure import layer_grams
from ..moments import Moments
from ..networks import DeepLinear
from ..problems import ContrastiveProblem
from ..simulation import Ended, gradient_descent, gradient_descents, gradient_flows
from ..theory.layers import layerwise
from ..theory.layers import spectral as spectral_minimiser
from ..theory.responses import negatives_bias, negatives_second_order
from ..theory.starts import Start

DEPTH, POINTS = 2, 5

LEAST, MOST = 0.02, 0.4
"""Signal fractions: the least of any knob, the most with negatives (below the root of 1/6)."""


class Errors(NamedTuple):
    """Relative errors of `N` seeds at `K` values of a knob, and whether each run converged."""

    values: Float[np.ndarray, " K"]
    errors: Float[Array, "N K"]
    converged: Bool[Array, "N K"]


class Knob(NamedTuple):
    """A knob: the order of the error in it, its name on an axis, seeds by default, its runs."""

    order: float
    label: str
    seeds: int
    run: Callable[[ContrastiveProblem, PRNGKeyArray, int], Errors]


def _geometric(first: float, ratio: float) -> np.ndarray:
    return first * ratio ** np.arange(POINTS)


def _stacked(networks: Any) -> Any:
    """Networks `(N, K)` as one batch, a seed at a time."""
    return jax.tree.map(lambda w: w.reshape(-1, *w.shape[2:]), networks)


def _compared(run: Any, grams: Float[Array, "2 d d"], values: np.ndarray) -> Errors:
    return Errors(values, *_errors(run.final, run.ended == Ended.converged, grams))


@eqx.filter_jit
def _errors(networks: DeepLinear, converged: Array, grams: Array) -> tuple[Array, Array]:
    seen = jax.vmap(layer_grams)(networks)
    apart = frobenius(seen - grams) / frobenius(grams)
    rows = lambda x: x.reshape(-1, POINTS)
    return rows(jnp.sqrt(jnp.mean(apart**2, axis=-1))), rows(converged)


@eqx.filter_jit
def _sharpness(gram: Float[Array, "d d"], moments: Moments) -> Array:
    """Largest curvature of the loss at the balanced minimum with this Gram before the head.

    Power iteration on the second derivative.
    """
    root = psd_power(gram, 0.5, len(gram))
    loss = lambda layers: spectral.population(matmul(layers[1], layers[0]), moments)
    bend = lambda v: jax.jvp(jax.grad(loss), ((root, root),), (v,))[1]
    size = lambda v: jnp.sqrt(sum(jnp.sum(x * x) for x in v))

    def again(_: Array, v: tuple[Array, Array]) -> tuple[Array, Array]:
        moved = bend(v)
        return jax.tree.map(lambda x: x / size(moved), moved)

    v = jax.lax.fori_loop(0, 64, again, (root, root))
    return size(bend(v)) / size(v)


def _least(grams: Float[Array, "2 d d"]) -> float:
    """Least eigenvalue of the Gram before the head."""
    return float(np.linalg.eigvalsh(np.asarray(grams[0]))[0])


@eqx.filter_jit
def _starts(keys: Array, scales: Float[Array, " K"], dim: int, *, tied: bool) -> DeepLinear:
    """Random starts `(N K)`, a seed at a time: balanced ones, or with one layer each of two."""

    def start(key: PRNGKeyArray, scale: Array) -> DeepLinear:
        draw = lambda k: DeepLinear.balanced(k, (dim,) * 3, scale, scales.dtype)
        if tied:
            return draw(key)
        below, above = (draw(k) for k in jax.random.split(key))
        return DeepLinear([below.layers[0], above.layers[1]])

    every = jax.vmap(jax.vmap(start, in_axes=(None, 0)), in_axes=(0, None))
    return _stacked(every(keys, scales))


def _flows(starts: DeepLinear, moments: Moments) -> Any:
    """Gradient flows, each with its own moments or all with the same."""
    count = len(starts.layers[0])
    if moments.second.ndim == 2:
        many = lambda x: np.broadcast_to(np.asarray(x), (count, *x.shape))
        moments = jax.tree.map(lambda x: jax.device_put(many(x)), moments)
    return gradient_flows(starts, moments, save_at=2)


def by_step(problem: ContrastiveProblem, key: PRNGKeyArray, seeds: int) -> Errors:
    moments = problem.moments()
    grams = layerwise(moments, DEPTH).grams
    values = _geometric(1 / (16 * float(_sharpness(grams[0], moments))), 0.5)
    # Of half the least weight, so that no layer starts beyond its end.
    scales = np.full(POINTS, (_least(grams) / 2) ** 0.5)
    keys = jax.random.split(key, seeds)
    networks = _starts(keys, jax.device_put(scales), moments.dim, tied=True)
    run = gradient_descents(
        networks,
        moments,
        learning_rate=np.tile(values, seeds),
        steps=10_000_000,
        data_axis=None,
    )
    return _compared(run, grams, values)


def by_start(problem: ContrastiveProblem, key: PRNGKeyArray, seeds: int) -> Errors:
    moments = problem.moments()
    grams = layerwise(moments, DEPTH).grams
    values = _geometric((_least(grams) / 32) ** 0.5, 0.5**0.5)
    keys = jax.random.split(key, seeds)
    starts = _starts(keys, jax.device_put(values), moments.dim, tied=False)
    return _compared(_flows(starts, moments), grams, values)


def by_samples(problem: ContrastiveProblem, key: PRNGKeyArray, seeds: int) -> Errors:
    moments = problem.moments()
    prediction = layerwise(moments, DEPTH)
    # Whitened moments of n pairs are off by about the root of d / n.
    least = float(np.min(prediction.minimiser.signal_fraction))
    first = 2 ** int(np.ceil(np.log2(16 * moments.dim / least**2)))
    values = _geometric(first, 4.0)
    draw, place = jax.random.split(key)
    samples = _sampled(problem, jax.random.split(draw, seeds), first)
    # The minimiser is the same from any start: every network has its own.
    scales = jax.device_put(np.full(POINTS, _least(prediction.grams) ** 0.5))
    starts = _starts(jax.random.split(place, seeds), scales, moments.dim, tied=True)
    run = _flows(starts, samples)
    return _compared(run, prediction.grams, values)


@eqx.filter_jit
def _sampled(problem: ContrastiveProblem, keys: Array, first: int) -> Moments:
    """Moments of independent samples of all sizes, in chunks of the least one."""

    def chunk(key: PRNGKeyArray) -> Array:
        views = problem.sample_pairs(key, first)
        x1, x2 = views.first, views.second
        cross = matmul(x1.T, x2)
        second = matmul(x1.T, x1) + matmul(x2.T, x2)
        return jnp.stack([cross + cross.T, second]) / (2 * first)

    def seed(key: PRNGKeyArray) -> Array:
        one = lambda k, n: jnp.mean(jax.lax.map(chunk, jax.random.split(k, 4**n)), axis=0)
        sizes = enumerate(jax.random.split(key, POINTS))
        return jnp.stack([one(k, n) for n, k in sizes])

    both = jax.lax.map(seed, keys).reshape(-1, 2, problem.dim, problem.dim)
    return jax.vmap(Moments)(both[:, 0], both[:, 1])


def by_width(problem: ContrastiveProblem, key: PRNGKeyArray, seeds: int) -> Errors:
    moments = problem.moments()
    size = np.trace(layerwise(moments, DEPTH).grams[0]) / moments.dim
    # Unlike scales of encoder and head, both of the size of the weights that are learned.
    start = Start(size / 2, size)
    prediction = layerwise(moments, DEPTH, start=start)
    widths = tuple(32 * moments.dim * 4**k for k in range(POINTS))
    starts = _random_layers(jax.random.split(key, seeds), start, moments.dim, widths)
    return _compared(_flows(starts, moments), prediction.grams, np.asarray(widths, float))


@eqx.filter_jit
def _random_layers(keys: Array, start: Start, dim: int, widths: tuple[int, ...]) -> DeepLinear:
    r"""Gaussian layers, each network with the hidden width $2d$ that its training needs.

    Gradient flow commutes with rotations of the hidden units. The columns of the triangular
    factor of $[W_1, W_2^\top]$ are layers with the products and the Grams of the wide ones at all
    times.
    """

    def narrow(key: PRNGKeyArray, width: int) -> DeepLinear:
        scales = jnp.sqrt(jnp.stack([start.encoder * dim / width, start.head]))
        wide = DeepLinear.init(key, (dim, width, dim), scales, start.head.dtype)
        rows = jnp.concatenate([wide.layers[0], wide.layers[1].T], axis=1)
        factor = jnp.linalg.cholesky(matmul(rows.T, rows)).T
        return DeepLinear([factor[:, :dim], factor[:, dim:].T])

    def seed(key: PRNGKeyArray) -> Any:
        each = [narrow(k, w) for k, w in zip(jax.random.split(key, POINTS), widths, strict=True)]
        return jax.tree.map(lambda *w: jnp.stack(w), *each)

    return _stacked(jax.lax.map(seed, keys))


def by_negatives(problem: ContrastiveProblem, key: PRNGKeyArray, seeds: int) -> Errors:
    moments = problem.moments()
    most = float(np.max(spectral_minimiser(moments).signal_fraction))
    if most > MOST:
        raise checks.bad(
            "problem",
            f"a signal fraction of {most:.3g}",
            f"at most {MOST} in every direction, as with more noise: closer to 0.7 the error "
            "falls as 1 / n for huge n alone",
        )
    along = np.asarray(jax.random.normal(key, (seeds, moments.dim), moments.second.dtype))
    cross, second = (
        np.einsum("ni,ij,nj->n", along, np.asarray(m), along)
        for m in (moments.cross, moments.second)
    )
    late = float(np.max(_later(jax.device_put(cross / second))))
    values = _geometric(float(np.ceil(max(64.0, 32 * late))), 2.0)
    cross, second = jax.device_put((cross, second))
    return Errors(values, *_with_negatives(cross, second, jax.device_put(values)))


@jax.jit
def _later(fractions: Float[Array, " N"]) -> Float[Array, " N"]:
    """Second coefficient of the error over the first one, in 1 / n."""
    ratio = lambda f: negatives_second_order(f) / negatives_bias(f)
    return jax.vmap(lambda f: jnp.abs(ratio(f[None]))[0])(fractions)


@eqx.filter_jit
def _with_negatives(
    cross: Float[Array, " N"], second: Float[Array, " N"], sizes: Float[Array, " K"]
) -> tuple[Array, Array]:
    """Errors of the weights that gradient descent finds from half the limit, at temperature 1."""

    def one(item: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        c, q, size = item
        limit = c / q**2
        start = DeepLinear([jnp.sqrt(limit / 2)[None, None]])
        run = gradient_descent(
            start,
            Moments(c[None, None], q[None, None]),
            loss=ExpectedInfoNCE(size),
            # The loss has curvature q^2 in the squared weight, 4 c in the weight itself.
            learning_rate=0.9 / (4 * c),
            steps=40,
            save_at=2,
        )
        square = run.final.matrix[0, 0] ** 2
        return jnp.abs(square / limit - 1), run.ended == Ended.converged

    grid = [x.ravel() for x in jnp.meshgrid(jnp.arange(len(cross)), sizes, indexing="ij")]
    return jax.tree.map(
        lambda x: x.reshape(-1, POINTS),
        jax.lax.map(one, (cross[grid[0]], second[grid[0]], grid[1])),
    )


KNOBS = {
    "step": Knob(1.0, "step size of gradient descent", 8, by_step),
    "start": Knob(2.0, "scale of the start", 8, by_start),
    "samples": Knob(-0.5, "number of pairs", 32, by_samples),
    "width": Knob(-0.5, "hidden width of a Gaussian start", 32, by_width),
    "negatives": Knob(-1.0, "number of pairs in a batch", 8, by_negatives),
}
