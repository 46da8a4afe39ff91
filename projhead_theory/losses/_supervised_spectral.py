"""The spectral form of the supervised contrastive loss."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core.linalg import matmul
from ..moments import Moments
from ..problems import Targets
from ._arguments import require_labels
from ._loss import AbstractLabelledLoss, AbstractPopulationLoss
from ._spectral import spectral


class SupervisedSpectral(AbstractPopulationLoss, AbstractLabelledLoss):
    r"""Spectral contrastive loss on positive pairs of inputs of the same class.

    A positive pair is an input and an independent input of its class (the loss is by HaoChen et
    al. 2021):

    $$-2 \sum_k \pi_k \|\mu_k\|^2 + E[(f(x)^\top f(x'))^2],$$

    with $\pi_k$ the probability of class $k$, $\mu_k = E[f(x) \mid k]$, and $x, x'$ independent.

    The population form of a linear network with $M = W^\top W$ is exact for any distribution:

    $$-2\,\mathrm{tr}(CM) + \mathrm{tr}(SMSM),
    \qquad C = \sum_k \pi_k E[x \mid k]\, E[x \mid k]^\top,$$

    with $C$ the class cross moment; `Labelled.moments` gives the moments of a sample.

    The labelled form, with $n_k$ rows in class $k$, is

    $$-\frac{2}{n'} \sum_i \frac{1}{n_{k(i)} - 1}
    \sum_{j \ne i,\, k(j) = k(i)} f(x^i)^\top f(x^j) +
    \frac{1}{n(n-1)} \sum_{i \ne j} (f(x^i)^\top f(x^j))^2,$$

    where $i$ in the first sum goes over the $n'$ rows whose class has another row. Every anchor
    counts once, so a class weighs $n_k / n'$, not $n_k (n_k - 1)$ as in a plain mean over
    positive pairs. If there is no positive pair, the first term is zero.

    For independent rows the second term is unbiased. The first term, given the labels, has
    expectation $-2 \sum_k \frac{n_k}{n'} \|\mu_k\|^2$ over the classes with $n_k \ge 2$. It is
    unbiased for equally likely classes, given that there is a positive pair. In general it errs
    only through batches in which some class has a single row, so that a class is misweighted by
    at most $\sum_k n \pi_k (1 - \pi_k)^{n-1}$. No estimate is unbiased for all distributions:
    $\pi_k \|\mu_k\|^2 = \|E[f 1_k]\|^2 / \pi_k$ is not a polynomial in the distribution.
    The loss costs $O(np^2)$, never $n^2$.

    **Raises:** `ValueError` if the targets are not class labels.
    """

    def population(self, matrix: Float[Array, "p d"], moments: Moments) -> Float[Array, ""]:
        return spectral.population(matrix, moments)

    def labelled(self, outputs: Float[Array, "n p"], targets: Targets) -> Float[Array, ""]:
        require_labels(outputs, targets)
        n = outputs.shape[0]
        _, member = jnp.unique(targets, return_inverse=True, size=n)
        add = lambda x: jax.ops.segment_sum(x, member, n)
        square, size, total = (
            jnp.sum(outputs * outputs, axis=1),
            add(jnp.ones(n, outputs.dtype)),
            add(outputs),
        )
        pairs = jnp.sum(total * total, axis=1) - add(square)
        anchors = jnp.where(size > 1, size, 0)
        positive = jnp.sum(jnp.where(size > 1, pairs, 0) / jnp.maximum(size - 1, 1)) / jnp.maximum(
            jnp.sum(anchors), 1
        )
        gram = matmul(outputs.T, outputs)
        return -2 * positive + (jnp.sum(gram * gram) - jnp.sum(square * square)) / (n * (n - 1))


supervised_spectral = SupervisedSpectral()
