r"""Diagonal networks with a symmetrised ReLU, one independent unit a feature.

$$a_l = \mathrm{act}(w_l a_{l-1}; b_l)$$
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._core import checks
from ..moments import Moments
from ..problems import (
    AbstractAugmentation,
    AdditiveNoise,
    Compose,
    ContrastiveProblem,
    Features,
    Gaussian,
    Rademacher,
    SignFlip,
)
from ._base import AbstractNonlinearNetwork


def symmetrised_relu(u: Float[Array, "..."], threshold: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Symmetrised ReLU $\mathrm{act}(u; b)$, zero within a threshold $b \ge 0$ (paper).

    $$\mathrm{act}(u; b) = \mathrm{relu}(u - b) - \mathrm{relu}(-u - b)$$

    For $b \ge 0$ it is zero within the threshold, and beyond it $|u|$ is reduced by $b$. Its
    derivative is zero on the edge too.

    For $b < 0$ nothing is cut off: it is $2u$ within $|b|$ and $u + |b| \operatorname{sign} u$
    beyond.
    """
    return jax.nn.relu(u - threshold) - jax.nn.relu(-u - threshold)


@jax.jit
def _matrices(weights: Float[Array, "*b L d"]) -> tuple[Float[Array, "*b d d"], ...]:
    """Diagonal matrices, layer by layer."""
    eye = jnp.eye(weights.shape[-1], dtype=weights.dtype)
    return tuple(weights[..., level, :, None] * eye for level in range(weights.shape[-2]))


class ThresholdedDiagonal(AbstractNonlinearNetwork):
    r"""Diagonal network, $a_l = \mathrm{act}(w_l a_{l-1}; b_l)$ from $a_0 = x$.

    There is one unit a feature in every layer (paper, for two layers). With thresholds that are not
    negative the layers compose to one: $a_l = \pm\,\mathrm{act}(W_l x; B_l)$ with
    $W_l = \prod_{j \le l} |w_j|$ and $B_l = |w_l| B_{l-1} + b_l$.

    **Arguments:**

    - `weights`: $w$, `(L, d)`.
    - `thresholds`: $b \ge 0$, `(L, d)`, in the units of their pre-activations.
    - `trained`: True if training moves the thresholds as well. It may then carry them below zero;
        see `symmetrised_relu` for negative thresholds.

    **Raises:** `ValueError` for other shapes, weights that are not finite, or a negative threshold,
    which would cut off nothing but add a kink at its size.

    !!! example

        ```pycon
        >>> network = pt.ThresholdedDiagonal([[2.0, 2.0], [3.0, 3.0]], [[1.0, 1.0], [0.0, 0.0]])
        >>> np.round(network(jnp.asarray([3.0, 0.5])), 3)
        Array([15.,  0.], dtype=float64)

        ```
    """

    weights: Float[Array, "L d"]
    thresholds: Float[Array, "L d"]
    trained: bool = eqx.field(static=True)

    def __init__(self, weights: Any, thresholds: Any, trained: bool = False):
        self.weights, thresholds = (
            checks.floating("weights", weights),
            checks.nonnegative("thresholds", thresholds),
        )
        if self.weights.ndim != 2 or self.weights.size == 0:
            raise checks.bad(
                "weights",
                f"shape {self.weights.shape}",
                "(L, d): one row a layer, one column a feature",
            )
        checks.require("weights", self.weights, np.isfinite, "finite numbers")
        if thresholds.shape != self.weights.shape:
            raise checks.bad(
                "thresholds",
                f"shape {thresholds.shape}",
                f"the shape of the weights, {self.weights.shape}",
            )
        self.thresholds, self.trained = thresholds.astype(self.weights.dtype), trained

    @property
    def dim(self) -> int:
        """Number $d$ of features."""
        return self.weights.shape[-1]

    @property
    def layers(self) -> tuple[Float[Array, "*b d d"], ...]:
        r"""Weights as matrices, $\mathrm{diag}(w_l)$."""
        return _matrices(self.weights)

    @property
    def trainable(self) -> "ThresholdedDiagonal":
        """Flags in the shape of the network, true for every array that training moves."""
        return eqx.tree_at(lambda n: (n.weights, n.thresholds), self, (True, self.trained))

    @property
    def trained_thresholds(self) -> tuple[Float[Array, "..."], ...]:
        return tuple(self.thresholds) if self.trained else ()

    def representations(self, x: Float[Array, "*n d"]) -> tuple[Float[Array, "*n d"], ...]:
        r"""Representations $a_1, \dots, a_L$ of the inputs."""
        result = []
        for w, b in zip(self.weights, self.thresholds, strict=True):
            x = symmetrised_relu(w * x, b)
            result.append(x)
        return tuple(result)

    def amplitudes(self, strength: Float[Array, " d"]) -> Float[Array, "L d"]:
        r"""Amplitudes $A_l = |a_l|$ of each layer at inputs $\pm\varphi$.

        `strength` is $\varphi$, one number a feature.
        """
        return jnp.abs(jnp.stack(self.representations(strength)))

    def composed(self) -> tuple[Float[Array, "L d"], Float[Array, "L d"]]:
        """Composed weights $W_l$ and thresholds $B_l$ of every layer.

        They hold for thresholds that are not negative.
        """
        slopes, cuts = [jnp.abs(self.weights[0])], [self.thresholds[0]]
        for w, b in zip(jnp.abs(self.weights[1:]), self.thresholds[1:], strict=True):
            slopes.append(w * slopes[-1])
            cuts.append(w * cuts[-1] + b)
        return jnp.stack(slopes), jnp.stack(cuts)

    def output_moments(self, problem: ContrastiveProblem) -> Moments:
        r"""Cross and second moment of the outputs on a positive pair, exact and diagonal.

        $E[f(x_1) f(x_2)^\top]$ and $E[f f^\top]$ are diagonal since features are independent and
        $f$ is odd.

        - Features $\pm\varphi$ with sign flips: $\rho A_L^2$ and $A_L^2$, $\rho = (1 - 2\alpha)^2$,
            equal for $\alpha$ and $1 - \alpha$.
        - Features $\pm\varphi$ with sign flips and Gaussian noise, thresholds fixed: the Gaussian
            integrals of $\mathrm{act}(W_L x; B_L)$.
        - Gaussian features with sign flips, thresholds fixed: Gaussian integrals likewise.

        **Raises:** `ValueError` for other features or augmentations, a mixing, or another number of
        features.
        """
        if problem.dim != self.dim or problem.features.mixing is not None:
            raise checks.bad(
                "problem",
                f"inputs of dimension {problem.dim}, perhaps mixed",
                f"{self.dim} features as they are",
            )
        dtype = self.weights.dtype
        phi = problem.features.strength.astype(dtype)
        rho, noise = _views(jnp.ones_like(phi), None, problem.augmentation, problem.ambient)
        distribution = problem.features.distribution
        if isinstance(distribution, Rademacher) and noise is None:
            second = self(phi) ** 2
            cross = rho * second
        elif (
            self.trained
            or not isinstance(distribution, Rademacher | Gaussian)
            or (isinstance(distribution, Gaussian) and noise is not None)
        ):
            kind = f"{type(distribution).__name__} features{'' if noise is None else ' with noise'}"
            came = f"{kind}, {'trained' if self.trained else 'fixed'} thresholds"
            raise checks.bad(
                "problem",
                came,
                "Rademacher features; with fixed thresholds also Gaussian ones, "
                "or Rademacher ones with noise",
            )
        else:
            slopes, cuts = self.composed()
            centre, spread = (
                (jnp.zeros_like(phi), phi)
                if noise is None
                else (phi, jnp.sqrt(noise).astype(dtype))
            )
            mean, second = gaussian_integrals(slopes[-1] * centre, slopes[-1] * spread, cuts[-1])
            cross = rho * (second if noise is None else mean**2)
        return Moments(jnp.diag(cross), jnp.diag(second))

    def exact_weights(
        self, features: Features
    ) -> tuple[Float[Array, "L d"], Float[Array, "L d"]] | None:
        r"""Weights $A_l / \varphi$ of features $\pm\varphi$, and readouts of 0 or 1."""
        if not isinstance(features.distribution, Rademacher) or features.mixing is not None:
            return None
        gain = self.amplitudes(features.strength) / features.strength
        return gain, (gain > 0).astype(gain.dtype)


def gaussian_integrals(mean: Array, deviation: Array, threshold: Array) -> tuple[Array, Array]:
    r"""Gaussian integrals $E\,\mathrm{act}(u; b)$ and $E\,\mathrm{act}(u; b)^2$.

    $u \sim N(\mu, \tau^2)$ and $b \ge 0$. With $h_\pm = (\pm\mu - b) / \tau$, density $n$ and
    distribution $N$, they are

    $$\tau [n(h_+) + h_+ N(h_+) - n(h_-) - h_- N(h_-)]$$

    $$\tau^2 \sum_\pm [(h_\pm^2 + 1) N(h_\pm) + h_\pm n(h_\pm)]$$
    """
    still = deviation == 0
    tau = jnp.where(still, 1, deviation)

    # Both signs at once.
    beyond = jnp.stack([mean, -mean]) - threshold
    h = beyond / tau
    density, below = jax.scipy.stats.norm.pdf(h), jax.scipy.stats.norm.cdf(h)
    # Far out the terms cancel to less than their rounding.
    first, square = (
        jnp.maximum(density + h * below, 0),
        jnp.maximum((h**2 + 1) * below + h * density, 0),
    )
    sharp = jax.nn.relu(beyond)
    (up, down), squares = (
        jnp.where(still, sharp, tau * first),
        jnp.where(still, sharp**2, tau**2 * square),
    )
    return up - down, jnp.sum(squares, axis=0)


def _views(
    rho: Array, noise: Array | None, *augmentations: AbstractAugmentation
) -> tuple[Array, Array | None]:
    """Correlation of the signs of two views, and variance of the noise, if there is any."""
    for a in augmentations:
        if isinstance(a, Compose):
            rho, noise = _views(rho, noise, *a.parts)
        elif isinstance(a, SignFlip):
            rho = rho * (1 - 2 * a.probability.astype(rho.dtype)) ** 2
        elif isinstance(a, AdditiveNoise):
            added = jnp.broadcast_to(a.scale.astype(rho.dtype) ** 2, rho.shape)
            noise = added if noise is None else noise + added
        else:
            raise checks.bad(
                "problem",
                f"the augmentation {type(a).__name__}",
                "sign flips and additive noise; or draw views of it",
            )
    return rho, noise
