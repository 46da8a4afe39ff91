r"""Augmentations: random views of an input, and exact moments of the views where they exist.

An elementwise augmentation $x_i \mapsto r_i x_i + n_i$, with $r_i, n_i$ independent between
coordinates and between the two views, maps $(C, S)$ to

$$\rho\rho^\top \circ C, \qquad
\rho\rho^\top \circ S + \mathrm{diag}((E r^2 - \rho^2)\, S_{ii} + E n^2)$$

with $\rho = E r$. This holds for any input, mixed or not, and composes.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from .._core import checks
from .._core.linalg import diagonal


class AbstractAugmentation(eqx.Module):
    """Random map from an input to a view of it."""

    @abc.abstractmethod
    def __call__(self, key: PRNGKeyArray, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Draw one independent view of every row."""

    @abc.abstractmethod
    def push(self, cross: Array, second: Array) -> tuple[Array, Array]:
        """Moments of the views, from the moments of the augmented inputs."""

    @property
    @abc.abstractmethod
    def exact(self) -> bool:
        """True if `push` exists in closed form."""

    @abc.abstractmethod
    def check(self, dim: int) -> None:
        """Raise `ValueError` unless the parameters fit inputs of this dimension."""


class AbstractElementwise(AbstractAugmentation):
    r"""Augmentation $x_i \mapsto r_i x_i + n_i$ of each coordinate by itself, with exact moments.

    A new one implements the drawing of a view, `statistics` and `parameters`.
    """

    @abc.abstractmethod
    def statistics(self) -> tuple[Array, Array, Array]:
        """Mean and second moment of the factor, and variance of the added term."""

    @abc.abstractmethod
    def parameters(self) -> dict[str, Array]:
        """Parameters by name, each a scalar or one number a coordinate."""

    @property
    def exact(self):
        return True

    def push(self, cross, second):
        mean, square, added = (
            jnp.broadcast_to(s, cross.shape[-1:]).astype(cross.dtype) for s in self.statistics()
        )
        scale = mean[:, None] * mean[None, :]
        extra = (square - mean**2) * diagonal(second) + added
        return scale * cross, scale * second + jnp.diag(extra)

    def check(self, dim):
        for name, value in self.parameters().items():
            if value.shape not in ((), (dim,)):
                raise checks.bad(
                    name, f"{value.size} numbers", f"one number, or {dim}: one a feature"
                )


class AdditiveNoise(AbstractElementwise):
    r"""Additive noise $x_i + \sigma_i \xi_i$ with Gaussian $\xi$.

    $c_i = \phi_i^2$, $q_i = \phi_i^2 + \sigma_i^2$ (paper section 3).

    **Arguments:**

    - `scale`: $\sigma \ge 0$, a number or one a feature, in the units of the input.

    !!! example

        ```pycon
        >>> noise = pt.AdditiveNoise([1.0, 0.5])
        >>> moments = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), noise).moments()
        >>> np.diag(moments.cross), np.diag(moments.second)
        (array([4., 1.]), array([5.  , 1.25]))

        ```
    """

    scale: Array

    def __init__(self, scale: Any):
        self.scale = checks.nonnegative("scale", scale)

    def __call__(self, key, x):
        return x + self.scale.astype(x.dtype) * jax.random.normal(key, x.shape, x.dtype)

    def statistics(self):
        one = jnp.ones((), self.scale.dtype)
        return one, one, self.scale**2

    def parameters(self):
        return {"scale": self.scale}


class SignFlip(AbstractElementwise):
    r"""Sign flips $x_i \mapsto -x_i$ with probability $\alpha_i$.

    $c_i = \phi_i^2 (1 - 2\alpha_i)^2$, $q_i = \phi_i^2$.

    !!! example

        ```pycon
        >>> flips = pt.SignFlip([0.25, 0.5])
        >>> moments = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), flips).moments()
        >>> np.diag(moments.cross), np.diag(moments.second)
        (array([1., 0.]), array([4., 1.]))

        ```
    """

    probability: Array

    def __init__(self, probability: Any):
        self.probability = checks.probability("probability", probability)

    def __call__(self, key, x):
        return jnp.where(jax.random.bernoulli(key, self.probability, x.shape), -x, x)

    def statistics(self):
        mean = 1 - 2 * self.probability
        return mean, jnp.ones_like(mean), jnp.zeros_like(mean)

    def parameters(self):
        return {"probability": self.probability}


class Mask(AbstractElementwise):
    r"""Masking $x_i \mapsto 0$ with probability $m_i$.

    $c_i = \phi_i^2 (1 - m_i)^2$, $q_i = \phi_i^2 (1 - m_i)$.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.problems.Mask(0.5))
        >>> moments = problem.moments()
        >>> np.diag(moments.cross), np.diag(moments.second)
        (array([1.  , 0.25]), array([2. , 0.5]))

        ```
    """

    probability: Array

    def __init__(self, probability: Any):
        self.probability = checks.probability("probability", probability)

    def __call__(self, key, x):
        return jnp.where(jax.random.bernoulli(key, self.probability, x.shape), jnp.zeros_like(x), x)

    def statistics(self):
        mean = 1 - self.probability
        return mean, mean, jnp.zeros_like(mean)

    def parameters(self):
        return {"probability": self.probability}


class Rescale(AbstractElementwise):
    r"""Random factors $x_i \mapsto r_i x_i$ with $r_i$ uniform in $[a, b]$.

    The factor has mean $(a+b)/2$ and second moment $(a^2 + ab + b^2)/3$.
    """

    low: Array
    high: Array

    def __init__(self, low: Any, high: Any):
        self.low, self.high = checks.floating("low", low), checks.floating("high", high)
        checks.require("low", self.low, np.isfinite, "finite numbers")
        checks.require(
            "high", self.high - self.low, lambda v: v >= 0, "finite numbers, none below low"
        )

    def __call__(self, key, x):
        return x * jax.random.uniform(
            key, x.shape, x.dtype, self.low.astype(x.dtype), self.high.astype(x.dtype)
        )

    def statistics(self):
        mean = (self.low + self.high) / 2
        return mean, (self.low**2 + self.low * self.high + self.high**2) / 3, jnp.zeros_like(mean)

    def parameters(self):
        return {"low": self.low, "high": self.high}


class Compose(AbstractAugmentation):
    """Chain of augmentations, the first applied first.

    `Compose()` leaves the input as it is.

    !!! example

        ```pycon
        >>> chain = pt.problems.Compose(pt.problems.Mask(0.5), pt.AdditiveNoise(1.0))
        >>> moments = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), chain).moments()
        >>> np.diag(moments.cross), np.diag(moments.second)
        (array([1.  , 0.25]), array([3. , 1.5]))

        ```
    """

    parts: tuple[AbstractAugmentation, ...]

    def __init__(self, *parts: AbstractAugmentation):
        for part in parts:
            if not isinstance(part, AbstractAugmentation):
                raise checks.bad(
                    "Compose", type(part).__name__, "augmentations (wrap a function in Custom)"
                )
        self.parts = parts

    def __call__(self, key, x):
        for i, part in enumerate(self.parts):
            x = part(jax.random.fold_in(key, i), x)
        return x

    def push(self, cross, second):
        for part in self.parts:
            cross, second = part.push(cross, second)
        return cross, second

    @property
    def exact(self):
        return all(part.exact for part in self.parts)

    def check(self, dim):
        for part in self.parts:
            part.check(dim)


class Custom(AbstractAugmentation):
    """Augmentation by any function `(key, x) -> view` of one input vector.

    Its moments can only be estimated.

    !!! example

        ```pycon
        >>> tripled = pt.problems.Custom(lambda key, x: 3 * x)
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0]), tripled)
        >>> float(problem.moments(key=jax.random.key(0), samples=100).cross[0, 0])
        36.0

        ```
    """

    function: Callable[[PRNGKeyArray, Array], Array] = eqx.field(static=True)

    def __init__(self, function: Callable[[PRNGKeyArray, Array], Array]):
        if not callable(function):
            raise checks.bad("function", type(function).__name__, "a function of (key, x)")
        self.function = function

    def __call__(self, key, x):
        return jax.vmap(self.function)(jax.random.split(key, x.shape[0]), x)

    def push(self, cross, second):
        raise checks.bad(
            "augmentation", "Custom", "one with exact moments; estimate them with moments(key=...)"
        )

    @property
    def exact(self):
        return False

    def check(self, dim):
        view = eqx.filter_eval_shape(self.function, jax.random.key(0), jnp.zeros(dim))
        if getattr(view, "shape", None) != (dim,):
            raise checks.bad(
                "function",
                f"a view of shape {getattr(view, 'shape', None)}",
                f"a view of shape ({dim},)",
            )
