"""Linear networks trained on two opposite classes, at any time of training, in closed form."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._core import checks
from ..._core.linalg import frobenius, matmul
from ..._core.tolerance import CHAIN, epsilons
from ...problems import SupervisedContrastiveProblem, SupervisedProblem
from .. import dynamics

__all__ = [
    "class_grams",
]


def class_grams(
    problem: SupervisedContrastiveProblem | SupervisedProblem, times: Any, start: Any, depth: int
) -> Float[Array, "T L d d"]:
    r"""Grams of every layer at every time, from a start with equal weight in all directions.

    Weight means the end-to-end weight. The direction $\mu$ of the class is learned and the
    directions orthogonal to it fade, each by itself. NaN where this does not hold: classes or
    targets that are not opposite, $\mu_1 \ne -\mu_0$, moments that do not commute, $S \mu$ not
    along $\mu$, or positive pairs that are not all of one class.

    **Arguments:**

    - `problem`: classes under the spectral loss, or regression of the class.
    - `times`: $t \ge 0$, `(T,)`.
    - `start`: the weight $s_0$ of all directions.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range, or other than two classes.

    !!! example

        ```pycon
        >>> groups = pt.problems.Groups.signs([1.0, 1.0], 0.3, [0.0])
        >>> problem = pt.problems.SupervisedProblem.signs(groups)
        >>> grams = pt.theory.supervised.class_grams(problem, [0.0, 10.0], start=0.5, depth=2)
        >>> np.round(jnp.diagonal(grams[-1], axis1=1, axis2=2), 3)
        Array([[0.917, 0.042],
               [0.842, 0.002]], dtype=float64)

        ```

    Theorem: coarse-to-fine, shift (beyond the paper).
    """
    if problem.groups.classes != 2:
        raise checks.bad("problem", f"{problem.groups.classes} classes", "two classes")
    dtype = problem.groups.means.dtype
    times, start = checks.nonnegative("times", times), checks.nonnegative("start", start)
    depth = checks.count("depth", depth)
    return _grams(problem, times.astype(dtype), start.astype(dtype), depth)


@eqx.filter_jit
def _grams(
    problem: SupervisedContrastiveProblem | SupervisedProblem,
    times: Array,
    start: Array,
    depth: int,
) -> Array:
    groups, (other, mean) = problem.groups, problem.groups.class_means
    second, size = groups.second, jnp.sqrt(jnp.sum(mean**2))
    u = mean / size
    image = matmul(second, u[:, None])[:, 0]
    along = jnp.sum(image * u)
    rounding = epsilons(CHAIN * groups.dim, mean.dtype)
    opposite = jnp.max(jnp.abs(other + mean)) <= rounding * size
    commute = jnp.max(jnp.abs(image - along * u)) <= rounding * jnp.trace(second)
    if isinstance(problem, SupervisedProblem):
        learned, law = size * frobenius(problem.targets[1:]), dynamics.regression.layer_grams
        opposite &= jnp.all(jnp.abs(problem.targets[0] + problem.targets[1]) <= rounding * learned)
    else:
        learned, law = size**2, dynamics.layer_grams
        opposite &= problem.positives.share == 1
    # The class direction gets the largest eigenvalue by far. The others are the eigenvalues of
    # the second moment orthogonal to it.
    out = jnp.eye(groups.dim, dtype=mean.dtype) - jnp.outer(u, u)
    rest, directions = jnp.linalg.eigh(
        matmul(matmul(out, second), out) + 2 * jnp.trace(second) * jnp.outer(u, u)
    )
    signal = jnp.zeros_like(u).at[-1].set(learned)
    q = jnp.append(jnp.maximum(rest[:-1], 0), along)
    return jnp.where(opposite & commute, law(times, start, signal, q, directions, depth), jnp.nan)
