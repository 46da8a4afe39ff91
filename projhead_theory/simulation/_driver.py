"""Loop of all discrete-time simulators: step, stop at the last finite state, record."""

from collections.abc import Callable
from typing import Any

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


def drive(
    step: StepFunction,
    layer_changes: Callable[[Trained, Trained], tuple[Array, ...]],
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
    squares = lambda changes: jnp.stack([jnp.sum(u * u) for u in changes])

    def one(i, carry):
        trained, state, energy, alive, last = carry
        update, new_state = step(trained, state, i)
        moved = squares(layer_changes(trained, update))
        alive = alive & jnp.isfinite(jnp.sum(squares(jax.tree.leaves(update))))
        keep = lambda new, old: jnp.where(alive, new, old)
        trained = jax.tree.map(lambda w, u: jnp.where(alive, w + u, w), trained, update)
        state = jax.tree.map(keep, new_state, state)
        return (
            trained,
            state,
            energy + jnp.where(alive, moved, 0),
            alive,
            jnp.where(alive, i + 1, last),
        )

    def until_mark(carry, bounds):
        carry = jax.lax.fori_loop(bounds[0], bounds[1], one, carry)
        return carry, carry[0]

    zero = jnp.zeros((), at.dtype)
    none = jnp.zeros_like(squares(layer_changes(trained, trained)))
    carry = (trained, state, none, jnp.ones((), bool), zero)
    begins = jnp.concatenate([zero[None], at[:-1]])
    (_, _, energy, alive, last), recorded = jax.lax.scan(
        until_mark, carry, jnp.stack([begins, at], axis=1)
    )
    return recorded, energy, alive, last
