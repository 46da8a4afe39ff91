"""Lanes: many runs side by side, and a lane whose run has ended takes up the next problem."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._core import checks
from .._core.cores import cores, in_pieces, separable
from ..losses import AbstractLoss
from ..networks import AbstractNetwork
from ..problems import Data
from ._objective import Objective, Trained
from ._trajectory import Trajectory

FEWER = 4
"""Factor by which the number of lanes falls when there are no more problems for all of them."""

PIECES = 4
"""Pieces of the problems for each core: more balance the cores, fewer leave fewer lanes idle."""


class Problems(eqx.Module):
    """All problems, with a leading axis in the starts and, unless they share them, in the data.

    - `own`, `shared`: data with a leading axis, or the same data for all; the other one is `None`.
    - `weight_decay`, `learning_rate`: one number for each problem; flows have no rate.
    """

    trained: Trained
    frozen: Any
    own: Data | None
    shared: Data | None
    weight_decay: Array
    loss: AbstractLoss
    learning_rate: Array | None

    @classmethod
    def of(
        cls,
        networks: AbstractNetwork,
        data: Data,
        data_axis: int | None,
        loss: AbstractLoss,
        weight_decay: Any,
        learning_rate: Any = None,
    ) -> "Problems":
        """Problems from the arguments, checked."""
        trained, frozen = eqx.partition(networks, networks.trainable)
        count = leading("networks", trained)
        if data_axis is not None and leading("data", data) != count:
            raise checks.bad(
                "data", f"a leading axis of {leading('data', data)}", f"{count}, as in `networks`"
            )

        def each(name: str, value: Array) -> Array:
            if value.shape not in ((), (count,)):
                raise checks.bad(name, f"shape {value.shape}", f"one number, or ({count},)")
            return jnp.broadcast_to(value.astype(networks.dtype), (count,))

        alone = data_axis is not None
        return cls(
            trained,
            frozen,
            data if alone else None,
            None if alone else data,
            each("weight_decay", checks.nonnegative("weight_decay", weight_decay)),
            loss,
            None
            if learning_rate is None
            else each("learning_rate", checks.positive("learning_rate", learning_rate)),
        )

    @property
    def count(self) -> int:
        return self.weight_decay.shape[0]

    def at(self, i: Array, tree: Any) -> Any:
        """The part of one problem; of the last one for a number beyond."""
        i = jnp.minimum(i, self.count - 1)
        return jax.tree.map(lambda x: x[i], tree)

    def __getitem__(self, i: Array) -> tuple[Trained, Objective]:
        """Start and objective of one problem."""
        data: Any = self.shared if self.own is None else self.at(i, self.own)
        frozen, decay = self.at(i, (self.frozen, self.weight_decay))
        return self.at(i, self.trained), Objective(frozen, self.loss, data, decay)

    def solve(self, run: Callable[["Problems", int], Trajectory], lanes: int) -> Trajectory:
        """Trajectories of all problems, in pieces on all cores if there are several pieces.

        `run` takes problems and a number of lanes, and has no more than tuples of settings besides.
        """
        lanes = min(checks.count("lanes", lanes), self.count)
        if cores() == 1 or not separable(self, run):
            return run(self, lanes)
        pieces = -(-self.count // max(lanes, -(-self.count // (PIECES * cores()))))
        size = -(-self.count // pieces)
        common = lambda problems, shared, loss: eqx.tree_at(
            lambda p: (p.shared, p.loss), problems, (shared, loss), is_leaf=lambda x: x is None
        )
        one = lambda piece: run(common(piece, self.shared, self.loss), min(lanes, size))
        return in_pieces(one, common(self, None, None), self.count, size)


def leading(name: str, tree: Any) -> int:
    """Length of the leading axis of all arrays."""
    lengths = {x.shape[0] if x.ndim else 0 for x in jax.tree.leaves(tree) if eqx.is_array(x)}
    if len(lengths) != 1 or 0 in lengths:
        raise checks.bad(name, f"leading axes of {sorted(lengths)}", "one length, of at least 1")
    return lengths.pop()


def in_lanes(
    count: int,
    lanes: int,
    begin: Callable[[Array], Any],
    advance: Callable[[Any], Any],
    keep: Callable[[Any, Any], Any],
    kept: Any,
) -> Any:
    """Run the problems 0 to `count - 1` to their ends.

    A lane is a tuple of arrays that has the number `problem` (of `count` or more, if the lane is
    idle) and the flag `ended`.

    **Arguments:**

    - `count`, `lanes`: the number of problems, and of runs side by side.
    - `begin`: the lane of a problem, at its start.
    - `advance`: the lane after its next step; it must leave a lane that has ended as it is.
    - `keep`: all results, from those so far and all lanes before a step; see `put`.
    - `kept`: the results at first.

    **Returns:** the results at last.
    """

    def body(state: tuple[Any, Array, Any]) -> tuple[Any, Array, Any]:
        running, upcoming, kept = state
        kept = keep(kept, running)
        over = running.ended & (running.problem < count)
        following = upcoming + jnp.cumsum(over) - 1
        running = jax.lax.cond(
            jnp.any(over),
            lambda: jax.vmap(either)(over, jax.vmap(begin)(following), running),
            lambda: running,
        )
        return jax.vmap(advance)(running), upcoming + jnp.sum(over), kept

    state = jax.vmap(begin)(jnp.arange(lanes)), jnp.asarray(lanes), kept
    while lanes:
        # Idle lanes cost as much as others. Once few are at work, go on with a quarter of them.
        fewer = lanes // FEWER
        state = jax.lax.while_loop(
            lambda s, least=fewer: jnp.sum(s[0].problem < count) > least, body, state
        )
        running, upcoming, kept = state
        first = jnp.argsort(running.problem)[:fewer]
        state = jax.tree.map(lambda x, first=first: x[first], running), upcoming, kept
        lanes = fewer
    return state[2]


def put(where: Array, problem: Array, count: int) -> Callable[..., Array]:
    """A function that writes one number or array of each chosen lane at the lane's problem."""
    row = jnp.where(where, problem, count)
    return lambda old, new, *index: old.at[(row, *index)].set(new, mode="drop")


def either(choice: Any, yes: Any, no: Any) -> Any:
    """One of two trees."""
    return jax.tree.map(lambda a, b: jnp.where(choice, a, b), yes, no)
