"""The layer-wise law on the empirical moments of given views, as a claim."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ... import DeepLinear, Moments
from ..._core import checks, solver_tolerance
from ...claims import Claim, Control
from ...theory.layers import LayerPrediction, layerwise
from .._common import WRONG_EXPONENT, Run, flow, judge_layers

MOST = 8
"""Default upper limit on the width of a network.

Weaker directions take long to learn, and are not needed to see the law.
"""

STIFF, LARGE = 3e3, 600
"""Least ratio of the fastest rate to the slowest at which a flow is solved implicitly.

`LARGE` is the largest number of weights for which it can be.
"""


def views_claim(
    moments: Moments, depth: int = 2, width: int | None = None, restarts: int = 2
) -> Claim:
    """The layer-wise law on given moments, as a claim.

    Networks start balanced and are trained by gradient flow to stationarity. The problem is
    first restricted to the range of $S$, an exact symmetry (`Moments.range_basis`). The loss of
    a linear network over all pairs of the views, a view with itself included, is a function of
    their empirical moments alone, so training on the moments is training on the views.

    **Arguments:**

    - `moments`: such as `Moments.from_views(x1, x2)`.
    - `depth`: the number of layers.
    - `width`: of every layer; by default the number of directions with a positive signal
      fraction, at most 8.
    - `restarts`: the number of random starts.

    **Raises:** `ValueError` for a depth or width below 1; `NonUniqueMinimiserError` if the width
    cuts through a tie.
    """
    depth = checks.count("depth", depth)
    inner = moments.restrict()
    if width is None:
        width = min(max(int(layerwise(inner, 1, throw=False).minimiser.kept), 1), MOST)
    width = checks.count("width", width)
    prediction = layerwise(inner, depth, width=width)
    sizes = (inner.dim, *(width,) * depth)
    variance = np.linalg.eigvalsh(np.asarray(inner.second, float))
    # Small in the strongest direction, or the loss of the start would dwarf the remaining changes.
    # Weaker directions wait at a saddle for a time that is a power of `product`, and learn at the
    # rate of their own cross moment.
    product = 1 / (2 * variance[-1] ** 0.5)
    scale = product ** (1 / depth)
    slowest = variance[0] * max(
        float(prediction.minimiser.signal_fraction[min(width, inner.dim) - 1]), 1e-3
    )
    t1 = 1e4 * (1 + product ** -(2 - 2 / depth)) / slowest
    stiff = (
        bool(variance[-1] > STIFF * slowest)
        and sum(n * m for n, m in itertools.pairwise(sizes)) <= LARGE
    )

    def train(start: DeepLinear) -> Run:
        # The implicit solver has wide tolerances. The stationarity threshold does not follow them.
        end = solver_tolerance(inner.second.dtype) if stiff else None
        return flow(start, inner, t1=t1, stiff=stiff, stationarity=end)

    def principal_components(start: DeepLinear, own: LayerPrediction) -> LayerPrediction:
        # In the restricted coordinates the second moment is diagonal, in descending order.
        top = jnp.arange(inner.dim) < width
        mask = top[:, None] & top[None, :]
        inside = Moments(jnp.where(mask, inner.cross, 0), inner.second, pairs=inner.pairs)
        return eqx.tree_at(lambda p: p.grams, own, layerwise(inside, depth, width=width).grams)

    controls = [WRONG_EXPONENT]
    if width < inner.dim:
        controls.append(
            Control(
                "principal-components",
                "predicts that the directions of largest variance are kept, not those of largest "
                "signal fraction",
                predict=principal_components,
            )
        )
    return Claim(
        name="views",
        statement=f"The layer-wise law at depth {depth}, width {width}, on the empirical moments "
        f"of the given views (rank {inner.dim}).",
        latex=r"M_l = M_L^{\,l/L}, \qquad M_L = S^{-1/2}\, T_p\, S^{-1/2}",
        hypotheses=(
            "linear network",
            "balanced start",
            "gradient flow",
            "unique minimiser",
            "trained to stationarity",
        ),
        source="paper section 3; beyond the paper for non-commuting moments",
        problems=lambda key: (
            DeepLinear.balanced(
                jax.random.fold_in(key, index), sizes, scale=scale, dtype=inner.second.dtype
            )
            for index in range(restarts)
        ),
        predict=lambda start: prediction,
        measure=train,
        compare=judge_layers,
        controls=tuple(controls),
    )
