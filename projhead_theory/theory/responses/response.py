r"""Response functions: a loss, as the weight that it gives to a feature of a signal fraction."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._core import checks
from ...moments import Moments
from ..layers import SpectralMinimiser
from .spectrum import by_cross_moment, by_signal_fraction

__all__ = [
    "AbstractResponse",
    "BarlowTwins",
    "InfoNCE",
    "InfoNCEDistance",
    "InfoNCERademacher",
    "Spectral",
    "VICReg",
    "Whitening",
]


class AbstractResponse(eqx.Module):
    r"""A loss of linear networks, by its minimiser in closed form.

    With $T = S^{-1/2} C S^{-1/2}$ of eigenvalues $\lambda$, the signal fractions, a response
    function $g$ gives the Gram $S^{-1/2} g(T) S^{-1/2}$ after the head. A network of width $p$
    keeps the $p$ largest $\lambda$.

    - `premise`: the views for which the population loss is as stated; empty for any views.
    - `extinction`: the largest signal fraction of features without weight; negative if there is
      none.
    """

    premise: eqx.AbstractClassVar[str]

    @property
    @abc.abstractmethod
    def extinction(self) -> Float[Array, ""]:
        """Largest signal fraction at which a feature has weight zero."""

    @abc.abstractmethod
    def curve(self, fraction: Float[Array, "*n"]) -> Float[Array, "*n"]:
        r"""Response $g(\lambda)$, the squared weight of a feature of variance one."""

    @abc.abstractmethod
    def minimise(self, moments: Moments, width: Array) -> SpectralMinimiser:
        """Minimiser at an unchecked width from 1 to d."""

    @abc.abstractmethod
    def spectral_moments(self, moments: Moments) -> Moments:
        r"""Moments whose spectral contrastive loss is this loss, up to a constant.

        Every closed form of the spectral loss (times, weight decay, extinction, order of learning)
        holds for this loss with these moments.

        **Raises:** `ValueError` if there are none.
        """


class AbstractFractionResponse(AbstractResponse):
    """A response that is one function of the signal fraction; its fields are the parameters."""

    @staticmethod
    @abc.abstractmethod
    def response(fraction: Array, *parameters: Array) -> Array:
        r"""Response $g(\lambda)$, not positive where a feature is extinct."""

    @staticmethod
    @abc.abstractmethod
    def energy(fraction: Array, *parameters: Array) -> Array:
        """Loss of a feature at the minimum, less its loss at weight zero."""

    def curve(self, fraction):
        return jnp.maximum(self.response(fraction, *jax.tree.leaves(self)), 0)

    def minimise(self, moments, width):
        parameters = jax.tree.leaves(self)
        return by_signal_fraction(self.response, self.energy, moments, width, *parameters)


def _no_moments(response: AbstractResponse) -> ValueError:
    return checks.bad(
        "response",
        type(response).__name__,
        "Spectral, VICReg, InfoNCE or BarlowTwins, whose population loss is a spectral loss",
    )


def _one(name: str, value: Any) -> Array:
    number = checks.positive(name, value)
    if number.ndim:
        raise checks.bad(name, f"shape {number.shape}", "one positive number")
    return number


class Spectral(AbstractFractionResponse):
    r"""Spectral contrastive loss: $g(\lambda) = \lambda$, for any views."""

    premise: ClassVar[str] = ""

    @property
    def extinction(self):
        return jnp.zeros(())

    @staticmethod
    def response(fraction):
        return fraction

    @staticmethod
    def energy(fraction):
        return -(fraction**2)

    def spectral_moments(self, moments):
        return moments


class VICReg(AbstractFractionResponse):
    r"""VICReg with a squared covariance term, for any views.

    $$\beta\, E\|z - z^+\|^2 + \|E z z^\top - 1\|_F^2, \qquad
    g(\lambda) = \max(0,\, 1 - \beta (1 - \lambda))$$

    At $\beta = 1$ it is the spectral contrastive loss, up to a constant; as $\beta \to 0$ it
    whitens. A feature has no weight if and only if $\lambda \le 1 - 1/\beta$.

    **Arguments:**

    - `beta`: $\beta > 0$.

    **Raises:** `ValueError` if `beta` is not one positive number.
    """

    beta: Float[Array, ""]
    premise: ClassVar[str] = ""

    def __init__(self, beta: Any):
        self.beta = _one("beta", beta)

    @property
    def extinction(self):
        return 1 - 1 / self.beta

    @staticmethod
    def response(fraction, beta):
        return 1 - beta.astype(fraction.dtype) * (1 - fraction)

    @staticmethod
    def energy(fraction, beta):
        return -(VICReg.response(fraction, beta) ** 2)

    def spectral_moments(self, moments):
        beta = self.beta.astype(moments.second.dtype)
        mixed = (1 - beta) * moments.second + beta * moments.cross
        try:
            return Moments(mixed, moments.second, pairs=moments.pairs)
        except ValueError:
            raise checks.bad(
                "response",
                f"VICReg with beta = {float(self.beta):g}",
                "a beta at which no feature is extinct: its cross moment would be negative",
            ) from None


class Whitening(AbstractFractionResponse):
    r"""Whitened joint embedding: least $E\|z - z^+\|^2$ with $E z z^\top = 1$, for any views.

    $g(\lambda) = 1$ on the $p$ largest signal fractions. The constraint needs $p$ directions with
    variance. The minimum is $2 \sum_{i \le p} (1 - \lambda_i)$.
    """

    premise: ClassVar[str] = ""

    @property
    def extinction(self):
        return jnp.asarray(-jnp.inf)

    @staticmethod
    def response(fraction):
        return jnp.ones_like(fraction)

    @staticmethod
    def energy(fraction):
        return 2 * (1 - fraction)

    def spectral_moments(self, moments):
        raise _no_moments(self)


class InfoNCE(AbstractFractionResponse):
    r"""InfoNCE with inner products and infinitely many negatives, of Gaussian views.

    $$-\frac 1\tau E[z \cdot z^+] + E_z \log E_{z'} \exp(z \cdot z' / \tau), \qquad
    g(\lambda) = \tau \lambda$$

    For Gaussian negatives the second term is $\mathrm{tr}(SMSM) / 2\tau^2$: the loss is half the
    spectral contrastive loss of $M/\tau$.

    **Arguments:**

    - `temperature`: $\tau > 0$.

    **Raises:** `ValueError` if the temperature is not one positive number.
    """

    temperature: Float[Array, ""]
    premise: ClassVar[str] = "Gaussian views"

    def __init__(self, temperature: Any):
        self.temperature = _one("temperature", temperature)

    @property
    def extinction(self):
        return jnp.zeros(())

    @staticmethod
    def response(fraction, temperature):
        return temperature.astype(fraction.dtype) * fraction

    @staticmethod
    def energy(fraction, temperature):
        return -(fraction**2) / 2

    def spectral_moments(self, moments):
        tau = self.temperature.astype(moments.second.dtype)
        return Moments(
            moments.cross / (2 * tau), moments.second / (2**0.5 * tau), pairs=moments.pairs
        )


def _excess(fraction: Array) -> Array:
    r"""$1/u - 1$ for the share $u = 1 / (1 + x)$ of the temperature in a mode's scale.

    Written so that small fractions keep their digits. Beyond one it stays finite.
    """
    root = jnp.sqrt(jnp.maximum(9 - 8 * fraction, 1))
    return 8 * fraction / ((3 + root) * jnp.maximum(root - 1, jnp.finfo(root.dtype).tiny))


class InfoNCEDistance(AbstractFractionResponse):
    r"""InfoNCE with the critic $-\|z - z'\|^2 / 2\tau$ and infinitely many negatives.

    $$g(\lambda) = \tau \Big( \frac 1u - 1 \Big), \qquad u = \frac{\sqrt{9 - 8\lambda} - 1}{2},$$

    for Gaussian views: $\frac 23 \tau \lambda$ for small $\lambda$, without bound as
    $\lambda \to 1$.

    **Arguments:**

    - `temperature`: $\tau > 0$.

    **Raises:** `ValueError` if the temperature is not one positive number.
    """

    temperature: Float[Array, ""]
    premise: ClassVar[str] = "Gaussian views"

    def __init__(self, temperature: Any):
        self.temperature = _one("temperature", temperature)

    @property
    def extinction(self):
        return jnp.zeros(())

    @staticmethod
    def response(fraction, temperature):
        return temperature.astype(fraction.dtype) * _excess(fraction)

    @staticmethod
    def energy(fraction, temperature):
        x = _excess(fraction)
        return x * (1 - fraction) - jnp.log1p(x) / 2 - x / (1 + x) / 2

    def spectral_moments(self, moments):
        raise _no_moments(self)


def _bounded(fraction: Array) -> Array:
    return jnp.clip(fraction, -1 + jnp.finfo(fraction.dtype).eps, 1 - jnp.finfo(fraction.dtype).eps)


class InfoNCERademacher(AbstractFractionResponse):
    r"""InfoNCE with inner products, of independent Rademacher features with sign flips.

    $$g(\lambda) = \tau\, \mathrm{artanh}\, \lambda, \qquad
    w_i^2 = \tau\, \mathrm{artanh}(\lambda_i) / \phi_i^2$$

    It needs a width of at least the number of features, and infinitely many negatives. The weight
    is without bound as $\lambda \to 1$.

    **Arguments:**

    - `temperature`: $\tau > 0$.

    **Raises:** `ValueError` if the temperature is not one positive number.
    """

    temperature: Float[Array, ""]
    premise: ClassVar[str] = "Rademacher features"

    def __init__(self, temperature: Any):
        self.temperature = _one("temperature", temperature)

    @property
    def extinction(self):
        return jnp.zeros(())

    @staticmethod
    def response(fraction, temperature):
        return temperature.astype(fraction.dtype) * jnp.arctanh(_bounded(fraction))

    @staticmethod
    def energy(fraction, temperature):
        f = _bounded(fraction)
        return -f * jnp.arctanh(f) - jnp.log1p(-(f**2)) / 2

    def spectral_moments(self, moments):
        raise _no_moments(self)


class BarlowTwins(AbstractResponse):
    r"""Unnormalised Barlow Twins, $\|E z z^{+\top} - 1\|_F^2$, for any views.

    It is the spectral contrastive loss with $S$ replaced by $C$, up to a constant: the Gram is
    $C^+$, a weight $\gamma^{-1/2}$ for an eigenvalue $\gamma$ of $C$. Strong features get the
    *smallest* weights, and noise does not enter. Every response is 1, in units of $C$.

    A width below the rank of $C$ leaves many minimisers, $C^{-1/2} P C^{-1/2}$ with any projector
    $P$ of rank $p$. The minimiser here is the one of least norm, on the $p$ largest eigenvalues of
    $C$, which training approaches from ever smaller starts.
    """

    premise: ClassVar[str] = ""

    @property
    def extinction(self):
        return jnp.zeros(())

    def curve(self, fraction):
        return jnp.where(fraction > 0, 1, 0).astype(fraction.dtype)

    def minimise(self, moments, width):
        return by_cross_moment(moments, width)

    def spectral_moments(self, moments):
        return Moments(moments.cross, moments.cross, pairs=moments.pairs)
