"""Gradient flow, as an ordinary differential equation solved by Diffrax."""

import functools
import warnings
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix
from jaxtyping import Array, Bool

from .._core import checks
from .._core.linalg import frobenius
from ..losses import AbstractLoss, spectral
from ..networks import AbstractNetwork
from ..problems import Data
from ._chebyshev import Chebyshev
from ._objective import Objective, Trained, norm
from ._trajectory import Ended, Trajectory, standing


def explicit() -> diffrax.AbstractSolver:
    """Dormand-Prince 8(7): the default, cheapest where all modes have a similar time scale."""
    return diffrax.Dopri8()


def implicit() -> diffrax.AbstractSolver:
    """Kvaerno 5(4), L-stable: for deep networks from tiny starts.

    Such networks wait at saddles while the learned modes are stiff. The wait takes steps that are
    long beside the time scale of the learned modes, and Diffrax's default root finder gives up on
    them. A chord iteration run to the controller's tolerance needs several times fewer steps.
    """
    return diffrax.Kvaerno5(root_finder=diffrax.with_stepsize_controller_tols(optimistix.Chord)())


def stabilised(stages: int = 64) -> diffrax.AbstractSolver:
    r"""Runge-Kutta-Chebyshev 2 with up to `stages` stages: cheapest from the start to the end.

    Explicit steps whose length grows with the square of the number of stages, as long as their
    error allows it. Saddles, and the last approach of weak features, take few of them. For accurate
    trajectories and conserved quantities `explicit()` is cheaper. There is no reverse-mode
    derivative.

    **Arguments:**

    - `stages`: the most gradients that one step may take.
    """
    return Chebyshev(checks.count("stages", stages, 2))


def gradient_flow(
    network: AbstractNetwork,
    data: Data,
    *,
    loss: AbstractLoss = spectral,
    t1: checks.Scalar = 1e8,
    weight_decay: checks.Scalar = 0.0,
    save_at: int | Any = 64,
    solver: diffrax.AbstractSolver | None = None,
    rtol: checks.Scalar | None = None,
    atol: checks.Scalar | None = None,
    stationarity: checks.Scalar | None = None,
    max_steps: int = 100_000,
) -> Trajectory:
    r"""Train by gradient flow until the gradient vanishes or the time `t1` is reached.

    $$\dot W_l = -\nabla_{W_l} (\mathcal L + \frac\gamma2 \sum \|W\|_F^2)$$

    **Arguments:**

    - `network`: the start, perhaps under a fixed head.
    - `data`: `Moments`, `TargetMoments` or a problem with a closed form (population loss), or
      `Views` or `Labelled` (loss of all these rows, which stay fixed).
    - `loss`: the loss to descend.
    - `t1`: the latest time.
    - `weight_decay`: $\gamma \ge 0$.
    - `save_at`: the number of save times besides the end, spaced geometrically, or an increasing
      array of times.
    - `solver`: a Diffrax solver: `explicit()` by default, `stabilised()` where the end is wanted,
      `implicit()` for stiff runs whose course is wanted.
    - `rtol`: relative local error per step; by default, with the dtype's $\epsilon$,
      $\epsilon^{3/4}$, or $\epsilon^{1/2}$ for implicit solvers, or $\epsilon^{1/3}$ for
      `stabilised()`.
    - `atol`: absolute local error per step; by default a hundredth of `rtol`.
    - `stationarity`: relative gradient at which the run has converged, or 0 to continue to `t1` for
      any gradient. The default is `10 * rtol`, or $\epsilon^{1/2}$ for `stabilised()`. Below `rtol`
      an explicit solver may never reach it, and a warning says so.
    - `max_steps`: the most steps the solver may take.

    **Returns:** a `Trajectory`. Its first record is the start, unless the times given in `save_at`
    begin later, and its last is the end. `drift` is the accumulated local error times $2\|W\|$.

    **Raises:** `ValueError` for arguments out of range. Divergence and failure of the solver are
    result codes.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> run = pt.gradient_flow(pt.DeepLinear([jnp.eye(2)]), problem.moments())
        >>> np.round(run.weights()[-1, -1], 3)
        Array([0.4  , 0.962], dtype=float64)

        ```
    """
    setting = settings(
        network.dtype,
        t1=t1,
        save_at=save_at,
        solver=solver,
        rtol=rtol,
        atol=atol,
        stationarity=stationarity,
        max_steps=max_steps,
    )
    penalty = checks.nonnegative("weight_decay", weight_decay).astype(network.dtype)
    trained, frozen = eqx.partition(network, network.trainable)
    return _flow(trained, Objective(frozen, loss, data, penalty), *setting)


class Numbers(NamedTuple):
    """Numbers that may change without recompiling."""

    t1: Array
    rtol: Array
    atol: Array
    stationarity: Array


class Settings(NamedTuple):
    """Settings of a run, checked, and with defaults for what is not given."""

    numbers: Numbers
    times: Array
    solver: diffrax.AbstractSolver
    max_steps: int


def settings(
    dtype: Any,
    *,
    t1: Any,
    save_at: Any,
    solver: diffrax.AbstractSolver | None,
    rtol: Any,
    atol: Any,
    stationarity: Any,
    max_steps: Any,
) -> Settings:
    """Settings from the arguments of `gradient_flow`."""
    solver = explicit() if solver is None else solver
    epsilon = float(jnp.finfo(dtype).eps)
    # Newton's iteration inside an implicit step cannot resolve much below the root of epsilon times
    # a long step. Steps of the second order are for the end of a run, which damps their errors.
    implicit_steps = isinstance(solver, diffrax.AbstractImplicitSolver)
    damped = isinstance(solver, Chebyshev)
    default = epsilon ** (1 / 2 if implicit_steps else 1 / 3 if damped else 3 / 4)
    relative = checks.positive("rtol", default if rtol is None else rtol)
    absolute = relative * 1e-2 if atol is None else checks.nonnegative("atol", atol)
    if stationarity is not None:
        vanished = checks.nonnegative("stationarity", stationarity)
    else:
        vanished = jnp.asarray(epsilon**0.5) if damped else 10 * relative
    wanted, local = checks.concrete(vanished), checks.concrete(relative)
    undamped = not implicit_steps and not damped
    if wanted is not None and local is not None and undamped and 0 < wanted < local:
        warnings.warn(
            f"stationarity: got {wanted:.1e}, below rtol = {local:.1e}; the errors of explicit "
            "steps may keep the gradient above it: want 10 * rtol, or solver=stabilised()",
            stacklevel=3,
        )
    end = checks.positive("t1", t1)
    numbers = Numbers(*(x.astype(dtype) for x in (end, relative, absolute, vanished)))
    times = save_times(save_at, end, dtype)
    return Settings(numbers, times, solver, checks.count("max_steps", max_steps))


def save_times(save_at: Any, t1: Array, dtype: Any) -> Array:
    """Save times: the start and geometric times up to `t1`, or the user's times."""
    if isinstance(save_at, (int, np.integer)):
        n = checks.count("save_at", save_at, 2)
        return _geometric(t1.astype(dtype), n)
    times = checks.nonnegative("save_at", save_at).astype(dtype)
    value, end = checks.concrete(times), checks.concrete(t1)
    if times.ndim != 1 or times.size == 0 or (value is not None and (np.diff(value) <= 0).any()):
        raise checks.bad(
            "save_at",
            f"shape {times.shape}" if times.ndim != 1 else "times out of order",
            "increasing times",
        )
    if value is not None and end is not None and value[-1] > end:
        raise checks.bad("save_at", f"a time {value[-1]} beyond the end", f"times up to t1 = {end}")
    return times


@functools.partial(jax.jit, static_argnums=1)
def _geometric(t1: Array, n: int) -> Array:
    times = jnp.geomspace(jnp.minimum(1e-3, t1 / 2), t1, n - 1)
    # Rounding must not carry the last time beyond the end.
    return jnp.concatenate([jnp.zeros(1, t1.dtype), jnp.minimum(times, t1)])


class Reading(NamedTuple):
    """Loss and norm of the gradient at one state."""

    loss: Array
    gradient: Array


def read(objective: Objective, trained: Trained) -> Reading:
    loss, gradient = objective.value_and_gradient(trained)
    return Reading(loss, norm(gradient))


class Solved(NamedTuple):
    """Records and end of one run, from the solver.

    - `first`: loss and gradient at the start.
    - `times`, `states`: the records; times that were not reached are infinite.
    - `last_time`, `last`: the end.
    - `worked`: the solver met its tolerance.
    - `steps`, `accepted`: the number of steps tried, and of steps kept.
    """

    first: Reading
    times: Array
    states: Trained
    last_time: Array
    last: Trained
    worked: Array
    steps: Array
    accepted: Array


def field(t: Any, y: Trained, objective: Any, /) -> Trained:
    """Velocity of the trained part."""
    return jax.tree.map(jnp.negative, objective.gradient(y))


def at_rest(
    now: Reading, y: Trained, objective: Objective, first: Reading, stationarity: Array
) -> Bool[Array, ""]:
    """True if a run need not go on from this state."""
    size = objective.size(y)
    code = standing(now.gradient, size, now.loss, first.gradient, first.loss, stationarity)
    return ~(code == Ended.limit)


FIRST_STEP = 0.01
"""Length of the first step that is tried."""


def controller(numbers: Numbers, times: Array) -> diffrax.AbstractStepSizeController:
    """Step sizes by the local error, with a step that ends at every save time."""
    by_error = diffrax.PIDController(rtol=numbers.rtol, atol=numbers.atol)
    return diffrax.ClipStepSizeController(by_error, step_ts=times)


@eqx.filter_jit
def _flow(
    trained: Trained,
    objective: Objective,
    numbers: Numbers,
    times: Array,
    solver: diffrax.AbstractSolver,
    max_steps: int,
) -> Trajectory:
    first = read(objective, trained)
    # A run may end before its last save time: the final state is saved apart and fills the records
    # that follow.
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        solver,
        t0=jnp.zeros_like(numbers.t1),
        t1=numbers.t1,
        dt0=jnp.asarray(FIRST_STEP, times.dtype),
        y0=trained,
        args=objective,
        saveat=diffrax.SaveAt(subs=[diffrax.SubSaveAt(ts=times), diffrax.SubSaveAt(t1=True)]),
        stepsize_controller=controller(numbers, times),
        event=diffrax.Event(
            lambda t, y, args, **kwargs: at_rest(
                read(args, y), y, args, first, numbers.stationarity
            )
        ),
        max_steps=max_steps,
        throw=False,
    )
    # Pairs, one item for each of `subs`, which their types do not say.
    times_saved: Any = solution.ts
    states_saved: Any = solution.ys
    (recorded_times, last_time), (recorded, last) = times_saved, states_saved
    worked = (solution.result == diffrax.RESULTS.successful) | (
        solution.result == diffrax.RESULTS.event_occurred
    )
    solved = Solved(
        first,
        recorded_times,
        recorded,
        last_time[-1],
        jax.tree.map(lambda x: x[-1], last),
        worked,
        solution.stats["num_steps"],
        solution.stats["num_accepted_steps"],
    )
    return trajectory(solved, trained, objective, numbers, times)


def trajectory(
    solved: Solved, start: Trained, objective: Objective, numbers: Numbers, times: Array
) -> Trajectory:
    """Record of a run, with its start at time zero and its end after its last save time."""
    # Without a single step that is accepted the solver records nothing.
    begins = times <= 0
    recorded_at = jnp.where(begins, times, solved.times)
    states = jax.tree.map(
        lambda x, old, new: jnp.concatenate(
            [jnp.where(begins.reshape(-1, *[1] * x.ndim), x, old), new[None]]
        ),
        start,
        solved.states,
        solved.last,
    )
    values, gradients = jax.lax.map(objective.value_and_gradient, states)
    norms = jax.vmap(norm)(gradients)
    finite = jnp.isfinite(jax.vmap(norm)(states))
    # Records that the solver did not reach are infinite.
    reached = (recorded_at <= solved.last_time) & finite[:-1]
    # If the end itself is not finite, fall back on the last recorded state that is.
    finite_end = jnp.isfinite(values[-1]) & finite[-1]
    index = jnp.maximum(jnp.sum(reached) - 1, 0)
    end, end_time = (
        jnp.where(finite_end, times.size, index),
        jnp.where(finite_end, solved.last_time, recorded_at[index]),
    )
    reached = reached & (recorded_at <= end_time)
    order = jnp.append(jnp.where(reached, jnp.arange(times.size), end), end)
    records, values, norms = jax.tree.map(lambda x: x[order], (states, values, norms))
    networks = objective.recorded(records)

    first, size = solved.first, objective.size(jax.tree.map(lambda w: w[-1], records))
    ended = standing(norms[-1], size, values[-1], first.gradient, first.loss, numbers.stationarity)
    ended = Ended.where(solved.worked | ~(ended == Ended.limit), ended, Ended.solver_failed)
    ended = Ended.where(finite_end, ended, Ended.diverged)

    count = sum(w.size for w in jax.tree.leaves(solved.last))
    layer_size = jnp.max(jnp.stack([frobenius(w) for w in networks.layers]))
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(w)) for w in networks.layers]))
    # The controller holds the root mean square of error / (atol + rtol |w|) below one at each
    # accepted step, so the parameters err by at most `local` in norm, and the imbalance by twice
    # the layer norms times `local`.
    local = count**0.5 * (numbers.atol + numbers.rtol * largest)
    drift = 2 * 2**0.5 * solved.accepted.astype(local.dtype) * layer_size * local
    return Trajectory(
        times=jnp.append(jnp.where(reached, recorded_at, end_time), end_time),
        networks=networks,
        loss=values,
        gradient_norm=norms,
        ended=ended,
        ended_at=end_time,
        steps=solved.steps,
        drift=jnp.full(networks.depth - 1, drift, local.dtype),
        noise=jnp.zeros_like(end_time),
    )
