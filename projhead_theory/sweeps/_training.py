"""Ways of training the runs of a sweep, many at once."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._core import checks
from ..losses import AbstractLoss
from ..networks import AbstractNetwork
from ..problems import Data
from ..simulation import (
    Trajectory,
    explicit,
    gradient_descent,
    gradient_descents,
    gradient_flows,
    implicit,
    stabilised,
)

SOLVERS: dict[str, Callable[[], Any]] = {
    "explicit": explicit,
    "implicit": implicit,
    "stabilised": stabilised,
}


class AbstractTraining(eqx.Module):
    """Way of training a batch of networks.

    - `weight_decay`: weight decay, unless an axis sets it.
    """

    weight_decay: eqx.AbstractVar[Array]

    @property
    @abc.abstractmethod
    def batch_size(self) -> int:
        """The number of runs that are trained together."""

    @property
    @abc.abstractmethod
    def axes(self) -> tuple[str, ...]:
        """Names of the numbers that an axis may set."""

    @abc.abstractmethod
    def run(
        self,
        starts: AbstractNetwork,
        data: Data,
        loss: AbstractLoss,
        numbers: dict[str, Array],
        data_axis: int | None,
    ) -> Trajectory:
        """Trajectories of a batch of starts and data; `numbers` of axes, one for each run."""


class Descent(AbstractTraining):
    r"""Training by full-batch gradient descent.

    **Arguments:**

    - `learning_rate`: $\eta$.
    - `steps`: the number of steps, or the most steps with `stationarity`.
    - `weight_decay`: $\gamma$.
    - `stationarity`: relative gradient at which a run ends; every run takes all steps if not
      given.
    - `optimiser`: a function from the learning rate to an Optax transformation; plain gradient
      descent if not given.

    **Raises:** `ValueError` for arguments out of range.
    """

    learning_rate: Array
    weight_decay: Array
    stationarity: Array | None
    steps: int = eqx.field(static=True)
    optimiser: Any = eqx.field(static=True)

    def __init__(
        self,
        learning_rate: checks.Scalar = 1e-2,
        steps: int = 10_000,
        *,
        weight_decay: checks.Scalar = 0.0,
        stationarity: checks.Scalar | None = None,
        optimiser: Any = None,
    ):
        self.learning_rate = checks.positive("learning_rate", learning_rate)
        self.weight_decay = checks.nonnegative("weight_decay", weight_decay)
        self.stationarity = (
            None if stationarity is None else checks.positive("stationarity", stationarity)
        )
        self.steps = checks.count("steps", steps, 1)
        self.optimiser = optimiser

    @property
    def batch_size(self) -> int:
        """64 runs, which stay in the cache of a core; four times as many for runs that end early.

        An accelerator takes 128 times as many.
        """
        size = 64 if self.stationarity is None else 256
        return size if jax.default_backend() == "cpu" else 128 * size

    @property
    def axes(self) -> tuple[str, ...]:
        return ("learning_rate", "weight_decay")

    def run(self, starts, data, loss, numbers, data_axis):
        common: dict[str, Any] = {} if self.optimiser is None else {"optimiser": self.optimiser}
        common |= {"loss": loss, "steps": self.steps}
        if self.stationarity is not None:
            common |= numbers
            lanes = max(self.batch_size // 4, 1)
            return gradient_descents(
                starts,
                data,
                stationarity=self.stationarity,
                lanes=lanes,
                data_axis=data_axis,
                **common,
            )

        def one(start: Any, data: Any, numbers: dict[str, Array]) -> Trajectory:
            given: dict[str, Any] = common | numbers
            return gradient_descent(start, data, save_at=2, **given)

        return jax.vmap(one, in_axes=(0, data_axis, 0))(starts, data, numbers)


class Flow(AbstractTraining):
    r"""Training by gradient flow until the gradient vanishes.

    **Arguments:**

    - `t1`: the latest time.
    - `weight_decay`: $\gamma$.
    - `solver`: `"explicit"`, `"implicit"` or `"stabilised"`.
    - `rtol`, `stationarity`, `max_steps`: as in `gradient_flow`.
    - `save_at`: number of save times, or the times, for measurements of the course of a run.

    **Raises:** `ValueError` for arguments out of range.
    """

    t1: Array
    weight_decay: Array
    rtol: Array | None
    stationarity: Array | None
    save_at: Any
    solver: str = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)

    def __init__(
        self,
        t1: checks.Scalar = 1e8,
        *,
        weight_decay: checks.Scalar = 0.0,
        solver: str = "explicit",
        rtol: checks.Scalar | None = None,
        stationarity: checks.Scalar | None = None,
        max_steps: int = 100_000,
        save_at: Any = 2,
    ):
        self.t1 = checks.positive("t1", t1)
        self.weight_decay = checks.nonnegative("weight_decay", weight_decay)
        self.rtol = None if rtol is None else checks.positive("rtol", rtol)
        self.stationarity = (
            None if stationarity is None else checks.nonnegative("stationarity", stationarity)
        )
        if solver not in SOLVERS:
            raise checks.bad("solver", repr(solver), f"one of {', '.join(SOLVERS)}")
        self.solver = solver
        self.max_steps = checks.count("max_steps", max_steps)
        self.save_at = save_at if isinstance(save_at, int) else jnp.asarray(save_at)

    @property
    def batch_size(self) -> int:
        """128 runs in 32 lanes; an accelerator takes 128 times as many."""
        return 128 if jax.default_backend() == "cpu" else 128 * 128

    @property
    def axes(self) -> tuple[str, ...]:
        return ("weight_decay",)

    def run(self, starts, data, loss, numbers, data_axis):
        return gradient_flows(
            starts,
            data,
            loss=loss,
            t1=self.t1,
            solver=SOLVERS[self.solver](),
            rtol=self.rtol,
            stationarity=self.stationarity,
            max_steps=self.max_steps,
            save_at=self.save_at,
            lanes=max(self.batch_size // 4, 1),
            data_axis=data_axis,
            **numbers,
        )
