"""sl-minimiser: the end-to-end map and the layers that regression converges to."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ... import losses, measure, theory
from ..._core import (
    Whitening,
    eigh,
    frobenius,
    layer_shares,
    matmul,
    named,
    nonzero,
    outputs_rounding,
    power_rounding,
    product_rounding,
    symmetric,
)
from ...claims import Claim, Control, Offers, Rows, Verdict, numbered, rounded, verdict_of
from ...moments import TargetMoments
from .._common import (
    PREMISE,
    UNBALANCED,
    AbstractTask,
    Exact,
    Run,
    drawn,
    exact_check,
    frames,
    imbalance_rounding,
    layers_apart,
    mixing,
    nearly_tied,
    on_range,
    orthonormal,
    over,
    replace,
    reported_share,
    roots,
    singular,
    spread,
    train,
    uniform,
)


class RegressionTask(AbstractTask[TargetMoments]):
    """Task of the squared error."""

    loss: ClassVar[losses.AbstractLoss] = losses.mse

    def shrinks(self) -> Offers:
        """Simpler problems: rounder targets."""
        m = self.moments
        return rounded(lambda r: replace(self, moments=TargetMoments(r(m.target), m.second)))


def predict_least(p: RegressionTask) -> theory.supervised.RegressionMinimiser:
    return theory.supervised.regression_minimiser(p.moments, p.depth, p.width, throw=False)


def distance_to_minimum(
    moments: TargetMoments, whitening: Whitening, matrix: Array, width: int
) -> tuple[Array, Array, Array]:
    """Distance of a nearly stationary map of this rank from the minimum.

    The distance is in the metric of the inputs: the size of the residuals of the map's singular
    vectors, up to which the map is the exact truncation (Wedin 1972).

    **Returns:** the distance; the last correlation that the map keeps; and a flag, true if the loss
    still falls from there. It does if a direction that the map does not carry has a larger
    correlation, or any correlation while the map carries fewer directions than its rank allows.
    """
    z, best = matmul(matrix, whitening.forward.T), matmul(moments.target, whitening.inverse)
    off = z - best
    u, s, vt = jnp.linalg.svd(z, full_matrices=False)
    residual = jnp.sqrt(
        jnp.sum(matmul(off, vt[:width].T) ** 2) + jnp.sum(matmul(u[:, :width].T, off) ** 2)
    )
    along = jnp.sum(u * matmul(best, vt.T), axis=0)
    noise = whitening.rounding * frobenius(best)
    learned = (jnp.arange(s.size) < width) & (along > noise) & (s > noise) & (s >= along / 2)
    left, right = jnp.where(learned, u, 0), jnp.where(learned[:, None], vt, 0)
    rest = best - matmul(left, matmul(u.T, best))
    rest = rest - matmul(matmul(rest, vt.T), right)
    least = jnp.where(jnp.sum(learned) == width, jnp.min(jnp.where(learned, s, jnp.inf)), noise)
    return residual, s[width - 1], jnp.linalg.svd(rest, compute_uv=False)[0] > least


@eqx.filter_jit
def judge_least(prediction: theory.supervised.RegressionMinimiser, run: Run) -> Verdict:
    """Verdict on the Grams of all layers, the end-to-end map and the loss, each relative."""
    best, moments, network = prediction, prediction.moments, run.fine.final
    depth, whitening = best.depth, best.whitening
    start, within = (on_range(n, whitening.projector) for n in (run.fine.start, network))
    matrix, weights = within.matrix, measure.layer_weights(network)
    size, length = (nonzero(frobenius(x)) for x in (best.grams, best.matrix))
    scale = jnp.abs(best.loss) + moments.power / 2

    residual, last, saddle = distance_to_minimum(
        moments, whitening, matrix, min(*network.sizes[1:], *moments.target.shape)
    )
    residual = residual * reported_share(run.fine, moments, losses.mse)
    # A residual turns a kept mode towards a dropped one by its size over the gap. The factor of two
    # covers terms of second order.
    inside = 2 * residual * jnp.maximum(1, last / best.gap)
    moved = inside * frobenius(whitening.inverse)
    # A root of M magnifies the relative error of its smallest kept eigenvalue.
    least = jnp.take(eigh(best.grams[-1]).values, moments.dim - jnp.maximum(best.kept, 1))
    levels = layer_shares(depth, size.dtype)
    magnified = levels * nonzero(least) ** (levels - 1) * 2 * length

    # Training rounds as the closed form does. The product of layers adds rounding of its own.
    product = product_rounding(network.sizes, size.dtype)
    rounding = 2 * best.rounding + product
    outputs = outputs_rounding(product, best.grams, moments.second)
    # Targets may vary with an input whose variance the dtype cannot tell from zero.
    unseen = frobenius(network.matrix - matrix) * frobenius(
        moments.target - matmul(moments.target, whitening.projector)
    )
    in_loss = 4 * whitening.rounding * jnp.sum(best.correlations) ** 2 + 2 * outputs + unseen
    granted = imbalance_rounding(start)
    plotted = best.weights[-1:], weights[-1:]
    balanced = jnp.all(measure.imbalance_norms(start) <= granted)
    return verdict_of(
        Rows(
            numbered("layer", depth),
            frobenius(measure.layer_grams(within) - best.grams) / size,
            {
                "start": theory.balance.imbalance_bound(best.grams, jnp.full(depth - 1, granted))
                / size,
                "discretisation": theory.balance.imbalance_bound(best.grams, run.drift) / size,
                "stationarity": magnified * moved / size,
                "rounding": power_rounding(best.grams, best.kept, 2 * rounding) + product,
            },
            # Effect: another layer.
            layers_apart(best.grams),
            best.weights,
            weights,
        ),
        Rows(
            ("map",),
            frobenius(matrix - best.matrix) / length,
            {"stationarity": moved / length, "rounding": rounding},
            # Effect: another map.
            1.0,
            *plotted,
        ),
        Rows(
            ("loss",),
            jnp.abs(run.fine.loss[-1] - best.loss) / scale,
            {"stationarity": inside**2 / scale, "rounding": in_loss / scale},
            # Effect: the loss of a network with one mode less.
            last**2 / 2 / scale,
            *plotted,
        ),
        what="relative discrepancy of the regression minimiser",
        premises={"unique minimiser": best.unique, PREMISE: balanced},
        converged=run.converged & ~saddle,
        finite=run.finite,
    )


@drawn
def regression_task(
    key: PRNGKeyArray, sizes: tuple[int, ...], *, index: Array | int = 0
) -> RegressionTask:
    """Random inputs and targets whose moments do not commute.

    The correlations are well apart.
    """
    k = jax.random.split(named(key, "regression", index), 4)
    d, outputs = sizes[0], sizes[-1]
    n = min(d, outputs)
    v = orthonormal(k[0], d)
    root = matmul(v * jnp.geomspace(1.5, 0.7, d), v.T)
    correlations = jnp.linspace(1.2, 0.4, n) * jax.random.uniform(k[3], (n,), float, 0.95, 1.05)
    frames = orthonormal(k[1], outputs)[:, :n], orthonormal(k[2], d, n)
    target = matmul(matmul(frames[0] * correlations, frames[1].T), root)
    return RegressionTask(
        TargetMoments(target, matmul(root, root), 1.1 * jnp.sum(correlations**2)),
        k[3],
        jnp.asarray(0.5, float),
        sizes,
    )


@eqx.filter_jit
def with_map(
    problem: RegressionTask, own: theory.supervised.RegressionMinimiser, matrix: Array
) -> theory.supervised.RegressionMinimiser:
    """The prediction with the best approximation of another map, and its balanced layers."""
    p, depth = problem.width, problem.depth
    u, s, vt = jnp.linalg.svd(matrix, full_matrices=False)
    u, s, vt = u[:, :p], s[:p], vt[:p]
    powers = [s ** (2 * level / depth) for level in range(1, depth + 1)]
    return replace(
        own,
        matrix=matmul(u * s, vt),
        grams=jnp.stack([matmul(vt.T * power, vt) for power in powers]),
    )


def harder_regression(key: PRNGKeyArray, sizes: tuple[int, ...]) -> RegressionTask:
    """Draw a regression problem that is hard for a dtype, as in `harder`.

    Correlations have ties and near-ties. The strengths of the inputs spread over up to twelve
    decades, along the axes or mixed.
    """
    k, (d, *_, outputs) = jax.random.split(key, 6), sizes
    strength, mixed = spread(k[0], d), mixing(k[1], d)
    correlations = nearly_tied(k[2], uniform(k[3], 0.05, 1.5, (min(d, outputs),)))
    n = correlations.size
    frames = orthonormal(k[4], outputs)[:, :n], orthonormal(k[5], d, n)
    target = matmul(matmul(frames[0] * correlations, frames[1].T) * strength, mixed.T)
    second = symmetric(matmul(mixed * strength**2, mixed.T))
    scale = jnp.max(strength) ** (-1 / (len(sizes) - 1)) / 2
    return RegressionTask(
        TargetMoments(target, second, 1.1 * jnp.sum(correlations**2)), key, scale, sizes, stiff=True
    )


def exact_regression(
    best: theory.supervised.RegressionMinimiser, sizes: tuple[int, ...], key: PRNGKeyArray
) -> Exact:
    """Balanced network of these sizes with the predicted map, in random frames between."""
    left, values, right = singular(best.matrix, best.kept, min(sizes))
    return Exact((right, *frames(key, sizes, values.dtype)[1:-1], left), roots(values, best.depth))


CLAIM = Claim(
    name="sl-minimiser",
    statement=(
        "Regression over linear networks of smallest width p ends at W = (A S^(-1/2))_p "
        "S^(-1/2), which is A S^(-1) where the rank allows; balanced layers have the Grams "
        "(W^T W)^(l/L)."
    ),
    latex=r"W^\star = (A S^{-1/2})_p\, S^{-1/2}, \qquad M_l = (W^{\star\top} W^\star)^{l/L}",
    hypotheses=(
        "linear network",
        "squared error",
        PREMISE,
        "unique minimiser",
        "gradient flow",
        "trained to stationarity",
    ),
    source="paper section 5; beyond the paper for bounded width and any depth",
    problems=lambda key: (
        regression_task(key, sizes, index=index)
        for sizes, index in (
            ((5, 2, 3), 0),
            ((5, 4, 4, 3), 0),
            ((5, 3), 0),
            ((5, 2, 4, 3), 1),
            ((5, 2, 3), 1),
            ((4, 4, 1), 0),
        )
    ),
    predict=predict_least,
    measure=train,
    compare=judge_least,
    sharpness={
        "layer #": (6e-9, 0.03),
        "map": (4e-10, 0.06),
        "loss": (2e-10, 2e-5),
    },
    controls=(
        Control(
            "plain-truncation",
            "predicts that the largest singular values of A S^-1 are kept",
            predict=lambda problem, own: with_map(
                problem, own, jnp.linalg.solve(problem.moments.second, problem.moments.target.T).T
            ),
        ),
        Control(
            "plain-inputs",
            "predicts as if inputs were uncorrelated and of variance one",
            predict=lambda problem, own: with_map(problem, own, problem.moments.target),
        ),
        UNBALANCED,
    ),
    search=over(harder_regression, "sizes", ((3, 2), (4, 2, 3), (3, 3, 2, 3))),
    exact=exact_check(judge_least, predict_least, build=exact_regression, loss=losses.mse),
    quick=1,
)
