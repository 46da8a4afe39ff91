"""The claim when-pre-wins: thresholds beyond which the layer below the head is better."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float, PRNGKeyArray

from ... import DeepLinear, measure, theory
from ..._core import named
from ...claims import Claim, Control, Verdict, compare_values
from ...problems import AdditiveNoise, ContrastiveProblem, Downstream, Features
from ...simulation import Trajectory, gradient_flow
from ...theory.layers import layerwise
from .._common import Run, Task, flow, lopsided
from .optimal_layer import Probing, judge_logarithms

THRESHOLDS = {
    "disrupted": theory.downstream.disruption_boundary,
    "weak": theory.downstream.weakness_boundary,
    "strong": theory.downstream.excess_boundary,
}


class Crossing(eqx.Module):
    """A feature model with one parameter, varied until pre- and post-projection are equally good.

    - `scenario`: `disrupted` varies the noise of the target; `weak` and `strong` vary its strength,
      below and above its noise.
    - `bracket`: the ends of the range of the parameter, `(2,)`.
    """

    strength: Float[Array, " d"]
    noise: Float[Array, " d"]
    downstream: Float[Array, " d"]
    bracket: Float[Array, " 2"]
    key: PRNGKeyArray
    scenario: str = eqx.field(static=True)
    target: int = eqx.field(static=True)
    sizes: tuple[int, ...] = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"{self.scenario}, widths {'-'.join(map(str, self.sizes))}"

    def at(self, value: Array) -> Probing:
        """The problem to train and probe at a value of the parameter."""
        return _at(
            self.strength,
            self.noise,
            self.downstream,
            self.key,
            value,
            self.scenario == "disrupted",
            self.target,
            self.sizes,
        )


@eqx.filter_jit
def _at(
    strength, noise, downstream, key, value, disrupted: bool, target: int, sizes: tuple[int, ...]
) -> Probing:
    varied = jnp.arange(len(strength)) == target
    strength, noise = (
        (strength, jnp.where(varied, value, noise))
        if disrupted
        else (jnp.where(varied, value, strength), noise)
    )
    return Probing(
        Task(
            ContrastiveProblem(Features(strength), AdditiveNoise(noise)).moments(),
            key,
            jnp.asarray(0.5, strength.dtype),
            sizes,
        ),
        Downstream(jnp.diag(downstream**2), jnp.where(varied, 1 / downstream, 0)),
    )


class Found(eqx.Module):
    """Crossing of pre- and post-projection, found on trained networks.

    - `value`: the value of the parameter at the crossing.
    - `run`, `probing`: the run and the problem there.
    - `slope`: the slope of the margin in the parameter.
    - `left`: the size of the margin that is left at the crossing.
    - `crosses`: the margin changes sign between the ends of the bracket.
    """

    value: Float[Array, ""]
    run: Run
    probing: Probing
    slope: Float[Array, ""]
    left: Float[Array, ""]
    crosses: bool


def predict_threshold(problem: Crossing, **changed: Any) -> Float[Array, " 1"]:
    """Threshold of the scenario in closed form; `changed` are the numbers of another problem."""
    given = {"depth": len(problem.sizes) - 1, "downstream": problem.downstream} | changed
    return THRESHOLDS[problem.scenario](problem.strength, problem.noise, problem.target, **given)[
        None
    ]


@eqx.filter_jit
def margin(trajectory: Trajectory, downstream: Downstream, head_depth: int = 1) -> Float[Array, ""]:
    """Log-ratio of the measured indicators of the last layer and the layer below the head."""
    logarithms = jnp.log(measure.sample_complexity(trajectory.final, downstream))
    return logarithms[-1] - logarithms[-1 - head_depth]


def find_crossing(problem: Crossing, start: Callable[[Task], DeepLinear] = Task.start) -> Found:
    """Find the crossing by Brent's method, training a network at every value of the parameter."""
    dtype = problem.strength.dtype

    @functools.cache
    def at(value: float) -> float:
        probing = problem.at(jnp.asarray(value, dtype))
        trajectory = gradient_flow(start(probing.task), probing.task.moments, t1=1e6, save_at=16)
        return float(margin(trajectory, probing.downstream))

    low, high = (float(x) for x in problem.bracket)
    crosses, found = at(low) * at(high) < 0, low
    if crosses:
        rtol = 64 * np.finfo(np.dtype(dtype)).eps
        found = scipy.optimize.root_scalar(at, bracket=(low, high), method="brentq", rtol=rtol).root
    near = [found * factor for factor in (0.999, 1.001)]
    probing = problem.at(jnp.asarray(found, dtype))
    run = flow(start(probing.task), probing.task.moments)
    return Found(
        jnp.asarray(found, dtype),
        run,
        probing,
        jnp.asarray((at(near[1]) - at(near[0])) / (near[1] - near[0]), dtype),
        jnp.abs(margin(run.fine, probing.downstream)),
        crosses,
    )


def judge_threshold(prediction: Float[Array, " 1"], found: Found) -> Verdict:
    """Verdict on the threshold at which trained networks cross, against the closed form.

    The tolerance is the error of both indicators over the slope of the margin.
    """
    probing, run = found.probing, found.run
    budget = judge_logarithms(
        layerwise(probing.task.moments, probing.task.depth, throw=False), run, probing.downstream
    )
    steep = jnp.abs(found.slope)
    errors: dict[str, Any] = {
        name: (part[-1] + part[-2]) / steep for name, part in budget.parts.items()
    }
    errors["integration"] = run.error(lambda t: margin(t, probing.downstream)) / steep
    errors["root-finding"] = found.left / steep + 64 * jnp.finfo(steep.dtype).eps * found.value
    far = jnp.full_like(found.value, np.finfo(steep.dtype).max ** 0.5)
    return compare_values(
        prediction,
        (found.value if found.crosses else far)[None],
        errors,
        labels=("threshold",),
        what="relative discrepancy of the threshold",
        converged=budget.converged,
        finite=budget.finite,
        premises=budget.premises,
    )


def _crossing(key: PRNGKeyArray, scenario: str, sizes: tuple[int, ...], index: int) -> Crossing:
    r"""A feature model with weights around one, and a target whose weight passes them.

    The weight of the target is at most $1 / (2 \sigma) = 2$ where its strength varies, and
    $1 / \phi = 2$, without noise, where its noise varies.
    """
    bracket = {"disrupted": (0.05, 1.0), "weak": (0.03, 0.25), "strong": (0.25, 2.0)}[scenario]
    strength, noise, after, start = _drawn(key, jnp.asarray(index), sizes[0])
    return Crossing(
        strength, noise, after, jnp.asarray(bracket, strength.dtype), start, scenario, 1, sizes
    )


@eqx.filter_jit
def _drawn(key: PRNGKeyArray, index: Array, d: int) -> tuple[Array, Array, Array, PRNGKeyArray]:
    """Strengths, noise, strengths downstream, and a key for the start."""
    k1, k2, k3, k4 = jax.random.split(named(key, "crossing", index), 4)
    fraction = jax.random.uniform(k2, (d,), minval=0.4, maxval=0.9)
    # phi / (phi^2 + sigma^2) is the weight and phi^2 / (phi^2 + sigma^2) the signal fraction.
    strength = fraction / (2.0 ** jax.random.uniform(k1, (d,), minval=-0.7, maxval=0.7))
    noise = strength * jnp.sqrt(1 / fraction - 1)
    varied = jnp.arange(d) == 1
    strength, noise = jnp.where(varied, 0.5, strength), jnp.where(varied, 0.25, noise)
    return strength, noise, jnp.exp(jax.random.normal(k3, (d,)) / 2), k4


CLAIM = Claim(
    name="when-pre-wins",
    statement=(
        "The representation before the head is the better one when the augmentation disrupts "
        "the useful feature, or when that feature is too weak or too strong: beyond thresholds "
        "at which its weight is a power mean of the other features' weights."
    ),
    latex=(
        r"w_j^\star = \left( \frac{\sum_{i \ne j} \phi_i'^2 w_i^2}{\sum_{i \ne j} \phi_i'^2 "
        r"w_i^{2 - 2/L}} \right)^{L/2}, \qquad \sigma_j^\star = \sqrt{\phi_j / w_j^\star - "
        r"\phi_j^2}, \qquad \varphi_j^\star = \frac{1 \pm \sqrt{1 - 4 w_j^{\star 2} "
        r"\sigma_j^2}}{2 w_j^\star}"
    ),
    hypotheses=(
        "linear network",
        "balanced start",
        "gradient flow",
        "width at least the dimension",
        "trained to stationarity",
    ),
    source="paper section 3; the closed form for any number of features is beyond the paper",
    problems=lambda key: (
        _crossing(key, scenario, sizes, index)
        for index, (sizes, scenario) in enumerate(
            itertools.product(((3, 3, 3), (4, 4, 4, 4)), THRESHOLDS)
        )
    ),
    predict=predict_threshold,
    measure=find_crossing,
    compare=judge_threshold,
    sharpness={
        "threshold": (4e-8, 0.005),
    },
    controls=(
        Control(
            "unbalanced-start",
            "starts with the same product, but a larger lowest layer and smaller ones above",
            measure=lambda problem, own: find_crossing(problem, lopsided),
        ),
        Control(
            "one-layer-more",
            "predicts for a network of one layer more",
            predict=lambda problem, own: predict_threshold(problem, depth=len(problem.sizes)),
        ),
        Control(
            "training-strengths",
            "predicts for downstream strengths like those of training",
            predict=lambda problem, own: predict_threshold(problem, downstream=problem.strength),
        ),
    ),
    quick=3,
)
