"""The layer that needs the fewest labels, for one problem and one downstream task."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..._core import checks
from ..._core.plain import plain
from ..._core.tolerance import epsilons
from ...problems import AbstractLabel, Downstream, DownstreamProblem
from ..layers import LayerPrediction, layerwise
from ..starts import Start
from .complexity import sample_complexity
from .task import Problem, as_moments, as_task

__all__ = [
    "BestLayer",
    "best_layer",
]


class LayerIndicators(eqx.Module):
    r"""Sample-complexity indicator of the input and of every layer.

    Where no formula joins the layers it takes the place of a `ComplexityCurve`, at shares of the
    depth that are layers.

    - `values` `(L + 1,)`: $\mathrm{SC}_0, \dots, \mathrm{SC}_L$, infinite where the target is lost.
    - `slack`: the relative difference of indicators that rounding may cause.
    """

    values: Float[Array, " k"]
    slack: float = eqx.field(static=True)

    @classmethod
    def of(cls, grams: Float[Array, "k d d"], downstream: Downstream) -> "LayerIndicators":
        """Indicators of the input and the layers, from the Grams `with_input`."""
        slack = epsilons(64 * grams.shape[-1], grams.dtype)
        return cls(sample_complexity(grams, downstream), slack)

    def __call__(self, tau: Array) -> Float[Array, ""]:
        """Indicator of the layer nearest to this share of the depth."""
        return self.values[jnp.round(tau * (self.values.size - 1)).astype(int)]

    @property
    def lost(self) -> Bool[Array, ""]:
        """True if no layer keeps the target."""
        return ~jnp.isfinite(self.values[1:]).any()

    def best_layer(self, depth: int) -> Int[Array, ""]:
        """The lowest of the layers that are best to rounding; 0 if the target is lost."""
        layers = self.values[1:]
        lowest = 1 + jnp.argmax(layers <= jnp.min(layers) * (1 + self.slack))
        return jnp.where(self.lost, 0, lowest)

    @property
    def best(self) -> Float[Array, ""]:
        """The best layer as a share of the depth; NaN if the target is lost."""
        depth = self.values.size - 1
        share = self.best_layer(depth).astype(self.values.dtype) / depth
        return jnp.where(self.lost, jnp.nan, share)

    def margin(self, depth: int, head_depth: int = 1) -> Float[Array, ""]:
        """As of `ComplexityCurve`, and infinite if the head alone loses the target."""
        margin = jnp.log(self.values[-1]) - jnp.log(self.values[-1 - head_depth])
        return jnp.where(jnp.abs(margin) <= self.slack, 0, margin)


def with_input(grams: Float[Array, "L d d"], downstream: Downstream) -> Float[Array, "L+1 d d"]:
    """Grams of the input, which is layer 0, and of the layers, in the dtype of both arguments."""
    d, dtype = grams.shape[-1], jnp.result_type(grams, downstream.second)
    return jnp.concatenate([jnp.eye(d, dtype=dtype)[None], grams.astype(dtype)])


class BestLayer(eqx.Module):
    r"""Sample-complexity indicator of every layer, and the layer where it is least.

    - `layer`: the best of the layers $1, \dots, L$, the lowest of those that are equally good to
      rounding; 0 if no layer keeps the target.
    - `complexity` `(L,)`: $\mathrm{SC}_l$, squared radius over squared margin; infinite where the
      target is lost.
    - `margin`: $\ln \mathrm{SC}_L - \ln \mathrm{SC}_{L-h}$, 0 if equal to rounding; infinite if the
      head alone loses the target, NaN if both are infinite.
    - `radius_gain`: $\ln \mathrm{tr}(M_L S') - \ln \mathrm{tr}(M_{L-h} S')$, the part of `margin`
      that is due to the radius of the representation. The rest is due to the margin of the
      separator.
    - `prediction`: feature weights and Grams of the layers.
    - `head_depth`: the number $h$ of last layers that form the projection head.
    """

    layer: Int[Array, ""]
    complexity: Float[Array, " L"]
    margin: Float[Array, ""]
    radius_gain: Float[Array, ""]
    prediction: LayerPrediction
    head_depth: int = eqx.field(static=True)

    @property
    def depth(self) -> int:
        return self.prediction.depth

    @property
    def lost(self) -> Bool[Array, ""]:
        """True if the network loses the target: no number of labels reads it off any layer."""
        return self.layer == 0

    @property
    def pre_beats_post(self) -> Bool[Array, ""]:
        r"""True if layer $L - h$ needs fewer labels than layer $L$, beyond rounding."""
        return self.margin > 0

    @property
    def reason(self) -> str:
        """The better side of the projection head in words, with the cause."""
        if self.lost:
            return "No layer keeps the target: no number of labels reads it."
        below = self.depth - self.head_depth
        pre = f"pre-projection ({f'layer {below}' if below else 'the input'})"
        post = f"post-projection (layer {self.depth})"
        margin, radius = float(self.margin), float(self.radius_gain)
        if np.isposinf(margin):
            return f"{pre.capitalize()} keeps the target; {post} loses it."
        if margin == 0:
            return f"{pre.capitalize()} and {post} are equally good."
        better, worse = (pre, post) if margin > 0 else (post, pre)
        return (
            f"{better.capitalize()} beats {worse}.\nThe head multiplies the squared radius by "
            f"{np.exp(radius):.3g}, the squared margin by {np.exp(radius - margin):.3g}."
        )

    def __str__(self) -> str:
        if self.lost:
            return self.reason
        values = ", ".join(f"{x:.3g}" for x in jax.device_get(self.complexity).tolist())
        return (
            f"Layer {int(self.layer)} of {self.depth} needs the fewest labels; indicator by layer: "
            f"{values}.\n{self.reason}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain Python data, for JSON; None for numbers that do not exist as the target is lost."""
        lost = bool(self.lost)
        return {
            "lost": lost,
            "sample_complexity": plain(self.complexity),
            "best_layer": int(self.layer) or None,
            "head_depth": self.head_depth,
            "margin": plain(self.margin),
            "radius_gain": None if lost else plain(self.radius_gain),
            "pre_beats_post": None if lost else bool(self.pre_beats_post),
        }

    def to_xarray(self):
        """The indicator of every layer, and the best layer, as a labelled `xarray.Dataset`."""
        import xarray

        scalars = ("margin", "radius_gain", "pre_beats_post")
        return xarray.Dataset(
            {
                "sample_complexity": (("layer",), jax.device_get(self.complexity)),
                "best_layer": ((), jax.device_get(self.layer)),
            }
            | {name: ((), jax.device_get(getattr(self, name))) for name in scalars},
            coords={"layer": list(range(1, self.depth + 1))},
            attrs={"depth": self.depth, "head_depth": self.head_depth},
        )

    def plot(self, ax: Any = None):
        """Indicator against layer, the best layer filled; returns the Matplotlib axes."""
        from ...figures import plot_best_layer

        return plot_best_layer(self, ax)


def best_layer(
    problem: Problem,
    downstream: Downstream | DownstreamProblem | AbstractLabel | int,
    depth: int,
    *,
    head_depth: int = 1,
    width: int | None = None,
    start: Start | None = None,
) -> BestLayer:
    r"""Find the layer of a linear network that needs the fewest downstream labels.

    $$l^\star = \arg\min_{1 \le l \le L} \mathrm{SC}_l, \qquad
    \mathrm{SC}_l = \mathrm{tr}(M_l S')\; \beta^\top M_l^+ \beta, \qquad
    M_l = (M^\star)^{l/L}$$

    The indicator is a pure number, proportional to the number of labels in a margin bound. In a
    feature model with the sign of feature $j$ as label the lowest layer is best if $j$ has the
    least weight, and the highest layer if $j$ has the largest. The head is the last $h$ layers, so
    pre-projection is layer $L - h$, or the input itself if $h = L$.

    **Arguments:**

    - `problem`: the problem on which the network is trained, or the moments of its views.
    - `downstream`: the downstream task. Beside a `ContrastiveProblem` it may be a label, or the
      number of the feature, from 0, whose sign is the label, with the inputs of training.
    - `depth`: the number of layers $L$.
    - `head_depth`: the number of layers $h$ of the projection head, from 1 to $L$.
    - `width`: the smallest width of the network, $d$ if not given.
    - `start`: as in `layerwise`: the scales of two layers at the start, balanced if not given.

    **Returns:** a `BestLayer`. Its layer is 0 if the network does not keep the target.

    **Raises:** `ValueError` for a depth, depth of the head, width or feature out of range, a
    problem or task of another type, a task on inputs of another dimension, or a start of other than
    two layers; `NonUniqueMinimiserError` if the width cuts through a tie.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> print(pt.best_layer(problem, downstream=0, depth=3))
        Layer 1 of 3 needs the fewest labels; indicator by layer: 1.45, 1.81, 2.44.
        Pre-projection (layer 2) beats post-projection (layer 3).
        The head multiplies the squared radius by 0.735, the squared margin by 0.543.
        >>> start = pt.theory.starts.Start.torch((2, 512, 2))
        >>> best = pt.best_layer(problem, downstream=0, depth=2, start=start)
        >>> round(float(best.margin), 3), round(float(pt.best_layer(problem, 0, 2).margin), 3)
        (0.671, 0.423)

        ```

    Theorem: optimal-layer, when-pre-wins, start-law.

    Source: paper, section 3, for two layers; any depth, moments and target are beyond the paper.
    """
    task = as_task(problem, downstream)
    depth, head_depth = checks.within_depth(depth, "head_depth", head_depth)
    after = task if isinstance(task, Downstream) else task.moments()
    prediction = layerwise(as_moments(problem), depth, width=width, start=start)
    return _best(prediction, after, head_depth)


@eqx.filter_jit
def _best(prediction: LayerPrediction, downstream: Downstream, head_depth: int) -> BestLayer:
    grams = with_input(prediction.grams, downstream)
    every = LayerIndicators.of(grams, downstream)
    radius = jnp.log(jnp.sum(grams * downstream.second.astype(grams.dtype), axis=(1, 2)))
    return BestLayer(
        layer=every.best_layer(prediction.depth),
        complexity=every.values[1:],
        margin=every.margin(prediction.depth, head_depth),
        radius_gain=radius[-1] - radius[-1 - head_depth],
        prediction=prediction,
        head_depth=head_depth,
    )
