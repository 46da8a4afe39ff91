"""gaussian-start: the error of the start law after a random start, against the hidden width."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from scipy import stats

from ... import DeepLinear, Moments, gradient_flow, problems, simulation, theory
from ..._core import frobenius, matmul, named, solver_tolerance
from ...claims import FAMILY_ERROR, Claim, Control, Rows, Verdict, verdict_of
from .._common import COARSER, decades, drawn, replace, uniform

DIM, OUTPUTS, REPLICATES, RECORDS = 4, 3, 32, 4

WIDTHS = (512, 2048, 8192)
"""Hidden widths."""


class Random(eqx.Module):
    """Moments, and random layers of given scales, at several hidden widths.

    - `start`: the scales of the layers; entries have variances $a / h$ and $b / h$.
    - `tied`: the correlation of the weights into a hidden unit with those out of it, output by
      output.
    """

    moments: Moments
    start: theory.starts.Start
    key: PRNGKeyArray
    t1: Float[Array, ""]
    tied: Float[Array, ""]
    widths: tuple[int, ...] = eqx.field(static=True, default=WIDTHS)
    replicates: int = eqx.field(static=True, default=REPLICATES)

    @property
    def label(self) -> str:
        return f"hidden widths {', '.join(map(str, self.widths))}, {self.replicates} starts of each"


class Rate(eqx.Module):
    """The start law, and the power of the hidden width with which its error falls."""

    start: theory.starts.Start
    exponent: Float[Array, ""]


class Errors(eqx.Module):
    """Grams of both layers along the runs, `(R, K, T, d, d)`, from `K` hidden widths.

    - `before`, `after`: the Grams before and after the head.
    - `coarse`: the same of a few runs, at a coarser tolerance.
    - `logarithms`: of the hidden widths.
    - `reached`: true if all runs reached their end.
    """

    before: Float[Array, "R K T d d"]
    after: Float[Array, "R K T d d"]
    coarse: tuple[Float[Array, "r K T d d"], Float[Array, "r K T d d"]]
    logarithms: Float[Array, " K"]
    reached: Bool[Array, ""]


def predict(problem: Random) -> Rate:
    return Rate(problem.start, jnp.asarray(-0.5, problem.t1.dtype))


def frames(problem: Random, key: PRNGKeyArray) -> Float[Array, "K k k"]:
    r"""Triangular factors of random $[W_1, W_2^\top]$ of unit scales, one for each hidden width.

    Gradient flow commutes with rotations of the hidden units. A network whose layers are the
    columns of the factor, of hidden width $d + p$, has the products and the Grams of the wide one
    at all times, and its training costs the same at any width.
    """
    shape = (max(problem.widths), DIM + OUTPUTS)
    entries = jax.random.normal(key, shape, problem.t1.dtype)
    encoder, head = entries[:, :DIM], entries[:, DIM:]
    mixed = problem.tied * head + jnp.sqrt(1 - problem.tied**2) * encoder[:, :OUTPUTS]
    entries = jnp.concatenate([mixed, encoder[:, OUTPUTS:], head], axis=1)
    second = lambda width: matmul(entries[:width].T, entries[:width]) / width
    return jnp.stack([jnp.linalg.cholesky(second(width)).T for width in problem.widths])


def _starts(problem: Random) -> DeepLinear:
    """Random starts, `(R, K)` of them, as networks of hidden width $d + p$."""
    a, b = problem.start.encoder, problem.start.head
    keys = jax.random.split(problem.key, problem.replicates)
    factors = jax.vmap(lambda key: frames(problem, key))(keys)
    second = jnp.swapaxes(factors[..., DIM:], -1, -2)
    return DeepLinear([jnp.sqrt(a) * factors[..., :DIM], jnp.sqrt(b) * second])


def step_tolerance(dtype: Any) -> float:
    """Relative error of a step: far below the errors of the law, since there are many runs."""
    return max(1e-7, solver_tolerance(dtype))


@eqx.filter_jit
def measure(problem: Random) -> Errors:
    """Train every network, and a few of them again at a coarser tolerance."""
    times = jnp.geomspace(1e-2, 1, RECORDS, dtype=problem.t1.dtype) * problem.t1

    def train(network: DeepLinear, factor: Array) -> tuple[Array, Array]:
        run = gradient_flow(
            network,
            problem.moments,
            t1=problem.t1,
            save_at=times,
            rtol=factor * step_tolerance(times.dtype),
            stationarity=0.0,
            max_steps=4_000,
        )
        return run.grams, run.ended == simulation.Ended.limit

    starts = _starts(problem)
    again = jax.tree.map(lambda w: jnp.concatenate([w, w[:1]]), starts)
    tolerances = jnp.append(jnp.ones(problem.replicates, times.dtype), COARSER)
    each = jax.vmap(jax.vmap(train, in_axes=(0, None)))
    grams, reached = each(again, tolerances)
    before, after = grams[:, :, :, 0], grams[:, :, :, 1]
    logarithms = jnp.log(jnp.asarray(problem.widths, times.dtype))
    return Errors(before[:-1], after[:-1], (before[-1:], after[-1:]), logarithms, jnp.all(reached))


def judge_rate(prediction: Rate, errors: Errors, level: float = FAMILY_ERROR) -> Verdict:
    r"""Verdict on the power of the hidden width with which the error of the law falls.

    The error of a run is the largest relative distance, over time, of the Gram before the head from
    the law. Each of $R$ replicates has a slope of the logarithm of its error over the logarithm of
    the hidden width. The tolerance is the confidence interval of their mean, of level
    $1 - \alpha$, from Student's distribution, and the next order of the error, which bends the
    line: a share of up to $2 \sqrt{k / h}$ of the error, the largest relative deviation of a random
    Gram of $k = d + p$ columns.
    """
    count = errors.before.shape[0]
    quantile = stats.t.ppf(1 - level / 2, count - 1) / count**0.5
    return _judge_rate(prediction, errors, jnp.asarray(quantile, errors.before.dtype))


@eqx.filter_jit
def _judge_rate(prediction: Rate, errors: Errors, quantile: Array) -> Verdict:
    start = prediction.start
    law = lambda gram: theory.starts.start_law(gram, encoder=start.encoder, head=start.head)

    def slopes(before: Array, after: Array) -> tuple[Array, Array]:
        """Slope of each replicate, and the logarithm of its errors."""
        flat = after.reshape(-1, *after.shape[-2:])
        off = before - jax.vmap(law)(flat).reshape(after.shape)
        logarithms = jnp.log(jnp.max(frobenius(off) / frobenius(before), axis=-1))
        along = errors.logarithms - jnp.mean(errors.logarithms)
        return jnp.sum(logarithms * along, axis=1) / jnp.sum(along**2), logarithms

    found, logarithms = slopes(errors.before, errors.after)
    span = errors.logarithms[-1] - errors.logarithms[0]
    # Save times may force the same steps on both runs: the error of one step is added.
    step = 2 * step_tolerance(found.dtype) * jnp.exp(-jnp.min(logarithms)) / span
    moved = jnp.max(jnp.abs(slopes(*errors.coarse)[0] - found[:1]))
    # The largest relative deviation of a random Gram from its mean, at the least hidden width.
    deviation = 2 * jnp.sqrt((DIM + OUTPUTS) * jnp.exp(-errors.logarithms[0]))
    sizes = jnp.mean(logarithms, axis=0)
    line = sizes[0] + prediction.exponent * (errors.logarithms - errors.logarithms[0])
    return verdict_of(
        Rows(
            ("rate",),
            jnp.abs(jnp.mean(found) - prediction.exponent),
            {
                "sampling": quantile * jnp.std(found, ddof=1),
                "second order": deviation / span,
                "integration": moved + step,
            },
            # Half the distance to the rates 0 and -1: the whole interval then lies between them.
            effect=0.25,
            predicted=line[None],
            measured=sizes[None],
        ),
        what="rate of the error",
        converged=errors.reached,
    )


@drawn
def random_start(key: PRNGKeyArray, *, index: Any = 0) -> Random:
    k = jax.random.split(named(key, "random start", index), 4)
    moments = problems.random_moments(k[0], jnp.linspace(0.9, 0.4, DIM), condition=5.0)
    start = theory.starts.Start(uniform(k[1], 0.2, 0.4), uniform(k[2], 0.6, 1.2))
    zero = jnp.zeros_like(start.head)
    return Random(moments, start, k[3], zero + 5, zero)


def _harder(key: PRNGKeyArray) -> Random:
    """Draw scales over two decades, and starts enough for the levels of a long search."""
    k = jax.random.split(key, 2)
    problem = random_start(key)
    start = theory.starts.Start(decades(k[0], -1, 1), decades(k[1], -1, 1))
    last = 5 / (start.encoder + start.head)
    return replace(problem, start=start, t1=last)


def _tied(problem: Random, own: Errors) -> Errors:
    return measure(replace(problem, tied=jnp.full_like(problem.tied, 0.5)))


def _other_start(problem: Random, own: Rate) -> Rate:
    return replace(own, start=theory.starts.Start(own.start.head, own.start.encoder))


CLAIM = Claim(
    name="gaussian-start",
    statement="From independent Gaussian layers of hidden width h the start law holds up to an "
    "error that falls as h^(-1/2), with a = h var(W_1) and b = h var(W_2).",
    latex=r"\|M_1 - f_{a, b}(M_2)\| = O(h^{-1/2}), \qquad a = h \operatorname{var}(W_1), \quad "
    r"b = h \operatorname{var}(W_2)",
    hypotheses=(
        "linear network of two layers",
        "independent Gaussian entries",
        "gradient flow",
        "hidden width far above inputs and outputs",
    ),
    source="beyond the paper",
    problems=lambda key: (random_start(key, index=index) for index in range(3)),
    predict=predict,
    measure=measure,
    compare=judge_rate,
    sharpness={
        "rate": (1, 0.005),
    },
    controls=(
        Control(
            "tied-layers",
            "starts with entries of the head that are correlated with those of the encoder",
            measure=_tied,
        ),
        Control(
            "exchanged-scales",
            "predicts for the scale of the encoder in place of the head's, and vice versa",
            predict=_other_start,
        ),
        Control(
            "wrong-rate",
            "predicts an error that falls as 1 / h",
            predict=lambda problem, own: replace(own, exponent=2 * own.exponent),
        ),
    ),
    search=(_harder,),
    quick=1,
    tests=1,
)
