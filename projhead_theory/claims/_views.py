"""Real input: the closed form on the empirical moments of paired views, against networks trained on those views."""

from collections.abc import Iterator

import jax

from .. import _checks
from ..moments import Moments
from ..networks import DeepLinear
from ..simulation import gradient_flow
from ..theory import layerwise, spectral
from ._claim import Claim
from ._compare import compare
from ._verdict import Verdict


def views_claim(moments: Moments, depth: int = 2, width: int | None = None, restarts: int = 2) -> Claim:
    r"""The layer-wise law on given moments, as a claim: balanced starts, trained by gradient flow to stationarity.

    The problem is restricted to the range of $S$ first, an exact symmetry (`Moments.range_basis`). The loss of a linear
    network on all pairs
    of the views is a function of their empirical moments alone, so training on those is training on the views.

    **Arguments:** `moments`: such as `Moments.from_views(x1, x2)`; `depth`; `width`: of every layer, the rank of $S$ if
    not given;
    `restarts`: how many random starts.

    **Raises:** `ValueError` for a depth or width below 1; `NonUniqueMinimiserError` if the width cuts through a tie.
    """
    depth = _checks.count("depth", depth)
    inner = moments.restrict()
    width = inner.dim if width is None else _checks.count("width", width)
    spectral(inner, width)

    def run(key) -> Iterator[Verdict]:
        prediction = layerwise(inner, depth, width=width)
        for index in range(restarts):
            # A start of about the size of the answer, so that no mode waits at a saddle.
            scale = float(prediction.weights[-1].max()) ** (1 / depth) / 2
            network = DeepLinear.balanced(
                jax.random.fold_in(key, index), (inner.dim, *(width,) * depth), scale=scale, dtype=inner.second.dtype
            )
            yield compare(prediction, gradient_flow(network, inner, until=1e7, record=16))

    return Claim(
        name="views",
        statement=f"The layer-wise law at depth {depth}, width {width}, on the empirical moments of the given views (rank {inner.dim}).",
        hypotheses=("linear network", "balanced start", "gradient flow", "unique minimiser", "trained to stationarity"),
        source="paper section 3; beyond the paper for non-commuting moments",
        run=run,
        controls=(),
    )
