"""weight-decay-minimiser and feature-extinction: what weight decay leaves of a feature, and where it ends."""

import dataclasses
from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .. import theory
from ..moments import Moments
from ..networks import DeepLinear, LinearNetwork
from ..simulation import gradient_flow, layer_gradients
from ._claim import Claim, Control, Measured, compare_measured
from ._dynamics import DIM, RECORDS
from ._runs import COARSER, Run, flow, local_error
from ._tasks import FeatureTask, aligned, replace
from ._verdict import Verdict


class Finished(eqx.Module):
    """A run to stationarity, and the share by which every layer's weight of each feature still has to change."""

    run: Run
    share: Float[Array, " d"]


@eqx.filter_jit
def left_to_go(network: LinearNetwork, moments: Moments, decay: Array) -> Float[Array, " d"]:
    r"""Newton's step to where each weight is stationary, $\tau_i = \langle g, u_i\rangle / \langle u_i, H u_i\rangle$, from
    the run's own gradient $g$ and curvature $H$.

    $u_i$ scales feature $i$ alike in every layer of an aligned network, so its weight at layer $l$ is off by the share
    $l \tau_i$. Infinite where the objective is not convex along it. A coarser run cannot tell: it may stop just as near.
    """
    identity = jnp.eye(moments.dim, dtype=decay.dtype)

    def slope(layers: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(g + decay * w for g, w in zip(layer_gradients(DeepLinear(layers), moments), layers, strict=True))

    def one(feature: Array) -> Array:
        along = tuple(w * feature for w in network.layers)
        dot = lambda a, b: sum(jnp.sum(x * y) for x, y in zip(a, b, strict=True))  # noqa: E731
        gradient, bend = jax.jvp(slope, (network.layers,), (along,))
        force, curvature = jnp.abs(dot(gradient, along)), dot(bend, along)
        return jnp.where(force == 0, 0, jnp.where(curvature > 0, force / curvature, jnp.inf))

    return jax.vmap(one)(identity)


def train(problem: FeatureTask) -> Finished:
    """Gradient flow with weight decay, from large weights, to stationarity."""
    p = problem
    run = flow(p.start(), p.moments, decay=p.decay, record=p.times, until=p.times[-1], max_steps=p.max_steps)
    return Finished(run, left_to_go(run.fine.final, p.moments, p.decay))


class Decayed(eqx.Module):
    """Predicted weights of every feature at every layer, and the least value of the objective."""

    weights: Float[Array, "L d"]
    objective: Float[Array, ""]


@eqx.filter_jit
def predict(problem: FeatureTask, decay: Array | None = None) -> Decayed:
    p = problem if decay is None else replace(problem, decay=decay)
    last = theory.decayed_weight(p.cross, p.second, p.decay, p.depth)
    energy = jnp.sum(theory.decayed_energy(last, p.cross, p.second, p.decay, p.depth))
    levels = jnp.arange(1, p.depth + 1, dtype=last.dtype) / p.depth
    return Decayed(jnp.where(last > 0, jnp.where(last > 0, last, 1) ** levels[:, None], 0), energy)


@eqx.filter_jit
def judge_decayed(prediction: Decayed, finished: Finished) -> Verdict:
    """Every layer's weights, relative to that layer's, and the objective."""
    run, depth = finished.run, prediction.weights.shape[0]
    measured = run.fine.weights()[-1]
    size = jnp.sqrt(jnp.sum(prediction.weights**2, axis=1))
    size = jnp.where(size > 0, size, 1)
    norm = lambda rows: jnp.sqrt(jnp.sum(rows**2, axis=1)) / size  # noqa: E731
    integration = norm(run.error(lambda t: t.weights()[-1])) + local_error(size.dtype, depth) * norm(measured)
    # A Newton step errs by its square: twice its length is a bound while it is short.
    levels = jnp.arange(1, depth + 1, dtype=size.dtype)[:, None]
    stationarity = norm(2 * levels * jnp.where(measured > 0, finished.share, 0) * measured)
    scale = jnp.maximum(jnp.abs(prediction.objective), jnp.finfo(size.dtype).tiny)
    loss = run.fine.loss[-1]
    eps = jnp.finfo(size.dtype).eps
    both = lambda rows, last: jnp.append(rows, jnp.asarray(last, size.dtype))  # noqa: E731
    # What the check must see: weights, and an objective, without any decay at all being those predicted.
    return Verdict(
        discrepancy=both(norm(measured - prediction.weights), jnp.abs(loss - prediction.objective) / scale),
        parts={
            "integration": both(integration, run.error(lambda t: t.loss[-1]) / scale),
            "stationarity": both(stationarity, 0),
            "rounding": both(jnp.full(depth, 256 * depth * eps), 256 * depth * eps),
        },
        effect=both(jnp.ones(depth, size.dtype), 1),
        predicted=both(jnp.ones_like(size), 0)[:, None] * jnp.concatenate([prediction.weights, prediction.weights[-1:]]),
        measured=jnp.concatenate([measured, measured[-1:]]),
        settled=run.settled,
        finite=run.finite,
        labels=(*(f"layer {i}" for i in range(1, depth + 1)), "objective"),
        what="relative discrepancy of the weights under decay",
    )


def _decaying(key: PRNGKeyArray, depth: int, share: float, index: int = 0) -> FeatureTask:
    """Three features, and a decay that is this share of the largest that the weakest feature's minimum survives."""
    return _decayed_features(key, depth, jnp.asarray(share, jnp.result_type(float)), jnp.asarray(index))


@eqx.filter_jit
def _decayed_features(key: PRNGKeyArray, depth: int, share: Array, index: Array) -> FeatureTask:
    k1, k2 = jax.random.split(jax.random.fold_in(key, 8000 + index))
    dtype = jnp.result_type(float)
    cross = jnp.asarray([1.0, 0.7, 0.4], dtype) * jax.random.uniform(k1, (DIM,), dtype, 0.9, 1.1)
    second = cross / jax.random.uniform(k2, (DIM,), dtype, 0.5, 0.95)
    decay = share * jnp.min(theory.decay_limit(cross, second, depth))
    times = jnp.geomspace(1e-2, 1e5, RECORDS, dtype=dtype)
    return FeatureTask(cross, second, 1.5 * jnp.sqrt(cross) / second, times, decay, depth)


def _decayed_problems(key: PRNGKeyArray) -> Iterator[FeatureTask]:
    yield _decaying(key, 3, 0.5)
    yield _decaying(key, 2, 0.6)
    yield _decaying(key, 1, 0.8)
    yield _decaying(key, 2, 1.2, 1)  # beyond the end of the weakest feature: it goes extinct, the others stay
    yield _decaying(key, 3, 0.9, 1)
    yield _decaying(key, 5, 0.5)


def _harder_decaying(depth: int) -> Callable[[PRNGKeyArray], FeatureTask]:
    def draw(key: PRNGKeyArray) -> FeatureTask:
        k = jax.random.split(key, 4)
        dtype = jnp.result_type(float)
        unit = 10.0 ** jax.random.uniform(k[0], (), dtype, -3, 3)
        cross = unit * 10.0 ** jax.random.uniform(k[1], (DIM,), dtype, -1, 0)
        second = cross / jax.random.uniform(k[2], (DIM,), dtype, 0.05, 1.0)
        limits = theory.decay_limit(cross, second, depth)
        decay = jnp.min(limits) * 10.0 ** jax.random.uniform(k[3], (), dtype, -3, 0.3)
        final = jnp.sqrt(cross) / second
        slowest = jnp.minimum(decay, jnp.min(depth * cross * final ** (2 - 2 / depth)))
        times = jnp.geomspace(1e-3, 1, RECORDS, dtype=dtype) * 2e3 / slowest
        return FeatureTask(cross, second, 1.5 * final, times, decay, depth, max_steps=10_000)

    return draw


MINIMISER = Claim(
    name="weight-decay-minimiser",
    statement="With weight decay, each feature ends where -2 c s^2 + q^2 s^4 + (decay L / 2) s^(2/L) is stationary, at the largest such s; "
    "in every layer it has that weight to the power l/L.",
    latex=r"\min_s\; -2 c s^2 + q^2 s^4 + \tfrac{\gamma L}{2} s^{2/L}; \qquad "
    r"L = 1:\ s^2 = \max\left(0, \tfrac{c - \gamma/4}{q^2}\right); \qquad "
    r"L = 2:\ s = 2\sqrt{\tfrac{c}{3 q^2}} \cos\left(\tfrac13 \arccos\left(-\tfrac{3\sqrt3\,\gamma q}{8 c^{3/2}}\right)\right)",
    hypotheses=(
        "linear network",
        "feature model",
        "width at least the dimension",
        "large aligned balanced start",
        "trained to stationarity",
    ),
    source="beyond the paper",
    problems=_decayed_problems,
    predict=predict,
    measure=train,
    compare=judge_decayed,
    sharpness={
        "layer #": (2e-8, 0.003),
        "objective": (2e-12, 0),
    },
    controls=(
        Control("no-decay", "trains without the decay", measure=lambda problem, own: train(replace(problem, decay=0 * problem.decay))),
        Control("doubled-decay", "predicts for twice the decay", predict=lambda problem, own: predict(problem, 2 * problem.decay)),
        Control(
            "one-weight",
            "predicts one and the same weight in every layer",
            predict=lambda problem, own: replace(own, weights=jnp.broadcast_to(own.weights[-1], own.weights.shape)),
        ),
    ),
    search=tuple(_harder_decaying(depth) for depth in (1, 2, 3)),
    quick=1,
)


class Extinction(eqx.Module):
    """One feature, and the decays between which its end is looked for, from below and from above."""

    cross: Float[Array, ""]
    second: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]
    depth: int = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"depth {self.depth}, one feature"


SIDE = 0.02
"""How far to either side of the jump, relative, the minimum is looked at."""


def _descend(problem: Extinction, decay: Array, weight: Array, factor: float | Array) -> tuple[Array, Array, Array]:
    """Train one feature from a given weight: the weight it ends with, the objective there, and how far that weight may be off."""
    p = problem
    start = aligned(weight[None], p.depth)
    moments = Moments(p.cross[None, None], p.second[None, None])
    eps = float(jnp.finfo(p.cross.dtype).eps)
    rtol = factor * eps**0.75
    run = gradient_flow(start, moments, decay=decay, record=2, until=1e5 / p.cross, rtol=rtol, stationarity=10 * rtol)
    weight = jnp.abs(run.final.matrix[0, 0])
    share = 2 * p.depth * left_to_go(run.final, moments, decay)[0]
    return weight, run.loss[-1], jnp.where(weight > 0, share, 0) * weight + local_error(weight.dtype, p.depth) * weight


@eqx.filter_jit
def follow_minimum(problem: Extinction, factor: Array) -> tuple[Array, Array]:
    """The decay at which the minimum reached from above stops being the lower one, by bisection on trained networks; and
    the weights of the lower of both minima, the one reached from above and the one from below, on either side of it. And by
    how much each of the three may be off: half the last bracket, and what training left.
    """
    p = problem
    large, small = 1.5 * jnp.sqrt(p.cross) / p.second, 1e-3 * jnp.sqrt(p.cross) / p.second
    halvings: int = 40 if p.cross.dtype == jnp.float64 else 18

    def lower(decay: Array) -> tuple[Array, Array]:
        weights, energies, errors = jax.vmap(lambda w: _descend(p, decay, w, factor))(jnp.stack([large, small]))
        # Beyond the end of the upper minimum both runs end at zero, where rounding alone would rank them.
        alive = (energies[0] < energies[1]) & (weights[0] > 0.05 * large)
        ends = jnp.stack([weights, errors])
        return jnp.where(alive, ends[:, 0], ends[:, 1]), alive

    def step(bracket: tuple[Array, Array], share: Array) -> tuple[tuple[Array, Array], Array]:
        """Halve the bracket; or, where a share is given, look to that side of it."""
        a, b = bracket
        middle = (a + b) / 2
        end, alive = lower(middle * (1 + share))
        halve = share == 0
        return (jnp.where(halve & alive, middle, a), jnp.where(halve & ~alive, middle, b)), end

    shares = jnp.concatenate([jnp.zeros(halvings, p.cross.dtype), jnp.asarray([-SIDE, SIDE], p.cross.dtype)])
    (a, b), ends = jax.lax.scan(step, (p.low, p.high), shares)
    middle = jnp.stack([a + b, b - a]) / 2
    value, error = jnp.concatenate([middle[None], ends[-2:]]).T
    return value, error


def measure_extinction(problem: Extinction) -> Measured:
    """The decay of the jump, and the weights just below and just above it."""
    runs = [follow_minimum(problem, jnp.asarray(factor, problem.cross.dtype)) for factor in (1, COARSER)]
    return _found(problem, *runs[0], runs[1][0])


@eqx.filter_jit
def _found(problem: Extinction, fine: Array, error: Array, coarse: Array) -> Measured:
    eps = jnp.finfo(fine.dtype).eps
    weight = jnp.maximum(fine[1], jnp.finfo(fine.dtype).tiny)
    # At the jump the objective is a difference of terms of this size; it changes with the decay at the rate L/2 s^(2/L).
    terms = 64 * eps * (2 * problem.cross * weight**2 + problem.second**2 * weight**4)
    blur = terms / (problem.depth / 2 * weight ** (2 / problem.depth))
    moved = blur / fine[0] * weight
    errors = {
        "bisection": jnp.where(jnp.arange(3) == 0, 2 * error, 0),
        "integration": jnp.abs(fine - coarse),
        "stationarity": jnp.where(jnp.arange(3) == 0, 0, error),
        "rounding": jnp.stack([blur, moved, 64 * eps * weight]),
    }
    # What the check must see: the decay of the spinodal, an eighth beyond; the jump itself.
    effect = jnp.stack([fine[0] / 16, weight, weight])
    return Measured(fine, errors, effect=effect)


def measure_vanishing_point(problem: Extinction) -> Measured:
    """At depth one there is no jump: the squared weight, measured at two decays, is continued in a straight line to zero."""
    p = problem
    decays = jnp.stack([p.low, (p.low + p.high) / 2])
    large = 1.5 * jnp.sqrt(p.cross) / p.second
    zero_of = lambda y: decays[0] + y[0] ** 2 * (decays[1] - decays[0]) / (y[0] ** 2 - y[1] ** 2)  # noqa: E731

    def ends(factor: int) -> tuple[Array, Array]:
        """The three values, and by how much what training left may move each."""
        weights, _, left = jax.vmap(lambda decay: _descend(p, decay, large, factor))(decays)
        decay, moves = jax.value_and_grad(zero_of)(weights)
        sides, _, beside = jax.vmap(lambda share: _descend(p, decay * (1 + share), large, factor))(jnp.asarray([-SIDE, SIDE], decay.dtype))
        return jnp.append(decay, sides), jnp.append(jnp.sum(jnp.abs(moves) * left), beside)

    (value, left), (coarse, _) = ends(1), ends(COARSER)
    eps = jnp.finfo(value.dtype).eps
    errors = {
        "integration": jnp.abs(value - coarse),
        "stationarity": left,
        "rounding": 256 * eps * jnp.stack([value[0], value[1], value[1]]),
    }
    return Measured(value, errors, effect=jnp.stack([value[0] / 16, value[1], value[1]]))


def measure_end(problem: Extinction) -> Measured:
    return eqx.filter_jit(measure_vanishing_point)(problem) if problem.depth == 1 else measure_extinction(problem)


@eqx.filter_jit
def predict_extinction(problem: Extinction) -> Float[Array, " 3"]:
    p = problem
    decay = theory.extinction_decay(p.cross, p.second, p.depth)
    below = theory.decay_minimiser(p.cross, p.second, decay * (1 - SIDE), p.depth)
    above = theory.decay_minimiser(p.cross, p.second, decay * (1 + SIDE), p.depth)
    return jnp.stack([decay, below, above])


def judge_extinction(prediction: Float[Array, " 3"], measured: Measured) -> Verdict:
    verdict = compare_measured(prediction, measured)
    return dataclasses.replace(
        verdict,
        labels=("decay of the jump", "weight just below", "weight just above"),
        what="relative discrepancy of the extinction",
    )


def _ends(key: PRNGKeyArray) -> Iterator[Extinction]:
    dtype = jnp.result_type(float)
    for depth, index in ((2, 0), (3, 0), (1, 0), (2, 1), (4, 0)):
        k1, k2 = jax.random.split(jax.random.fold_in(key, 9000 + index))
        cross = jax.random.uniform(k1, (), dtype, 0.5, 1.5)
        second = cross / jax.random.uniform(k2, (), dtype, 0.4, 0.95)
        yield _bracketed(cross, second, depth)


@eqx.filter_jit
def _bracketed(cross: Array, second: Array, depth: int) -> Extinction:
    """Brackets that only use the units of a decay: the feature survives a hundredth of them, and not four times."""
    unit = cross * (cross / second**2) ** (1 - 1 / depth)
    low = 0.01 if depth > 1 else 1.0
    return Extinction(cross, second, low * unit, (4.0 if depth > 1 else 3.0) * unit, depth)


def _harder_ends(depth: int) -> Callable[[PRNGKeyArray], Extinction]:
    def draw(key: PRNGKeyArray) -> Extinction:
        k = jax.random.split(key, 2)
        dtype = jnp.result_type(float)
        cross = 10.0 ** jax.random.uniform(k[0], (), dtype, -3, 3)
        return _bracketed(cross, cross / jax.random.uniform(k[1], (), dtype, 0.02, 1.0), depth)

    return draw


def _spinodal(problem: Extinction, own: Array) -> Array:
    """The decay at which the upper minimum disappears altogether, and the weights on either side of that."""
    p = problem
    decay = theory.decay_limit(p.cross, p.second, p.depth)
    below = theory.decayed_weight(p.cross, p.second, decay * (1 - SIDE), p.depth)
    return jnp.stack([decay, below, jnp.zeros_like(below)])


def _continuous(problem: Extinction, own: Array) -> Array:
    """No jump: just below extinction the weight is what is left of a square root."""
    final = jnp.sqrt(problem.cross) / problem.second
    return jnp.stack([own[0], final * SIDE**0.5, own[2]])


EXTINCTION = Claim(
    name="feature-extinction",
    statement="As weight decay grows, the minimum jumps from a positive weight to zero, in all layers at once, at a decay known in "
    "closed form; at depth one it gets there continuously.",
    latex=r"\gamma_c(L) = \frac{4c}{2L-1} \left(\frac{(2L-2)\,c}{(2L-1)\,q^2}\right)^{1 - 1/L}",
    hypotheses=("linear network", "feature model", "width at least the dimension", "global minimum"),
    source="beyond the paper",
    problems=_ends,
    predict=predict_extinction,
    measure=measure_end,
    compare=judge_extinction,
    sharpness={
        "decay of the jump": (3e-8, 0.004),
        "weight just below": (3e-6, 0.002),
        "weight just above": (0.008, 0.01),
    },
    controls=(
        Control(
            "spinodal", "predicts the jump where the upper minimum disappears, not where it stops being the lower one", predict=_spinodal
        ),
        Control("continuous", "predicts a weight that goes to zero without a jump", predict=_continuous),
    ),
    search=tuple(_harder_ends(depth) for depth in (1, 2, 3)),
    quick=1,
)
