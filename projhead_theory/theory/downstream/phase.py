"""Phase diagrams of the better representation, before or after the projection head."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..._core import checks
from ...problems import AdditiveNoise, Compose, ContrastiveProblem, Features, Mask, SignFlip
from .complexity import ComplexityCurve, feature_complexity, feature_weights, target_index
from .crossover import BISECTIONS

KNOBS = ("strength", "noise", "flip", "mask", "downstream")
_LARGEST = {"flip": 0.5, "mask": 1.0}


class Knob(eqx.Module):
    """One number of a feature model that a phase diagram varies.

    - `name`: one of `KNOBS`.
    - `feature`: the index of the feature, from 0.

    **Raises:** `ValueError` for another name, or a negative index.
    """

    name: str = eqx.field(static=True)
    feature: int = eqx.field(static=True)

    def __init__(self, name: str, feature: int):
        if name not in KNOBS:
            raise checks.bad("knob", repr(name), f"one of {', '.join(KNOBS)}")
        self.name, self.feature = name, checks.count("feature", feature, 0)

    @property
    def label(self) -> str:
        return f"{self.name} of feature {self.feature}"

    def check(self, values: Array) -> None:
        """Raise `ValueError` for values out of the range of this number."""
        if self.name in ("strength", "downstream"):
            checks.positive(self.name, values)
            return
        largest = _LARGEST.get(self.name, jnp.inf)
        checks.require(
            self.name, values, lambda v: (v >= 0) & (v <= largest), f"numbers from 0 to {largest}"
        )


class FeaturePlane(eqx.Module):
    r"""Feature model with two free numbers, mapped to the `ComplexityCurve` of its target.

    The augmentation flips signs, then masks, then adds noise. The label is the sign of feature
    `target`.

    **Arguments:**

    - `x`, `y`: the two free numbers.
    - `target`: the index $j$ of the target feature.
    - `strength`: training strengths $\phi$, `(d,)`.
    - `noise`, `flip`, `mask`: scales and probabilities of the augmentation, `(d,)`, zero by
      default.
    - `downstream`: strengths $\phi'$, `(d,)`. By default they equal the training strengths, and
      follow a free `strength` unless the other free number is `downstream`.
    - `width`: the smallest width of the network, $d$ by default.

    **Raises:** `ValueError` for numbers out of range, lengths that differ, features that do not
    exist, or `x` equal to `y`.
    """

    x: Knob
    y: Knob
    target: int = eqx.field(static=True)
    strength: Float[Array, " d"]
    noise: Float[Array, " d"]
    flip: Float[Array, " d"]
    mask: Float[Array, " d"]
    downstream: Float[Array, " d"] | None
    width: int | None = eqx.field(static=True)

    def __init__(
        self,
        x: Knob,
        y: Knob,
        target: int,
        strength: Any,
        noise: Any = None,
        flip: Any = None,
        mask: Any = None,
        downstream: Any = None,
        width: int | None = None,
    ):
        self.strength = Features(strength).strength
        d, dtype = self.strength.shape[0], self.strength.dtype
        self.target = target_index(target, d)
        check = {
            "noise": checks.nonnegative,
            "flip": checks.probability,
            "mask": checks.probability,
            "downstream": checks.nonnegative,
        }
        given = {"noise": noise, "flip": flip, "mask": mask, "downstream": downstream}
        values = {
            n: jnp.zeros(d, dtype) if v is None else check[n](n, v).astype(dtype)
            for n, v in given.items()
        }
        for name, value in values.items():
            if value.shape != (d,):
                raise checks.bad(
                    name, f"shape {value.shape}", f"({d},), as many as there are strengths"
                )
        self.noise, self.flip, self.mask = values["noise"], values["flip"], values["mask"]
        self.downstream = (
            None
            if downstream is None and "downstream" not in (x.name, y.name)
            else values["downstream"]
        )
        if downstream is None and self.downstream is not None:
            self.downstream = self.strength
        if x == y:
            raise checks.bad("y", y.label, "another knob than x")
        for knob in (x, y):
            if knob.feature >= d:
                raise checks.bad("knob", knob.label, f"a feature from 0 to {d - 1}")
        self.x, self.y, self.width = x, y, width

    def problem(self, x: Array, y: Array) -> ContrastiveProblem:
        """Contrastive problem at one point of the plane."""
        strength, noise, flip, mask, _ = self._values(x, y)
        return ContrastiveProblem(
            Features(strength), Compose(SignFlip(flip), Mask(mask), AdditiveNoise(noise))
        )

    def downstream_strength(self, x: Array, y: Array) -> Float[Array, " d"]:
        r"""Downstream strengths $\phi'$ at one point of the plane."""
        return self._values(x, y)[-1]

    def _values(self, x: Array, y: Array) -> list[Array]:
        values = {name: getattr(self, name) for name in KNOBS}
        for knob, value in ((self.x, x), (self.y, y)):
            old = values[knob.name]
            values[knob.name] = jnp.where(
                jnp.arange(len(self.strength)) == knob.feature,
                jnp.asarray(value, self.strength.dtype),
                old,
            )
        if values["downstream"] is None:
            values["downstream"] = values["strength"]
        return list(values.values())

    def __call__(self, x: Array, y: Array) -> ComplexityCurve:
        weights = feature_weights(self.problem(x, y).moments(), self.width)
        # A tie at the cut leaves the weights undetermined: the target then counts as lost.
        curve = feature_complexity(
            jnp.where(jnp.isnan(weights), 0, weights), self.downstream_strength(x, y), self.target
        )
        return eqx.tree_at(lambda c: c.lost, curve, curve.lost | jnp.any(jnp.isnan(weights)))


class PhaseDiagram(eqx.Module):
    r"""Comparison of the layers before and after the projection head, over a grid of two numbers.

    - `x` `(nx,)`, `y` `(ny,)`: the grid.
    - `margin` `(ny, nx)`: $\ln \mathrm{SC}$ after the head minus $\ln \mathrm{SC}$ before it.
      It is positive where pre-projection is better, and NaN where the network does not keep the
      target.
    - `tau` `(ny, nx)`: the best layer as a share of the depth.
    - `layer` `(ny, nx)`: the best of the layers $1, \dots, L$, or 0 if the target is lost.
    - `least` `(ny, nx)`: the indicator at `tau`.
    """

    x: Float[Array, " nx"]
    y: Float[Array, " ny"]
    margin: Float[Array, "ny nx"]
    tau: Float[Array, "ny nx"]
    layer: Int[Array, "ny nx"]
    least: Float[Array, "ny nx"]
    plane: FeaturePlane
    depth: int = eqx.field(static=True)
    head: int = eqx.field(static=True)

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
        return _bisect(self.plane, jnp.asarray(lows), jnp.asarray(highs), self.depth, self.head)

    def to_xarray(self):
        """Convert the grid to a labelled `xarray.Dataset`."""
        import xarray

        names = ("margin", "tau", "layer", "least")
        return xarray.Dataset(
            {name: (("y", "x"), jax.device_get(getattr(self, name))) for name in names},
            coords={"x": jax.device_get(self.x), "y": jax.device_get(self.y)},
            attrs={
                "x": self.plane.x.label,
                "y": self.plane.y.label,
                "target": self.plane.target,
                "depth": self.depth,
                "head": self.head,
            },
        )


def phase_diagram(plane: FeaturePlane, x: Any, y: Any, depth: int, head: int = 1) -> PhaseDiagram:
    """Compare pre- and post-projection over a grid of two numbers of a feature model.

    **Arguments:**

    - `plane`: the feature model.
    - `x`, `y`: increasing values of its two free numbers, `(nx,)` and `(ny,)`.
    - `depth`: the number of layers $L$.
    - `head`: the number $h$ of last layers that form the projection head, from 1 to $L$.

    **Raises:** `ValueError` for values that are out of range or not increasing, or a head of
    more layers than the network has.

    !!! example

        ```pycon
        >>> noise, strength = pt.theory.Knob("noise", 0), pt.theory.Knob("strength", 0)
        >>> plane = pt.theory.FeaturePlane(noise, strength, 0, [1.0, 1.0], noise=[0.0, 0.5])
        >>> pt.theory.phase_diagram(plane, x=[0.2, 0.8], y=[1.0], depth=2).layer.tolist()
        [[2, 1]]

        ```

    Theorem: when-pre-wins, optimal-layer (paper section 3, and beyond it).
    """
    x, y = (
        _axis("x", plane.x, x, plane.strength.dtype),
        _axis("y", plane.y, y, plane.strength.dtype),
    )
    depth, head = checks.count("depth", depth), checks.count("head", head)
    if head > depth:
        raise checks.bad("head", head, f"at most the depth, {depth}")
    return PhaseDiagram(x, y, *_grid(plane, x, y, depth, head), plane, depth, head)


def _axis(name: str, knob: Knob, values: Any, dtype: Any) -> Array:
    value = checks.floating(name, values).astype(dtype)
    if value.ndim != 1 or value.size == 0:
        raise checks.bad(name, f"shape {value.shape}", "a non-empty vector")
    known = checks.concrete(value)
    if known is not None and (np.diff(known) <= 0).any():
        raise checks.bad(name, "values that do not increase", "increasing values")
    knob.check(value)
    return value


@eqx.filter_jit
def _grid(
    plane: FeaturePlane, x: Array, y: Array, depth: int, head: int
) -> tuple[Array, Array, Array, Array]:
    def one(x: Array, y: Array) -> tuple[Array, Array, Array, Array]:
        curve = plane(x, y)
        tau = curve.best
        return (
            curve.margin(depth, head),
            tau,
            curve.best_layer(depth),
            curve(jnp.where(curve.lost, 0, tau)),
        )

    return jax.vmap(lambda y: jax.vmap(lambda x: one(x, y))(x))(y)


@eqx.filter_jit
def _bisect(plane: FeaturePlane, lows: Array, highs: Array, depth: int, head: int) -> Array:
    """Bisect between pairs of points with margins of opposite sign, all pairs at once."""

    def one(low: Array, high: Array) -> Array:
        side = plane(low[0], low[1]).margin(depth, head) >= 0

        def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            middle = (ends[0] + ends[1]) / 2
            same = (plane(middle[0], middle[1]).margin(depth, head) >= 0) == side
            return jnp.where(same, middle, ends[0]), jnp.where(same, ends[1], middle)

        low, high = jax.lax.fori_loop(0, BISECTIONS, halve, (low, high))
        return (low + high) / 2

    return jax.vmap(one)(lows, highs)
