r"""The sample-complexity indicator with a ridge margin: finite for every label.

A separator may miss the label, at a price: one label's worth of squared error for each of the $n$
labels at hand. The exact indicator is the limit of many labels.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._core import checks
from ..._core.linalg import matmul, psd_power
from ...problems import Downstream
from .complexity import checked_grams

__all__ = [
    "representation_complexity",
    "ridge_complexity",
]


def representation_complexity(
    second: Float[Array, "*b p p"], cross: Float[Array, "*b p k"], samples: Any
) -> Float[Array, "*b k"]:
    r"""Ridge indicator of a representation for labels of variance 1, from its moments.

    $$\mathrm{SC}(n) = \min_v\; \mathrm{tr}(S)\, \|v\|^2 + n\, E (y - v^\top r)^2
    = n \Big( 1 - c^\top \big(S + \tfrac{\mathrm{tr}\, S}{n} I\big)^{-1} c \Big)$$

    It lies between 0 and $n$, which a label that no linear function reads has, and depends neither
    on the scale of the representation nor on its orientation. $\mathrm{SC}(n) / n$ is the least
    penalised error of a ridge readout whose penalty is the one that suits $n$ labels.

    **Arguments:**

    - `second`: $S = E[r r^\top]$ of the representation.
    - `cross`: $c = E[r y]$, a column for each label.
    - `samples`: the number $n$ of labels, positive.

    **Returns:** one number for each label, `(..., k)`.

    **Raises:** `ValueError` for shapes that do not fit, or numbers of labels that are not positive.

    !!! example

        ```pycon
        >>> second, cross = jnp.diag(jnp.asarray([4.0, 1.0])), jnp.asarray([[0.0], [1.0]])
        >>> complexity = pt.theory.downstream.representation_complexity
        >>> np.round(complexity(second, cross, samples=20), 3)
        Array([4.], dtype=float64)

        ```

    Source: beyond the paper; derived in the documentation.
    """
    second, cross = checks.floating("second", second), checks.floating("cross", cross)
    if second.ndim < 2 or second.shape[-1] != second.shape[-2] or second.shape[-1] == 0:
        raise checks.bad("second", f"shape {second.shape}", "square matrices (..., p, p)")
    if cross.ndim != second.ndim or cross.shape[:-1] != second.shape[:-1]:
        raise checks.bad(
            "cross", f"shape {cross.shape}", f"{second.shape[:-1]} and one column a label"
        )
    return _representation(second, cross.astype(second.dtype), _labels(samples, second.dtype))


def ridge_complexity(
    grams: Float[Array, "*L d d"],
    downstream: Downstream,
    samples: Any,
    unexplained: Any = 0.0,
) -> Float[Array, "*L"]:
    r"""Ridge indicator of each layer of a linear network: the indicator with a finite price.

    $$\mathrm{SC}_l(n) = \min_v\; \mathrm{tr}(M_l S')\, \|v\|^2
    + n\, E (y - v^\top W_{l:1} x')^2$$

    With $a = S' \beta$ it is
    $n \big(E y^2 - a^\top M^{1/2} (M^{1/2} S' M^{1/2} + \tfrac{\mathrm{tr}(M S')}{n} I)^{-1}
    M^{1/2} a\big)$. It rises with $n$ to `sample_complexity`, and stays below both that and
    $n\, E y^2$. In a feature model with the sign of feature $j$ as label
    $1 / \mathrm{SC}_l(n) = 1 / \mathrm{SC}_l + 1/n$, so that the layers keep their order.

    **Arguments:**

    - `grams`: $M_1, \dots, M_L$, predicted or measured, symmetric positive semi-definite.
    - `downstream`: the downstream task, with the linear part $\beta^\top x'$ of the label.
    - `samples`: the number $n$ of labels, positive.
    - `unexplained`: the variance of the label that no linear function of the input explains; with
      it $E y^2 = \beta^\top S' \beta$ plus this.

    **Raises:** `ValueError` if the dimensions differ, a number of labels is not positive, or a
    variance is negative.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> grams = pt.layerwise(problem.moments(), depth=2, width=1).grams
        >>> task = pt.DownstreamProblem(pt.Features([1.0, 1.0]), pt.problems.SignLabel(0)).moments()
        >>> pt.theory.downstream.sample_complexity(grams, task).tolist()
        [inf, inf]
        >>> pt.theory.downstream.ridge_complexity(grams, task, samples=10).tolist()
        [10.0, 10.0]

        ```

    Source: beyond the paper; derived in the documentation.
    """
    grams = checked_grams(grams, downstream)
    rest = checks.nonnegative("unexplained", unexplained)
    return _ridge(grams, downstream, _labels(samples, grams.dtype), rest.astype(grams.dtype))


def _labels(samples: Any, dtype: Any) -> Array:
    n = checks.positive("samples", samples).astype(dtype)
    if n.ndim:
        raise checks.bad("samples", f"shape {n.shape}", "one number of labels")
    return n


def _one(second: Array, cross: Array, power: Array, n: Array) -> Array:
    r"""Ridge indicator `(k,)` from the moments of one representation.

    The minimand at its minimiser $v$, which errs by the square of the error of $v$.
    """
    radius = jnp.trace(second)
    there = radius > 0
    price = jnp.where(there, radius, 1) / n
    v = jnp.linalg.solve(second + price * jnp.eye(len(second), dtype=second.dtype), cross)
    missed = power - 2 * jnp.sum(cross * v, axis=0) + jnp.sum(v * matmul(second, v), axis=0)
    return radius * jnp.sum(v**2, axis=0) + n * jnp.maximum(missed, 0)


@jax.jit
def _representation(second: Array, cross: Array, n: Array) -> Array:
    one = lambda s, c: _one(s, c, jnp.ones((), s.dtype), n)
    p, k = cross.shape[-2:]
    flat = jax.vmap(one)(second.reshape(-1, p, p), cross.reshape(-1, p, k))
    return flat.reshape(*second.shape[:-2], k)


@eqx.filter_jit
def _ridge(grams: Array, downstream: Downstream, n: Array, rest: Array) -> Array:
    second, target = (x.astype(grams.dtype) for x in (downstream.second, downstream.target))
    towards = matmul(second, target[:, None])
    power = jnp.sum(target * towards[:, 0]) + rest

    def one(gram: Array) -> Array:
        root = psd_power(gram, 0.5, gram.shape[-1])
        seen = matmul(matmul(root, second), root)
        return _one(seen, matmul(root, towards), power, n)[0]

    flat = jax.vmap(one)(grams.reshape(-1, *grams.shape[-2:]))
    return flat.reshape(grams.shape[:-2])
