"""Closed form of linear networks trained on two classes from an aligned balanced start."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import theory
from .._core import checks
from .._core.linalg import matmul
from ..problems import Groups

LOSSES = ("contrastive", "regression")


def loss_name(value: str) -> str:
    if value not in LOSSES:
        raise checks.bad("loss", repr(value), " or ".join(LOSSES))
    return value


@eqx.filter_jit
def aligned_grams(
    times: Float[Array, " T"], groups: Groups, start: Array, depth: int, loss: str
) -> Float[Array, "T L d d"]:
    r"""Grams of every layer at every time, from a start with equal weight in all directions.

    Weight means the end-to-end weight. The direction $\mu$ of the class is learned and the
    directions orthogonal to it fade, each by itself. NaN where this does not hold: classes that
    are not opposite, $\mu_1 \ne -\mu_0$, or moments that do not commute, $S \mu$ not along $\mu$.
    """
    second, mean = groups.second, groups.class_means[1]
    size = jnp.sqrt(jnp.sum(mean**2))
    u = mean / size
    image = matmul(second, u[:, None])[:, 0]
    along = jnp.sum(image * u)
    rounding = 64 * groups.dim * jnp.finfo(mean.dtype).eps
    opposite = jnp.max(jnp.abs(groups.class_means[0] + mean)) <= rounding * size
    commute = jnp.max(jnp.abs(image - along * u)) <= rounding * jnp.trace(second)
    # The class direction gets the largest eigenvalue by far. The others are the eigenvalues of
    # the second moment orthogonal to it.
    out = jnp.eye(groups.dim, dtype=mean.dtype) - jnp.outer(u, u)
    rest, directions = jnp.linalg.eigh(
        matmul(matmul(out, second), out) + 2 * jnp.trace(second) * jnp.outer(u, u)
    )
    q = jnp.append(jnp.maximum(rest[:-1], 0), along)
    signal = jnp.zeros(groups.dim, mean.dtype).at[-1].set(size if loss == "regression" else size**2)
    law = (
        theory.dynamics.regression.layer_weights
        if loss == "regression"
        else theory.dynamics.layer_weights
    )
    weights = jnp.swapaxes(law(times[:, None], start, signal, q, depth), 1, 2)
    grams = jnp.einsum("ij,tlj,kj->tlik", directions, weights**2, directions, precision="highest")
    return jnp.where(opposite & commute, grams, jnp.nan)
