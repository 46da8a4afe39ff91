r"""Residual linear network $f(x) = (1 + B_L) \cdots (1 + B_1)\, x$."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .._core import checks
from ._base import AbstractLinearNetwork
from ._linear import DeepLinear, chained


class ResidualLinear(AbstractLinearNetwork):
    r"""Residual linear network, $r_l = r_{l-1} + B_l r_{l-1}$ (Hardt and Ma 2017).

    Its layers are $W_l = 1 + B_l$. Gradient flow moves them as it moves the layers of a
    `DeepLinear`, so that everything known of balanced networks holds for it. Weight decay differs:
    it shrinks the branches $B_l$, and so draws every layer to the identity. With all branches zero
    the network is the identity, and exactly balanced.

    **Arguments:**

    - `branches`: $B_1, \dots, B_L$, each `(d, d)`.

    **Raises:** `ValueError` if there is no branch, or the branches are not square matrices of one
    size.

    !!! example

        ```pycon
        >>> moments = pt.Moments(jnp.diag(jnp.asarray([0.8, 0.5])), jnp.eye(2))
        >>> start = pt.networks.ResidualLinear([jnp.zeros((2, 2)), jnp.zeros((2, 2))])
        >>> run = pt.gradient_flow(start, moments)
        >>> pt.compare(pt.layerwise(moments, depth=2), run).name
        'holds'

        ```
    """

    branches: tuple[Float[Array, "..."], ...]

    def __init__(self, branches: Sequence[Any]):
        self.branches = chained("branches", branches)
        shapes = [b.shape for b in self.branches]
        if any(rows != columns for *_, rows, columns in shapes):
            raise checks.bad("branches", f"shapes {shapes}", "square matrices, of one size for all")

    @classmethod
    def init(
        cls,
        key: PRNGKeyArray,
        sizes: Sequence[int],
        scale: checks.Scalar | Sequence[float] = 1.0,
        dtype: Any = None,
    ) -> "ResidualLinear":
        """Gaussian initialisation of the branches, as `DeepLinear.init`; all sizes are equal."""
        return cls(DeepLinear.init(key, sizes, scale, dtype).layers)

    @property
    def layers(self) -> tuple[Float[Array, "..."], ...]:
        r"""Layers $W_l = 1 + B_l$."""
        return tuple(jnp.eye(b.shape[-1], dtype=b.dtype) + b for b in self.branches)

    @property
    def factors(self) -> tuple[Float[Array, "..."], ...]:
        """The layers."""
        return self.layers

    @property
    def trainable(self) -> Any:
        """Flags in the shape of the network, all true."""
        return jax.tree.map(lambda _: True, self)
