"""weight-decay-minimiser: the weights of features under weight decay."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import DeepLinear, Moments, networks, simulation, theory
from ..._core import SOLVED, epsilons, layer_powers, named, nonzero
from ...claims import Claim, Control, Rows, Verdict, numbered, verdict_of
from .._common import (
    RECORDS,
    FeatureTask,
    Run,
    decades,
    drawn,
    flow,
    local_error,
    over,
    replace,
    uniform,
)

DIM = 3


class Finished(eqx.Module):
    """Run to stationarity, and the relative Newton step that is left for each feature.

    The weight of feature $i$ at layer $l$ still has to change by the fraction `l * share[i]`.
    """

    run: Run
    share: Float[Array, " d"]


@eqx.filter_jit
def left_to_go(
    network: networks.AbstractLinearNetwork, moments: Moments, weight_decay: Array
) -> Float[Array, " d"]:
    r"""Relative Newton step of each feature's weight to its stationary point.

    $$\tau_i = \langle g, u_i\rangle / \langle u_i, H u_i\rangle$$

    The gradient $g$ and the curvature $H$ are the run's own. $u_i$ scales feature $i$ alike in
    every layer of an aligned network, so its weight at layer $l$ is off by the fraction
    $l \tau_i$. The step is infinite where the objective is not convex along $u_i$. A coarser run
    cannot replace it, since that run may stop just as near.
    """

    def slope(layers: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(
            g + weight_decay * w
            for g, w in zip(
                simulation.layer_gradients(DeepLinear(layers), moments), layers, strict=True
            )
        )

    def one(feature: Array) -> Array:
        along = tuple(w * feature for w in network.layers)
        dot = lambda a, b: sum(jnp.sum(x * y) for x, y in zip(a, b, strict=True))
        gradient, bend = jax.jvp(slope, (network.layers,), (along,))
        force, curvature = jnp.abs(dot(gradient, along)), dot(bend, along)
        return jnp.where(force == 0, 0, jnp.where(curvature > 0, force / curvature, jnp.inf))

    return jax.vmap(one)(jnp.eye(moments.dim, dtype=weight_decay.dtype))


def train(p: FeatureTask) -> Finished:
    """Gradient flow with weight decay, from large weights, to stationarity."""
    run = flow(
        p.start(),
        p.moments,
        weight_decay=p.weight_decay,
        save_at=p.times,
        t1=p.times[-1],
        max_steps=p.max_steps,
    )
    return Finished(run, left_to_go(run.fine.final, p.moments, p.weight_decay))


class Decayed(eqx.Module):
    """Predicted weights of every feature at every layer, and the least value of the objective.

    `scale` is the size of that value without decay. The value itself is zero where all features go
    extinct, and small where gain and decay nearly cancel.
    """

    weights: Float[Array, "L d"]
    objective: Float[Array, ""]
    scale: Float[Array, ""]


@eqx.filter_jit
def predict(p: FeatureTask) -> Decayed:
    last = theory.decay.decayed_weight(p.cross, p.second, p.weight_decay, p.depth)
    return Decayed(
        layer_powers(last, p.depth).T,
        jnp.sum(theory.decay.decayed_energy(last, p.cross, p.second, p.weight_decay, p.depth)),
        jnp.sum(p.cross**2 / p.second),
    )


@eqx.filter_jit
def judge_decayed(prediction: Decayed, finished: Finished) -> Verdict:
    """Verdict on every layer's weights, relative to their norm, and on the objective.

    Discrepancies of the objective are relative to its size without decay.
    """
    run, depth = finished.run, prediction.weights.shape[0]
    measured = run.fine.weights()[-1]
    size = nonzero(jnp.sqrt(jnp.sum(prediction.weights**2, axis=1)))
    norm = lambda rows: jnp.sqrt(jnp.sum(rows**2, axis=1)) / size
    # A Newton step errs by its square: twice its length is a bound while it is short.
    levels = jnp.arange(1, depth + 1, dtype=size.dtype)[:, None]
    left = 2 * levels * jnp.where(measured > 0, finished.share, 0) * measured
    rounding = epsilons(SOLVED * depth, size.dtype)
    # The effect to detect: weights and an objective that differ by their whole size.
    return verdict_of(
        Rows(
            numbered("layer", depth),
            norm(measured - prediction.weights),
            {
                "integration": norm(run.error(lambda t: t.weights()[-1]))
                + local_error(size.dtype, depth) * norm(measured),
                "stationarity": norm(left),
                "rounding": rounding,
            },
            effect=1.0,
            predicted=prediction.weights,
            measured=measured,
        ),
        Rows(
            ("objective",),
            jnp.abs(run.fine.loss[-1] - prediction.objective) / prediction.scale,
            {
                "integration": run.error(lambda t: t.loss[-1]) / prediction.scale,
                "rounding": rounding,
            },
            effect=1.0,
            measured=measured[-1:],
        ),
        what="relative discrepancy of the weights under decay",
        converged=run.converged,
        finite=run.finite,
    )


@drawn
def _decaying(
    key: PRNGKeyArray, depth: int, *, share: Array | float, index: Array | int = 0
) -> FeatureTask:
    """Three features, and a weight decay.

    Up to a share of 1, the decay is that share of the largest decay that the minimum of the weakest
    feature survives. From 1 to 2 it rises to the largest decay of the next feature.
    """
    k1, k2 = jax.random.split(named(key, "decaying features", index))
    cross = jnp.asarray([1.0, 0.7, 0.4], jnp.result_type(float)) * uniform(k1, 0.9, 1.1, (DIM,))
    second = cross / uniform(k2, 0.5, 0.95, (DIM,))
    weakest, following = jnp.sort(theory.decay.decay_limit(cross, second, depth))[:2]
    weight_decay = jnp.interp(
        share,
        jnp.asarray([0.0, 1.0, 2.0], cross.dtype),
        jnp.stack([jnp.zeros_like(weakest), weakest, following]),
    )
    return FeatureTask(
        cross,
        second,
        1.5 * jnp.sqrt(cross) / second,
        jnp.geomspace(1e-2, 1e5, RECORDS, dtype=cross.dtype),
        weight_decay,
        depth,
    )


def _harder_decaying(key: PRNGKeyArray, depth: int) -> FeatureTask:
    k = jax.random.split(key, 4)
    cross = decades(k[0], -3, 3) * decades(k[1], -1, 0, (DIM,))
    second = cross / uniform(k[2], 0.05, 1.0, (DIM,))
    weight_decay = jnp.min(theory.decay.decay_limit(cross, second, depth)) * decades(k[3], -3, 0.3)
    final = jnp.sqrt(cross) / second
    slowest = jnp.minimum(weight_decay, jnp.min(depth * cross * final ** (2 - 2 / depth)))
    return FeatureTask(
        cross,
        second,
        1.5 * final,
        jnp.geomspace(1e-3, 1, RECORDS, dtype=cross.dtype) * 2e3 / slowest,
        weight_decay,
        depth,
        max_steps=10_000,
    )


CLAIM = Claim(
    name="weight-decay-minimiser",
    statement="With weight decay, each feature ends where -2 c s^2 + q^2 s^4 + "
    "(decay L / 2) s^(2/L) is stationary, at the largest such s; in every layer it has that weight "
    "to the power l/L.",
    latex=r"\min_s\; -2 c s^2 + q^2 s^4 + \tfrac{\gamma L}{2} s^{2/L}; \qquad "
    r"L = 1:\ s^2 = \max\left(0, \tfrac{c - \gamma/4}{q^2}\right); \qquad "
    r"L = 2:\ s = 2\sqrt{\tfrac{c}{3 q^2}} "
    r"\cos\left(\tfrac13 \arccos\left(-\tfrac{3\sqrt3\,\gamma q}{8 c^{3/2}}\right)\right)",
    hypotheses=(
        "linear network",
        "feature model",
        "width at least the dimension",
        "large aligned balanced start",
        "trained to stationarity",
    ),
    source="beyond the paper",
    problems=lambda key: (
        _decaying(key, depth, share=share, index=index)
        # Beyond the limit of the weakest feature, at a share of 1.5, it goes extinct and the others
        # stay.
        for depth, share, index in (
            (3, 0.5, 0),
            (2, 0.6, 0),
            (1, 0.8, 0),
            (2, 1.5, 1),
            (3, 0.9, 1),
            (5, 0.5, 0),
        )
    ),
    predict=predict,
    measure=train,
    compare=judge_decayed,
    sharpness={
        "layer #": (2e-8, 0.003),
        "objective": (2e-12, 0),
    },
    controls=(
        Control(
            "no-decay",
            "trains without the decay",
            measure=lambda problem, own: train(
                replace(problem, weight_decay=0 * problem.weight_decay)
            ),
        ),
        Control(
            "doubled-decay",
            "predicts for twice the decay",
            predict=lambda problem, own: predict(
                replace(problem, weight_decay=2 * problem.weight_decay)
            ),
        ),
        Control(
            "one-weight",
            "predicts one and the same weight in every layer",
            predict=lambda problem, own: replace(
                own, weights=np.broadcast_to(own.weights[-1], own.weights.shape)
            ),
        ),
    ),
    search=over(_harder_decaying, "depth", (1, 2, 3)),
    quick=1,
)
