"""head-equivalence and sorted-matching: what a fixed head leaves alone, and what the layer below it weights."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from .. import measure, theory
from .._spectra import diagonal, frobenius, matmul, psd_power, symmetric
from .._tolerance import gram_rounding, outputs_rounding, product_rounding
from ..moments import Moments
from ..networks import DeepLinear, DiagonalHead, Headed
from ..problems import random_moments
from ..simulation import Ended, gradient_flow, implicit, layer_gradients
from ..theory import SpectralMinimiser
from ._claim import Claim, Control
from ._minimiser import loss_rounding
from ._search import rounded
from ._stationary import nearest_stationary
from ._tasks import gaussian, replace
from ._verdict import Verdict

DIM = 3
QUARTER = 4.0
"""The decay, over the other one at which the same start is trained: what is left at none is read off a straight line through both."""


def head(kappa: Array, p: int) -> Float[Array, " p"]:
    r"""$1, 1/\kappa, \dots, \kappa^{1 - p}$."""
    return kappa ** -jnp.arange(p, dtype=kappa.dtype)


class Ends(eqx.Module):
    """Ends of training under heads, one row a run: Grams before and after the head, and the loss with its penalty; `seen` are those
    after the head that a prediction is held against, which a control replaces.

    Of the layer before the head: `layer`; `step`, Newton's from the run's own gradient and curvature; `inverse` of that curvature, of which
    weight decay makes the least; `force`, what rounding may leave of the gradient. An end that is stationary does not depend on how
    accurately the way to it was integrated.
    """

    before: Float[Array, "*k d d"]
    after: Float[Array, "*k d d"]
    seen: Float[Array, "*k d d"]
    loss: Float[Array, "*k"]
    layer: Float[Array, "*k p d"]
    step: Float[Array, "*k p d"]
    inverse: Float[Array, "*k n n"]
    force: Float[Array, "*k"]
    settled: Bool[Array, ""]
    finite: Bool[Array, ""]

    def moved(self, slopes: Float[Array, "*k d d"]) -> tuple[Array, Array]:
        """Errors of a number, one a run, of which `slopes` is the derivative in the Gram before the head: what is left to go, and rounding.

        Both carried along that derivative: directions in which the layer is poorly determined matter as far as the number depends on them.
        """
        towards = 2 * matmul(self.layer, slopes)
        square = jnp.sum(self.step**2, axis=(-1, -2))
        # A Newton step errs by its square: twice its length is a bound while it is short.
        left = 2 * jnp.abs(jnp.sum(towards * self.step, axis=(-1, -2))) + 2 * frobenius(slopes) * square
        flat = towards.reshape(*towards.shape[:-2], -1, 1)
        return left, self.force * frobenius(matmul(self.inverse, flat))


def train(start: DeepLinear, moments: Moments, rows: Float[Array, "k p"], decay: Float[Array, " k"]) -> Ends:
    """Gradient flow of one start under each head with each decay, to stationarity."""
    # One run after another: any number of them is one program, which all claims on heads of a size share.
    return _together([_end(start, moments, h, penalty) for h, penalty in zip(rows, decay, strict=True)])


@eqx.filter_jit
def _together(ends: list[Ends]) -> Ends:
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *ends)
    return dataclasses.replace(stacked, settled=jnp.all(stacked.settled), finite=jnp.all(stacked.finite))


@eqx.filter_jit
def _end(start: DeepLinear, moments: Moments, h: Float[Array, " p"], decay: Float[Array, ""]) -> Ends:
    """One row of `Ends`."""
    dtype = h.dtype
    eps = float(jnp.finfo(dtype).eps)
    # What weight decay alone decides takes a time of its own.
    until = 1e4 * (1 + 1 / jnp.where(decay > 0, decay, 1)) / jnp.min(jnp.where(h > 0, h, 1)) ** 2

    run = gradient_flow(
        Headed(start, DiagonalHead(h)),
        moments,
        decay=decay,
        until=until,
        record=2,
        solver=implicit(),
        rtol=eps**0.5,
        stationarity=eps**0.75,
        max_steps=4_000,
    )
    grams = measure.layer_grams(run.final)
    layer = run.final.layers[0]
    step, inverse, largest = _newton(layer, h, decay, moments)
    # Without weight decay some directions are not determined at all.
    determined = jnp.all(diagonal(inverse) > 0)
    return Ends(
        before=grams[0],
        after=grams[-1],
        seen=grams[-1],
        loss=run.loss[-1],
        layer=layer,
        step=step,
        inverse=inverse,
        # Gradients, chains of a few small products, are rounded at the size of the largest curvature.
        force=16 * eps * largest * frobenius(layer),
        settled=(run.ended == Ended.converged) & (determined | (decay == 0)),
        finite=~(run.ended == Ended.diverged),
    )


def _newton(layer: Array, rows: Array, decay: Array, moments: Moments) -> tuple[Array, Array, Array]:
    """Newton's step in the layer; the inverse of the curvature over directions in which it is positive; and the largest curvature.

    With weight decay nothing is left that the objective does not decide.
    """

    def slope(w: Array) -> Array:
        return layer_gradients(Headed(DeepLinear([w]), DiagonalHead(rows)), moments)[0] + decay * w

    curvature = jax.jacfwd(slope)(layer).reshape(layer.size, layer.size)
    values, vectors = jnp.linalg.eigh(symmetric(curvature))
    # One direction that is not determined makes the whole inverse none.
    usable = (values > 0) & ((values[0] > 0) | (decay == 0))
    inverse = matmul(vectors * jnp.where(usable, 1 / jnp.where(usable, values, 1), 0), vectors.T)
    return matmul(inverse, slope(layer).reshape(-1, 1)).reshape(layer.shape), inverse, values[-1]


# head-equivalence


class Heads(eqx.Module):
    """Moments, a start, and the heads under which it is trained; the first is none."""

    moments: Moments
    key: PRNGKeyArray
    rows: Float[Array, "k p"]

    @property
    def label(self) -> str:
        return f"{self.rows.shape[0]} heads of {self.rows.shape[1]} rows"

    def start(self) -> DeepLinear:
        return _start(self.key, self.rows, self.moments.dim)

    def shrinks(self) -> Iterator[Callable[[], "Heads"]]:
        """Fewer heads, rounder numbers."""
        for i in range(self.rows.shape[0] if self.rows.shape[0] > 1 else 0):
            yield lambda i=i: replace(self, rows=jnp.delete(self.rows, i, axis=0))
        yield from rounded_fields(self, "rows")


def rounded_fields(problem: Any, *names: str) -> Iterator[Callable[[], Any]]:
    """Problems with these fields rounded; the others have to go with one another."""
    return rounded(lambda r: replace(problem, **{name: r(getattr(problem, name)) for name in names}))


def _start(key: PRNGKeyArray, rows: Array, dim: int) -> DeepLinear:
    return gaussian(key, (dim, rows.shape[-1]), jnp.full(1, 0.7, rows.dtype))


def train_heads(problem: Heads) -> Ends:
    """The same start under every head, without weight decay."""
    return train(problem.start(), problem.moments, problem.rows, jnp.zeros_like(problem.rows[:, 0]))


class Equivalence(eqx.Module):
    """One minimiser for all heads, with the moments that it was computed from."""

    minimiser: SpectralMinimiser
    moments: Moments
    width: int = eqx.field(static=True)


def predict_heads(problem: Heads) -> Equivalence:
    minimiser = theory.headed_minimiser(problem.moments, problem.rows[0], throw=False)
    return Equivalence(minimiser, problem.moments, min(problem.rows.shape[1], problem.moments.dim))


@eqx.filter_jit
def judge_heads(prediction: Equivalence, ends: Ends) -> Verdict:
    """Under every head, the Gram after it and the loss."""
    minimiser, moments = prediction.minimiser, prediction.moments
    size, scale = frobenius(minimiser.gram), jnp.abs(minimiser.loss)
    count = ends.loss.size
    whitening, width = minimiser.whitening, prediction.width
    near = jax.vmap(lambda g: nearest_stationary(moments, whitening, psd_power(g, 0.5, width), width, whitening.rounding))(ends.after)
    displacement, excess = 2 * frobenius(near.step) + frobenius(near.left), near.excess
    both = lambda grams, losses: jnp.concatenate([grams / size, losses / scale])  # noqa: E731
    zero = jnp.zeros_like(ends.loss)
    rounding = minimiser.rounding + gram_rounding(minimiser.gram, whitening, jnp.where(minimiser.unique, minimiser.gap, jnp.inf))
    product = product_rounding((moments.dim, width, width), zero.dtype)
    in_loss = loss_rounding(minimiser, outputs_rounding(product, minimiser.gram[None], moments.second))
    weights = jnp.sqrt(jnp.maximum(diagonal(ends.seen), 0))
    wanted = jnp.broadcast_to(jnp.sqrt(diagonal(minimiser.gram)), weights.shape)
    last = minimiser.signal_fraction[jnp.maximum(minimiser.kept, 1) - 1] ** 2
    return Verdict(
        discrepancy=both(frobenius(ends.seen - minimiser.gram), jnp.abs(ends.loss - minimiser.loss)),
        parts={
            "stationarity": both(displacement, excess),
            "rounding": both(zero + rounding * size, zero + in_loss),
        },
        # What the check must see: all of the Gram; and the best network of one mode less.
        effect=both(jnp.broadcast_to(size, zero.shape), jnp.broadcast_to(last, zero.shape)),
        predicted=jnp.concatenate([wanted, wanted]),
        measured=jnp.concatenate([weights, weights]),
        premises={"unique minimiser": minimiser.unique},
        settled=ends.settled,
        finite=ends.finite,
        labels=tuple(f"{what}, head {i}" for what in ("Gram", "loss") for i in range(count)),
        what="relative discrepancy after the head",
    )


@eqx.filter_jit
def _heads(key: PRNGKeyArray, dim: int, p: int, index: Array) -> Heads:
    """No head, two reweighting ones, and rows in no order, on moments that do not commute."""
    k = jax.random.split(jax.random.fold_in(key, 13_000 + index), 4)
    grid = jnp.linspace(0.9, 0.4, dim)
    moments = random_moments(k[0], grid + 0.2 / dim * jax.random.uniform(k[1], (dim,), grid.dtype, -0.5, 0.5), condition=3.0)
    kappas = jnp.asarray([1.0, 1.3, 1.8], grid.dtype)
    rows = jnp.concatenate([jax.vmap(lambda kappa: head(kappa, p))(kappas), jax.random.uniform(k[2], (1, p), grid.dtype, 0.4, 1.6)])
    return Heads(moments, k[3], rows)


def _heads_problems(key: PRNGKeyArray) -> Iterator[Heads]:
    for dim, p, index in ((3, 3, 0), (4, 3, 0), (4, 3, 1), (3, 4, 0)):
        yield _heads(key, dim, p, jnp.asarray(index))


def _truncated(problem: Heads, own: Ends) -> Ends:
    """The last row of every head is zero."""
    cut = train_heads(replace(problem, rows=problem.rows.at[:, -1].set(0)))
    return replace(own, seen=cut.after, loss=cut.loss)


def _decayed_heads(problem: Heads, own: Ends) -> Ends:
    decayed = train(problem.start(), problem.moments, problem.rows, jnp.full_like(problem.rows[:, 0], 0.05))
    return replace(own, seen=decayed.after, loss=decayed.loss)


EQUIVALENCE = Claim(
    name="head-equivalence",
    statement="Under every invertible fixed head training reaches the same minimal loss and the same Gram after the head, those of no "
    "head at all.",
    latex=r"\min_W \mathcal{L}(HW) = \min_W \mathcal{L}(W), \qquad W^\top H^2 W = M^\star",
    hypotheses=("linear network", "invertible diagonal head", "unique minimiser", "no weight decay", "trained to stationarity"),
    source="the paper",
    problems=_heads_problems,
    predict=predict_heads,
    measure=train_heads,
    compare=judge_heads,
    sharpness={
        "Gram, head #": (6e-11, 0.09),
        "loss, head #": (3e-12, 0.005),
    },
    controls=(
        Control("truncated", "trains under heads whose last row is zero", measure=_truncated),
        Control("before-the-head", "measures the Gram before the head", measure=lambda problem, own: replace(own, seen=own.before)),
        Control("weight-decay", "trains with weight decay, which sees the head", measure=_decayed_heads),
    ),
    quick=1,
)


# sorted-matching


class Matching(eqx.Module):
    """A feature model along the columns of `basis`, a head, and a weight decay."""

    cross: Float[Array, " d"]
    second: Float[Array, " d"]
    basis: Float[Array, "d d"]
    rows: Float[Array, " p"]
    decay: Float[Array, ""]
    key: PRNGKeyArray

    @property
    def label(self) -> str:
        return f"{self.cross.shape[0]} features, {self.rows.shape[0]} rows"

    @property
    def moments(self) -> Moments:
        return Moments(self.turned(self.cross), self.turned(self.second))

    @property
    def decays(self) -> Float[Array, " 2"]:
        return self.decay / jnp.asarray([1, QUARTER], self.decay.dtype)

    def turned(self, values: Array) -> Float[Array, "d d"]:
        """The matrix that has these values along the features."""
        return matmul(self.basis * values, self.basis.T)

    def start(self) -> DeepLinear:
        return _start(self.key, self.rows, self.cross.shape[0])

    def shrinks(self) -> Iterator[Callable[[], "Matching"]]:
        """No mixing, rounder numbers."""
        yield lambda: replace(self, basis=jnp.eye(self.cross.shape[0], dtype=self.cross.dtype))
        yield from rounded_fields(self, "cross", "second", "rows", "decay")


def train_matching(problem: Matching) -> Ends:
    """The same start with the decay and with a quarter of it."""
    return train(problem.start(), problem.moments, jnp.stack([problem.rows, problem.rows]), problem.decays)


def undecayed(problem: Matching, own: Ends) -> Ends:
    """Plain gradient flow from the same start in place of both runs, and granted what those are granted."""
    return replace(own, before=train_matching(replace(problem, decay=jnp.zeros_like(problem.decay))).before)


def off(ends: Ends) -> tuple[Array, Array]:
    """Errors of each Gram before the head, in Frobenius norm: what is left to go, and rounding."""
    turn = matmul(jnp.swapaxes(ends.layer, -1, -2), ends.step)
    return 2 * frobenius(2 * symmetric(turn)), 2 * frobenius(ends.layer) * ends.force * frobenius(ends.inverse)


LINE = (-1 / (QUARTER - 1), QUARTER / (QUARTER - 1))
"""What values at the decay and at a quarter of it count in their continuation to none in a straight line."""


def continued(ends: Ends) -> tuple[Array, tuple[Array, ...]]:
    """The Gram before the head at no decay, in a straight line through those at two, and its errors."""
    line = jnp.asarray(LINE, ends.before.dtype)
    none = jnp.sum(line[:, None, None] * ends.before, axis=0)
    return none, tuple(jnp.sum(jnp.abs(line) * x) for x in off(ends))


class Matched(eqx.Module):
    """Grams before the head with the decay, with a quarter of it, and with none; and whether the sorted pairing is the best one."""

    grams: Float[Array, "3 d d"]
    sorted: Bool[Array, ""]


def predict_matching(problem: Matching) -> Matched:
    return _predict_matching(problem)


@eqx.filter_jit
def _predict_matching(problem: Matching) -> Matched:
    p = problem
    squares = [theory.decayed_matching(p.cross, p.second, p.rows, decay) ** 2 for decay in (*p.decays, jnp.zeros_like(p.decay))]
    grams = jnp.stack([p.turned(u) for u in squares])
    return Matched(grams, p.decay < theory.matching_limit(p.cross, p.second, p.rows))


@eqx.filter_jit
def judge_matching(prediction: Matched, ends: Ends) -> Verdict:
    """The Gram before the head at both decays; in a straight line through both, at none; and the rate at which it gets there."""
    size = frobenius(prediction.grams)
    none, left = continued(ends)
    grams = jnp.concatenate([ends.before, none[None]])
    stationarity, rounding = (jnp.append(x, rest) for x, rest in zip(off(ends), left, strict=True))
    apart = ends.before - prediction.grams[2]
    away = frobenius(apart)
    rate = away[0] / away[1]
    # Of a quotient relative errors add.
    quotient = [QUARTER * (x[0] / away[0] + x[1] / away[1]) for x in ends.moved(apart / away[:, None, None])]
    roots = lambda g: jnp.sqrt(jnp.maximum(diagonal(g), 0))  # noqa: E731
    wide = lambda g: jnp.concatenate([roots(g), roots(g)[-1:]])  # noqa: E731
    change = frobenius(prediction.grams - prediction.grams[2])
    return Verdict(
        discrepancy=jnp.append(frobenius(grams - prediction.grams) / size, jnp.abs(rate - QUARTER)),
        parts={
            "stationarity": jnp.append(stationarity / size, quotient[0]),
            "rounding": jnp.append(rounding / size, quotient[1]),
        },
        # What the check must see: the deviation that the decay makes; and the rate of one power of the decay more or less.
        effect=jnp.append(jnp.where(change > 0, change, change[1]) / size, QUARTER / 2),
        predicted=wide(prediction.grams),
        measured=wide(grams),
        premises={"the sorted pairing is the best": prediction.sorted},
        settled=ends.settled,
        finite=ends.finite,
        labels=("decay", "a quarter of it", "none, in a straight line", "rate"),
        what="relative Gram discrepancy before the head",
    )


@eqx.filter_jit
def _matching(key: PRNGKeyArray, dim: int, p: int, share: Array, index: Array) -> Matching:
    """Features whose weights are not in the order of their cross moments; a decay that is a share of what sorting survives."""
    k = jax.random.split(jax.random.fold_in(key, 14_000 + index), 5)
    dtype = jnp.result_type(float)
    weights = jnp.linspace(0.6, 1.5, dim, dtype=dtype) + 0.3 / dim * jax.random.uniform(k[0], (dim,), dtype)
    cross = jnp.linspace(1.0, 0.5, dim, dtype=dtype) * jax.random.uniform(k[1], (dim,), dtype, 0.9, 1.1)
    rows = head(jax.random.uniform(k[2], (), dtype, 1.3, 1.7), p)
    second = jnp.sqrt(cross) / weights
    # A signal fraction is at most one.
    unit = jnp.maximum(jnp.max(cross / second), 1) * 1.05
    basis, _ = jnp.linalg.qr(jax.random.normal(k[3], (dim, dim), dtype))
    decay = share * theory.matching_limit(cross, second * unit, rows)
    return Matching(cross, second * unit, basis, rows, decay, k[4])


def _matching_problems(key: PRNGKeyArray) -> Iterator[Matching]:
    for dim, p, share, index in ((3, 3, 0.2, 0), (3, 3, 0.02, 1), (3, 4, 0.2, 0)):
        yield _matching(key, dim, p, jnp.asarray(share, jnp.result_type(float)), jnp.asarray(index))


@jax.jit
def _carried(rows: Float[Array, " p"], order: Int[Array, " d"]) -> Float[Array, " d"]:
    """The row of each feature, the first one for the first feature of this order."""
    return jnp.zeros(order.size, rows.dtype).at[order].set(rows[: order.size])


def with_pairing(order: Callable[[Matching], Array]) -> Callable[[Matching, Matched], Matched]:
    """Rows given to the features in another order: `order` lists the features, the one for the largest row first."""

    def wrong(problem: Matching, own: Matched) -> Matched:
        p = problem
        rows = _carried(p.rows, order(p))
        left = [p.cross - decay / (4 * rows**2) for decay in (*p.decays, jnp.zeros_like(p.decay))]
        return replace(own, grams=jnp.stack([p.turned(jnp.maximum(x, 0) / (p.second * rows) ** 2) for x in left]))

    return wrong


def with_weights(square: Callable[[Matching, Array, Array], Array]) -> Callable[[Matching, Matched], Matched]:
    """Another squared weight before the head, from the problem, the row of each feature and the decay."""

    def wrong(problem: Matching, own: Matched) -> Matched:
        p = problem
        order = jnp.argsort(-jnp.sqrt(p.cross) / p.second)
        rows = _carried(p.rows, order)
        return replace(own, grams=jnp.stack([p.turned(square(p, rows, decay)) for decay in (*p.decays, jnp.zeros_like(p.decay))]))

    return wrong


MATCHING = Claim(
    name="sorted-matching",
    statement="With a small weight decay, training under a fixed head pairs the i-th largest row with the i-th largest weight: before the "
    "head the feature of rank i has weight kappa^i w, less by a deviation that is linear in the decay and known in closed form.",
    latex=r"u_{(i)}^2 = \frac{(c - \gamma / (4 h_i^2))_+}{h_i^2 q^2} \to \kappa^{2i} w_{(i)}^2",
    hypotheses=(
        "linear network",
        "fixed diagonal head",
        "feature model, in any basis",
        "a row for each feature",
        "small weight decay",
        "trained to stationarity",
    ),
    source="the paper; beyond it for any spectrum and for the deviation",
    problems=_matching_problems,
    predict=predict_matching,
    measure=train_matching,
    compare=judge_matching,
    sharpness={
        "decay": (2e-7, 0.08),
        "a quarter of it": (6e-6, 0.07),
        "none, in a straight line": (8e-6, 0.05),
        "rate": (3e-10, 4e-4),
    },
    controls=(
        Control("no-decay", "trains by plain gradient flow, which leaves the pairing to the start", measure=undecayed),
        Control(
            "by-cross-moment", "pairs rows by cross moment, the order of learning", predict=with_pairing(lambda p: jnp.argsort(-p.cross))
        ),
        Control(
            "reversed",
            "pairs the largest row with the smallest weight",
            predict=with_pairing(lambda p: jnp.argsort(jnp.sqrt(p.cross) / p.second)),
        ),
        Control(
            "no-head",
            "predicts the weights after the head",
            predict=with_weights(lambda p, h, decay: (p.cross - decay / (4 * h**2)) / p.second**2),
        ),
        Control(
            "unseen-head",
            "predicts a decay that does not see the head",
            predict=with_weights(lambda p, h, decay: (p.cross - decay / 4) / (h * p.second) ** 2),
        ),
    ),
    quick=1,
)
