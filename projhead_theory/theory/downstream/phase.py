"""Phase diagrams of the better representation, before or after the projection head."""

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..._core import checks
from ..._core.linalg import frobenius, matmul, whiten
from ...moments import Moments
from ...problems import (
    ContrastiveProblem,
    Downstream,
    DownstreamProblem,
    SignLabel,
)
from ..layers import layerwise, spectral
from ..starts import Start
from ..starts.law import require_two_layers
from .best import LayerIndicators, with_input
from .complexity import ComplexityCurve, complexity_curve, feature_curve, feature_weights
from .crossover import BISECTIONS
from .task import Problem, as_moments, as_task

__all__ = [
    "PhaseDiagram",
    "phase_diagram",
]

UNTRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


class Point(eqx.Module):
    """Problem and downstream task at one point of a phase diagram.

    - `moments`: the moments of the views.
    - `downstream`: the downstream task.
    - `curve`: the indicator over depth. A width that cuts through a tie leaves the weights
      undetermined: the target then counts as lost. With a start, it is known at the layers alone.
    - `exact`: the curve is the indicator. It is not if the downstream inputs do not vary along some
      direction that the network mixes with others.
    """

    moments: Moments
    downstream: Downstream
    curve: ComplexityCurve | LayerIndicators
    exact: Bool[Array, ""]


class Plane(eqx.Module):
    """Problem, downstream task and start, any of them a function of two numbers."""

    problem: Any
    downstream: Any
    width: int | None = eqx.field(static=True)
    start: Any = None

    def stated(
        self, x: Array, y: Array
    ) -> tuple[Problem, Downstream | DownstreamProblem, Start | None]:
        """Problem, downstream task and start at one point, checked."""
        value = lambda given: given(x, y) if callable(given) else given
        problem: Any = value(self.problem)
        start: Any = value(self.start)
        if not (start is None or isinstance(start, Start)):
            raise checks.bad("start", type(start).__name__, "a Start, or a function of x and y")
        return problem, as_task(problem, value(self.downstream)), start

    def __call__(self, x: Array, y: Array) -> Point:
        problem, task, start = self.stated(x, y)
        moments = as_moments(problem)
        if start is not None:
            after = task if isinstance(task, Downstream) else task.moments()
            return _started(moments, after, self.width, start)
        if isinstance(task, Downstream):
            return _general(moments, task, self.width)
        unmixed = isinstance(problem, ContrastiveProblem) and problem.features.mixing is None
        if unmixed and task.features.mixing is None and isinstance(task.label, SignLabel):
            weights = feature_weights(moments, self.width)
            tied = jnp.any(jnp.isnan(weights))
            curve = feature_curve(
                jnp.where(tied, 0, weights), task.features.strength, task.label.feature
            )
            return Point(moments, task.moments(), curve, jnp.ones((), bool))
        return _general(moments, task.moments(), self.width)


def _general(moments: Moments, task: Downstream, width: int | None) -> Point:
    minimiser = spectral(moments, width, throw=False)
    # Only the action of a separator on the range of the downstream inputs counts.
    p = whiten(task.second).projector
    seen = Downstream(task.second, matmul(p, task.target[:, None])[:, 0])
    curve = complexity_curve(minimiser.gram, seen)
    mixed = matmul(p, minimiser.gram)
    slack = jnp.finfo(p.dtype).eps ** 0.5
    return Point(
        moments,
        task,
        eqx.tree_at(lambda c: c.lost, curve, curve.lost | ~minimiser.unique),
        frobenius(mixed - mixed.T) <= slack * frobenius(minimiser.gram),
    )


def _started(moments: Moments, task: Downstream, width: int | None, start: Start) -> Point:
    prediction = layerwise(moments, 2, width=width, start=start, throw=False)
    layers = LayerIndicators.of(with_input(prediction.grams, task), task)
    unique = prediction.minimiser.unique
    values = jnp.where(unique, layers.values, layers.values.at[1:].set(jnp.inf))
    return Point(moments, task, LayerIndicators(values, layers.slack), jnp.ones((), bool))


class PhaseDiagram(eqx.Module):
    r"""Comparison of the layers before and after the projection head, over a grid of two numbers.

    - `x` `(nx,)`, `y` `(ny,)`: the grid.
    - `margin` `(ny, nx)`: $\ln \mathrm{SC}$ after the head minus $\ln \mathrm{SC}$ before it.
      It is positive where pre-projection is better, NaN where the network does not keep the target,
      and infinite where, with a `start`, the head alone loses it.
    - `tau` `(ny, nx)`: the best layer as a share of the depth; with a `start`, the best of the two.
    - `layer` `(ny, nx)`: the best of the layers $1, \dots, L$, or 0 if the target is lost.
    - `least` `(ny, nx)`: the indicator at `tau`.
    - `plane`: problem, downstream task and start as functions of `x` and `y`.
    - `names`: the names of the two numbers.
    """

    x: Float[Array, " nx"]
    y: Float[Array, " ny"]
    margin: Float[Array, "ny nx"]
    tau: Float[Array, "ny nx"]
    layer: Int[Array, "ny nx"]
    least: Float[Array, "ny nx"]
    plane: Plane
    depth: int = eqx.field(static=True)
    head_depth: int = eqx.field(static=True)
    names: tuple[str, str] = eqx.field(static=True)

    def boundary(self) -> Float[Array, "k 2"]:
        """Points of the grid lines at which pre- and post-projection are equally good.

        They are found to rounding, by bisection between neighbours whose margins differ in
        sign. Points on the rows of the grid come first, then points on its columns. Their
        number depends on values, so this method cannot run under `jit`.
        """
        margin, x, y = (np.asarray(a) for a in (self.margin, self.x, self.y))
        # A tie counts as pre-projection being better, so that it is found once.
        positive, known = margin >= 0, np.isfinite(margin)
        across = np.argwhere((positive[:, 1:] != positive[:, :-1]) & known[:, 1:] & known[:, :-1])
        up = np.argwhere((positive[1:] != positive[:-1]) & known[1:] & known[:-1])
        lows = np.concatenate(
            [
                np.stack([x[across[:, 1]], y[across[:, 0]]], 1),
                np.stack([x[up[:, 1]], y[up[:, 0]]], 1),
            ]
        )
        highs = np.concatenate(
            [
                np.stack([x[across[:, 1] + 1], y[across[:, 0]]], 1),
                np.stack([x[up[:, 1]], y[up[:, 0] + 1]], 1),
            ]
        )
        if len(lows) == 0:
            return jnp.zeros((0, 2), self.x.dtype)
        return _bisect(
            self.plane, jnp.asarray(lows), jnp.asarray(highs), self.depth, self.head_depth
        )

    def to_xarray(self):
        """Convert the grid to a labelled `xarray.Dataset`."""
        import xarray

        names = ("margin", "tau", "layer", "least")
        return xarray.Dataset(
            {name: (("y", "x"), jax.device_get(getattr(self, name))) for name in names},
            coords={"x": jax.device_get(self.x), "y": jax.device_get(self.y)},
            attrs={
                "x": self.names[0],
                "y": self.names[1],
                "depth": self.depth,
                "head_depth": self.head_depth,
            },
        )

    def plot(self, ax: Any = None, check: Any = None):
        """Margin as colour, boundary as a line, the networks of a `PhaseCheck` as markers.

        Returns the Matplotlib axes.
        """
        from ...figures import plot_phase

        return plot_phase(self, check, ax)


def phase_diagram(
    problem: Problem | Callable[..., Problem],
    downstream: Any,
    x: Any,
    y: Any,
    depth: int,
    *,
    head_depth: int = 1,
    width: int | None = None,
    start: Start | Callable[..., Start] | None = None,
    names: tuple[str, str] | None = None,
) -> PhaseDiagram:
    r"""Compare pre- and post-projection over a grid of two numbers that a problem depends on.

    $$\ln \mathrm{SC}_L - \ln \mathrm{SC}_{L-h} > 0
    \quad\text{where pre-projection needs fewer labels}$$

    The functions are traced by JAX once and evaluated over the whole grid. They may use `jax.numpy`
    and arithmetic, but neither NumPy functions of `x` and `y` nor branches on their values. One
    function compiles once, for any values of `x` and `y`; a `lambda` written anew in each call
    compiles in each call. A function that is an `equinox.Module` compiles once for any values of
    its arrays too.

    **Arguments:**

    - `problem`, `downstream`: as in `best_layer`, where each may be a function `(x, y) ->` of two
      numbers.
    - `x`, `y`: increasing values of the two numbers, `(nx,)` and `(ny,)`.
    - `depth`: the number of layers $L$.
    - `head_depth`: the number of layers $h$ of the projection head, from 1 to $L$.
    - `width`: the smallest width of the network, $d$ if not given.
    - `start`: as in `best_layer`, or a function `(x, y) ->`: the scales of two layers at the start.
    - `names`: the names of the two numbers; the function's argument names if not given.

    **Raises:** `ValueError` for values that do not increase or that the problem does not allow, a
    head of more layers than the network has, a start of other than two layers, functions that JAX
    cannot trace, or downstream inputs that do not vary along a direction that the network mixes
    with others: `sample_complexity` has the indicator then, and this theory has no curve over
    depth.

    !!! example

        ```pycon
        >>> def problem(noise, strength):
        ...     features = pt.Features([strength, 1.0])
        ...     return pt.ContrastiveProblem(features, pt.AdditiveNoise([noise, 0.5]))
        >>> pt.phase_diagram(problem, 0, x=[0.2, 0.8], y=[1.0], depth=2).layer.tolist()
        [[2, 1]]
        >>> weights = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> start = pt.theory.starts.Start
        >>> scales = [0.01, 1.0, 100.0]
        >>> plane = pt.phase_diagram(weights, 0, x=scales, y=[1.0], depth=2, start=start)
        >>> np.round(plane.margin, 3)
        Array([[0.206, 0.615, 0.671]], dtype=float64)

        ```

    Theorem: when-pre-wins, optimal-layer (paper section 3, and beyond it), start-law.
    """
    x, y = _axis("x", x), _axis("y", y)
    depth, head_depth = checks.within_depth(depth, "head_depth", head_depth)
    varied = {
        name: value
        for name, value in (("problem", problem), ("downstream", downstream), ("start", start))
        if callable(value)
    }
    if not varied:
        raise checks.bad(
            "problem", type(problem).__name__, "a function of x and y, or downstream or start"
        )
    if start is not None:
        require_two_layers(depth)
    plane = Plane(problem, downstream, width, start)
    # Values that the problem does not allow are seen where they are known: at the corners.
    for a, b in itertools.product((x[0], x[-1]), (y[0], y[-1])):
        plane.stated(a, b)
    for name, function in varied.items():
        _require_traceable(name, function, x[0], y[0])
    *fields, exact = _grid(plane, x, y, depth, head_depth)
    known = checks.concrete(exact)
    if known is not None and not known.all():
        raise checks.bad(
            "downstream",
            "inputs that do not vary along a direction that the network mixes with others",
            "a second moment of full rank; theory.downstream.sample_complexity takes any",
        )
    named = _names(next(iter(varied.values()))) if names is None else names
    return PhaseDiagram(x, y, *fields, plane=plane, depth=depth, head_depth=head_depth, names=named)


def _axis(name: str, values: Any) -> Array:
    value = checks.floating(name, values)
    if value.ndim != 1 or value.size == 0:
        raise checks.bad(name, f"shape {value.shape}", "a non-empty vector")
    known = checks.concrete(value)
    if known is not None and (np.diff(known) <= 0).any():
        raise checks.bad(name, "values that do not increase", "increasing values")
    return value


def _require_traceable(name: str, function: Callable[..., Any], x: Array, y: Array) -> None:
    try:
        eqx.filter_eval_shape(function, x, y)
    except UNTRACEABLE as error:
        raise checks.bad(
            name,
            f"a function that JAX cannot trace ({type(error).__name__})",
            "jax.numpy in place of NumPy, and jnp.where in place of branches on x or y",
        ) from error


def _names(function: Callable[..., Any]) -> tuple[str, str]:
    """Names of the first two arguments of a function."""
    arguments = inspect.signature(function).parameters.values()
    names = [a.name for a in arguments if a.kind in (a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD)]
    return (names[0], names[1]) if len(names) > 1 else ("x", "y")


@eqx.filter_jit
def _grid(
    plane: Plane, x: Array, y: Array, depth: int, head_depth: int
) -> tuple[Array, Array, Array, Array, Array]:
    def one(x: Array, y: Array) -> tuple[Array, Array, Array, Array, Array]:
        point = plane(x, y)
        curve, tau = point.curve, point.curve.best
        return (
            curve.margin(depth, head_depth),
            tau,
            curve.best_layer(depth),
            curve(jnp.where(curve.lost, 0, tau)),
            point.exact | curve.lost,
        )

    # Row by row: mixed features have d^2 exponentials at each point.
    return jax.lax.map(lambda y: jax.vmap(lambda x: one(x, y))(x), y)


@eqx.filter_jit
def _bisect(plane: Plane, lows: Array, highs: Array, depth: int, head_depth: int) -> Array:
    """Bisect between pairs of points with margins of opposite sign, all pairs at once."""

    def one(low: Array, high: Array) -> Array:
        margin = lambda at: plane(at[0], at[1]).curve.margin(depth, head_depth)
        side = margin(low) >= 0

        def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            middle = (ends[0] + ends[1]) / 2
            same = (margin(middle) >= 0) == side
            return jnp.where(same, middle, ends[0]), jnp.where(same, ends[1], middle)

        low, high = jax.lax.fori_loop(0, BISECTIONS, halve, (low, high))
        return (low + high) / 2

    return jax.vmap(one)(lows, highs)
