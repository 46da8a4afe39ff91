"""The nearest class mean."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._core.linalg import matmul
from ._probe import AbstractProbe
from ._readout import Readout, Status


class NearestMean(AbstractProbe):
    r"""The class whose mean is nearest.

    Class $k$ with mean $\mu_k$ scores $\mu_k^\top r - \frac 12 \|\mu_k\|^2$. Two classes have one
    score, class 1's less class 0's.

    !!! example

        ```pycon
        >>> readout = pt.probes.NearestMean().fit(jnp.eye(3), jnp.arange(3))
        >>> readout(jnp.asarray([[0.9, 0.2, 0.1], [0.2, 0.3, 0.4]]))
        Array([0, 2], dtype=int64)

        ```
    """

    @eqx.filter_jit
    def solve(self, x, labels, classes):
        def one(x: Array, y: Array) -> Readout:
            member = (y[:, None] == jnp.arange(classes, dtype=y.dtype)).astype(x.dtype)
            means = matmul(member.T, x) / jnp.sum(member, axis=0)[:, None]
            offsets = -jnp.sum(means**2, axis=1) / 2
            if classes == 2:
                means, offsets = means[1:] - means[:1], offsets[1:] - offsets[:1]
            return Readout(means, offsets, Status.fitted)

        return jax.vmap(one)(x, labels)
