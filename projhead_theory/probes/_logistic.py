"""Logistic regression."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix
from jaxtyping import Array, Float

from .._core.linalg import matmul
from ._margin import one_positive
from ._probe import AbstractProbe, signs
from ._readout import Readout, Status


class Logistic(AbstractProbe):
    r"""Logistic regression, with a penalty on the weights.

    $$\min \sum_i \ln(1 + e^{-y_i s_i}) + \tfrac 12\, \text{penalty}\, \|v\|^2,
    \qquad s = v^\top r + b$$

    For more than two classes, the cross-entropy of the softmax of their scores.

    Minimised by BFGS in the dtype of the representations, in coordinates in which the loss has
    unit curvature at the start, zero. The status is `fitted` if the gradient at the end fell to
    the square root of the dtype's epsilon, else `failed`.

    **Arguments:**

    - `penalty`: positive.
    - `intercept`: whether there is a $b$, which is not penalised.
    - `max_steps`: largest number of steps of BFGS.

    **Raises:** `ValueError` for a penalty that is not positive and finite.

    !!! example

        ```pycon
        >>> x, labels = jnp.asarray([[1.0], [-1.0]]), jnp.asarray([1, 0])
        >>> readout = pt.probes.Logistic(penalty=1.0).fit(x, labels)
        >>> round(float(readout.weights[0, 0]), 3)
        0.675

        ```
    """

    penalty: Float[Array, ""]
    intercept: bool = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)

    def __init__(self, penalty: Any, intercept: bool = False, max_steps: int = 1_000):
        self.penalty, self.intercept, self.max_steps = (
            one_positive("penalty", penalty),
            intercept,
            max_steps,
        )

    @eqx.filter_jit
    def solve(self, x, labels, classes):
        return jax.vmap(lambda x, y: self._one(x, y, classes))(x, labels)

    def _one(self, x: Array, labels: Array, classes: int) -> Readout:
        n, dtype = x.shape[0], x.dtype
        count = 1 if classes == 2 else classes
        y, penalty = signs(labels, classes, dtype), self.penalty.astype(dtype)
        # Softmax scores have less curvature, p (1 - p) at p = 1 / K.
        share = 1 / classes * (1 - 1 / classes)
        u, s, vt = jnp.linalg.svd(x, full_matrices=False)
        gain = 1 / jnp.sqrt(share * s**2 + penalty)
        images = u * (s * gain)
        shift = jnp.asarray((share * n) ** -0.5 if self.intercept else 0, dtype)

        def scores(a: Array) -> Array:
            return matmul(images, a[:-1]) + shift * a[-1]

        def loss(a: Array, _: Any) -> Array:
            z = scores(a)
            softmax = jnp.sum(jax.nn.logsumexp(z, axis=1)) - jnp.sum(jnp.where(y > 0, z, 0))
            fit = jnp.sum(jax.nn.softplus(-y * z)) if count == 1 else softmax
            return fit + penalty / 2 * jnp.sum((gain[:, None] * a[:-1]) ** 2)

        eps = float(jnp.finfo(dtype).eps)
        solver = optimistix.BFGS(rtol=eps**0.75, atol=eps**0.75)
        start = jnp.zeros((s.size + 1, count), dtype)
        found = optimistix.minimise(
            loss, solver, start, max_steps=self.max_steps, throw=False
        ).value
        gradient, size = jax.grad(loss)(found, None), 1 + jnp.max(jnp.abs(found))
        converged = jnp.max(jnp.abs(gradient)) <= eps**0.5 * size
        status = Status.where(converged, Status.fitted, Status.failed)
        return Readout(matmul((gain[:, None] * found[:-1]).T, vt), shift * found[-1], status)
