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
from ._objective import Objective, Trained
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
    the order of the problems, but for rounding.

    **Arguments:**

    - `networks`: the starts, as one network whose arrays have a leading axis $N$, as from
      `jax.vmap(lambda key: pt.DeepLinear.init(key, sizes))(keys)`.
    - `data`: as in `gradient_flow`, with a leading axis $N$ in every array; with `data_axis=None`
      the same for all.
    - `weight_decay`: one number, or `(N,)`.
    - `lanes`: the number of runs side by side. Larger is better on an accelerator.
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
    trained, frozen = eqx.partition(networks, networks.trainable)
    count = _length("networks", trained)
    if data_axis is not None and _length("data", data) != count:
        raise checks.bad(
            "data", f"a leading axis of {_length('data', data)}", f"{count}, as in `networks`"
        )
    penalty = checks.nonnegative("weight_decay", weight_decay).astype(networks.dtype)
    if penalty.shape not in ((), (count,)):
        raise checks.bad("weight_decay", f"shape {penalty.shape}", f"one number, or ({count},)")
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
    problems = _Problems(
        trained, frozen, data, jnp.broadcast_to(penalty, (count,)), loss, data_axis
    )
    return _flows(problems, *setting, min(checks.count("lanes", lanes), count))


def _length(name: str, tree: Any) -> int:
    """Length of the leading axis of all arrays."""
    lengths = {x.shape[0] if x.ndim else 0 for x in jax.tree.leaves(tree) if eqx.is_array(x)}
    if len(lengths) != 1 or 0 in lengths:
        raise checks.bad(name, f"leading axes of {sorted(lengths)}", "one length, of at least 1")
    return lengths.pop()


FEWER = 4
"""Factor by which the number of lanes falls when there are no more problems for all of them."""


class _Problems(eqx.Module):
    """All problems, with a leading axis in the starts and, unless they share them, in the data."""

    trained: Trained
    frozen: Any
    data: Data
    weight_decay: Array
    loss: AbstractLoss
    data_axis: int | None = eqx.field(static=True)

    @property
    def count(self) -> int:
        return self.weight_decay.shape[0]

    def __getitem__(self, i: Array) -> tuple[Trained, Objective]:
        """Start and objective of one problem; of the last one for a number beyond."""
        i = jnp.minimum(i, self.count - 1)
        own = lambda tree: jax.tree.map(lambda x: x[i], tree)
        data = self.data if self.data_axis is None else own(self.data)
        return own(self.trained), Objective(own(self.frozen), self.loss, data, self.weight_decay[i])


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
    problems: _Problems,
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
        y, state, jumped = _either(
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
            steps=steps,
            accepted=lane.accepted + jnp.where(keep, 1, 0),
            ended=worked | (steps >= max_steps),
            worked=worked,
        )
        return _either(lane.ended, lane, tried)

    def body(state: tuple[_Lane, Array, Solved]) -> tuple[_Lane, Array, Solved]:
        running, upcoming, solved = state
        # Steps end at save times: at most one is reached in a step.
        due = times[jnp.minimum(running.record, times.size - 1)]
        hit = (running.record < times.size) & (running.t >= due) & (running.problem < count)
        row = jnp.where(hit, running.problem, count)
        put = lambda old, new: old.at[row, running.record].set(new, mode="drop")
        solved = solved._replace(
            times=put(solved.times, running.t),
            states=jax.tree.map(put, solved.states, running.y),
        )
        running = running._replace(record=running.record + jnp.where(hit, 1, 0))
        over = running.ended & (running.problem < count)
        row = jnp.where(over, running.problem, count)
        put = lambda old, new: old.at[row].set(new, mode="drop")
        solved = solved._replace(
            first=jax.tree.map(put, solved.first, running.first),
            last_time=put(solved.last_time, running.t),
            last=jax.tree.map(put, solved.last, running.y),
            worked=put(solved.worked, running.worked),
            steps=put(solved.steps, running.steps),
            accepted=put(solved.accepted, running.accepted),
        )
        following = upcoming + jnp.cumsum(over) - 1
        running = jax.lax.cond(
            jnp.any(over),
            lambda: jax.vmap(_either)(over, jax.vmap(begin)(following), running),
            lambda: running,
        )
        return jax.vmap(advance)(running), upcoming + jnp.sum(over), solved

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
    state = jax.vmap(begin)(jnp.arange(lanes)), jnp.asarray(lanes), solved
    while lanes:
        # Idle lanes cost as much as others. Once few are at work, go on with a quarter of them.
        fewer = lanes // FEWER
        state = jax.lax.while_loop(
            lambda s, least=fewer: _at_work(s[0], count) > least, body, state
        )
        running, upcoming, solved = state
        first = jnp.argsort(running.problem)[:fewer]
        state = jax.tree.map(lambda x, first=first: x[first], running), upcoming, solved
        lanes = fewer

    def record(item: tuple[Array, Solved]) -> Trajectory:
        y, objective = problems[item[0]]
        return trajectory(item[1], y, objective, numbers, times)

    return jax.lax.map(record, (jnp.arange(count), solved))


def _at_work(lanes: _Lane, count: int) -> Array:
    """Number of lanes that are not idle."""
    return jnp.sum(lanes.problem < count)


def _either(choice: Any, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(choice, a, b), yes, no)
