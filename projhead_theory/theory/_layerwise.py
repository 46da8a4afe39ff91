"""The layer-wise law: what each layer of a balanced network weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import _checks
from .._spectra import psd_power
from ..moments import Moments
from ._spectral import SpectralMinimiser, spectral


class LayerPrediction(eqx.Module):
    r"""What the theory says of every layer: `grams` `(L, d, d)` with $M_l = M_L^{l/L}$, `weights` `(L, k)` of the
    directions, `loss`.

    `minimiser` says how the last layer was found; `moments` and `directions` are the problem it was computed from.
    """

    grams: Float[Array, "L d d"]
    weights: Float[Array, "L k"]
    loss: Float[Array, ""]
    minimiser: SpectralMinimiser
    moments: Moments
    directions: Float[Array, "d k"] | None

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
                "signal_fraction": (("mode",), jax.device_get(self.minimiser.signal_fraction)),
            },
            coords={"layer": list(layer)},
        )


def layerwise(
    moments: Moments,
    depth: int,
    *,
    width: int | None = None,
    directions: Float[Array, "d k"] | None = None,
    throw: bool = True,
) -> LayerPrediction:
    r"""Layer-wise weights of a balanced deep linear network at the minimum of the spectral contrastive loss.

    $M_l = (M^\star)^{l/L}$, so that in a feature model the weight of feature $i$ at layer $l$ is $w_i^{l/L}$ with
    $w_i = \sqrt{c_i} / q_i$, and the spread of weights is raised to the power $l/L$: lower layers are less specialised.

    **Arguments:** `moments`; `depth`: $L \ge 1$; `width`: the smallest width of the network, $d$ if not given;
    `directions`: `(d, k)`, the unit directions whose weights are wanted, the coordinate axes if not given; `throw`: as
    in `spectral`.

    **Raises:** `ValueError` for a depth or width below 1; `NonUniqueMinimiserError` if the width cuts through a tie.

    Theorem: spectral-minimiser, layerwise-law, progressive-weighting (paper section 3).
    """
    depth = _checks.count("depth", depth)
    return _layerwise(spectral(moments, width, throw=throw), moments, depth, directions)


@eqx.filter_jit
def _layerwise(minimiser: SpectralMinimiser, moments: Moments, depth: int, directions: Array | None) -> LayerPrediction:
    grams = jnp.stack([psd_power(minimiser.gram, level / depth, minimiser.kept) for level in range(1, depth)] + [minimiser.gram])
    squares = jnp.diagonal(grams, axis1=-2, axis2=-1) if directions is None else jnp.einsum("ik,lij,jk->lk", directions, grams, directions)
    # The root at zero has no derivative: a feature of weight zero keeps derivative zero.
    weights = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)
    return LayerPrediction(grams, weights, minimiser.loss, minimiser, moments, directions)
