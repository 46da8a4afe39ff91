"""Gradient descent of many networks to their ends, in lanes that do not wait for one another."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from .._core import checks
from ..losses import AbstractLoss, spectral
from ..networks import AbstractNetwork
from ..problems import Data
from ._descent import Optimiser, finish, rounding_level
from ._driver import Moving, beginning, stepper
from ._flow import Reading, at_rest, read
from ._lanes import Problems, either, in_lanes, put
from ._objective import Objective, norm
from ._trajectory import Trajectory

BLOCK = 64
"""Number of steps between two looks at the gradient: few cost time, many add steps at the end."""


def gradient_descents(
    networks: AbstractNetwork,
    data: Data,
    *,
    loss: AbstractLoss = spectral,
    learning_rate: Any = 1e-2,
    steps: int = 10_000,
    optimiser: Optimiser = optax.sgd,
    weight_decay: Any = 0.0,
    stationarity: checks.Scalar | None = None,
    data_axis: int | None = 0,
    lanes: int = 128,
) -> Trajectory:
    r"""Train many networks by full-batch gradient descent, each until its gradient vanishes.

    A fixed number of lanes run side by side, and a lane whose run has ended takes up the next
    problem. On a CPU, pieces of the problems run on all cores. Every run takes the steps of
    `gradient_descent`, and ends at the first multiple of 64 steps at which its gradient has
    vanished, or at the last step.

    **Arguments:**

    - `networks`: the starts, as one network whose arrays have a leading axis $N$, as from
      `jax.vmap(lambda key: pt.DeepLinear.init(key, sizes))(keys)`.
    - `data`: as in `gradient_descent`, with a leading axis $N$ in every array; with
      `data_axis=None` the same for all.
    - `learning_rate`, `weight_decay`: one number, or `(N,)`.
    - `steps`: the most steps of a run.
    - `stationarity`: relative gradient at which a run ends (default $10\,\epsilon^{2/3}$).
    - `lanes`: the number of runs side by side, on each core. Larger is better on an accelerator.
    - the others: as in `gradient_descent`, the same for all runs.

    **Returns:** a `Trajectory` with a leading batch axis and two records, the start and the end.

    **Raises:** `ValueError` for arguments out of range, or leading axes of different lengths.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> keys = jax.random.split(jax.random.key(0), 100)
        >>> starts = jax.vmap(lambda key: pt.DeepLinear.init(key, (2, 2, 2), scale=0.5))(keys)
        >>> runs = pt.simulation.gradient_descents(starts, problem.moments(), data_axis=None)
        >>> runs.loss.shape
        (100, 2)

        ```
    """
    problems = Problems.of(networks, data, data_axis, loss, weight_decay, learning_rate)
    last = jnp.asarray(checks.count("steps", steps, 0))
    tolerance = rounding_level(stationarity, networks.dtype)
    return problems.solve(
        lambda piece, lanes: _descents(piece, tolerance, last, optimiser, lanes), lanes
    )


class _Lane(NamedTuple):
    """A run at work; `first` is its loss and gradient at the start."""

    problem: Array
    first: Reading
    now: Moving
    ended: Array


@eqx.filter_jit
def _descents(
    problems: Problems, tolerance: Array, last: Array, optimiser: Optimiser, lanes: int
) -> Trajectory:
    count = problems.count

    def transformation(problem: Array) -> optax.GradientTransformation:
        return optimiser(problems.at(problem, problems.learning_rate))

    def ended(now: Moving, objective: Objective, first: Reading) -> Array:
        rests = at_rest(read(objective, now.trained), now.trained, objective, first, tolerance)
        return rests | ~now.alive | (now.last >= last)

    def begin(problem: Array) -> _Lane:
        trained, objective = problems[problem]
        state = transformation(problem).init(trained)
        now = beginning(objective.layer_changes, trained, state, last.dtype)
        first = read(objective, trained)
        return _Lane(problem, first, now, ended(now, objective, first))

    def advance(lane: _Lane) -> _Lane:
        """Take a block of steps, unless the run is at its end."""
        _, objective = problems[lane.problem]
        rule = transformation(lane.problem)
        step = stepper(
            lambda trained, state, i: rule.update(objective.gradient(trained), state, trained),
            objective.layer_changes,
        )
        begins = lane.now.last

        def one(i: Array, now: Moving) -> Moving:
            return either(begins + i < last, step(begins + i, now), now)

        now = jax.lax.fori_loop(0, BLOCK, one, lane.now)
        moved = lane._replace(now=now, ended=ended(now, objective, lane.first))
        return either(lane.ended, lane, moved)

    def keep(ends: Moving, running: _Lane) -> Moving:
        end = put(running.ended, running.problem, count)
        return jax.tree.map(end, ends, running.now)

    states = jax.eval_shape(jax.vmap(lambda i: begin(i).now), jnp.arange(count))
    blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), states)
    ends = in_lanes(count, lanes, begin, advance, keep, blank)

    def record(item: tuple[Array, Moving]) -> Trajectory:
        problem, end = item
        start, objective = problems[problem]
        records = jax.tree.map(lambda *x: jnp.stack(x), start, end.trained)
        values, gradients = jax.lax.map(objective.value_and_gradient, records)
        return finish(
            objective,
            jnp.stack([jnp.zeros_like(end.last), end.last]),
            records,
            values,
            jax.vmap(norm)(gradients),
            end.energy,
            end.alive,
            end.last,
            tolerance,
        )

    return jax.lax.map(record, (jnp.arange(count), ends))
