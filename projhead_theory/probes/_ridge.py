"""Ridge regression of the signs of the classes."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core.linalg import matmul
from ._margin import one_positive
from ._probe import AbstractProbe, signs
from ._readout import Readout, Status


class Ridge(AbstractProbe):
    r"""Ridge regression of the signs $y = \pm 1$.

    $$\min \sum_i (y_i - v^\top r_i - b)^2 + \text{penalty}\, \|v\|^2$$

    More than two classes: one against the rest. Computed from the singular values of the samples,
    as many as the smaller of samples and dimensions. No Gram matrix is formed, so small penalties
    lose no digits.

    **Arguments:**

    - `penalty`: positive.
    - `intercept`: whether there is a $b$, which is not penalised.

    **Raises:** `ValueError` for a penalty that is not positive and finite.

    !!! example

        ```pycon
        >>> x, labels = jnp.asarray([[1.0], [-1.0]]), jnp.asarray([1, 0])
        >>> readout = pt.probes.Ridge(penalty=2.0).fit(x, labels)
        >>> round(float(readout.weights[0, 0]), 3)
        0.5

        ```
    """

    penalty: Float[Array, ""]
    intercept: bool = eqx.field(static=True)

    def __init__(self, penalty: Any, intercept: bool = False):
        self.penalty, self.intercept = one_positive("penalty", penalty), intercept

    @eqx.filter_jit
    def solve(self, x, labels, classes):
        return jax.vmap(self._one)(x, signs(labels, classes, x.dtype))

    def _one(self, x: Array, y: Array) -> Readout:
        centre = lambda a: jnp.mean(a, axis=0) if self.intercept else jnp.zeros_like(a[0])
        u, s, vt = jnp.linalg.svd(x - centre(x), full_matrices=False)
        gain = s / (s**2 + self.penalty.astype(x.dtype))
        weights = matmul(matmul((y - centre(y)).T, u) * gain, vt)
        intercepts = centre(y) - matmul(weights, centre(x)[:, None])[:, 0]
        return Readout(weights, intercepts, Status.fitted)
