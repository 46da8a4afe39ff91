"""Accuracy of a linear readout of each layer on each group of inputs, under readout noise."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._core import checks
from ..._core.linalg import matmul, psd_power
from ...problems import Groups, over_groups

__all__ = [
    "GroupAccuracy",
    "group_accuracy",
]


class GroupAccuracy(eqx.Module):
    """Accuracies in [0, 1], layer by layer.

    - `groups` `(L, G)`: the accuracy on each group.
    - `average` `(L,)`: the mean over groups, by their probability.
    - `worst` `(L,)`: the least over groups of positive probability.
    """

    groups: Float[Array, "L G"]
    average: Float[Array, " L"]
    worst: Float[Array, " L"]


def group_accuracy(
    grams: Float[Array, "L d d"], fitted: Groups, tested: Groups, blur: Any = 0.1
) -> GroupAccuracy:
    r"""Accuracy on each group of the best linear readout of each layer, from the Grams alone.

    A layer $r = W_{l:1} x$ is read as $r + \tau \zeta$ with Gaussian $\zeta$ and
    $\tau^2 = \text{blur}^2\, E\|r\|^2$. Least squares on the labels $\pm 1$ of `fitted` is then
    ridge regression. With $M$ the Gram of the layer, $S$ the second moment and $a = E[yx]$ of
    `fitted`,

    $$v = (M^{1/2} S M^{1/2} + \tau^2)^{-1} M^{1/2} a, \quad \beta = M^{1/2} v,$$

    $$\text{accuracy}_g = \Phi\Big(\frac{y_g\, \beta^\top m_g}
      {\sqrt{\beta^\top \mathrm{diag}(\sigma^2) \beta + \tau^2 \|v\|^2}}\Big).$$

    Without readout noise, blur to 0, $\beta = S^{-1} a$ for every invertible $M$, so all layers
    of full rank are equivalent. Layers whose Grams are multiples of one another are equivalent
    at any blur; layers of rank one in a balanced network are an example. Nothing is centred,
    and there is no intercept.

    **Arguments:**

    - `grams`: the Grams of the layers, `(L, d, d)`.
    - `fitted`: the inputs and two classes on which the readout is fitted.
    - `tested`: the inputs and two classes on which it is tested.
    - `blur`: the readout noise of each coordinate, positive, relative to the root mean square
      length of the layer.

    **Raises:** `ValueError` for dimensions that differ, other than two classes, or a blur that
    is not positive.

    !!! example

        ```pycon
        >>> subclasses = pt.problems.Groups.signs([1.0, 1.0], 0.3, [0.0]).read(1)
        >>> grams = jnp.stack([jnp.diag(jnp.asarray([1.0, w])) for w in (0.1, 0.01)])
        >>> seen = pt.theory.supervised.group_accuracy(grams, subclasses, subclasses, 0.3)
        >>> np.round(seen.average, 3)
        Array([0.822, 0.624], dtype=float64)

        ```

    Theorem: shift, coarse-to-fine.

    Source: paper, section 5, as an experiment; the closed form is beyond the paper.
    """
    noise = checks.positive("blur", blur)
    for name, groups in (("fitted", fitted), ("tested", tested)):
        if groups.classes != 2:
            raise checks.bad(name, f"{groups.classes} classes", "two classes")
        if groups.dim != grams.shape[-1]:
            raise checks.bad(
                name, f"dimension {groups.dim}", f"the dimension of the Grams, {grams.shape[-1]}"
            )
    return _accuracy(grams, fitted, tested, noise.astype(grams.dtype))


@eqx.filter_jit
def _accuracy(grams: Array, fitted: Groups, tested: Groups, blur: Array) -> GroupAccuracy:
    d = grams.shape[-1]
    second = fitted.second
    sides = jnp.asarray([-1, 1], grams.dtype)
    aim = jnp.sum((fitted.probability * sides[fitted.labels])[:, None] * fitted.means, axis=0)
    signed = sides[tested.labels][:, None] * tested.means

    def one(gram: Array) -> Array:
        root = psd_power(gram, 0.5, d)
        blurred = blur**2 * jnp.sum(gram * second)
        inner = matmul(matmul(root, second), root) + jnp.where(blurred > 0, blurred, 1) * jnp.eye(
            d, dtype=gram.dtype
        )
        v = jnp.linalg.solve(inner, matmul(root, aim[:, None])[:, 0])
        beta = matmul(root, v[:, None])[:, 0]
        deviation = jnp.sqrt(jnp.sum((tested.noise * beta) ** 2) + blurred * jnp.sum(v**2))
        margins = matmul(signed, beta[:, None])[:, 0]
        return jax.scipy.stats.norm.cdf(
            jnp.where(deviation > 0, margins / jnp.where(deviation > 0, deviation, 1), 0)
        )

    groups = jax.vmap(one)(grams)
    return GroupAccuracy(groups, *over_groups(groups, tested.probability))
