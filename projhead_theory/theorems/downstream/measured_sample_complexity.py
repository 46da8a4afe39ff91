"""measured-sample-complexity: learning curves of probes against the indicator."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, PRNGKeyArray
from scipy import stats

from ... import Moments, measure, theory
from ..._core import checks, named
from ...claims import FAMILY_ERROR, Claim, Control, Rows, Verdict, verdict_of
from ...probes import HardMargin, LearningCurve, learning_curve
from ...problems import (
    AbstractDistribution,
    AdditiveNoise,
    ContrastiveProblem,
    DownstreamProblem,
    Features,
    SignLabel,
)
from ...theory.downstream import margin_samples, sample_complexity
from .._common import Run, Task, drawn, replace, train, uniform

DIM, SEEDS, TEST, ERROR = 32, 48, 2048, 0.1

SIZES = (4, 8, 12, 17, 24, 34, 48, 68, 96)
"""Numbers of training samples, up to three times the number of features.

No layer that keeps the label needs more than about twice as many samples as features.
"""

TESTS = 5
"""Rows of the verdict on a network of three layers: two orders, two ratios and a number."""

SCENARIOS = (
    "augmentation disrupts the label",
    "label too weak",
    "label too strong",
    "label of largest weight",
)


class SignAmongGaussians(AbstractDistribution):
    """One feature of +1 and -1, all others standard normal.

    The label has a margin, the nuisance features have none.
    """

    feature: Integer[Array, ""]

    def sample(self, key, shape, dtype):
        k1, k2 = jax.random.split(key)
        sign = jnp.arange(shape[-1]) == self.feature
        return jnp.where(
            sign, jax.random.rademacher(k1, shape, dtype), jax.random.normal(k2, shape, dtype)
        )


class Labels(eqx.Module):
    """A feature model with additive noise to train on, and a labelled problem for the probes.

    The label is the sign of the first feature.
    """

    contrastive: ContrastiveProblem
    downstream: DownstreamProblem
    key: PRNGKeyArray
    depth: int = eqx.field(static=True)
    scenario: str = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"{self.scenario}, depth {self.depth}"

    @property
    @eqx.filter_jit
    def moments(self) -> Moments:
        return self.contrastive.moments()

    @property
    def task(self) -> Task:
        m = self.moments
        return Task(
            m, self.key, checks.array(np.asarray(0.5, m.second.dtype)), (m.dim,) * (self.depth + 1)
        )


class Needs(eqx.Module):
    """Predicted numbers of samples of every layer.

    - `complexity`: the indicator, which ranks the layers.
    - `samples`: the numbers of samples in the limit of many.
    """

    complexity: Float[Array, " L"]
    samples: Float[Array, " L"]


class Curves(eqx.Module):
    """Learning curves on a trained network.

    - `curve`: the learning curves of all layers.
    - `extreme`: the label has the least or the largest weight.
    - `converged`: the run converged.
    - `finite`: the run stayed finite.
    """

    curve: LearningCurve
    extreme: Bool[Array, ""]
    converged: Bool[Array, ""]
    finite: Bool[Array, ""]


@eqx.filter_jit
def predict(
    problem: Labels, downstream: DownstreamProblem | None = None, power: float | None = None
) -> Needs:
    """Prediction, of controls for another downstream task or from a power of the Grams."""
    after = (problem.downstream if downstream is None else downstream).moments()
    grams = theory.layers.layerwise(problem.moments, problem.depth).grams
    if power is not None:
        values, v = jnp.linalg.eigh(grams)
        grams = jnp.einsum("lij,lj,lkj->lik", v, values**power, v)
    return Needs(sample_complexity(grams, after), margin_samples(grams, after, ERROR))


def probe(problem: Labels) -> Curves:
    """Train a network and measure the learning curves of hard-margin probes on every layer."""
    run, key = train(problem.task), named(problem.key, "learning curve")
    return Curves(
        learning_curve(
            run.fine.final, problem.downstream, HardMargin(), SIZES, key=key, seeds=SEEDS, test=TEST
        ),
        *_ended(run),
    )


@eqx.filter_jit
def _ended(run: Run) -> tuple[Array, Array, Array]:
    """True if the label is lighter or heavier than all others, if converged, and if finite."""
    weights = measure.layer_weights(run.fine.final)[-1]
    return (
        (weights[0] < jnp.min(weights[1:])) | (weights[0] > jnp.max(weights[1:])),
        run.converged,
        run.finite,
    )


def judge_curves(
    prediction: Needs, measured: Curves, level: float = FAMILY_ERROR / TESTS
) -> Verdict:
    """Verdict on the numbers of samples that the layers need for an error of 0.1.

    Every lower layer is compared with the last in two rows, on the logarithm of the ratio of
    their numbers of samples. One more row holds the number itself, at the layer that is predicted
    to need most.

    - *order*: the amount by which the ratio lies on the wrong side of 1 for the indicator;
    - *ratio*: the distance from the ratio in the limit of many samples and features;
    - *samples*: the distance between the logarithms of the largest predicted number and of the
      measured number.

    The tolerance has two parts:

    - *sampling*: the standard error of the logarithm, from resamples of the seeds, times the
      quantile of Student's t at the given level;
    - *finite size*: the error of the limit, of relative order $1 / n$. It is one sample of the
      measured ones at either layer of a ratio, where most of it cancels, and two of a number.

    The effect is the predicted logarithm of a ratio; for a number it is half as many samples more.
    """
    curve, depth = measured.curve, len(measured.curve.layers)
    quantile = stats.t.ppf(1 - level / 2, curve.errors.shape[2] - 1)
    deviation = float(2 * stats.norm.cdf(1) - 1)
    needed, complexity = (np.asarray(x, float) for x in (prediction.samples, prediction.complexity))
    counted = curve.samples_needed(ERROR, confidence=deviation)

    def logarithm(found: tuple[float, float, float]) -> tuple[float, float]:
        """Logarithm of an estimate, and its sampling error."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value, low, high = np.log(found)
            return (value if np.isfinite(value) else np.nan), quantile * (high - low) / 2

    def pair(layer: int) -> tuple[Rows, Rows]:
        """Order and ratio of the numbers of samples of a lower layer and the last."""
        ratio, sampling = logarithm(curve.ratio(depth, layer, ERROR, confidence=deviation))
        expected = np.log(needed[-1] / needed[layer - 1])
        size = 1 / counted.value[-1] + 1 / counted.value[layer - 1]
        wrong = np.maximum(0, -ratio * np.sign(complexity[-1] - complexity[layer - 1]))
        row = lambda what, distance, size: Rows(
            (f"{what}, layers {layer}, {depth}",),
            distance,
            {"sampling": sampling, "finite size": size},
            abs(expected),
            expected,
            ratio,
        )
        return row("order", wrong, 0.0), row("ratio", abs(ratio - expected), size)

    most = int(np.argmax(needed))
    number, sampling = logarithm((counted.value[most], counted.low[most], counted.high[most]))
    return verdict_of(
        *(row for layer in range(1, depth) for row in pair(layer)),
        Rows(
            (f"samples, layer {most + 1}",),
            abs(number - np.log(needed[most])),
            {"sampling": sampling, "finite size": 2 / counted.value[most]},
            np.log(1.5),
            np.log(needed[most]),
            number,
        ),
        what="logarithm of numbers of samples, and of their ratio",
        premises={"label of least or largest weight": measured.extreme},
        converged=measured.converged,
        finite=measured.finite,
    )


@drawn
def _draw(
    key: PRNGKeyArray, *, index: Array | int, scenario: Array | int
) -> tuple[Array, Array, Array, PRNGKeyArray]:
    """Strengths and noise in training, strengths downstream, and a key for the network.

    The label is the first feature.
    """
    k = jax.random.split(named(key, "labels", index), 5)
    strength, noise = (
        jnp.exp(uniform(k[0], -0.3, 0.3, (DIM,))),
        jnp.exp(uniform(k[1], -1.2, -0.5, (DIM,))),
    )
    weights = (strength / (strength**2 + noise**2))[1:]
    share = uniform(k[2], 0.4, 0.55)
    light, heavy = share * jnp.min(weights), jnp.max(weights) / share
    # A small weight phi / (phi^2 + sigma^2) comes from much noise, or from a strength that is too
    # small or too large. A large weight comes from a small strength and hardly any noise.
    own = 0.8 / (2 * light)
    root = jnp.sqrt(1 - 4 * light**2 * own**2)
    phi = jnp.stack(
        [jnp.ones((), float), (1 - root) / (2 * light), (1 + root) / (2 * light), 0.9 / heavy]
    )[scenario]
    sigma = jnp.stack([jnp.sqrt(1 / light - 1), own, own, 0.3 / heavy])[scenario]
    strength, noise = strength.at[0].set(phi), noise.at[0].set(sigma)
    # Strengths downstream differ: nuisance features so strong that some samples are needed.
    relative = jnp.where(scenario == 3, 1.9, 0.7) * uniform(k[3], 0.9, 1.1)
    return strength, noise, (strength * phi * relative).at[0].set(phi), k[4]


def _problem(key: PRNGKeyArray, index: int) -> Labels:
    """One of the problems, which cycle through the scenarios.

    Three in five have depth 2. Nuisance features are Rademacher and Gaussian by turns.
    """
    # The label of largest weight comes first: of the first two problems, one indicator rises with
    # the layer and one falls.
    turn, scenario = index // len(SCENARIOS), (index - 1) % len(SCENARIOS)
    strength, noise, later, start = _draw(key, index=index, scenario=scenario)
    distribution = SignAmongGaussians(jnp.asarray(0)) if turn % 2 else "rademacher"
    return Labels(
        ContrastiveProblem(Features(strength), AdditiveNoise(noise)),
        DownstreamProblem(Features(later, distribution), SignLabel(0)),
        start,
        (2, 2, 3, 2, 3)[turn],
        SCENARIOS[scenario],
    )


def _other_feature(problem: Labels, own: Needs) -> Needs:
    """The prediction for the feature of largest weight in place of the label."""
    heaviest = np.argmax(np.diag(theory.layers.layerwise(problem.moments, 1).grams[0]))
    return predict(problem, DownstreamProblem(problem.downstream.features, SignLabel(heaviest)))


def between(problem: Labels) -> Labels:
    """Control with a label lighter than one strong feature and heavier than all others.

    The strong feature makes the indicator rise with the layer, but takes one sample to deal with.
    The others, of which there are many, determine the number of samples.
    """
    dtype = problem.contrastive.features.strength.dtype
    weights = np.asarray([0.25, 0.95] + [0.1] * (DIM - 2), dtype)
    later = np.asarray([1.0, 3.0] + [1.5] * (DIM - 2), dtype)
    return Labels(
        ContrastiveProblem(Features(np.ones(DIM, dtype)), AdditiveNoise(np.sqrt(1 / weights - 1))),
        DownstreamProblem(Features(later), SignLabel(0)),
        problem.key,
        problem.depth,
        "label in between",
    )


CLAIM = Claim(
    name="measured-sample-complexity",
    statement=(
        "Where the label is the feature of least or of largest weight, the layers of a trained "
        "network rank by the samples that a separator of largest margin needs as they rank by "
        "the sample-complexity indicator; the ratio of these numbers is not that of the "
        "indicators but that of the limit of many samples and features."
    ),
    latex=r"\mathrm{SC}_l < \mathrm{SC}_L \iff n_l < n_L, \qquad n_l = D_1(\kappa_l) / \Phi(x_l)",
    hypotheses=(
        "linear network",
        "balanced start",
        "trained to stationarity",
        "label of least or of largest weight",
        "no label noise",
    ),
    source="paper section 3 for the order; beyond the paper for the numbers",
    problems=lambda key: (_problem(key, index) for index in range(20)),
    predict=predict,
    measure=probe,
    compare=judge_curves,
    sharpness={
        "order, layers #, #": (1, 0),
        "ratio, layers #, #": (1, 0.07),
        "samples, layer #": (1, 0.05),
    },
    controls=(
        Control(
            "reversed-weights",
            "predicts from weights in the opposite order",
            predict=lambda problem, own: predict(problem, power=-1.0),
            on=1,
        ),
        Control(
            "lowest-always",
            "predicts that a lower layer is always better",
            predict=lambda problem, own: replace(own, complexity=np.sort(own.complexity)),
        ),
        Control(
            "another-feature",
            "predicts for the feature of largest weight in place of the label",
            predict=_other_feature,
            on=1,
        ),
        Control(
            "label-in-between",
            "has one feature heavier and many lighter than the label",
            problem=between,
            on=1,
        ),
        Control(
            "indicator-ratio",
            "predicts that numbers of samples are in the ratio of the indicators",
            # The last layer keeps its predicted number.
            predict=lambda problem, own: replace(
                own,
                samples=np.asarray(own.samples)[-1]
                * (np.asarray(own.complexity) / np.asarray(own.complexity)[-1]),
            ),
            on=1,
        ),
    ),
    quick=2,
    tests=TESTS,
)
