"""Loop of all discrete-time simulators: step, stop at the last finite state, record."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from .._core import checks
from ._objective import Trained

# (trained part, optimiser state, step number) -> (update of the trained part, new optimiser state)
StepFunction = Callable[[Trained, PyTree, Array], tuple[Trained, PyTree]]


def marks(save_at: Any, steps: int) -> Int[Array, " T"]:
    """Steps to record: a number of them spread evenly, or the user's own.

    The last step is always among them.
    """
    if isinstance(save_at, (int, np.integer)):
        n = checks.count("save_at", save_at, 2)
        chosen = (
            np.unique(np.round(np.linspace(0, steps, n)).astype(np.int64))
            if steps
            else np.zeros(1, np.int64)
        )
        if len(chosen) < n:
            raise checks.bad("save_at", n, f"at most {steps + 1} save times in {steps} steps")
        return checks.array(chosen)
    value = np.asarray(save_at)
    if value.ndim != 1 or value.size == 0 or not np.issubdtype(value.dtype, np.integer):
        raise checks.bad(
            "save_at",
            f"shape {value.shape}, dtype {value.dtype}",
            "a number of save times, or a vector of step numbers",
        )
    if value[0] < 0 or value[-1] > steps or (np.diff(value) <= 0).any():
        raise checks.bad(
            "save_at", f"steps {value.tolist()[:8]}", f"increasing step numbers from 0 to {steps}"
        )
    return checks.array(value if value[-1] == steps else np.append(value, steps))


class Moving(NamedTuple):
    r"""A discrete-time run between two steps.

    - `trained`, `state`: the trained part of the network, and the state of the optimiser.
    - `energy`: for each layer, the sum over steps of $\|\Delta W_l\|_F^2$.
    - `alive`: all steps were finite.
    - `last`: the number of the last finite step.
    """

    trained: Trained
    state: PyTree
    energy: Array
    alive: Array
    last: Array


LayerChanges = Callable[[Trained, Trained], tuple[Array, ...]]


def _squares(changes: Sequence[Array]) -> Array:
    return jnp.stack([jnp.sum(u * u) for u in changes])


def beginning(layer_changes: LayerChanges, trained: Trained, state: PyTree, dtype: Any) -> Moving:
    """A run before its first step, which counts steps in this dtype."""
    none = jnp.zeros_like(_squares(layer_changes(trained, trained)))
    return Moving(trained, state, none, jnp.ones((), bool), jnp.zeros((), dtype))


def stepper(step: StepFunction, layer_changes: LayerChanges) -> Callable[[Array, Moving], Moving]:
    """One step of a run: a step whose update is not finite is not taken, and no step after it."""

    def one(i: Array, now: Moving) -> Moving:
        update, state = step(now.trained, now.state, i)
        moved = _squares(layer_changes(now.trained, update))
        alive = now.alive & jnp.isfinite(jnp.sum(_squares(jax.tree.leaves(update))))
        keep = lambda new, old: jnp.where(alive, new, old)
        return Moving(
            jax.tree.map(lambda w, u: jnp.where(alive, w + u, w), now.trained, update),
            jax.tree.map(keep, state, now.state),
            now.energy + jnp.where(alive, moved, 0),
            alive,
            jnp.where(alive, i + 1, now.last),
        )

    return one


def drive(
    step: StepFunction,
    layer_changes: LayerChanges,
    trained: Trained,
    state: PyTree,
    at: Int[Array, " T"],
) -> tuple[Trained, Array, Array, Array]:
    r"""Run `step` and record the trained part of the network at the steps `at`.

    A step whose update is not finite is not taken, and no step after it. The record then repeats
    the last finite state.

    **Arguments:**

    - `step`: one step of the optimiser.
    - `layer_changes`: the change of every layer, from the trained part and its update.
    - `trained`, `state`: the trained part and the state of the optimiser at the start.
    - `at`: the steps to record.

    **Returns:**

    - the recorded trained parts, stacked.
    - for each layer, the sum over steps of $\|\Delta W_l\|_F^2$.
    - True if all steps were finite.
    - the number of the last finite step.
    """
    one = stepper(step, layer_changes)

    def until_mark(carry, bounds):
        carry = jax.lax.fori_loop(bounds[0], bounds[1], one, carry)
        return carry, carry.trained

    carry = beginning(layer_changes, trained, state, at.dtype)
    begins = jnp.concatenate([carry.last[None], at[:-1]])
    end, recorded = jax.lax.scan(until_mark, carry, jnp.stack([begins, at], axis=1))
    return recorded, end.energy, end.alive, end.last
