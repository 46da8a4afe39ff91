"""best-kappa: the ratio kappa of a fixed head that suits a downstream task best."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ... import Moments, theory
from ..._core import checks, diagonal, named
from ...claims import Claim, Control, Measured, Offers, Rows, Verdict, numbered, verdict_of
from .._common import drawn, replace, with_entries
from .head_equivalence import Ends, head, rounded_fields, train
from .sorted_matching import LINE, QUARTER, continued

RATIOS, SPACING = 5, 0.05


class Downstream(eqx.Module):
    """A feature model with a label downstream, and the heads to try on it.

    - `strength`: the strengths of the features downstream.
    - `target`: the index of the feature that is the label.
    - `kappas`: the ratios of the heads.
    """

    cross: Float[Array, " d"]
    second: Float[Array, " d"]
    strength: Float[Array, " d"]
    target: Int[Array, ""]
    kappas: Float[Array, " k"]
    weight_decay: Float[Array, ""]
    key: PRNGKeyArray

    @property
    def label(self) -> str:
        return f"{self.cross.shape[0]} features, {self.kappas.shape[0]} heads"

    @property
    def moments(self) -> Moments:
        return Moments(jnp.diag(self.cross), jnp.diag(self.second))

    def shrinks(self) -> Offers:
        """Simpler problems: rounder numbers."""
        yield from rounded_fields(self, "cross", "second", "strength", "weight_decay")


def measure_heads(problem: Downstream) -> Measured:
    """Indicator measured under each head, and the logarithm of the ratio at which it is least.

    A network is trained under every head with two decays. Its Grams are extrapolated linearly to
    zero decay, and the indicator is interpolated between the heads.
    """
    p, dim = problem, problem.cross.size
    kappas = map(checks.array, np.asarray(p.kappas))
    rows = np.repeat([head(kappa, dim) for kappa in kappas], 2, axis=0)
    shares = np.asarray([1, QUARTER] * p.kappas.size, p.weight_decay.dtype)
    return _read(p, train(p.key, p.moments, rows, np.asarray(p.weight_decay) / shares))


@eqx.filter_jit
def _read(problem: Downstream, ends: Ends) -> Measured:
    p, count = problem, problem.kappas.size
    each = jax.tree.map(
        lambda x: x.reshape(count, 2, *x.shape[1:]) if x.ndim else jnp.broadcast_to(x, (count,)),
        ends,
    )
    grams, _ = jax.vmap(continued)(each)
    beta = jnp.zeros_like(p.cross).at[p.target].set(1 / p.strength[p.target])

    def indicator(gram: Array) -> Array:
        return jnp.sum(diagonal(gram) * p.strength**2) * jnp.sum(
            beta * jnp.linalg.solve(gram, beta)
        )

    values, slopes = jax.vmap(jax.value_and_grad(indicator))(grams)
    t, near = jnp.log(p.kappas), slice(count // 2 - 1, count // 2 + 2)
    best, moves = jax.value_and_grad(lambda v: vertex(t, v))(values)
    # The extrapolation is linear in the Grams at both decays.
    line = jnp.asarray(LINE, t.dtype)
    stationarity, rounding = (
        jnp.sum(x, axis=1) for x in each.moved(line[:, None, None] * slopes[:, None])
    )
    carried = lambda off: jnp.append(off, jnp.sum(jnp.abs(moves) * off))
    # A parabola through the three in the middle errs by far more than the polynomial through all.
    other = jnp.abs(best - vertex(t[near], values[near]))
    return Measured(
        jnp.append(values, best),
        {
            "stationarity": carried(stationarity),
            "rounding": carried(rounding),
            "interpolation": jnp.append(jnp.zeros_like(values), other),
        },
        premises={"the best ratio is among those tried": (best > t[0]) & (best < t[-1])},
        converged=ends.converged,
        finite=ends.finite,
    )


def vertex(t: Array, values: Array) -> Array:
    """Minimiser of the polynomial through equidistant values.

    Newton's method starts at the minimum of the parabola through the three in the middle.
    """
    step, centre, n = t[1] - t[0], t[t.size // 2], t.size
    x = jnp.arange(n, dtype=t.dtype) - n // 2
    slope = jnp.polyder(jnp.linalg.solve(x[:, None] ** jnp.arange(n, dtype=t.dtype), values)[::-1])
    bend = jnp.polyder(slope)
    m = n // 2
    at = (values[m - 1] - values[m + 1]) / 2 / (values[m - 1] - 2 * values[m] + values[m + 1])
    for _ in range(6):
        at = at - jnp.polyval(slope, at) / jnp.polyval(bend, at)
    return centre + step * at


@eqx.filter_jit
def predict_from(weights: Array | np.ndarray, strength: Array | np.ndarray, p: Downstream) -> Array:
    """Prediction from these weights and strengths.

    Controls pass other weights and strengths, which compile nothing new.
    """
    # The target is an array, so that another target compiles nothing: features are listed with
    # the target first.
    order = jnp.roll(jnp.arange(weights.size), -p.target)
    values = theory.heads.head_complexity(p.kappas, weights[order], strength[order], 0)
    return jnp.append(values, jnp.log(theory.heads.best_kappa(weights[order], strength[order], 0)))


@eqx.filter_jit
def judge_best(prediction: Float[Array, " n"], seen: Measured) -> Verdict:
    """Verdict on the relative indicator under each head and the logarithm of the best ratio."""
    values, size = prediction[:-1], prediction.at[-1].set(1)
    span = (jnp.max(values) - jnp.min(values)) / jnp.min(values)
    return verdict_of(
        Rows(
            (*numbered("head", values.size, 0), "best ratio"),
            jnp.abs(seen.value - prediction) / size,
            {name: part / size for name, part in seen.errors.items()},
            # Effects: the relative range of the indicators over the heads, and the distance of the
            # best ratio from no head at all.
            jnp.append(jnp.full_like(values, span), jnp.abs(prediction[-1])),
            prediction,
            seen.value,
        ),
        what="relative indicator, and logarithm of the best ratio",
        premises=seen.premises,
        converged=seen.converged,
        finite=seen.finite,
    )


@drawn
def _downstream(key: PRNGKeyArray, features: int, *, index: Array | int) -> Downstream:
    """A random problem with a label of middle rank, and heads on either side of the best one.

    The strengths of lighter features are such that some head is best.
    """
    k = jax.random.split(named(key, "best kappa", index), 7)
    weights = jnp.asarray([1.4, 1.0, 0.7, 0.5][:features], float) * jax.random.uniform(
        k[0], (features,), float, 0.95, 1.05
    )
    fractions = jax.random.uniform(k[1], (features,), float, 0.5, 0.9)
    target = 1 + jnp.mod(index, features - 2)
    kappa = jax.random.uniform(k[2], (), float, 1.25, 1.5)
    strength = jax.random.uniform(k[3], (features,), float, 0.7, 1.4)
    rates = (jnp.arange(features) - target).astype(float)
    terms = rates * (weights * strength) ** 2 * kappa ** (2 * rates)
    ratio = -jnp.sum(jnp.minimum(terms, 0)) / jnp.sum(jnp.maximum(terms, 0))
    strength = jnp.where(rates > 0, strength * jnp.sqrt(ratio), strength)
    off = (
        jax.random.uniform(k[4], (), float, -0.5, 0.5)
        + jnp.arange(RATIOS, dtype=float)
        - RATIOS // 2
    )
    kappas = kappa * jnp.exp(SPACING * off)
    second = fractions / weights**2
    cross = fractions * second
    turn = jax.random.permutation(k[5], features)
    return Downstream(
        cross[turn],
        second[turn],
        strength[turn],
        jnp.argsort(turn)[target],
        kappas,
        0.1 * theory.heads.matching_limit(cross, second, head(kappas[-1], features)),
        k[6],
    )


def predicting(
    wrong: Callable[[Downstream, Array | np.ndarray], Array],
) -> Callable[[Downstream, Array], Array]:
    """Control with a wrong prediction, from the problem and its weights."""
    return lambda problem, own: wrong(problem, np.sqrt(problem.cross) / np.asarray(problem.second))


def _squared(p: Downstream, weights: Array | np.ndarray) -> Array:
    prediction = predict_from(weights, p.strength, replace(p, kappas=np.asarray(p.kappas) ** 2))
    return with_entries(prediction, -1, np.asarray(prediction)[-1] / 2)


CLAIM = Claim(
    name="best-kappa",
    statement=(
        "Before a fixed head of rows kappa^(-i), the labels needed for a feature are a convex "
        "function of ln kappa, known in closed form; measured on trained encoders it is least "
        "at the predicted kappa."
    ),
    latex=(
        r"\mathrm{SC}(\kappa) = \sum_i \kappa^{2 (r_i - r_j)} (w_i / w_j)^2 (\varphi'_i / "
        r"\varphi'_j)^2"
    ),
    hypotheses=(
        "linear network",
        "feature model",
        "weights that differ",
        "small weight decay",
        "a label of middle rank",
    ),
    source="beyond the paper",
    problems=lambda key: (
        _downstream(key, features, index=index)
        for features, index in ((3, 0), (4, 0), (4, 1), (4, 2))
    ),
    predict=lambda p: predict_from(jnp.sqrt(p.cross) / p.second, p.strength, p),
    measure=measure_heads,
    compare=judge_best,
    sharpness={
        "head #": (4e-11, 0.003),
        "best ratio": (0.01, 5e-4),
    },
    controls=(
        Control(
            "no-decay",
            "trains by plain gradient flow, which leaves the pairing to the start",
            measure=lambda problem, own: replace(
                own,
                value=measure_heads(
                    replace(problem, weight_decay=np.zeros_like(problem.weight_decay))
                ).value,
            ),
        ),
        Control("squared-kappa", "predicts for rows kappa^(-2 i)", predict=predicting(_squared)),
        Control(
            "equal-strengths",
            "predicts for equal strengths downstream",
            predict=predicting(lambda p, w: predict_from(w, np.ones_like(w), p)),
        ),
        Control(
            "half-the-depth",
            "predicts from the roots of the weights",
            predict=predicting(lambda p, w: predict_from(np.sqrt(w), p.strength, p)),
        ),
    ),
    quick=1,
)
