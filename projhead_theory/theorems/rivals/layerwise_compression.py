"""layerwise-compression: within- over between-class variance from layer to layer."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import measure, networks, theory
from ..._core import frobenius, matmul, named, psd_power, symmetric
from ...claims import Claim, Control, Verdict
from .._common import (
    DIM,
    PREMISE,
    WIDTH,
    Run,
    Task,
    carried,
    drawn,
    judge_layers,
    orthonormal,
    predict,
    replace,
    task,
    train,
    unbalanced_start,
    uniform,
    with_exponents,
)

SIZES = (DIM, WIDTH, WIDTH, WIDTH)


class Classes(eqx.Module):
    """Training on views, and classes among the inputs.

    - `task`: the moments of the views, and the start.
    - `between`: covariance of the class means, at most the second moment of the inputs.
    """

    task: Task
    between: Float[Array, "d d"]

    @property
    def within(self) -> Float[Array, "d d"]:
        """Covariance of the inputs around the mean of their class."""
        return self.task.moments.second - self.between

    @property
    def label(self) -> str:
        return self.task.label

    def start(self) -> networks.AbstractLinearNetwork:
        return self.task.start()


class Compression(eqx.Module):
    """Predicted ratio of variances at every layer, with the Grams and the covariances."""

    ratios: Float[Array, " L"]
    law: theory.layers.LayerPrediction
    within: Float[Array, "d d"]
    between: Float[Array, "d d"]


@eqx.filter_jit
def ratios(law: theory.layers.LayerPrediction, within: Array, between: Array) -> Compression:
    return Compression(theory.rivals.compression(law.grams, within, between), law, within, between)


def predicted(problem: Classes) -> Compression:
    return ratios(predict(problem.task), problem.within, problem.between)


@eqx.filter_jit
def judge(p: Compression, run: Run) -> Verdict:
    """Verdict on the ratio at each layer, relative to the prediction.

    The variances are measured on the images of the classes, without Grams.
    """
    law = judge_layers(p.law, run)
    products = run.fine.final.products()
    variance = lambda sigma: jnp.stack([jnp.sum(matmul(w, sigma) * w) for w in products])
    measured = variance(p.within) / variance(p.between)
    # A Gram with the relative error x has a trace with the error x |M| |Sigma|.
    size = frobenius(measure.layer_grams(run.fine.final))
    shares = [size * frobenius(sigma) / variance(sigma) for sigma in (p.within, p.between)]
    error = law.tolerance
    off = (1 + shares[0] * error) / jnp.maximum(1 - shares[1] * error, 0) - 1
    apart = jnp.abs(p.ratios[:, None] - p.ratios[None, :]) / p.ratios[:, None]
    apart = jnp.where(jnp.eye(p.ratios.size, dtype=bool), 1, apart)
    return carried(
        law,
        jnp.abs(measured - p.ratios) / p.ratios,
        off / jnp.where(error > 0, error, 1),
        # Effect: the ratio of the nearest other layer.
        effect=jnp.min(apart, axis=1),
        predicted=p.ratios,
        measured=measured,
        what="relative ratio of the variances within and between classes",
    )


@drawn
def _classes(key: PRNGKeyArray, count: int, *, index: Array | int = 0) -> Float[Array, "d r"]:
    """Covariance of the means of so many classes, as shares of the second moment."""
    k1, k2 = jax.random.split(named(key, "compressed classes", index))
    axes = orthonormal(k1, DIM, count - 1)
    return matmul(axes * uniform(k2, 0.3, 0.9, (count - 1,)), axes.T)


@eqx.filter_jit
def _among(second: Array, shares: Array) -> Array:
    root = psd_power(second, jnp.asarray(0.5, second.dtype), jnp.asarray(DIM))
    return symmetric(matmul(matmul(root, shares), root))


def _problems(key: PRNGKeyArray) -> Iterator[Classes]:
    for count, index in ((3, 0), (2, 1), (5, 2)):
        training = task(key, SIZES, index=index)
        shares = _classes(key, count, index=index)
        yield Classes(training, _among(training.moments.second, shares))


def _geometric(problem: Classes, own: Compression) -> Compression:
    return replace(own, ratios=np.asarray(theory.rivals.geometric_law(own.ratios)))


def _exponents(problem: Classes, own: Compression) -> Compression:
    law = with_exponents(lambda level, layers: level / (layers + 1))(problem.task, own.law)
    return ratios(law, own.within, own.between)


CLAIM = Claim(
    name="layerwise-compression",
    statement="In a balanced network the within-class over the between-class variance at layer l "
    "is tr(M_L^(l/L) Sigma_W) / tr(M_L^(l/L) Sigma_B). Its logarithm bends in l/L by the variance "
    "of the log eigenvalues under Sigma_W less that under Sigma_B: no geometric law in general.",
    latex=r"\kappa_l = \frac{\mathrm{tr}(M_L^{\,l/L} \Sigma_W)}"
    r"{\mathrm{tr}(M_L^{\,l/L} \Sigma_B)}, \qquad \frac{d^2 \ln\kappa}{dt^2} "
    r"= \mathrm{Var}_W[\ln\mu] - \mathrm{Var}_B[\ln\mu], \quad t = l/L",
    hypotheses=(
        "linear network",
        PREMISE,
        "gradient flow",
        "unique minimiser",
        "trained to stationarity",
    ),
    source="beyond Wang et al. 2025, whose geometric law is the control `geometric`",
    problems=_problems,
    predict=predicted,
    measure=lambda problem: train(problem.task),
    compare=judge,
    sharpness={"layer #": (5e-8, 0.005)},
    controls=(
        Control(
            "geometric",
            "predicts a geometric law through the first and the last layer",
            predict=_geometric,
        ),
        Control("wrong-exponent", "predicts the power l / (L + 1)", predict=_exponents),
        unbalanced_start(lambda problem, start: train(problem.task, start)),
    ),
    quick=1,
)
