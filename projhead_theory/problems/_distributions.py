"""Distributions of a single feature, with zero mean and unit variance."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from .._core import checks


class AbstractDistribution(eqx.Module):
    """Distribution of one feature with mean 0 and variance 1."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any) -> Array:
        """Draw independent values of the given shape."""


class Rademacher(AbstractDistribution):
    r"""Rademacher distribution: $z = \pm 1$ with equal probability (the paper's features)."""

    def sample(self, key, shape, dtype):
        return jax.random.rademacher(key, shape, dtype)


class Gaussian(AbstractDistribution):
    """Standard normal distribution."""

    def sample(self, key, shape, dtype):
        return jax.random.normal(key, shape, dtype)


class Uniform(AbstractDistribution):
    r"""Uniform distribution on $[-\sqrt 3, \sqrt 3]$."""

    def sample(self, key, shape, dtype):
        return jax.random.uniform(key, shape, dtype, -(3**0.5), 3**0.5)


class Laplace(AbstractDistribution):
    r"""Laplace distribution of scale $1/\sqrt 2$."""

    def sample(self, key, shape, dtype):
        return jax.random.laplace(key, shape, dtype) * 2**-0.5


class SpikeAndSlab(AbstractDistribution):
    r"""Sparse distribution: zero with probability $1 - \pi$, else $N(0, 1/\pi)$.

    `density` is $\pi \in (0, 1]$.
    """

    density: Array

    def __init__(self, density: Any = 0.1):
        self.density = checks.probability("density", density)
        checks.require("density", self.density, lambda v: v > 0, "a probability in (0, 1]")

    def sample(self, key, shape, dtype):
        spike, slab = jax.random.split(key)
        active = jax.random.bernoulli(spike, self.density, shape)
        return jnp.where(
            active, jax.random.normal(slab, shape, dtype) * self.density.astype(dtype) ** -0.5, 0
        )


DISTRIBUTIONS = {
    "rademacher": Rademacher,
    "gaussian": Gaussian,
    "uniform": Uniform,
    "laplace": Laplace,
    "spike-and-slab": SpikeAndSlab,
}


def as_distribution(value: "str | AbstractDistribution") -> AbstractDistribution:
    """Return a distribution as it is, or build one by its name with default parameters."""
    if isinstance(value, AbstractDistribution):
        return value
    if isinstance(value, str) and value in DISTRIBUTIONS:
        return DISTRIBUTIONS[value]()
    raise checks.bad(
        "distribution", repr(value), f"one of {', '.join(DISTRIBUTIONS)}, or a distribution"
    )
