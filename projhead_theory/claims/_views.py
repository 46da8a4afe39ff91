"""Real input: the closed form on the empirical moments of paired views, against networks trained on those views."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from .. import _checks
from ..moments import Moments
from ..networks import DeepLinear
from ..theory import LayerPrediction, layerwise
from ._claim import Claim, Control
from ._layers import judge_layers, with_exponents
from ._runs import Run, flow


def views_claim(moments: Moments, depth: int = 2, width: int | None = None, restarts: int = 2) -> Claim:
    r"""The layer-wise law on given moments, as a claim: balanced starts, trained by gradient flow to stationarity.

    The problem is restricted to the range of $S$ first, an exact symmetry (`Moments.range_basis`). The loss of a linear
    network over all pairs of the views, a view with itself included, is a function of their empirical moments alone, so
    training on those is training on the views.

    **Arguments:** `moments`: such as `Moments.from_views(x1, x2)`; `depth`; `width`: of every layer, the rank of $S$ if
    not given; `restarts`: how many random starts.

    **Raises:** `ValueError` for a depth or width below 1; `NonUniqueMinimiserError` if the width cuts through a tie.
    """
    depth = _checks.count("depth", depth)
    inner = moments.restrict()
    width = inner.dim if width is None else _checks.count("width", width)
    prediction = layerwise(inner, depth, width=width)
    sizes = (inner.dim, *(width,) * depth)
    # A start of about the size of the answer, so that no mode waits at a saddle.
    scale = float(prediction.weights[-1].max()) ** (1 / depth) / 2

    def starts(key: PRNGKeyArray) -> Iterator[DeepLinear]:
        for index in range(restarts):
            yield DeepLinear.balanced(jax.random.fold_in(key, index), sizes, scale=scale, dtype=inner.second.dtype)

    def train(start: DeepLinear) -> Run:
        return flow(start, inner, until=1e7)

    def principal_components(start: DeepLinear, own: LayerPrediction) -> LayerPrediction:
        # In the restricted coordinates the second moment is diagonal, in descending order.
        top = jnp.arange(inner.dim) < width
        mask = top[:, None] & top[None, :]
        inside = Moments(jnp.where(mask, inner.cross, 0), inner.second, pairs=inner.pairs)
        return eqx.tree_at(lambda p: p.grams, own, layerwise(inside, depth, width=width).grams)

    exponent = with_exponents(lambda level, layers: level / (layers + 1))
    controls = [Control("wrong-exponent", "predicts the power l / (L + 1)", predict=exponent)]
    if width < inner.dim:
        breaks = "predicts that the directions of largest variance are kept, not those of largest signal fraction"
        controls.append(Control("principal-components", breaks, predict=principal_components))
    return Claim(
        name="views",
        statement=f"The layer-wise law at depth {depth}, width {width}, on the empirical moments of the given views (rank {inner.dim}).",
        latex=r"M_l = M_L^{\,l/L}, \qquad M_L = S^{-1/2}\, T_p\, S^{-1/2}",
        hypotheses=("linear network", "balanced start", "gradient flow", "unique minimiser", "trained to stationarity"),
        source="paper section 3; beyond the paper for non-commuting moments",
        problems=starts,
        predict=lambda start: prediction,
        measure=train,
        compare=judge_layers,
        controls=tuple(controls),
    )
