"""response-minimiser: minimisers of other losses, by their response to the signal fraction."""

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ... import DeepLinear, Moments, losses, measure, problems, theory
from ..._core import (
    SOLVED,
    diagonal,
    epsilons,
    frobenius,
    named,
    nonzero,
    power_rounding,
    product_rounding,
)
from ...claims import Claim, Control, Offers, Rows, Verdict, numbered, rounded, verdict_of
from ...theory.layers.law import below
from ...theory.responses.spectrum import by_signal_fraction
from .._common import (
    PREMISE,
    Run,
    balanced,
    decades,
    drawn,
    flow,
    imbalance_rounding,
    layers_apart,
    local_error,
    over,
    replace,
    unbalanced_start,
    uniform,
    widths,
)

VICREG, INFONCE, DISTANCE, RADEMACHER, BARLOW = range(5)

NAMES = (
    "VICReg",
    "InfoNCE",
    "InfoNCE by distance",
    "InfoNCE of Rademacher features",
    "Barlow Twins",
)

Make = Callable[[Array], Any]

RESPONSES: tuple[Make, ...] = (
    theory.responses.VICReg,
    theory.responses.InfoNCE,
    theory.responses.InfoNCEDistance,
    theory.responses.InfoNCERademacher,
    lambda _: theory.responses.BarlowTwins(),
)

LOSSES: tuple[Make, ...] = (
    losses.SquaredVICReg,
    losses.GaussianInfoNCE,
    losses.DistanceInfoNCE,
    losses.RademacherInfoNCE,
    lambda _: losses.unnormalised_barlow_twins,
)

# Fourth moment of a view of variance one; Gaussian and Rademacher views are known by it.
GAUSSIAN, SIGNS = 3.0, 1.0
KURTOSIS = (np.nan, GAUSSIAN, GAUSSIAN, SIGNS, np.nan)


@jax.jit
def _population(kind: Array, parameter: Array, matrix: Array, moments: Moments) -> Array:
    """Loss of this number, traced once for all the steps of a run."""
    branches = [lambda x, w, m, make=make: make(x).population(w, m) for make in LOSSES]
    return jax.lax.switch(kind, branches, parameter, matrix, moments)


class OneOf(losses.AbstractPopulationLoss):
    """One of `LOSSES`, by its number: a single program trains networks under all of them."""

    kind: Int[Array, ""]
    parameter: Float[Array, ""]

    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        return _population(self.kind, self.parameter, matrix, moments)


class Response(eqx.Module):
    """Moments, a loss, and a balanced start of a network of these sizes.

    - `kind`: the number of the loss in `LOSSES`.
    - `parameter`: its temperature or invariance.
    - `kurtosis`: the fourth moment of a feature over the square of its second moment.
    """

    moments: Moments
    kind: Int[Array, ""]
    parameter: Float[Array, ""]
    kurtosis: Float[Array, ""]
    key: PRNGKeyArray
    scale: Float[Array, ""]
    sizes: tuple[int, ...] = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"{NAMES[int(self.kind)]}, {widths(self.sizes)}"

    @property
    def depth(self) -> int:
        return len(self.sizes) - 1

    def start(self) -> DeepLinear:
        return balanced(self.key, self.sizes, self.scale)

    def shrinks(self) -> Offers:
        """Rounder numbers."""
        return rounded(lambda r: replace(self, parameter=r(self.parameter), scale=r(self.scale)))


class Prediction(eqx.Module):
    """Closed form of every layer, the loss of weight zero, and whether the views are as stated."""

    layers: theory.layers.LayerPrediction
    zero: Float[Array, ""]
    views: Bool[Array, ""]


def _curve(fraction: Array, kind: Array, parameter: Array) -> Array:
    """Response of the loss of this number. With C for S, Barlow Twins is a spectral loss."""
    branches = [lambda x, f, make=make: make(x).curve(f) for make in RESPONSES]
    return jax.lax.switch(kind, branches, parameter, fraction)


def _energy(fraction: Array, kind: Array, parameter: Array) -> Array:
    """Least loss of a feature, less its loss at weight zero, as a function of its response.

    Written with the weight, and so apart from the formulas in `theory.responses`.
    """
    weight = _curve(fraction, kind, parameter)
    scaled = weight / parameter
    distance = scaled * (1 - fraction) - jnp.log1p(scaled) / 2 - scaled / (1 + scaled) / 2
    signs = -fraction * scaled + jnp.logaddexp(scaled, -scaled) - np.log(2)
    return jnp.stack([-(weight**2), -(scaled**2) / 2, distance, signs, -(weight**2)])[kind]


@eqx.filter_jit
def predict(problem: Response) -> Prediction:
    p, outputs = problem, problem.sizes[-1]
    width = min(p.sizes)
    second = jnp.where(p.kind == BARLOW, p.moments.cross, p.moments.second)
    moments = Moments(p.moments.cross, second)
    minimiser = by_signal_fraction(
        _curve, _energy, moments, jnp.asarray(width), p.kind, p.parameter
    )
    known = jnp.asarray(KURTOSIS, p.parameter.dtype)[p.kind]
    constant = (p.kind == VICREG) | (p.kind == BARLOW)
    return Prediction(
        below(minimiser, moments, p.depth, width, None),
        jnp.where(constant, outputs, 0).astype(p.parameter.dtype),
        jnp.isnan(known) | (p.kurtosis == known),
    )


def train(problem: Response, start: DeepLinear | None = None) -> Run:
    """Gradient flow on the population loss, to stationarity."""
    return flow(
        problem.start() if start is None else start,
        problem.moments,
        loss=OneOf(problem.kind, problem.parameter),
        t1=1e8,
        max_steps=20_000,
    )


@eqx.filter_jit
def judge(prediction: Prediction, run: Run) -> Verdict:
    """Verdict on the Gram of every layer and on the least loss, both relative."""
    own, minimiser = prediction.layers, prediction.layers.minimiser
    grams, depth = own.grams, own.depth
    final, start = run.fine.final, run.fine.start
    measured = measure.layer_grams(final)
    size = nonzero(frobenius(grams))
    rounding = imbalance_rounding(start)
    unbalance = jnp.full(depth - 1, rounding) + run.drift
    local, dtype = local_error(size.dtype, depth), size.dtype
    ends = jax.vmap(measure.layer_grams)(
        jax.tree.map(lambda a, b: jnp.stack([a, b]), final, run.coarse.final)
    )
    gain = nonzero(jnp.abs(own.loss))
    return verdict_of(
        Rows(
            numbered("layer", depth),
            frobenius(measured - grams) / size,
            {
                "integration": frobenius(ends[0] - ends[1]) / size + local,
                "start": theory.balance.imbalance_bound(grams, unbalance) / size,
                "rounding": own.rounding
                + power_rounding(grams, minimiser.kept, minimiser.rounding)
                + product_rounding(final.sizes, dtype),
            },
            effect=layers_apart(grams),
            predicted=own.weights,
            measured=jnp.sqrt(jnp.maximum(diagonal(measured), 0)),
        ),
        Rows(
            ("loss",),
            jnp.abs(run.fine.loss[-1] - prediction.zero - own.loss) / gain,
            {
                "integration": jnp.abs(run.fine.loss[-1] - run.coarse.loss[-1]) / gain + local**2,
                "rounding": epsilons(SOLVED, dtype) * (1 + prediction.zero / gain)
                + own.rounding[-1],
            },
            effect=1.0,
            predicted=own.weights[-1:],
            measured=jnp.sqrt(jnp.maximum(diagonal(measured[-1:]), 0)),
        ),
        what="relative discrepancy of the minimiser",
        premises={
            "unique minimiser": minimiser.unique,
            PREMISE: jnp.all(measure.imbalance_norms(start) <= rounding),
            "distribution of the views": prediction.views,
        },
        converged=run.converged,
        finite=run.finite,
    )


@drawn
def _response(
    key: PRNGKeyArray,
    sizes: tuple[int, ...],
    *,
    kind: Any,
    low: Any = 0.5,
    high: Any = 1.0,
    alone: Any = False,
    index: Any = 0,
) -> Response:
    """Signal fractions from 0.85 down to 0.25, in random position or, if `alone`, unmixed.

    The parameter of the loss is uniform from `low` to `high`.
    """
    place, jitter, size = jax.random.split(named(key, "response", index), 3)
    d = sizes[0]
    grid = jnp.linspace(0.85, 0.25, d) + 0.2 / d * uniform(jitter, -0.5, 0.5, (d,))
    mixed = problems.random_moments(place, grid, condition=4.0)
    variance = diagonal(mixed.second)
    moments = Moments(
        jnp.where(alone, jnp.diag(grid * variance), mixed.cross),
        jnp.where(alone, jnp.diag(variance), mixed.second),
    )
    parameter = low + (high - low) * uniform(size, 0, 1)
    kurtosis = jnp.where(kind == RADEMACHER, SIGNS, GAUSSIAN).astype(grid.dtype)
    return Response(
        moments,
        jnp.asarray(kind, int),
        parameter,
        kurtosis,
        place,
        jnp.asarray(0.7, grid.dtype),
        sizes,
    )


def _problems(key: PRNGKeyArray) -> Iterator[Response]:
    """All losses at depth 2; other depths, dimensions and widths; and extinction under VICReg."""
    for kind in range(5):
        yield _response(key, (3, 3, 3), kind=kind, alone=kind in (INFONCE, RADEMACHER))
    for sizes in ((2, 2), (4, 4, 4, 4), (8, 8, 8)):
        for kind in range(5):
            yield _response(key, sizes, kind=kind, alone=kind == RADEMACHER)
    for kind in (VICREG, INFONCE, DISTANCE):
        yield _response(key, (5, 3, 4), kind=kind)
    yield _response(key, (2, 2), kind=VICREG, low=2.0, high=2.5, index=1)


def _harder(key: PRNGKeyArray, sizes: tuple[int, ...]) -> Response:
    k, d = jax.random.split(key, 6), sizes[0]
    kind = jax.random.randint(k[0], (), 0, 5 if min(sizes) == d else 3)
    fractions = jnp.sort(uniform(k[1], 0.05, 0.97, (d,)))[::-1]
    mixed = problems.random_moments(k[2], fractions, condition=30.0)
    alone = kind == RADEMACHER
    moments = Moments(
        jnp.where(alone, jnp.diag(fractions * diagonal(mixed.second)), mixed.cross),
        jnp.where(alone, jnp.diag(diagonal(mixed.second)), mixed.second),
    )
    parameter = jnp.where(kind == VICREG, uniform(k[3], 0.05, 1.0), decades(k[4], -1.5, 1.5))
    kurtosis = jnp.where(alone, SIGNS, GAUSSIAN).astype(parameter.dtype)
    scale = jnp.where(kind == VICREG, 1, parameter ** (0.5 / (len(sizes) - 1))) / 2
    return Response(moments, kind, parameter, kurtosis, k[5], scale, sizes)


def _with(**fields: Any) -> Callable[[Response], Response]:
    return lambda problem: replace(
        problem, **{name: np.asarray(x, getattr(problem, name).dtype) for name, x in fields.items()}
    )


CLAIM = Claim(
    name="response-minimiser",
    statement="Under VICReg with a squared covariance term, under InfoNCE with infinitely many "
    "negatives (inner products or distances of Gaussian views, or Rademacher features), and under "
    "unnormalised Barlow Twins, a network ends at a Gram that is a known function of the signal "
    "fractions; the layers below are its powers.",
    latex=r"M^\star = S^{-1/2}\, g(T)\, S^{-1/2}, \quad M_l = (M^\star)^{l/L}, \quad "
    r"g(\lambda) = 1 - \beta (1 - \lambda),\ \tau \lambda,\ "
    r"\tau \left( \tfrac{2}{\sqrt{9 - 8 \lambda} - 1} - 1 \right),\ "
    r"\tau\, \mathrm{artanh}\, \lambda;\quad \text{Barlow Twins: } M^\star = C^+",
    hypotheses=(
        "linear network",
        PREMISE,
        "gradient flow",
        "unique minimiser",
        "Gaussian views or Rademacher features under InfoNCE",
        "trained to stationarity",
    ),
    source="beyond the paper",
    problems=_problems,
    predict=predict,
    measure=train,
    compare=judge,
    sharpness={"layer #": (1e-8, 0.03), "loss": (1e-11, 5e-4)},
    controls=(
        unbalanced_start(train),
        Control(
            "other-distribution",
            "trains under InfoNCE on Rademacher features of the same moments",
            measure=lambda problem, own: train(_with(kind=RADEMACHER)(problem)),
            on=INFONCE,
        ),
        Control(
            "wrong-temperature",
            "predicts for a tenth more temperature",
            predict=lambda problem, own: predict(
                replace(problem, parameter=np.asarray(1.1 * problem.parameter))
            ),
            on=DISTANCE,
        ),
        Control(
            "noise-enters",
            "predicts the spectral minimiser under Barlow Twins, in which noise lowers the weight",
            predict=lambda problem, own: predict(_with(kind=INFONCE, parameter=1.0)(problem)),
            on=BARLOW,
        ),
        Control(
            "not-gaussian",
            "has features of another distribution, to which the InfoNCE loss is not known",
            problem=_with(kurtosis=SIGNS),
            expects="premise_failed",
            on=INFONCE,
        ),
    ),
    search=over(_harder, "sizes", ((2, 2), (2, 2, 2), (3, 2, 2))),
    quick=5,
)
