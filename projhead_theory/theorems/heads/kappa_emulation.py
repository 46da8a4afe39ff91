"""kappa-emulation: a fixed reweighting head in place of a trained one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import DeepLinear, measure, theory
from ..._core import checks, frobenius, named
from ...claims import Claim, Control, Offers, Rows, Verdict, verdict_of
from .._common import Run, balanced, compare, drawn, flow, orthonormal, replace
from .head_equivalence import DIM, Ends, head, weights_of
from .sorted_matching import Matching, continued, train_matching, undecayed


class Emulating(eqx.Module):
    """A feature model with a fixed head that stands in for a trained one.

    - `fixed`: the model, the fixed head and the weight decay.
    - `factor`: the ratio of the weights below the fixed head to the weights below the trained head.
    """

    fixed: Matching
    factor: Float[Array, ""]
    key: PRNGKeyArray

    @property
    def label(self) -> str:
        return self.fixed.label

    def shrinks(self) -> Offers:
        """Simpler problem: no mixing.

        Rounder numbers would no longer fit one head.
        """
        yield lambda: replace(self, fixed=self.fixed.unmixed())


class Both(eqx.Module):
    """Training under the fixed head, and training of a two-layer network.

    - `fixed`: runs under the fixed head with two decays.
    - `pair`: the two-layer network, trained without decay.
    - `lower`: the Gram of the two-layer network below its head.
    """

    fixed: Ends
    pair: Run
    lower: Float[Array, "d d"]


def train_both(problem: Emulating) -> Both:
    pair = flow(
        balanced(problem.key, (DIM, DIM, DIM), checks.array(np.asarray(0.5, problem.factor.dtype))),
        problem.fixed.moments,
    )
    return Both(train_matching(problem.fixed), pair, _lowest(pair.fine.final))


@eqx.filter_jit
def _lowest(network: DeepLinear) -> Float[Array, "d d"]:
    """Gram of the first layer."""
    return measure.layer_grams(network)[0]


class Alike(eqx.Module):
    """Prediction of the two-layer network, and the factor of the weights below the fixed head."""

    layers: theory.layers.LayerPrediction
    factor: Float[Array, ""]


def predict_alike(problem: Emulating) -> Alike:
    return Alike(theory.layers.layerwise(problem.fixed.moments, 2, throw=False), problem.factor)


@eqx.filter_jit
def judge_alike(prediction: Alike, both: Both) -> Verdict:
    """Verdict on the Gram below the fixed head, in two rows.

    The first compares it with the Gram below the trained head, the second with the closed form.
    """
    closed, factor = prediction.layers.grams[0], prediction.factor
    own = compare(prediction.layers, both.pair.fine)
    trained = {name: part[0] for name, part in own.parts.items()}
    fixed, left = continued(both.fixed)
    size = factor**2 * frobenius(closed)
    stationarity, rounding = (x / size for x in left)
    # Effect: the difference between the layers below and above the trained head.
    row = lambda label, gram, parts: Rows(
        (label,),
        frobenius(fixed - factor**2 * gram) / size,
        parts,
        own.effect[0],
        factor * weights_of(gram)[None],
        weights_of(fixed)[None],
    )
    return verdict_of(
        row(
            "trained head",
            both.lower,
            {
                "stationarity": stationarity + trained["stationarity"],
                "start": trained["start"] + trained["discretisation"],
                "rounding": rounding + trained["rounding"],
            },
        ),
        row(
            "closed form",
            closed,
            {"stationarity": stationarity, "rounding": rounding + trained["rounding"]},
        ),
        what="relative Gram discrepancy below the head",
        converged=both.fixed.converged & both.pair.converged,
        finite=both.fixed.finite & both.pair.finite,
    )


@drawn
def _emulating(key: PRNGKeyArray, *, geometric: Array | bool, index: Array | int) -> Emulating:
    """A random problem whose weights fall as kappa^(-2 i), or otherwise, in random position.

    Geometric weights are under the head of kappa, all others under the head of their roots.
    """
    k = jax.random.split(named(key, "kappa emulation", index), 6)
    kappa = jax.random.uniform(k[0], (), float, 1.25, 1.45)
    # Consecutive ratios that no single kappa has.
    other = jnp.asarray([1.0, 0.85, 0.4], float) * jax.random.uniform(
        k[1], (DIM,), float, 0.95, 1.05
    )
    weights = 0.7 * jnp.where(geometric, kappa ** (-2 * jnp.arange(DIM, dtype=float)), other)
    rows = jnp.where(geometric, head(kappa, DIM), theory.heads.emulating_head(weights))
    fractions = jax.random.uniform(k[2], (DIM,), float, 0.5, 0.9)
    # With w = sqrt(c) / q and lambda = c / q: q = lambda / w^2.
    second = fractions / weights**2
    cross = fractions * second
    weight_decay = 0.1 * theory.heads.matching_limit(cross, second, rows)
    return Emulating(
        Matching(cross, second, orthonormal(k[3], DIM), rows, weight_decay, k[4]),
        jnp.where(geometric, jnp.sqrt(weights[0]), 1),
        k[5],
    )


def _under(problem: Emulating, own: Both, rows: Array | np.ndarray) -> Both:
    """Train under another head in place of the claim's own, with the claim's own tolerances."""
    return replace(
        own,
        fixed=replace(own.fixed, before=train_matching(replace(problem.fixed, rows=rows)).before),
    )


def _any_kappa(problem: Emulating) -> Array:
    """Best diagonal kappa^(-i) for weights that do not fall like kappa^(-2 i).

    It is scaled so that the factor stays one on average.
    """
    p = problem.fixed
    found = theory.heads.kappa_emulation(checks.array(np.sqrt(p.cross) / np.asarray(p.second)))
    return found.factor * head(found.kappa, DIM)


CLAIM = Claim(
    name="kappa-emulation",
    statement=(
        "Under the fixed head diag(sqrt w), or under rows kappa^(-i) if weights fall as "
        "kappa^(-2 i), the least-norm encoder has the Gram that a trained two-layer network "
        "has below its head, up to one factor."
    ),
    latex=(
        r"h_{(i)} = \sqrt{w_{(i)}} \Rightarrow u_{(i)} = \sqrt{w_{(i)}}; \qquad w_{(i)} = "
        r"w_{(0)} \kappa^{-2i} \Rightarrow \kappa^i w_{(i)} = \sqrt{w_{(0)}} \sqrt{w_{(i)}}"
    ),
    hypotheses=(
        "linear network",
        "feature model, in any basis",
        "small weight decay under the fixed head",
        "balanced start of the other",
    ),
    source="beyond the paper",
    problems=lambda key: (
        _emulating(key, geometric=index % 2 == 0, index=index) for index in range(4)
    ),
    predict=predict_alike,
    measure=train_both,
    compare=judge_alike,
    sharpness={
        "trained head": (2e-7, 0.03),
        "closed form": (2e-7, 0.09),
    },
    controls=(
        Control(
            "squared-kappa",
            "trains under rows kappa^(-2 i)",
            measure=lambda p, own: _under(p, own, np.asarray(p.fixed.rows) ** 2),
        ),
        Control(
            "any-spectrum",
            "trains under the best rows kappa^(-i) for weights that fall otherwise",
            measure=lambda p, own: _under(p, own, _any_kappa(p)),
            on=1,
        ),
        Control(
            "no-factor",
            "predicts a factor of one",
            predict=lambda problem, own: replace(own, factor=jnp.ones_like(own.factor)),
        ),
        Control(
            "above-the-head",
            "compares with the two-layer network above its head",
            measure=lambda problem, own: replace(
                own, lower=measure.layer_grams(own.pair.fine.final)[-1]
            ),
        ),
        Control(
            "no-decay",
            "trains the fixed head by plain gradient flow, which leaves the pairing to the start",
            measure=lambda problem, own: replace(own, fixed=undecayed(problem.fixed, own.fixed)),
        ),
    ),
    quick=2,
)
