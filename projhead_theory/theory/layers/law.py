"""The layer-wise law: feature weights and Grams of every layer of a balanced linear network."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._core import checks
from ..._core.isotropic import gained, gram_below
from ..._core.linalg import diagonal, eigh, frobenius, is_diagonal
from ..._core.powers import gram_powers
from ..._core.tolerance import power_rounding
from ...moments import Moments
from ..starts.law import Start, require_two_layers
from .minimiser import SpectralMinimiser, spectral

__all__ = [
    "LayerPrediction",
    "effective_rank",
    "layerwise",
]


class LayerPrediction(eqx.Module):
    """Closed forms of every layer of a linear network, balanced or of another start.

    - `grams` `(L, d, d)`: $M_l = M_L^{l/L}$, or of the start law.
    - `weights` `(L, k)`: the weights of the directions.
    - `loss`: the minimum of the loss.
    - `rounding` `(L,)`: the rounding error of each Gram in its dtype, relative in Frobenius
      norm.
    - `minimiser`: the minimiser that gives the last layer.
    - `moments`, `directions`, `width`: the problem from which it was computed. `width` is the
      smallest width of the network, at most $d$.
    - `start`: the start of two layers that are not balanced, or None.
    """

    grams: Float[Array, "L d d"]
    weights: Float[Array, "L k"]
    loss: Float[Array, ""]
    rounding: Float[Array, " L"]
    minimiser: SpectralMinimiser
    moments: Moments
    directions: Float[Array, "d k"] | None
    width: int = eqx.field(static=True)
    start: Start | None = None

    @property
    def depth(self) -> int:
        return self.grams.shape[-3]

    def to_xarray(self):
        """Weights and Grams as a labelled `xarray.Dataset`."""
        import xarray

        layer = range(1, self.depth + 1)
        return xarray.Dataset(
            {
                "weight": (("layer", "direction"), jax.device_get(self.weights)),
                "gram": (("layer", "input", "input_"), jax.device_get(self.grams)),
                "loss": ((), jax.device_get(self.loss)),
                "rounding": (("layer",), jax.device_get(self.rounding)),
                "signal_fraction": (("mode",), jax.device_get(self.minimiser.signal_fraction)),
            },
            coords={"layer": list(layer)},
        )

    def plot(self, trajectory: Any = None, ax: Any = None):
        """Weights layer by layer as lines, the end of a `Trajectory` as markers.

        Returns the Matplotlib axes.
        """
        from ...figures import plot_layers

        return plot_layers(self, trajectory, ax)


def layerwise(
    moments: Moments,
    depth: int,
    *,
    width: int | None = None,
    directions: Float[Array, "d k"] | None = None,
    start: Start | None = None,
    throw: bool = True,
) -> LayerPrediction:
    r"""Layer-wise weights of a deep linear network at the minimum of the spectral loss.

    $$M_l = (M^\star)^{l/L}$$

    In a feature model the weight of feature $i$ at layer $l$ is $w_i^{l/L}$ with
    $w_i = \sqrt{c_i} / q_i$. The spread of weights is raised to the power $l/L$: lower layers
    are less specialised. The loss is the spectral contrastive loss. A network of two layers need
    not be balanced: from any other isotropic `start`, $M_1$ follows the start law. It keeps the
    scale of the encoder in directions that the last layer drops.

    **Arguments:**

    - `moments`: the moments of the views.
    - `depth`: the number of layers $L \ge 1$.
    - `width`: the smallest width of the network, $d$ if not given.
    - `directions`: unit directions `(d, k)` whose weights are returned, the coordinate axes if
      not given.
    - `start`: the scales of two layers at the start, `theory.starts.Start`; balanced if not given.
    - `throw`: as in `spectral`.

    **Returns:** a `LayerPrediction` with `weights` `(L, k)` and `grams` `(L, d, d)`.

    **Raises:** `ValueError` for a depth or width below 1, or a start of other than two layers;
    `NonUniqueMinimiserError` if the width cuts through a tie.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> np.round(pt.layerwise(problem.moments(), depth=2).weights, 3)
        Array([[0.632, 0.981],
               [0.4  , 0.962]], dtype=float64)
        >>> wide = pt.theory.starts.Start(encoder=2.0, head=0.5)
        >>> np.round(pt.layerwise(problem.moments(), depth=2, start=wide).weights, 3)
        Array([[1.436, 1.525],
               [0.4  , 0.962]], dtype=float64)

        ```

    Theorem: spectral-minimiser, layerwise-law, progressive-weighting, start-law.

    Source: paper, section 3, for depth 2; any depth, any width and non-commuting moments are
    beyond the paper.
    """
    depth = checks.count("depth", depth)
    minimiser = spectral(moments, width, throw=throw)
    return below(minimiser, moments, depth, width, directions, start)


def below(
    minimiser: SpectralMinimiser,
    moments: Moments,
    depth: int,
    width: int | None,
    directions: Float[Array, "d k"] | None,
    start: Start | None = None,
) -> LayerPrediction:
    """Every layer of a network of this depth, from its last Gram and its start."""
    if start is not None:
        require_two_layers(depth)
    grams, weights, rounding = (
        _layers(minimiser, depth, directions)
        if start is None
        else _two_layers(minimiser, start, directions)
    )
    smallest = moments.dim if width is None else min(width, moments.dim)
    return LayerPrediction(
        grams, weights, minimiser.loss, rounding, minimiser, moments, directions, smallest, start
    )


@eqx.filter_jit
def _layers(
    minimiser: SpectralMinimiser, depth: int, directions: Array | None
) -> tuple[Array, Array, Array]:
    """Grams, weights and rounding of all layers, with one compiled program for every width."""
    grams = gram_powers(minimiser.gram, minimiser.kept, depth)
    last, eps = jax.lax.stop_gradient(minimiser.gram), jnp.finfo(grams.dtype).eps
    # In a diagonal Gram a power multiplies the rounding of its exponent by the log of the weight.
    size = diagonal(last)
    apart = minimiser.rounding + 8 * eps * jnp.max(jnp.abs(jnp.log(jnp.where(size > 0, size, 1))))
    mixed = power_rounding(grams, minimiser.kept, minimiser.rounding) + 8 * depth * eps
    return (
        grams,
        _weights(grams, directions),
        jnp.where(is_diagonal(last), apart, mixed).at[-1].set(minimiser.rounding),
    )


@eqx.filter_jit
def _two_layers(
    minimiser: SpectralMinimiser, start: Start, directions: Array | None
) -> tuple[Array, Array, Array]:
    """Grams, weights and rounding of both layers of the start law."""
    last = minimiser.gram
    encoder, head = (x.astype(last.dtype) for x in (start.encoder, start.head))
    grams = jnp.stack([gram_below(last, encoder, head, minimiser.kept), last])
    seen, total = jax.lax.stop_gradient((grams, encoder + head))
    d, eps = last.shape[-1], jnp.finfo(last.dtype).eps
    # The law is operator concave: its change is at most that from zero, and to first order the
    # error of the last Gram times the steepest slope.
    error = minimiser.rounding * frobenius(seen[1])
    least = eigh(seen[1]).values[d - jnp.maximum(minimiser.kept, 1)]
    slope = gained(least, total) + jnp.where(minimiser.kept < d, 0, gained(least, total)) + total
    near = jnp.where(slope > 0, error / jnp.where(slope > 0, slope, 1), jnp.inf)
    size = frobenius(seen[0])
    mixed = jnp.minimum(near, d**0.5 * gained(error, total)) / jnp.where(size > 0, size, 1)
    # In a diagonal Gram each weight has no more than the relative error of the last layer's.
    first = jnp.where(is_diagonal(seen[1]), minimiser.rounding, mixed) + 16 * eps
    return grams, _weights(grams, directions), jnp.stack([first, minimiser.rounding])


def _weights(grams: Float[Array, "L d d"], directions: Array | None) -> Float[Array, "L k"]:
    squares = (
        diagonal(grams)
        if directions is None
        else jnp.einsum("ik,lij,jk->lk", directions, grams, directions)
    )
    # The root at zero has no derivative: a feature of weight zero keeps derivative zero.
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def effective_rank(grams: Float[Array, "*b d d"]) -> Float[Array, "*b"]:
    r"""Effective rank of Grams: the participation ratio of their eigenvalues, from 1 to $d$.

    $$r(M) = \frac{(\sum_i \mu_i)^2}{\sum_i \mu_i^2}$$

    It does not depend on the unit of the Gram. The Gram zero has effective rank zero.

    **Arguments:**

    - `grams`: symmetric and positive semi-definite, `(..., d, d)`.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> prediction = pt.layerwise(problem.moments(), depth=2)
        >>> np.round(pt.theory.layers.effective_rank(prediction.grams), 3)
        Array([1.709, 1.336], dtype=float64)

        ```

    Theorem: effective-rank (beyond the paper).
    """
    values = jnp.maximum(jnp.linalg.eigvalsh(grams), 0)
    largest = values[..., -1:]
    shares = values / jnp.where(largest > 0, largest, 1)
    squares = jnp.sum(shares**2, axis=-1)
    return jnp.sum(shares, axis=-1) ** 2 / jnp.where(squares > 0, squares, 1)
