"""Compiled programs of a sweep: a batch of runs, and the closed forms of a batch of settings."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._core.enumeration import names
from .._core.keys import named
from ..losses import AbstractLoss
from ..moments import Moments, TargetMoments
from ..networks import AbstractLinearNetwork, DeepLinear
from ..problems import Labelled, Views
from ..simulation import Ended
from ._problem import RESERVED, Named
from ._quantities import Quantity, Setting, minimum
from ._training import AbstractTraining

DRAWN = (DeepLinear.init,)
"""Starts that are drawn number by number, and need not be made one at a time."""

STARTS: dict[str, Callable[..., Any]] = {
    "balanced": DeepLinear.balanced,
    "gaussian": DeepLinear.init,
    "orthogonal": DeepLinear.orthogonal,
}

OUTCOMES = {"ended": "int8", "ended_at": None, "steps": "int32"}
"""How a run ended, beside the quantities, and their types; that of the network if `None`."""


class Recipe(eqx.Module):
    """How the runs of one shape are made and measured.

    Numbers are arrays: other numbers do not recompile.

    - `problem`: the problem as a function of axes.
    - `fixed`: values of axes that change shapes.
    - `start`, `scale`: function of a key, the sizes and a scale that returns a network.
    - `depth`, `width`: depth and width of the network.
    - `key`: key of the sweep.
    - `quantities`: what is measured.
    """

    problem: Named
    training: AbstractTraining
    loss: AbstractLoss
    downstream: Any
    scale: Array
    key: Array
    fixed: tuple[tuple[str, Any], ...] = eqx.field(static=True)
    start: Callable[..., Any] = eqx.field(static=True)
    depth: int = eqx.field(static=True)
    width: int | None = eqx.field(static=True)
    quantities: tuple[tuple[str, Quantity], ...] = eqx.field(static=True)

    def setting(self, values: dict[str, Any]) -> Setting:
        """Setting of one run, from the values of its axes."""
        own = {name: value for name, value in values.items() if name not in RESERVED}
        problem = self.problem(own | dict(self.fixed))
        return Setting(problem, self.data(problem), self.downstream, self.depth, self.width)

    def data(self, problem: Any) -> Any:
        """Data to train on: moments for linear networks, the problem itself for others."""
        if isinstance(problem, Moments | TargetMoments | Views | Labelled):
            return problem
        linear = isinstance(self.network(problem), AbstractLinearNetwork)
        return problem.moments() if linear else problem

    def sizes(self, problem: Any) -> tuple[int, ...]:
        rows = problem.first if isinstance(problem, Views) else getattr(problem, "inputs", None)
        dim = problem.dim if rows is None else rows.shape[-1]
        return (dim, *(dim if self.width is None else self.width,) * self.depth)

    def network(self, problem: Any) -> Any:
        """Shapes of a start."""
        sizes = self.sizes(problem)
        make = lambda key, scale: self.start(key, sizes, scale)
        return eqx.filter_eval_shape(make, jax.random.key(0), self.scale)

    def begin(self, problem: Any, index: Array, scale: Array) -> Any:
        """Start of the run of this number."""
        return self.start(named(self.key, "sweep start", index), self.sizes(problem), scale)


@eqx.filter_jit
def train(recipe: Recipe, values: dict[str, Array], index: Array) -> dict[str, Array]:
    """Train and measure a batch of runs.

    Starts and measurements that decompose matrices are made one run at a time: decompositions of
    many small matrices side by side may wait for one another without end on a CPU with few cores.

    **Arguments:**

    - `values`: values of the axes, one number for each run.
    - `index`: number of each run in the whole sweep.
    """
    scale: Any = values.get("scale", recipe.scale)
    scales = jnp.broadcast_to(scale, index.shape)
    one = {name: value[0] for name, value in values.items()}
    problem = recipe.setting(one).problem
    begin = lambda x: recipe.begin(problem, *x)
    together = recipe.start in DRAWN
    starts = jax.vmap(begin)((index, scales)) if together else jax.lax.map(begin, (index, scales))
    own = {name: value for name, value in values.items() if name not in RESERVED}
    data = jax.vmap(lambda v: recipe.setting(v).data)(own) if own else recipe.setting({}).data
    training = recipe.training
    given: dict[str, Any] = {name: getattr(training, name) for name in training.axes} | values
    numbers = {name: jnp.broadcast_to(given[name], index.shape) for name in training.axes}
    runs = training.run(starts, data, recipe.loss, numbers, 0 if own else None)

    def read(alone: bool, item: tuple[dict[str, Array], Array, Any]) -> dict[str, Array]:
        values, index, run = item
        setting, key = recipe.setting(values), named(recipe.key, "measure", index)
        return {
            name: quantity.measured(run, setting, key)
            for name, quantity in recipe.quantities
            if quantity.alone == alone
        }

    items, ended = (values, index, runs), jnp.zeros(index.shape, "int8")
    for code, name in enumerate(names(Ended)):
        ended = jnp.where(runs.ended == getattr(Ended, name), jnp.asarray(code, "int8"), ended)
    return {
        "ended": ended,
        "ended_at": runs.ended_at.astype(runs.loss.dtype),
        "steps": runs.steps.astype("int32"),
        **jax.vmap(functools.partial(read, False))(items),
        **jax.lax.map(functools.partial(read, True), items),
    }


@eqx.filter_jit
def predict(recipe: Recipe, values: dict[str, Array], index: Array) -> dict[str, Array]:
    """Closed forms of a batch of settings, one at a time."""

    def one(values: dict[str, Array]) -> dict[str, Array]:
        setting = recipe.setting(values)
        once = functools.cache(lambda: minimum(setting))
        return {
            name: quantity.predicted(setting, once)
            for name, quantity in recipe.quantities
            if quantity.predicted is not None
        }

    return jax.lax.map(lambda item: one(item[0]), (values, index))
