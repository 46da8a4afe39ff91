"""Full-batch gradient descent with any Optax optimiser."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from .._core import checks
from ..losses import AbstractLoss, spectral
from ..networks import AbstractNetwork
from ..problems import Data
from ._driver import StepFunction, drive, marks
from ._objective import Objective, Trained, norm
from ._trajectory import Ended, Trajectory, standing

# `optax.sgd`, `optax.adam`, ...: learning rate -> transformation. A function keeps its identity, so
# nothing recompiles when the rate changes.
Optimiser = Callable[[Any], optax.GradientTransformation]


def annealed(steps: int, optimiser: Optimiser = optax.adam) -> Optimiser:
    r"""An optimiser whose learning rate falls to zero over a run, against the noise of minibatches.

    At step $i$ of $n$ the rate is $\frac12 (1 + \cos \frac{\pi i}{n})$ of the first one (Loshchilov
    and Hutter 2017). Make the optimiser once, outside loops: every new one compiles anew.

    **Arguments:**

    - `steps`: $n$, the number of steps of the run.
    - `optimiser`: `optax.sgd`, `optax.adam`, ...

    **Raises:** `ValueError` for a number of steps below 1.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> import optax
        >>> run = pt.simulation.stochastic(
        ...     pt.DeepLinear([jnp.eye(2)]), problem, key=jax.random.key(0), steps=500, save_at=2,
        ...     learning_rate=0.02, optimiser=pt.simulation.annealed(500, optax.sgd),
        ... )
        >>> np.round(run.weights()[-1, -1], 2)
        Array([0.4 , 0.96], dtype=float64)

        ```
    """
    count = checks.count("steps", steps)
    return lambda rate: optimiser(optax.cosine_decay_schedule(rate, count))


def gradient_descent(
    network: AbstractNetwork,
    data: Data,
    *,
    loss: AbstractLoss = spectral,
    learning_rate: checks.Scalar = 1e-2,
    steps: int = 10_000,
    optimiser: Optimiser = optax.sgd,
    weight_decay: checks.Scalar = 0.0,
    save_at: int | Any = 64,
    stationarity: checks.Scalar | None = None,
) -> Trajectory:
    r"""Train by full-batch gradient descent.

    **Arguments:**

    - `network`: the start, perhaps under a fixed head.
    - `data`: `Moments`, `TargetMoments` or a problem with a closed form (population loss), or
      `Views` or `Labelled` (loss of these rows).
    - `loss`: the loss to descend.
    - `learning_rate`: $\eta$.
    - `steps`: the number of steps.
    - `optimiser`: a function from the learning rate to an Optax transformation, such as
      `optax.sgd`, `optax.adam`, or `jax.tree_util.Partial(optax.sgd, momentum=0.9)`.
    - `weight_decay`: $\gamma$ of the penalty $\frac\gamma2 \sum \|W\|_F^2$.
    - `save_at`: the number of steps to record, or increasing step numbers.
    - `stationarity`: relative gradient at which the run counts as converged (default
      $10\,\epsilon^{2/3}$).

    **Returns:** a `Trajectory` whose times are step numbers. Its `drift` is
    $\sum_t \|\Delta W_{l+1}\|_F^2 + \|\Delta W_l\|_F^2$, the most by which the discrete law lets
    plain gradient descent change $D_l$. A run whose state stops being finite ends as `diverged`,
    with `ended_at` the last finite step.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> start = pt.DeepLinear([jnp.eye(2), jnp.eye(2)])
        >>> run = pt.gradient_descent(start, problem.moments(), learning_rate=0.005, steps=2_000)
        >>> np.round(run.weights()[-1], 3)
        Array([[0.632, 0.981],
               [0.4  , 0.962]], dtype=float64)

        ```
    """
    dtype = network.dtype
    steps = checks.count("steps", steps, 0)
    rate, penalty = (
        checks.positive("learning_rate", learning_rate).astype(dtype),
        checks.nonnegative("weight_decay", weight_decay).astype(dtype),
    )
    trained, frozen = eqx.partition(network, network.trainable)
    objective = Objective(frozen, loss, data, penalty)
    tolerance = rounding_level(stationarity, dtype)
    return _descent(trained, objective, rate, tolerance, optimiser, marks(save_at, steps))


def rounding_level(stationarity: Any, dtype: Any) -> Array:
    """Relative gradient at which a run counts as converged."""
    if stationarity is None:
        return jnp.asarray(10 * jnp.finfo(dtype).eps ** (2 / 3), dtype)
    return checks.nonnegative("stationarity", stationarity).astype(dtype)


@eqx.filter_jit
def _descent(
    trained: Trained,
    objective: Objective,
    learning_rate: Array,
    tolerance: Array,
    optimiser: Optimiser,
    at: Array,
) -> Trajectory:
    transformation = optimiser(learning_rate)

    def take(trained, state, i):
        return transformation.update(objective.gradient(trained), state, trained)

    return run(take, objective, trained, transformation.init(trained), at, tolerance)


def run(
    step: StepFunction,
    objective: Objective,
    trained: Trained,
    state: Any,
    at: Array,
    tolerance: Array,
) -> Trajectory:
    """Discrete-time run by `step`, with the objective evaluated at the steps `at`."""
    records, energy, alive, last = drive(step, objective.layer_changes, trained, state, at)
    values, gradients = jax.lax.map(objective.value_and_gradient, records)
    norms = jax.vmap(norm)(gradients)
    return finish(objective, at, records, values, norms, energy, alive, last, tolerance)


def finish(
    objective: Objective,
    at: Array,
    records: Trained,
    values: Array,
    norms: Array,
    energy: Array,
    alive: Array,
    last: Array,
    tolerance: Array,
) -> Trajectory:
    """Trajectory of a discrete-time run, from the driver's output and the recorded losses."""
    end = jax.tree.map(lambda w: w[-1], records)
    ended = standing(norms[-1], objective.size(end), values[-1], norms[0], values[0], tolerance)
    # The last finite parameters may already have a loss beyond the largest number.
    finite = jnp.isfinite(values) & jnp.isfinite(norms)
    ended = Ended.where(alive & finite[-1], ended, Ended.diverged)
    index = jnp.maximum(jnp.sum(jnp.cumprod(finite)) - 1, 0)
    use = jnp.minimum(jnp.arange(at.size), index)
    return Trajectory(
        times=jnp.minimum(at, last)[use].astype(values.dtype),
        networks=objective.recorded(jax.tree.map(lambda w: w[use], records)),
        loss=values[use],
        gradient_norm=norms[use],
        ended=ended,
        ended_at=last,
        steps=last,
        drift=energy[1:] + energy[:-1],
        noise=jnp.zeros((), values.dtype),
    )
