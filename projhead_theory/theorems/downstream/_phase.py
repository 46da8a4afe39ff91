"""Phase diagrams held against trained networks."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ... import Moments, measure
from ..._core import checks
from ..._core.plain import plain
from ...theory.downstream import PhaseDiagram
from ...theory.layers import layerwise
from .._common import Run, Task, train
from .optimal_layer import judge_logarithms

BATCH = 16


class PhaseCheck(eqx.Module):
    r"""Networks trained at points of a phase diagram, beside the prediction at each point.

    Every array is `(K,)`, one entry a point:

    - `x`, `y`: the point.
    - `predicted`, `measured`: margins $\ln \mathrm{SC}_L - \ln \mathrm{SC}_{L-h}$.
    - `tolerance`: the largest difference that is allowed between the two margins.
    - `converged`: the run converged.
    - `kept`: the network keeps the target. One that loses it has no margin to compare.
    """

    x: Float[Array, " K"]
    y: Float[Array, " K"]
    predicted: Float[Array, " K"]
    measured: Float[Array, " K"]
    tolerance: Float[Array, " K"]
    converged: Bool[Array, " K"]
    kept: Bool[Array, " K"]

    @property
    def agrees(self) -> Bool[Array, " K"]:
        """Points that keep the target and whose margins differ by no more than the tolerance."""
        return self.kept & (jnp.abs(self.measured - self.predicted) <= self.tolerance)

    @property
    def decided(self) -> Bool[Array, " K"]:
        """Points at which the better side of the head can be told.

        They keep the target, converge, and have a predicted margin beyond the tolerance.
        """
        return self.kept & self.converged & (jnp.abs(self.predicted) > self.tolerance)

    @property
    def misclassified(self) -> Bool[Array, " K"]:
        """Decided points where the trained network is on the other side of the boundary."""
        return self.decided & (jnp.sign(self.measured) != jnp.sign(self.predicted))

    @property
    def violated(self) -> Bool[Array, " K"]:
        """Converged points whose margins differ by more than the tolerance.

        They keep the target, and may be on either side of the boundary.
        """
        return self.kept & self.converged & ~self.agrees

    def to_dict(self) -> dict[str, Any]:
        """The points as plain Python data, for JSON."""
        return {
            name: plain(getattr(self, name))
            for name in ("x", "y", "predicted", "measured", "tolerance")
        } | {
            name: np.asarray(getattr(self, name)).tolist()
            for name in ("converged", "kept", "agrees", "decided", "misclassified")
        }

    def to_xarray(self):
        """The points as a labelled `xarray.Dataset`."""
        import xarray

        return xarray.Dataset(
            {
                name: (("point",), jax.device_get(getattr(self, name)))
                for name in (
                    "predicted",
                    "measured",
                    "tolerance",
                    "converged",
                    "kept",
                    "agrees",
                    "decided",
                    "misclassified",
                )
            },
            coords={"x": ("point", jax.device_get(self.x)), "y": ("point", jax.device_get(self.y))},
        )


def check_phase(
    diagram: PhaseDiagram,
    points: int,
    key: PRNGKeyArray,
    progress: Callable[[int], None] = lambda done: None,
) -> PhaseCheck:
    """Train networks at random points of a phase diagram and compare their margins with it.

    The margin tells which side of the head needs fewer labels. The networks are balanced, of width
    $d$, and trained by gradient flow in batches that compile once.

    **Arguments:**

    - `diagram`: the phase diagram to check.
    - `points`: the number of points. Every other one is uniform over the plane, the others are near
      the boundary, where a prediction is easiest to refute.
    - `key`: the random key of the points and the starts.
    - `progress`: called with the number of networks trained so far.

    **Returns:** a `PhaseCheck` with one entry a point.

    **Raises:** `ValueError` for fewer than one point, for a network narrower than the
    dimension, whose indicator no trained network attains exactly, for a head that is the whole
    network, or for a start that is not balanced.
    """
    points, plane = checks.count("simulate", points), diagram.plane
    d = plane.stated(diagram.x[0], diagram.y[0])[0].dim
    if plane.start is not None:
        raise checks.bad("start", "one of its own", "none, to simulate: the networks are balanced")
    if plane.width is not None and plane.width < d:
        raise checks.bad("width", plane.width, f"at least {d}, the dimension, to simulate")
    if diagram.head_depth == diagram.depth:
        raise checks.bad(
            "head_depth", diagram.head_depth, f"fewer than all {diagram.depth} layers, to simulate"
        )
    where, starts = jax.random.split(key)
    x, y = _places(diagram, points, where)
    keys = jax.random.split(starts, points)
    parts = []
    for first in range(0, points, BATCH):
        # The last batch is filled up with points of the first, so that all compile once.
        at = jnp.arange(first, first + BATCH) % points
        parts.append(_trained(plane, x[at], y[at], keys[at], d, diagram.depth, diagram.head_depth))
        progress(min(first + BATCH, points))
    return PhaseCheck(
        x, y, *[jnp.concatenate(column)[:points] for column in zip(*parts, strict=True)]
    )


def _places(diagram: PhaseDiagram, points: int, key: PRNGKeyArray) -> tuple[Array, Array]:
    """Random points of the plane: uniform, and every other one near the boundary, if there is one.

    Near is within a twentieth of an axis.
    """
    k1, k2, k3 = jax.random.split(key, 3)
    dtype, boundary = diagram.x.dtype, diagram.boundary()
    low, high = (jnp.stack([diagram.x[i], diagram.y[i]]) for i in (0, -1))
    anywhere = low + (high - low) * jax.random.uniform(k1, (points, 2), dtype)
    if len(boundary) == 0:
        return anywhere[:, 0], anywhere[:, 1]
    chosen = boundary[jax.random.randint(k2, (points,), 0, len(boundary))]
    near = jnp.clip(
        chosen + (high - low) * jax.random.uniform(k3, (points, 2), dtype, -0.05, 0.05), low, high
    )
    places = jnp.where((jnp.arange(points) % 2 == 1)[:, None], near, anywhere)
    return places[:, 0], places[:, 1]


@eqx.filter_jit
def _trained(
    plane: Callable[..., Any], x: Array, y: Array, keys: Array, d: int, depth: int, head_depth: int
) -> tuple[Array, ...]:
    def one(x: Array, y: Array, key: Array) -> tuple[Array, ...]:
        point = plane(x, y)
        moments, curve = point.moments, point.curve
        # A network that loses its target is not compared. Forgetting may take for ever, so it is
        # trained on a problem that is quick to learn.
        moments = Moments(jnp.where(curve.lost, moments.second / 2, moments.cross), moments.second)
        scale = 0.5 * jnp.max(jnp.diagonal(moments.second)) ** (-0.5 / depth)
        run: Run = train(Task(moments, key, scale, (d,) * (depth + 1), stiff=True))
        budget = judge_logarithms(layerwise(moments, depth, throw=False), run, point.downstream)
        logarithms = jnp.log(measure.sample_complexity(run.fine.final, point.downstream))
        tolerance = jnp.asarray(budget.tolerance)
        return (
            curve.margin(depth, head_depth),
            logarithms[-1] - logarithms[-1 - head_depth],
            tolerance[-1] + tolerance[-1 - head_depth],
            jnp.asarray(budget.converged & budget.finite),
            ~curve.lost,
        )

    return jax.vmap(one)(x, y, keys)
