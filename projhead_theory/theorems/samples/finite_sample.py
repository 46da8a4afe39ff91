"""finite-sample: the scatter of weights that are learned from a finite sample."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from scipy import stats

from ... import AdditiveNoise, ContrastiveProblem, DeepLinear, Features, Moments
from ..._core import checks, eigh, matmul, named, solver_tolerance
from ...claims import FAMILY_ERROR, Claim, Control, Rows, Verdict, verdict_of
from ...simulation import Ended, gradient_flow
from ...theory.samples import SamplingError, sampling_error
from .._common import COARSER, decades, orthonormal, replace, uniform

DIM, DEPTH, PAIRS, RATIO, REPLICATES = 2, 2, 500, 16, 400

AGAIN = 32

TESTS = 4 * DIM * DEPTH + 1


class Sampling(eqx.Module):
    """Problem with Gaussian views, and independent samples of two sizes to train networks on.

    There are `replicates` samples of `pairs` pairs, and as many of 16 times `pairs`.
    """

    problem: ContrastiveProblem
    key: PRNGKeyArray
    pairs: int = eqx.field(static=True, default=PAIRS)
    replicates: int = eqx.field(static=True, default=REPLICATES)
    depth: int = eqx.field(static=True, default=DEPTH)

    @property
    def label(self) -> str:
        return (
            f"depth {self.depth}, {self.replicates} samples of {self.pairs} and of "
            f"{RATIO * self.pairs} pairs"
        )


class Scatter(eqx.Module):
    """Weights `(R, L, d)` of the networks trained on large and on small samples.

    - `large`, `small`: the weights.
    - `stationarity`: the root mean square change of the weights at a coarser tolerance.
    - `converged`: true if all runs converged.
    """

    large: Float[Array, "R L d"]
    small: Float[Array, "R L d"]
    stationarity: Float[Array, "L d"]
    converged: Bool[Array, ""]


class Prediction(eqx.Module):
    """The theory of both sizes of sample."""

    large: SamplingError
    small: SamplingError


@eqx.filter_jit
def predict(problem: Sampling) -> Prediction:
    moments, sizes = problem.problem.moments(), jnp.asarray([RATIO * problem.pairs, problem.pairs])
    both = jax.vmap(lambda n: sampling_error(moments, problem.depth, n))(sizes)
    return Prediction(*(jax.tree.map(lambda x, i=i: x[i], both) for i in range(2)))


def _draw(problem: Sampling) -> Moments:
    """Moments of every sample, the large samples first."""
    n, count = problem.pairs, problem.replicates

    def chunk(key: PRNGKeyArray) -> tuple[Array, Array]:
        x1, x2 = problem.problem.sample_pairs(key, n)
        product = x1.T @ x2
        return (product + product.T) / (2 * n), (x1.T @ x1 + x2.T @ x2) / (2 * n)

    def samples(chunks: Array) -> Array:
        """Average the first chunks to large samples, and append the others as small samples."""
        large, small = chunks[: count * RATIO], chunks[count * RATIO :]
        grouped = large.reshape(count, RATIO, *large.shape[1:])
        return jnp.concatenate([jnp.mean(grouped, axis=1), small])

    cross, second = jax.lax.map(chunk, jax.random.split(problem.key, count * (RATIO + 1)))
    return jax.vmap(Moments)(samples(cross), samples(second))


# Millions of draws repay being optimised, even in a process that compiles with little optimisation.
_draw_alone = jax.jit(
    _draw,
    compiler_options={
        "xla_backend_optimization_level": 1,
        "xla_llvm_disable_expensive_passes": False,
    },
)


@eqx.filter_jit
def _train(samples: Moments, key: PRNGKeyArray, depth: int) -> tuple[Array, Array, Array]:
    """Train a network on each sample.

    **Returns:** the weights, their root mean square change at a coarser tolerance, and whether
    all runs converged.
    """
    d, dtype = samples.dim, samples.second.dtype
    start = DeepLinear.balanced(key, (d,) * (depth + 1), scale=jnp.asarray(0.7, dtype), dtype=dtype)
    # Far below the measured scatter, and no finer, since there are many runs.
    rtol = max(1e-7, solver_tolerance(dtype))

    def train(moments: Moments, factor: Array) -> tuple[Array, Array]:
        run = gradient_flow(
            start, moments, save_at=2, t1=1e5, rtol=factor * rtol, stationarity=10 * factor * rtol
        )
        return run.weights()[-1], run.ended == Ended.converged

    # A few samples again, at a coarser tolerance.
    again = jax.tree.map(lambda x: jnp.concatenate([x, x[:AGAIN]]), samples)
    count = samples.second.shape[0]
    factors = jnp.where(jnp.arange(count + AGAIN) < count, 1, COARSER).astype(dtype)
    weights, converged = eqx.filter_vmap(train)(again, factors)
    moved = jnp.sqrt(jnp.mean((weights[count:] - weights[:AGAIN]) ** 2, axis=0))
    return weights[:count], moved, jnp.all(converged[:count])


def measure(problem: Sampling) -> Scatter:
    """Draw the samples, and train a network on each."""
    # Inside another compiled program, the compiler options of that program hold.
    traced = checks.concrete(problem.problem.features.strength) is None
    weights, moved, converged = _train(
        (_draw if traced else _draw_alone)(problem), problem.key, problem.depth
    )
    count = problem.replicates
    return Scatter(weights[:count], weights[count:], moved, converged)


def judge_scatter(
    prediction: Prediction, scatter: Scatter, level: float = FAMILY_ERROR / TESTS
) -> Verdict:
    r"""Four tests for each weight and one for all, each at the given level.

    With $R$ replicates and $z$ the deviation in standard errors:

    - *mean*: $|\bar z|$, against the normal quantile over $\sqrt R$;
    - *variance*: $|\ln \mathrm{var}(z)|$, against the quantiles of $\chi^2_{R-1} / (R - 1)$;
    - *shape*: the Kolmogorov-Smirnov distance to the normal distribution, against the
      Dvoretzky-Kiefer-Wolfowitz-Massart bound $\sqrt{\ln(2/\alpha) / 2R}$, which holds for every
      $R$;
    - *rate*: the logarithm of the ratio of scatters at $n$ and $16 n$ pairs, minus the prediction
      $\ln 4$, against the quantiles of $F_{R-1, R-1}$;
    - *covariance*: $|\ln(\mathrm{tr}(V^\top \hat\Sigma V \Lambda^{-1}) / d)|$ with the $d$
      largest eigenvalues $\Lambda$ of $\Sigma$ and their eigenvectors $V$, the mean over both
      sizes of sample, against the quantiles of $\chi^2_k / k$ with $k = 2 d (R - 1)$.

    The covariance is the sharpest test of the size of all deviations together. All weights are
    functions of one Gram, and the weights of one layer nearly functions of another layer's. Along
    further eigenvectors the first order all but cancels, and the normal distribution begins at far
    larger samples.

    Second-order terms widen the tolerance. Means are allowed the second-order bias; variances,
    four times the square of the second-order size; and the shape, the first Edgeworth
    correction, at most $0.4$ times the sum of bias and skewness / 6.
    """
    count, _, d = scatter.large.shape
    within = lambda k: stats.chi2.ppf([level / 2, 1 - level / 2], k) / k
    logarithm = lambda ends: max(-np.log(ends[0]), np.log(ends[1]))
    allowed = (
        stats.norm.ppf(1 - level / 2) / count**0.5,
        logarithm(within(count - 1)),
        (np.log(2 / level) / (2 * count)) ** 0.5,
        np.log(stats.f.ppf(1 - level / 2, count - 1, count - 1)) / 2,
        logarithm(within(2 * d * (count - 1))),
    )
    return _judge_scatter(prediction, scatter, jnp.asarray(allowed, scatter.large.dtype))


def _size(error: SamplingError, deviations: Float[Array, "R m"]) -> tuple[Array, Array, Array]:
    """Size of the deviations along the directions of the largest predicted scatter.

    There are as many directions as features.

    **Returns:** the mean of measured over predicted variances, the mean of second-order over
    predicted variances, and the least predicted variance.
    """
    d = error.weights.shape[1]
    values, vectors, _ = eigh(error.covariance)
    values, vectors = values[-d:], vectors[:, -d:]
    along = matmul(deviations, vectors)
    second = jnp.sum(vectors * matmul(error.second_covariance, vectors), axis=0)
    return jnp.mean(jnp.var(along, axis=0, ddof=1) / values), jnp.mean(second / values), values[0]


@eqx.filter_jit
def _judge_scatter(
    prediction: Prediction, scatter: Scatter, allowed: Float[Array, " 5"]
) -> Verdict:
    """The five tests, each with the tolerance that chance needs."""
    large, small = prediction.large, prediction.small
    (count, layers, d), dtype = scatter.large.shape, scatter.large.dtype
    flat = lambda x: jnp.reshape(x, (-1,))
    error, first_error = flat(large.standard_error), flat(small.standard_error)
    shifts, deviations = (
        (seen - own.weights).reshape(count, -1)
        for seen, own in ((scatter.large, large), (scatter.small, small))
    )
    z = shifts / error
    variance = jnp.var(z, axis=0, ddof=1)
    below = jax.scipy.stats.norm.cdf(jnp.sort(z, axis=0))
    grid = jnp.arange(count, dtype=dtype)[:, None] / count
    distance = jnp.max(jnp.maximum(below - grid, grid + 1 / count - below), axis=0)
    rate = jnp.log(jnp.var(deviations, axis=0, ddof=1) / (variance * error**2)) / 2
    size, square, least = _size(large, shifts)
    first_size, first_square, _ = _size(small, deviations)
    bias, curve = jnp.abs(flat(large.bias)) / error, flat(large.curvature)
    first_bias, first_curve = jnp.abs(flat(small.bias)) / first_error, flat(small.curvature)
    skewness = 6 * curve + 8**0.5 / jnp.sqrt(large.pairs)
    still = flat(scatter.stationarity) / error
    weights = [f"layer {layer + 1}, weight {i + 1}" for layer in range(layers) for i in range(d)]

    def test(
        name: str,
        measured: Array,
        level: Array,
        second: Array,
        still: Array,
        effect: float,
        predicted: Array | float = 0.0,
        rows: Sequence[str] = weights,
    ) -> Rows:
        """Rows of one test, of each weight by default."""
        return Rows(
            tuple(f"{name}, {row}" for row in rows),
            jnp.abs(measured - predicted),
            {"sampling": level, "second order": second, "stationarity": still},
            effect=effect,
            predicted=predicted,
            measured=measured,
        )

    fourth = 2 * (first_curve**2 + first_bias**2 + curve**2)
    # Effects to detect: a mean off by half a standard error; a factor two in the variance of one
    # weight, and a quarter more or less in the variance of all; a distance of 0.16 from the normal
    # distribution, as with standard errors off by two; a scatter that falls as 1/n, or as the
    # fourth root.
    return verdict_of(
        test("mean", jnp.mean(z, axis=0), allowed[0], bias, still, 0.5),
        test("variance", jnp.log(variance), allowed[1], 4 * curve**2, 2 * still, np.log(2)),
        test("shape", distance, allowed[2], 0.4 * (bias + skewness / 6), still, 0.16),
        test(
            "rate", rate, allowed[3], fourth, still, np.log(RATIO) / 4, jnp.log(first_error / error)
        ),
        test(
            "covariance",
            jnp.log((size + first_size) / 2),
            allowed[4],
            2 * (square + first_square),
            2 * (jnp.linalg.norm(scatter.stationarity) / jnp.sqrt(least)),
            np.log(1.25),
            rows=["all weights"],
        ),
        what="statistics of the deviations",
        converged=scatter.converged,
    )


@eqx.filter_jit
def _gaussian(key: PRNGKeyArray, distribution: str = "gaussian") -> ContrastiveProblem:
    """Rotated Gaussian features of random strengths, with noise that does not commute with them."""
    k1, k2, k3 = jax.random.split(key, 3)
    strength = jnp.asarray([1.5, 0.8]) * uniform(k1, 0.9, 1.1, (DIM,))
    return ContrastiveProblem(
        Features(strength, distribution, mixing=orthonormal(k2, DIM)),
        ambient=AdditiveNoise(uniform(k3, 0.4, 0.7, (DIM,))),
    )


def _scaled(name: str, breaks: str, large: float, small: float) -> Control:
    """Control that multiplies the predicted covariances, at large and at small samples."""
    scaled = lambda error, factor: replace(error, covariance=factor * error.covariance)
    return Control(
        name,
        breaks,
        predict=lambda problem, own: Prediction(scaled(own.large, large), scaled(own.small, small)),
    )


def _harder(key: PRNGKeyArray) -> Sampling:
    k = jax.random.split(key, 5)
    # Enough replicates for the levels that thousands of problems leave to each test.
    return Sampling(
        ContrastiveProblem(
            Features(decades(k[0], -0.3, 0.3, (DIM,)), "gaussian", mixing=orthonormal(k[1], DIM)),
            ambient=AdditiveNoise(decades(k[2], -0.7, 0.1, (DIM,))),
        ),
        k[3],
        pairs=100,
        replicates=600,
        depth=1,
    )


CLAIM = Claim(
    name="finite-sample",
    statement="The weights of networks trained on n Gaussian pairs scatter about the population's "
    "in a normal distribution, with the covariance of the delta method: standard errors fall as "
    "n^(-1/2).",
    latex=r"\sqrt{n}\,\bigl(g(\hat C, \hat S) - g(C, S)\bigr) \to \mathcal{N}(0, J \Omega J^\top)",
    hypotheses=(
        "linear network",
        "Gaussian views",
        "independent pairs",
        "unique minimiser",
        "trained to stationarity",
    ),
    source="beyond the paper",
    problems=lambda key: (
        Sampling(_gaussian(k), k) for k in (named(key, "samples", index) for index in range(2))
    ),
    predict=predict,
    measure=measure,
    compare=judge_scatter,
    sharpness={
        "mean, layer #, weight #": (1, 0.07),
        "variance, layer #, weight #": (1, 0.05),
        "shape, layer #, weight #": (1, 0.07),
        "rate, layer #, weight #": (1, 0.07),
        "covariance, all weights": (1, 0.02),
    },
    controls=(
        _scaled("dropped-factor", "predicts half the variance", 0.5, 0.5),
        Control(
            "heavy-tails",
            "draws features of a heavy-tailed distribution with the same moments",
            # Of the same strengths and mixing: second moments agree, fourth moments do not.
            measure=lambda problem, own: measure(
                replace(problem, problem=_gaussian(problem.key, "spike-and-slab"))
            ),
        ),
        _scaled("wrong-rate", "predicts standard errors that fall as 1/n", 1.0 / RATIO, 1.0),
    ),
    search=(_harder,),
    quick=1,
    tests=TESTS,
)
