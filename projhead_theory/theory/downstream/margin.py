"""Error and number of samples of the max-margin separator, in high dimension.

The number of samples and the number of features grow together.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr, ndtri
from jaxtyping import Array, Float

from ..._core import checks
from ..._core.bisect import bisect
from ..._core.linalg import eigh, matmul, psd_power, symmetric
from ...problems import Downstream
from .complexity import checked_grams

__all__ = [
    "margin_error",
    "margin_samples",
]

STEPS = 60
"""Steps of bisection: from a bracket of 80 down to less than rounding."""


def margin_samples(
    grams: Float[Array, "*L d d"], downstream: Downstream, error: Any
) -> Float[Array, "*L"]:
    r"""Number of samples that the max-margin separator needs at each layer for a given error.

    The separator has no intercept. The label is a feature $y = \beta^\top x' = \pm 1$,
    independent of the rest of $x'$. At a layer of Gram $M$ the mean of $y$ times the
    representation is $\nu = M^{1/2} S' \beta$. The rest has covariance
    $\Sigma = M^{1/2} (S' - S' \beta \beta^\top S') M^{1/2}$, with eigenvalues $s_i$, and
    $\nu_i$ is the mean along its eigenvectors. With

    $$D_1 = \sum_i \frac{\kappa s_i}{1 + \kappa s_i}, \quad
    D_2 = \sum_i \Big( \frac{\kappa s_i}{1 + \kappa s_i} \Big)^2, \quad
    h(x) = x + \frac{\varphi(x)}{\Phi(x)},$$

    the error is $\Phi(-z)$ from $n$ samples, where

    $$z = \kappa\, h(x) \sum_i \frac{\nu_i^2}{1 + \kappa s_i}, \qquad n = \frac{D_1}{\Phi(x)},
    \qquad 1 = \kappa^2 h(x)^2 \sum_i \frac{\nu_i^2 s_i}{(1 + \kappa s_i)^2}
      + (1 + x\, h(x)) \frac{D_2}{D_1}.$$

    This is exact as $n$ and the number of features grow together, for Gaussian nuisance
    features. $\Phi(x)$ is the share of samples on the margin. With many more nuisance features
    than samples $n = z^2 \sum_i s_i^2 / \|\nu\|^4$. In a feature model $n$ is never more than
    twice the number of nuisance features.

    **Arguments:**

    - `grams`: the Grams of the layers, $M_1, \dots, M_L$.
    - `downstream`: the downstream task, with a target of variance 1.
    - `error`: the error, between 0 and 1/2.

    **Returns:** numbers of samples, not rounded; 0 where there is nothing but the label,
    infinite where the error is never reached.

    **Raises:** `ValueError` if the dimensions differ, the error is out of range, or
    $\beta^\top S' \beta \ne 1$.

    !!! example

        ```pycon
        >>> problem = pt.DownstreamProblem(pt.Features(np.ones(20)), pt.problems.SignLabel(0))
        >>> weights = jnp.ones(20).at[0].set(0.5)
        >>> grams = jnp.stack([jnp.diag(weights), jnp.diag(weights**2)])
        >>> np.round(pt.theory.downstream.margin_samples(grams, problem.moments(), error=0.05), 1)
        Array([24., 30.], dtype=float64)

        ```

    Theorem: measured-sample-complexity.

    Source: beyond the paper; the method is due to Montanari et al. (arXiv 1911.01544) and Deng
    et al. (arXiv 1911.05822).
    """
    grams = _grams(grams, downstream)
    wanted = checks.floating("error", error)
    checks.require("error", wanted, lambda v: (v > 0) & (v < 0.5), "an error between 0 and 1/2")
    return _samples(grams, downstream, wanted.astype(grams.dtype))


def margin_error(
    grams: Float[Array, "*L d d"], downstream: Downstream, samples: Any
) -> Float[Array, "*L"]:
    """Error of the max-margin separator at each layer from a given number of samples.

    It is the inverse function of `margin_samples`. In a feature model it is 0 from twice as
    many samples as nuisance features on.

    **Arguments:**

    - `grams`, `downstream`: as in `margin_samples`.
    - `samples`: the number of samples, positive.

    **Raises:** `ValueError` as `margin_samples`, or for a number of samples that is not
    positive.

    Theorem: measured-sample-complexity.

    Source: beyond the paper.
    """
    grams = _grams(grams, downstream)
    return _errors(grams, downstream, checks.positive("samples", samples).astype(grams.dtype))


def _grams(grams: Any, downstream: Downstream) -> Array:
    grams = checked_grams(grams, downstream)
    second, target = checks.concrete(downstream.second), checks.concrete(downstream.target)
    if second is not None and target is not None:
        variance = float(target @ second @ target)
        if abs(variance - 1) > 1e3 * len(second) * np.finfo(second.dtype).eps:
            raise checks.bad(
                "downstream",
                f"a target of variance {variance:.4g}",
                "variance 1: the label, which is +1 or -1, itself",
            )
    return grams


class _Sums(NamedTuple):
    r"""The sums over eigenvalues in the equations of `margin_samples`.

    They are $D_1$, $D_2$, $\sum \nu_i^2 / (1 + \kappa s_i)$ and
    $\sum \nu_i^2 s_i / (1 + \kappa s_i)^2$.
    """

    first: Array
    second: Array
    along: Array
    across: Array


class Spectrum(NamedTuple):
    r"""Variances $s_i$ of the nuisance, largest 1, and the squared means $\nu_i^2$ along them."""

    spread: Array
    signal: Array

    def sums(self, kappa: Array) -> _Sums:
        shrunk = 1 / (1 + kappa * self.spread)
        share = kappa * self.spread * shrunk
        across = jnp.sum(self.signal * self.spread * shrunk**2)
        return _Sums(jnp.sum(share), jnp.sum(share**2), jnp.sum(self.signal * shrunk), across)


class _Layer(NamedTuple):
    r"""Covariance $\Sigma$ of the nuisance, largest eigenvalue 1, and the mean $\nu$.

    The sums are smooth functions of them, at ties too.
    """

    covariance: Array
    mean: Array

    def sums(self, kappa: Array) -> _Sums:
        inverse = jnp.linalg.inv(
            jnp.eye(self.mean.size, dtype=kappa.dtype) + kappa * self.covariance
        )
        share = kappa * matmul(self.covariance, inverse)
        shrunk = matmul(inverse, self.mean[:, None])
        across = jnp.sum(shrunk * matmul(self.covariance, shrunk))
        return _Sums(
            jnp.trace(share), jnp.sum(share * share.T), jnp.sum(self.mean * shrunk[:, 0]), across
        )


def _layer(gram: Array, downstream: Downstream) -> tuple[_Layer, Spectrum]:
    """A layer, and its spectrum without derivatives, on which roots are searched."""
    d = gram.shape[-1]
    second, target = downstream.second.astype(gram.dtype), downstream.target.astype(gram.dtype)
    root = psd_power(gram, 0.5, d)
    towards = matmul(second, target[:, None])
    rest = symmetric(matmul(matmul(root, symmetric(second - matmul(towards, towards.T))), root))
    mean = matmul(root, towards)[:, 0]
    values, basis, _ = jax.lax.stop_gradient(eigh(rest))
    size = jax.lax.stop_gradient(jnp.trace(gram) * jnp.max(jnp.abs(second)))
    kept = values > 16 * d * jnp.finfo(gram.dtype).eps * size
    # The result does not depend on the unit of the layer, which is therefore held constant.
    unit = jnp.where(jnp.any(kept), values[-1], jnp.where(size > 0, size, 1))
    along = matmul(basis.T, jax.lax.stop_gradient(mean)[:, None])[:, 0]
    return _Layer(rest / unit, mean / jnp.sqrt(unit)), Spectrum(
        jnp.where(kept, values, 0) / unit, along**2 / unit
    )


def _inverse_mills(x: Array) -> Array:
    return jnp.exp(-(x**2) / 2 - log_ndtr(x)) * (2 * jnp.pi) ** -0.5


def _excess(x: Array, kappa: Array, sums: _Sums) -> Array:
    """Excess of the third equation over 1 at $x$, a rising function."""
    h = x + _inverse_mills(x)
    return (kappa * h) ** 2 * sums.across + (1 + x * h) * sums.second / sums.first - 1


def _state(layer: _Layer | Spectrum, log_kappa: Array) -> tuple[Array, Array]:
    r"""Numbers of samples $n$ and the quantile $z$ of the error, both rising with $\kappa$."""
    kappa = jnp.exp(log_kappa)
    sums = layer.sums(kappa)
    known = jax.lax.stop_gradient(sums)
    end = jnp.sqrt(known.first / known.second) + 1
    x = bisect(lambda x: _excess(x, kappa, sums), jnp.full_like(kappa, -20), end, STEPS)
    return sums.first * jnp.exp(-log_ndtr(x)), kappa * (x + _inverse_mills(x)) * sums.along


def solve(
    spectrum: Spectrum, missed: Callable[[Array, Array], Array], layer: _Layer | None = None
) -> tuple[Array, Array, Array]:
    """Samples and quantile at the root of a function of both, and existence of the root.

    Samples and quantile carry the derivatives of the layer.
    """
    end, smooth = jnp.asarray(40, spectrum.spread.dtype), spectrum if layer is None else layer
    log_kappa = bisect(
        lambda k: missed(*_state(smooth, k)),
        -end,
        end,
        STEPS,
        lambda k: missed(*_state(spectrum, k)),
    )
    return *_state(smooth, log_kappa), missed(*_state(spectrum, end)) > 0


def _with_nuisance(layer: _Layer, spectrum: Spectrum) -> tuple[_Layer, Spectrum]:
    """Replace a layer without nuisance by a placeholder that has some.

    It avoids a division by zero; other layers are unchanged.
    """
    some = jnp.any(spectrum.spread > 0)
    other = _Layer(jnp.eye(layer.mean.size, dtype=layer.mean.dtype), jnp.ones_like(layer.mean))
    fill = lambda own, innocent: jax.tree.map(lambda a, b: jnp.where(some, a, b), own, innocent)
    return fill(layer, other), fill(spectrum, Spectrum(other.mean, other.mean))


@eqx.filter_jit
def _samples(grams: Array, downstream: Downstream, error: Array) -> Array:
    def one(gram: Array) -> Array:
        seen = _layer(gram, downstream)
        some, label = jnp.any(seen[1].spread > 0), jnp.sum(seen[1].signal) > 0
        layer, spectrum = _with_nuisance(*seen)
        n, _, reached = solve(spectrum, lambda n, z: z + ndtri(error), layer)
        return jnp.where(~some & label, 0, jnp.where(some & reached, n, jnp.inf))

    return jax.vmap(one)(grams.reshape(-1, *grams.shape[-2:])).reshape(grams.shape[:-2])


@eqx.filter_jit
def _errors(grams: Array, downstream: Downstream, samples: Array) -> Array:
    def one(gram: Array) -> Array:
        seen = _layer(gram, downstream)
        some, label = jnp.any(seen[1].spread > 0), jnp.sum(seen[1].signal) > 0
        layer, spectrum = _with_nuisance(*seen)
        _, z, _ = solve(spectrum, lambda n, z: n - samples, layer)
        return jnp.where(~some & label, 0, jnp.where(label, jnp.exp(log_ndtr(-z)), 0.5))

    return jax.vmap(one)(grams.reshape(-1, *grams.shape[-2:])).reshape(grams.shape[:-2])
