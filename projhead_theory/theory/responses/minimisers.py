"""Minimiser of a loss given by its response function, and every layer below it."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._core import checks
from ...moments import Moments
from ..layers import LayerPrediction, NonUniqueMinimiserError, SpectralMinimiser
from ..layers.law import below
from ..starts.law import Start
from .response import AbstractResponse, BarlowTwins, InfoNCEDistance, InfoNCERademacher, Whitening

__all__ = ["layers", "minimiser"]


def minimiser(
    moments: Moments,
    response: AbstractResponse,
    width: int | None = None,
    *,
    throw: bool = True,
) -> SpectralMinimiser:
    r"""Minimise a loss over linear networks of bounded width, by its response function.

    $$M^\star = S^{-1/2}\, g(T)\, S^{-1/2} \quad \text{on the } p \text{ largest eigenvalues of }
    T = S^{-1/2} C S^{-1/2}$$

    For `BarlowTwins` it is $C^+$ on the $p$ largest eigenvalues of $C$.

    **Arguments:**

    - `moments`: the moments of the views.
    - `response`: the loss.
    - `width`: the smallest width $p \ge 1$ of the network, $d$ by default.
    - `throw`: raise if the width cuts through a tie. With `throw=False`, `unique` is then false,
      and `gram` holds the modes above the tie.

    **Returns:** a `SpectralMinimiser`. Its `loss` is the minimum less the loss of a network of
    weight zero; for `Whitening`, which excludes that network, the minimum.

    **Raises:** `ValueError` for a width below 1, or a response whose hypotheses these moments or
    this width break; `NonUniqueMinimiserError` if the width cuts through a tie.

    !!! example

        ```pycon
        >>> moments = pt.Moments(np.diag([0.9, 0.5, 0.1]), np.eye(3))
        >>> for response in (
        ...     pt.theory.responses.Spectral(),
        ...     pt.theory.responses.VICReg(beta=1.5),
        ...     pt.theory.responses.InfoNCEDistance(temperature=1.0),
        ... ):
        ...     gram = pt.theory.responses.minimiser(moments, response).gram
        ...     print(np.round(np.diag(gram), 3) + 0)
        [0.9 0.5 0.1]
        [0.85 0.25 0.  ]
        [4.854 0.618 0.073]

        ```

    Theorem: response-minimiser.

    Source: beyond the paper.
    """
    d = moments.dim
    width = d if width is None else min(checks.count("width", width), d)
    if isinstance(response, InfoNCERademacher) and width < d:
        wanted = f"at least the number of features, {d}, for Rademacher features under InfoNCE"
        raise checks.bad("width", width, wanted)
    result = response.minimise(moments, jnp.asarray(width, int))
    _require_a_minimum(result, response, width)
    if throw and not _known(result.unique, True):
        tied = "eigenvalues of C" if isinstance(response, BarlowTwins) else "signal fractions"
        raise NonUniqueMinimiserError(
            f"width: got {width}, which cuts between the tied {tied} {width} and {width + 1}; "
            "want a width at which the minimiser is unique"
        )
    return result


def layers(
    moments: Moments,
    response: AbstractResponse,
    depth: int,
    *,
    width: int | None = None,
    directions: Float[Array, "d k"] | None = None,
    start: Start | None = None,
    throw: bool = True,
) -> LayerPrediction:
    r"""Weights and Grams of all layers of a network at the minimum of a loss.

    $$M_l = (M^\star)^{l/L}$$

    The layer-wise law, and the start law in its place, hold for any differentiable loss of the
    outputs.

    **Arguments:**

    - `moments`, `response`, `width`, `throw`: as in `minimiser`.
    - `depth`: the number of layers $L \ge 1$.
    - `directions`: unit directions `(d, k)` whose weights are returned, the coordinate axes if
      not given.
    - `start`: the scales of two layers at the start, as in `layerwise`; balanced if not given.

    **Returns:** a `LayerPrediction`, as of `layerwise`.

    **Raises:** as `minimiser`, and `ValueError` for a depth below 1, or a start of other than two
    layers.

    !!! example

        ```pycon
        >>> moments = pt.Moments(np.diag([0.8, 0.2]), np.diag([1.0, 2.0]))
        >>> barlow = pt.theory.responses.BarlowTwins()
        >>> np.round(pt.theory.responses.layers(moments, barlow, depth=2).weights, 3)
        Array([[1.057, 1.495],
               [1.118, 2.236]], dtype=float64)

        ```

    Theorem: response-minimiser.

    Source: beyond the paper.
    """
    depth = checks.count("depth", depth)
    found = minimiser(moments, response, width, throw=throw)
    return below(found, moments, depth, width, directions, start)


def _known(flag: Array, otherwise: bool) -> bool:
    value = checks.concrete(flag)
    return otherwise if value is None else bool(value.all())


def _require_a_minimum(result: SpectralMinimiser, response: AbstractResponse, width: int) -> None:
    """Raise if the loss has no minimum, as far as that is known."""
    fractions, noise = (
        checks.concrete(x) for x in (result.signal_fraction, result.fraction_rounding)
    )
    rank = checks.concrete(result.whitening.rank)
    if fractions is None or noise is None or rank is None:
        return
    unbounded = isinstance(response, InfoNCEDistance | InfoNCERademacher)
    if unbounded and np.any(fractions + noise >= 1):
        raise checks.bad(
            "moments",
            "a signal fraction of 1",
            f"fractions below 1: the weight under {type(response).__name__} has no bound there",
        )
    if isinstance(response, Whitening) and np.any(rank < width):
        wanted = f"at most {int(np.min(rank))}, the number of directions with variance"
        raise checks.bad("width", width, wanted)
