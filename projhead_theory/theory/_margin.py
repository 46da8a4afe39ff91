r"""How many samples the separator of largest margin really needs: its error when samples and features are both many."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr, ndtri
from jaxtyping import Array, Float

from .. import _checks
from .._spectra import matmul, symmetric
from ..problems import Downstream

STEPS = 60
"""Of bisection: from a bracket of 80 down to less than rounding."""


def margin_samples(grams: Float[Array, "*L d d"], downstream: Downstream, error: Any) -> Float[Array, "*L"]:
    r"""How many samples the separator of largest margin (without intercept) needs at each layer for a given error.

    The label is a feature $y = \beta^\top x' = \pm 1$, independent of what is left of $x'$. At a layer of Gram $M$ the
    mean of $y$ times the representation is $\nu = M^{1/2} S' \beta$ and the rest has covariance
    $\Sigma = M^{1/2} (S' - S' \beta \beta^\top S') M^{1/2}$, of eigenvalues $s_i$ and with $\nu_i$ the mean along them. With

    $$D_1 = \sum_i \frac{\kappa s_i}{1 + \kappa s_i}, \quad D_2 = \sum_i \Big( \frac{\kappa s_i}{1 + \kappa s_i} \Big)^2, \quad
    h(x) = x + \frac{\varphi(x)}{\Phi(x)},$$

    the error is $\Phi(-z)$ from $n$ samples, where

    $$z = \kappa\, h(x) \sum_i \frac{\nu_i^2}{1 + \kappa s_i}, \qquad n = \frac{D_1}{\Phi(x)}, \qquad
    1 = \kappa^2 h(x)^2 \sum_i \frac{\nu_i^2 s_i}{(1 + \kappa s_i)^2} + (1 + x\, h(x)) \frac{D_2}{D_1},$$

    exactly as $n$ and the number of features grow together, for Gaussian nuisance features; $\Phi(x)$ is the share of
    samples on the margin. With many more nuisance features than samples $n = z^2 \sum_i s_i^2 / \|\nu\|^4$; in a feature
    model never more than twice the number of nuisance features.

    **Arguments:** `grams`: $M_1, \dots, M_L$; `downstream`: with a target of variance 1; `error`: between 0 and 1/2.

    **Returns:** numbers of samples, not rounded; 0 where there is nothing but the label, infinite where the error is
    never reached.

    **Raises:** `ValueError` if the dimensions differ, the error is out of range, or $\beta^\top S' \beta \ne 1$.

    Theorem: margin-samples (beyond the paper).
    """
    grams = _grams(grams, downstream)
    wanted = _checks.floating("error", error)
    _checks.require("error", wanted, lambda v: (v > 0) & (v < 0.5), "an error between 0 and 1/2")
    return _samples(grams, downstream, wanted.astype(grams.dtype))


def margin_error(grams: Float[Array, "*L d d"], downstream: Downstream, samples: Any) -> Float[Array, "*L"]:
    r"""The error of the separator of largest margin at each layer from a given number of samples: `margin_samples` the
    other way round. It is 0 from twice as many samples as nuisance features on, in a feature model.

    **Raises:** `ValueError` as `margin_samples`, or for a number of samples that is not positive.
    """
    grams = _grams(grams, downstream)
    return _errors(grams, downstream, _checks.positive("samples", samples).astype(grams.dtype))


def _grams(grams: Any, downstream: Downstream) -> Array:
    grams = _checks.floating("grams", grams)
    if grams.ndim < 2 or grams.shape[-2:] != downstream.second.shape:
        raise _checks.bad("grams", f"shape {grams.shape}", f"(..., {downstream.dim}, {downstream.dim}), as the downstream moment")
    second, target = _checks.concrete(downstream.second), _checks.concrete(downstream.target)
    if second is not None and target is not None:
        variance = float(target @ second @ target)
        if abs(variance - 1) > 1e3 * len(second) * np.finfo(second.dtype).eps:
            raise _checks.bad("downstream", f"a target of variance {variance:.4g}", "variance 1: the label, which is +1 or -1, itself")
    return grams


class _Layer(NamedTuple):
    """Variances $s_i$ of the nuisance, largest 1, and the squared means $\\nu_i^2$ along them."""

    spread: Array
    signal: Array


def _layer(gram: Array, downstream: Downstream) -> _Layer:
    second, target = downstream.second.astype(gram.dtype), downstream.target.astype(gram.dtype)
    values, vectors = jnp.linalg.eigh(gram)
    root = matmul(vectors * jnp.sqrt(jnp.maximum(values, 0)), vectors.T)
    towards = matmul(second, target[:, None])
    rest = matmul(matmul(root, symmetric(second - matmul(towards, towards.T))), root)
    spread, basis = jnp.linalg.eigh(symmetric(rest))
    mean = matmul(basis.T, matmul(root, towards))[:, 0]
    size = jnp.sum(jnp.maximum(values, 0)) * jnp.max(jnp.abs(second))
    kept = spread > 16 * gram.shape[-1] * jnp.finfo(gram.dtype).eps * size
    largest = jnp.where(jnp.any(kept), spread[-1], jnp.where(size > 0, size, 1))
    return _Layer(jnp.where(kept, spread, 0) / largest, mean**2 / largest)


def _inverse_mills(x: Array) -> Array:
    return jnp.exp(-(x**2) / 2 - log_ndtr(x)) * (2 * jnp.pi) ** -0.5


def _bisect(rises_above: Any, low: Array, high: Array) -> Array:
    """Where a rising condition turns true."""

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (ends[0] + ends[1]) / 2
        above = rises_above(middle)
        return jnp.where(above, ends[0], middle), jnp.where(above, middle, ends[1])

    low, high = jax.lax.fori_loop(0, STEPS, halve, (low, high))
    return (low + high) / 2


def _state(layer: _Layer, log_kappa: Array) -> tuple[Array, Array]:
    """Numbers of samples $n$ and the quantile $z$ of the error, both rising with $\\kappa$."""
    kappa = jnp.exp(log_kappa)
    shrunk = 1 / (1 + kappa * layer.spread)
    share = kappa * layer.spread * shrunk
    first, second = jnp.sum(share), jnp.sum(share**2)
    along, across = jnp.sum(layer.signal * shrunk), jnp.sum(layer.signal * layer.spread * shrunk**2)

    def too_far(x: Array) -> Array:
        h = x + _inverse_mills(x)
        return (kappa * h) ** 2 * across + (1 + x * h) * second / first > 1

    x = _bisect(too_far, jnp.full_like(kappa, -20), jnp.sqrt(first / second) + 1)
    return first * jnp.exp(-log_ndtr(x)), kappa * (x + _inverse_mills(x)) * along


def _solve(layer: _Layer, rises_above: Any) -> tuple[Array, Array, Array]:
    """Samples and quantile where they pass what is wanted, and whether they do."""
    end = jnp.asarray(40, layer.spread.dtype)
    log_kappa = _bisect(lambda k: rises_above(*_state(layer, k)), -end, end)
    return *_state(layer, log_kappa), rises_above(*_state(layer, end))


@eqx.filter_jit
def _samples(grams: Array, downstream: Downstream, error: Array) -> Array:
    def one(gram: Array) -> Array:
        layer = _layer(gram, downstream)
        n, _, reached = _solve(layer, lambda n, z: z > -ndtri(error))
        clear = ~jnp.any(layer.spread > 0) & (jnp.sum(layer.signal) > 0)
        return jnp.where(clear, 0, jnp.where(reached, n, jnp.inf))

    return jax.vmap(one)(grams.reshape(-1, *grams.shape[-2:])).reshape(grams.shape[:-2])


@eqx.filter_jit
def _errors(grams: Array, downstream: Downstream, samples: Array) -> Array:
    def one(gram: Array) -> Array:
        layer = _layer(gram, downstream)
        _, z, _ = _solve(layer, lambda n, z: n > samples)
        clear = ~jnp.any(layer.spread > 0) & (jnp.sum(layer.signal) > 0)
        error = jnp.where(jnp.sum(layer.signal) > 0, jnp.exp(log_ndtr(-z)), 0.5)
        return jnp.where(clear, 0, error)

    return jax.vmap(one)(grams.reshape(-1, *grams.shape[-2:])).reshape(grams.shape[:-2])
