"""Sampling error of the predicted weights for a finite number of pairs: the delta method."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._core import checks
from ..._core.linalg import diagonal, matmul, symmetric
from ...moments import Moments
from ...problems import Views
from ..layers.law import layerwise
from ..layers.minimiser import spectral

__all__ = [
    "SamplingError",
    "sampling_error",
]


class SamplingError(eqx.Module):
    """Deviations of the weights of networks trained on $n$ pairs from the population's weights.

    - `weights` `(L, k)`: the population's weights.
    - `covariance` `(L k, L k)`: the covariance of the deviations, $O(1/n)$, layer by layer.
    - `bias` `(L, k)`: the mean of the second-order term, $O(1/n)$.
    - `second_covariance` `(L k, L k)`: the covariance of the second-order term, $O(n^{-2})$.
    - `pairs`: the number of pairs $n$.
    """

    weights: Float[Array, "L k"]
    covariance: Float[Array, "m m"]
    bias: Float[Array, "L k"]
    second_covariance: Float[Array, "m m"]
    pairs: Array

    @property
    def standard_error(self) -> Float[Array, "L k"]:
        """Standard error of each weight, to first order: the root of its variance."""
        return jnp.sqrt(diagonal(self.covariance)).reshape(self.weights.shape)

    @property
    def curvature(self) -> Float[Array, "L k"]:
        """Standard deviation of the second-order term in units of the first, $O(n^{-1/2})$.

        It measures the distance of the weights from normality.
        """
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
    r"""Asymptotic distribution of the layer-wise weights of networks trained on $n$ positive pairs.

    The weights $g$ are functions of the empirical moments, so $g(\hat C, \hat S) - g(C, S)$ is
    asymptotically normal with covariance $J \Omega J^\top / n$, where $\Omega$ is the
    covariance of the moments of one pair. For Gaussian views, the coordinates
    $u = (x_1 + x_2)/\sqrt2$ and $v = (x_1 - x_2)/\sqrt2$ are independent, with covariances
    $S + C$ and $S - C$. For two weights with derivatives $A = \partial g / \partial C$ and
    $B = \partial g / \partial S$,

    $$\mathrm{Cov}(g, g') = \frac1{2n} \left[\mathrm{tr}\,(A + B)(S + C)(A' + B')(S + C)
      + \mathrm{tr}\,(B - A)(S - C)(B' - A')(S - C)\right].$$

    **Arguments:**

    - `moments`: the population's moments.
    - `depth`: the number of layers $L$.
    - `pairs`: the number of pairs $n \ge 2$.
    - `width`, `directions`: as in `layerwise`.
    - `views`: a large sample to estimate $\Omega$ from, for views that are not Gaussian.

    **Raises:** `ValueError` for arguments out of range; `NonUniqueMinimiserError` if the width
    cuts through a tie.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([1.0]), pt.AdditiveNoise([0.5]))
        >>> error = pt.theory.samples.sampling_error(problem.moments(), depth=2, pairs=1000)
        >>> np.round(error.weights, 3)
        Array([[0.894],
               [0.8  ]], dtype=float64)
        >>> np.round(error.standard_error, 3)
        Array([[0.007],
               [0.013]], dtype=float64)

        ```

    Theorem: finite-sample.

    Source: beyond the paper; the delta method is in van der Vaart, *Asymptotic Statistics*,
    chapter 3.
    """
    number = checks.floating("pairs", pairs).astype(moments.second.dtype)
    checks.require("pairs", number, lambda v: v >= 2, "at least two pairs")
    if views is not None and views.dim != moments.dim:
        raise checks.bad("views", f"dimension {views.dim}", f"the moments' {moments.dim}")
    spectral(moments, width)
    return _sampling_error(moments, checks.count("depth", depth), number, width, directions, views)


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
        """All weights, at moments shifted by `deltas` along the columns of the factor."""
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
    # Second derivatives as differences over one standard deviation either way: exact second
    # derivatives of an eigenbasis break at ties.
    steps = jnp.eye(zero.size, dtype=zero.dtype)
    hessian = jax.lax.map(lambda step: (slope(step) - slope(-step)) / 2, steps).transpose(1, 2, 0)
    covariance = matmul(jacobian, jacobian.T)
    bias = jnp.trace(hessian, axis1=1, axis2=2) / 2
    bends = hessian.reshape(hessian.shape[0], -1)
    return SamplingError(
        value, covariance, bias.reshape(value.shape), matmul(bends, bends.T) / 2, pairs
    )


def _gaussian_factor(moments: Moments) -> Float[Array, "m 2 d d"]:
    r"""Independent directions of unit variance of the $(\hat C, \hat S)$ of one Gaussian pair.

    With $R = (S + C)^{1/2}$, $u u^\top$ deviates from its mean by $R (z z^\top - 1) R$, whose
    independent parts are the symmetric products of columns of $R$; likewise for $v$. Then
    $\hat S = (u u^\top + v v^\top)/2$ and $\hat C = (u u^\top - v v^\top)/2$.
    """
    d = moments.dim
    rows, columns = jnp.triu_indices(d)

    def parts(covariance: Array) -> Array:
        values, vectors = jnp.linalg.eigh(covariance)
        root = vectors * jnp.sqrt(jnp.maximum(values, 0))
        outer = jnp.einsum("ai,bj->ijab", root, root)
        outer = (outer + jnp.swapaxes(outer, 2, 3))[rows, columns]
        # Off the diagonal z_i z_j has variance one and enters twice; on it z_i^2 - 1 has variance
        # two and enters once.
        return jnp.where((rows == columns)[:, None, None], outer / 2**0.5, outer)

    plus, minus = (
        parts(moments.second + moments.cross) / 2,
        parts(moments.second - moments.cross) / 2,
    )
    return jnp.concatenate([jnp.stack([plus, plus], axis=1), jnp.stack([-minus, minus], axis=1)])


def _sample_factor(moments: Moments, views: Views) -> Float[Array, "m 2 d d"]:
    """Principal directions, scaled, of the moments of single pairs in a sample of any views."""
    x1, x2 = views.first, views.second
    cross = symmetric(jnp.einsum("na,nb->nab", x1, x2))
    second = (jnp.einsum("na,nb->nab", x1, x1) + jnp.einsum("na,nb->nab", x2, x2)) / 2
    terms = jnp.stack([cross, second], axis=1).reshape(x1.shape[0], -1)
    terms = terms - jnp.mean(terms, axis=0)
    values, vectors = jnp.linalg.eigh(matmul(terms.T, terms) / x1.shape[0])
    return (vectors * jnp.sqrt(jnp.maximum(values, 0))).T.reshape(-1, 2, moments.dim, moments.dim)
