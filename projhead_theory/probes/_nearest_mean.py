"""The nearest class mean."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._spectra import matmul
from ._probe import AbstractProbe
from ._readout import Readout, Status


class NearestMean(AbstractProbe):
    r"""The class whose mean $\mu_k$ is nearest: scores $\mu_k^\top r - \frac 12 \|\mu_k\|^2$; of two classes, their
    difference.
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
