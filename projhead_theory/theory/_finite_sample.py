"""What a finite number of pairs does to the predicted weights: the delta method."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import _checks
from .._spectra import diagonal, matmul, symmetric
from ..moments import Moments
from ..problems import Views
from ._layerwise import layerwise
from ._spectral import spectral


class SamplingError(eqx.Module):
    r"""How the weights of networks trained on $n$ pairs scatter about the population's.

    `weights` `(L, k)`: the population's; `covariance` `(L k, L k)`: of the deviations, $O(1/n)$, layer by layer;
    `bias` `(L, k)`: the mean of the second-order term, $O(1/n)$; `second_covariance` `(L k, L k)`: that term's
    covariance, $O(n^{-2})$.
    """

    weights: Float[Array, "L k"]
    covariance: Float[Array, "m m"]
    bias: Float[Array, "L k"]
    second_covariance: Float[Array, "m m"]
    pairs: Array

    @property
    def standard_error(self) -> Float[Array, "L k"]:
        return jnp.sqrt(diagonal(self.covariance)).reshape(self.weights.shape)

    @property
    def curvature(self) -> Float[Array, "L k"]:
        """The standard deviation of the second-order term in units of the first, $O(n^{-1/2})$: how far from normal weights still are."""
        error = self.standard_error
        second = jnp.sqrt(diagonal(self.second_covariance)).reshape(error.shape)
        return second / jnp.where(error > 0, error, 1)


def sampling_error(
    moments: Moments,
    depth: int,
    pairs: int | Array,
    *,
    width: int | None = None,
    directions: Float[Array, "d k"] | None = None,
    views: Views | None = None,
) -> SamplingError:
    r"""The asymptotic distribution of the layer-wise weights of a network trained on $n$ positive pairs.

    The weights $g$ are functions of the empirical moments, so $g(\hat C, \hat S) - g(C, S)$ is asymptotically normal with
    covariance $J \Omega J^\top / n$, where $\Omega$ is the covariance of one pair's moments. For Gaussian views, in the
    independent coordinates $u = (x_1 + x_2)/\sqrt2$ and $v = (x_1 - x_2)/\sqrt2$, of covariances $S + C$ and $S - C$,
    two derivatives $A = \partial g / \partial C$ and $B = \partial g / \partial S$ have

    $$\mathrm{Cov}(g, g') = \frac1{2n} \left[\mathrm{tr}\,(A + B)(S + C)(A' + B')(S + C)
      + \mathrm{tr}\,(B - A)(S - C)(B' - A')(S - C)\right].$$

    **Arguments:** `moments`: the population's; `depth`; `pairs`: $n \ge 2$; `width`, `directions`: as in `layerwise`;
    `views`: a large sample to estimate $\Omega$ from, for views that are not Gaussian.

    **Raises:** `ValueError` for arguments out of range; `NonUniqueMinimiserError` if the width cuts through a tie.

    Theorem: finite-sample (beyond the paper).
    """
    number = _checks.floating("pairs", pairs).astype(moments.second.dtype)
    _checks.require("pairs", number, lambda v: v >= 2, "at least two pairs")
    if views is not None and views.dim != moments.dim:
        raise _checks.bad("views", f"dimension {views.dim}", f"the moments' {moments.dim}")
    spectral(moments, width)
    return _sampling_error(moments, _checks.count("depth", depth), number, width, directions, views)


@eqx.filter_jit
def _sampling_error(
    moments: Moments,
    depth: int,
    pairs: Array,
    width: int | None,
    directions: Array | None,
    views: Views | None,
) -> SamplingError:
    def weights(deltas: Array) -> Array:
        """All weights, of moments moved by so much along each direction of the factor of their covariance."""
        moved = jnp.einsum("j,jkab->kab", deltas, factor)
        shifted = Moments(symmetric(moments.cross + moved[0]), symmetric(moments.second + moved[1]))
        return layerwise(
            shifted, depth, width=width, directions=directions, throw=False
        ).weights.reshape(-1)

    factor = (
        _gaussian_factor(moments) if views is None else _sample_factor(moments, views)
    ) / jnp.sqrt(pairs)
    zero = jnp.zeros(factor.shape[0], factor.dtype)
    value = layerwise(moments, depth, width=width, directions=directions, throw=False).weights
    slope = jax.jacfwd(weights)
    jacobian = slope(zero)
    # Second derivatives as differences over one standard deviation either way: those of an eigenbasis do not survive ties.
    steps = jnp.eye(zero.size, dtype=zero.dtype)
    hessian = jax.lax.map(lambda step: (slope(step) - slope(-step)) / 2, steps).transpose(1, 2, 0)
    covariance = matmul(jacobian, jacobian.T)
    bias = jnp.trace(hessian, axis1=1, axis2=2) / 2
    bends = hessian.reshape(hessian.shape[0], -1)
    return SamplingError(
        value, covariance, bias.reshape(value.shape), matmul(bends, bends.T) / 2, pairs
    )


def _gaussian_factor(moments: Moments) -> Float[Array, "m 2 d d"]:
    r"""Independent directions in which one Gaussian pair's $(\hat C, \hat S)$ scatters, each of unit variance.

    With $R = (S + C)^{1/2}$, $u u^\top$ scatters by $R (z z^\top - 1) R$, whose independent parts are the symmetric
    products of columns of $R$; likewise for $v$. Then $\hat S = (u u^\top + v v^\top)/2$, $\hat C = (u u^\top - v v^\top)/2$.
    """
    d = moments.dim
    rows, columns = jnp.triu_indices(d)

    def parts(covariance: Array) -> Array:
        values, vectors = jnp.linalg.eigh(covariance)
        root = vectors * jnp.sqrt(jnp.maximum(values, 0))
        outer = jnp.einsum("ai,bj->ijab", root, root)
        outer = (outer + jnp.swapaxes(outer, 2, 3))[rows, columns]
        # Off the diagonal z_i z_j has variance one and enters twice; on it z_i^2 - 1 has variance two and enters once.
        return jnp.where((rows == columns)[:, None, None], outer / 2**0.5, outer)

    plus, minus = (
        parts(moments.second + moments.cross) / 2,
        parts(moments.second - moments.cross) / 2,
    )
    return jnp.concatenate([jnp.stack([plus, plus], axis=1), jnp.stack([-minus, minus], axis=1)])


def _sample_factor(moments: Moments, views: Views) -> Float[Array, "m 2 d d"]:
    """The same for any views: principal directions of the scatter of the pairs' own moments in a sample."""
    x1, x2 = views.first, views.second
    cross = symmetric(jnp.einsum("na,nb->nab", x1, x2))
    second = (jnp.einsum("na,nb->nab", x1, x1) + jnp.einsum("na,nb->nab", x2, x2)) / 2
    terms = jnp.stack([cross, second], axis=1).reshape(x1.shape[0], -1)
    terms = terms - jnp.mean(terms, axis=0)
    values, vectors = jnp.linalg.eigh(matmul(terms.T, terms) / x1.shape[0])
    return (vectors * jnp.sqrt(jnp.maximum(values, 0))).T.reshape(-1, 2, moments.dim, moments.dim)
