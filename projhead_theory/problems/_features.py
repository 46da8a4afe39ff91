"""Features: independent coordinates of known strength, optionally mixed into a larger space."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from .._core import checks
from .._core.linalg import matmul
from ._distributions import AbstractDistribution, as_distribution


class Features(eqx.Module):
    r"""Independent features $u_i = \phi_i z_i$, and the natural input $x = Q u$ (paper section 3).

    The $z_i$ have mean 0 and variance 1.

    **Arguments:**

    - `strength`: $\phi$, `(d,)`, positive.
    - `distribution`: a name (`"rademacher"`, `"gaussian"`, `"uniform"`, `"laplace"`,
        `"spike-and-slab"`) or a distribution object.
    - `mixing`: $Q$, `(D, d)`, any real matrix; the identity if not given.

    **Raises:** `ValueError` for no features, strengths that are not positive and finite,
    strengths whose squares, the variances, are outside the range of the dtype, or a mixing of the
    wrong shape.

    !!! example

        ```pycon
        >>> features = pt.Features([2.0, 1.0], mixing=[[1.0, 0.0], [0.0, 3.0], [0.0, 4.0]])
        >>> features.dim, features.ambient_dim
        (2, 3)
        >>> np.round(features.directions, 3)
        Array([[1. , 0. ],
               [0. , 0.6],
               [0. , 0.8]], dtype=float64)

        ```
    """

    strength: Float[Array, " d"]
    distribution: AbstractDistribution
    mixing: Float[Array, "D d"] | None

    def __init__(
        self,
        strength: Any,
        distribution: str | AbstractDistribution = "rademacher",
        mixing: Any = None,
    ):
        self.strength = checks.positive("strength", strength)
        if self.strength.ndim != 1 or self.strength.size == 0:
            raise checks.bad(
                "strength",
                f"shape {self.strength.shape}",
                "a non-empty vector, one number a feature",
            )
        info = jnp.finfo(self.strength.dtype)
        low, high = float(info.tiny) ** 0.5, float(info.max) ** 0.5
        checks.require(
            "strength",
            self.strength,
            lambda v: (v >= low) & (v <= high),
            f"numbers between {low:.1g} and {high:.1g}, so that {info.dtype} has their squares",
        )
        self.distribution = as_distribution(distribution)
        self.mixing = None if mixing is None else checks.floating("mixing", mixing)
        if self.mixing is not None:
            if self.mixing.ndim != 2 or self.mixing.shape[1] != self.dim:
                raise checks.bad(
                    "mixing", f"shape {self.mixing.shape}", f"(D, {self.dim}): one column a feature"
                )
            checks.require("mixing", self.mixing, np.isfinite, "finite numbers")

    @property
    def dim(self) -> int:
        """Number $d$ of features."""
        return self.strength.shape[-1]

    @property
    def ambient_dim(self) -> int:
        """Dimension $D$ of the natural input."""
        return self.dim if self.mixing is None else self.mixing.shape[-2]

    @property
    def directions(self) -> Float[Array, "D d"]:
        """Unit direction of each feature in input space: the normalised columns of the mixing."""
        if self.mixing is None:
            return jnp.eye(self.dim, dtype=self.strength.dtype)
        return self.mixing / jnp.linalg.norm(self.mixing, axis=0)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """Draw $u$ independently, `n` times, before the mixing."""
        return self.strength * self.distribution.sample(key, (n, self.dim), self.strength.dtype)

    def embed(self, u: Float[Array, "*n d"]) -> Float[Array, "*n D"]:
        """Mix the features, $x = Q u$."""
        return u if self.mixing is None else matmul(u, self.mixing.T)
