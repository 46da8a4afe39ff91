"""Gradient flow of many networks, in lanes that do not wait for one another."""

from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._core import checks
from ..losses import AbstractLoss, spectral
from ..networks import AbstractNetwork
from ..problems import Data
from ._flow import (
    FIRST_STEP,
    Numbers,
    Reading,
    Solved,
    at_rest,
    controller,
    field,
    read,
    settings,
    trajectory,
)
from ._lanes import Problems, either, in_lanes, put
from ._objective import Trained
from ._trajectory import Trajectory


def gradient_flows(
    networks: AbstractNetwork,
    data: Data,
    *,
    loss: AbstractLoss = spectral,
    t1: checks.Scalar = 1e8,
    weight_decay: Any = 0.0,
    save_at: int | Any = 64,
    solver: diffrax.AbstractSolver | None = None,
    rtol: checks.Scalar | None = None,
    atol: checks.Scalar | None = None,
    stationarity: checks.Scalar | None = None,
    max_steps: int = 100_000,
    data_axis: int | None = 0,
    lanes: int = 32,
) -> Trajectory:
    r"""Train many networks by gradient flow, each with its own steps.

    Under `jax.vmap` of `gradient_flow` every run waits for the slowest. Here a fixed number of
    lanes run side by side, and a lane whose run has ended takes up the next problem. Every run
    takes the steps that it would take alone: results depend neither on the number of lanes nor on
    the order of the problems, but for rounding. On a CPU, pieces of the problems run on all cores.

    **Arguments:**

    - `networks`: the starts, as one network whose arrays have a leading axis $N$, as from
      `jax.vmap(lambda key: pt.DeepLinear.init(key, sizes))(keys)`.
    - `data`: as in `gradient_flow`, with a leading axis $N$ in every array; with `data_axis=None`
      the same for all.
    - `weight_decay`: one number, or `(N,)`.
    - `lanes`: the number of runs side by side, on each core. Larger is better on an accelerator.
    - the others: as in `gradient_flow`, the same for all runs.

    **Returns:** a `Trajectory` with a leading batch axis, as from `jax.vmap` of `gradient_flow`.

    **Raises:** `ValueError` for arguments out of range, or leading axes of different lengths.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> keys = jax.random.split(jax.random.key(0), 100)
        >>> starts = jax.vmap(lambda key: pt.DeepLinear.init(key, (2, 2, 2), scale=0.5))(keys)
        >>> runs = pt.simulation.gradient_flows(starts, problem.moments(), data_axis=None)
        >>> runs.loss.shape
        (100, 65)

        ```
    """
    problems = Problems.of(networks, data, data_axis, loss, weight_decay)
    setting = settings(
        networks.dtype,
        t1=t1,
        save_at=save_at,
        solver=solver,
        rtol=rtol,
        atol=atol,
        stationarity=stationarity,
        max_steps=max_steps,
    )
    return problems.solve(lambda piece, lanes: _flows(piece, *setting, lanes), lanes)


class _Lane(NamedTuple):
    """A run at work, and the next step that it will try.

    - `problem`: its number; the number of problems, or more, if the lane is idle.
    - `y`, `t`, `following`: the state, its time, and the time at the end of the next step.
    - `solver`, `controller`, `jumped`: what Diffrax carries from step to step.
    - `record`: the number of the next save time.
    - `ended`: the run is at its end.
    - `worked`: the solver met its tolerance up to there.
    """

    problem: Array
    first: Reading
    y: Trained
    t: Array
    following: Array
    solver: Any
    controller: Any
    jumped: Array
    record: Array
    steps: Array
    accepted: Array
    ended: Array
    worked: Array


@eqx.filter_jit
def _flows(
    problems: Problems,
    numbers: Numbers,
    times: Array,
    solver: diffrax.AbstractSolver,
    max_steps: int,
    lanes: int,
) -> Trajectory:
    count, term, sizes = problems.count, diffrax.ODETerm(field), controller(numbers, times)
    order: Any = solver.error_order(term)

    def begin(problem: Array) -> _Lane:
        y, objective = problems[problem]
        first, zero = read(objective, y), jnp.zeros_like(numbers.t1)
        following, state = sizes.init(
            term, zero, numbers.t1, y, zero + FIRST_STEP, objective, solver.func, order
        )
        following, none = jnp.minimum(following, numbers.t1), jnp.zeros((), int)
        return _Lane(
            problem=problem,
            first=first,
            y=y,
            t=zero,
            following=following,
            solver=solver.init(term, zero, following, y, objective),
            controller=state,
            jumped=jnp.zeros((), bool),
            record=jnp.sum(times <= 0),
            steps=none,
            accepted=none,
            ended=at_rest(first, y, objective, first, numbers.stationarity),
            worked=jnp.ones((), bool),
        )

    def due(lane: _Lane) -> Array:
        """True at a save time: steps end there, so at most one is in a step."""
        at = times[jnp.minimum(lane.record, times.size - 1)]
        return (lane.record < times.size) & (lane.t >= at)

    def advance(lane: _Lane) -> _Lane:
        """Try one step, unless the run is at its end."""
        _, objective = problems[lane.problem]
        y, error, _, state, _ = solver.step(
            term, lane.t, lane.following, lane.y, objective, lane.solver, lane.jumped
        )
        error = jax.tree.map(lambda x: jnp.where(jnp.isnan(x), jnp.inf, x), error)
        keep, t, following, jumped, sized, _ = sizes.adapt_step_size(
            lane.t,
            lane.following,
            lane.y,
            y,
            objective,
            error,
            order,
            lane.controller,
        )
        t, steps = jnp.minimum(t, numbers.t1), lane.steps + 1
        y, state, jumped = either(
            keep, (y, state, jnp.asarray(jumped)), (lane.y, lane.solver, lane.jumped)
        )
        rests = at_rest(read(objective, y), y, objective, lane.first, numbers.stationarity)
        worked = rests | (t >= numbers.t1)
        tried = lane._replace(
            y=y,
            t=t,
            following=jnp.minimum(following, numbers.t1),
            solver=state,
            controller=sized,
            jumped=jumped,
            record=lane.record + jnp.where(due(lane), 1, 0),
            steps=steps,
            accepted=lane.accepted + jnp.where(keep, 1, 0),
            ended=worked | (steps >= max_steps),
            worked=worked,
        )
        return either(lane.ended, lane, tried)

    def keep(solved: Solved, running: _Lane) -> Solved:
        record = put(due(running), running.problem, count)
        end = put(running.ended, running.problem, count)
        recorded = lambda old, new: record(old, new, running.record)
        return Solved(
            first=jax.tree.map(end, solved.first, running.first),
            times=recorded(solved.times, running.t),
            states=jax.tree.map(recorded, solved.states, running.y),
            last_time=end(solved.last_time, running.t),
            last=jax.tree.map(end, solved.last, running.y),
            worked=end(solved.worked, running.worked),
            steps=end(solved.steps, running.steps),
            accepted=end(solved.accepted, running.accepted),
        )

    blank = lambda x, *shape: jnp.full((count, *shape, *x.shape[1:]), jnp.inf, x.dtype)
    zeros = jnp.zeros(count, times.dtype)
    solved = Solved(
        first=Reading(zeros, zeros),
        times=jnp.full((count, times.size), jnp.inf, times.dtype),
        states=jax.tree.map(lambda x: blank(x, times.size), problems.trained),
        last_time=zeros,
        last=jax.tree.map(blank, problems.trained),
        worked=jnp.zeros(count, bool),
        steps=jnp.zeros(count, int),
        accepted=jnp.zeros(count, int),
    )
    solved = in_lanes(count, lanes, begin, advance, keep, solved)

    def record(item: tuple[Array, Solved]) -> Trajectory:
        y, objective = problems[item[0]]
        return trajectory(item[1], y, objective, numbers, times)

    return jax.lax.map(record, (jnp.arange(count), solved))
