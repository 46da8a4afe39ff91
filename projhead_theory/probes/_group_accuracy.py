"""Group accuracies of least-squares readouts from samples, for any network and classes."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .._core import checks
from .._core.linalg import matmul
from ..networks import AbstractNetwork
from ..problems import Groups
from ._probe import signs
from ._readout import Readout, Status


class GroupEstimate(eqx.Module):
    """Accuracies in [0, 1], layer by layer, with standard errors over independent readouts.

    - `groups`, `groups_error`: accuracy on each group, `(L, G)`.
    - `average`, `average_error`: average over groups by their probability, `(L,)`.
    - `worst`, `worst_error`: least accuracy among groups of positive probability, with the
      standard error for this group, `(L,)`.

    The least of several estimates is a little too low, by the order of `worst_error`.
    """

    groups: Float[Array, "L G"]
    groups_error: Float[Array, "L G"]
    average: Float[Array, " L"]
    average_error: Float[Array, " L"]
    worst: Float[Array, " L"]
    worst_error: Float[Array, " L"]


def group_accuracy(
    network: AbstractNetwork,
    fitted: Groups,
    tested: Groups,
    blur: checks.Scalar = 0.1,
    *,
    key: PRNGKeyArray,
    samples: int = 4096,
    repeats: int = 8,
) -> GroupEstimate:
    r"""Accuracy on each group of `tested` of readouts fitted by least squares on `fitted`.

    Every layer has its own readout. A layer is read as $r + \tau \zeta$ with Gaussian $\zeta$ and
    $\tau^2 = \text{blur}^2\, E\|r\|^2$, as in `measure.group_accuracy`, which gives the same
    accuracies exactly for linear networks and two classes. Least squares on the noisy readout is
    ridge regression:

    $$V = Y^\top R\, (R^\top R + n \tau^2)^{-1},$$

    with targets $\pm 1$. Two classes have one score, whose sign is the answer; more classes have
    one score each, and the largest is the answer. Signs in place of one-hot targets change all
    scores alike. There is no intercept. The test draws the noise as well.

    **Arguments:**

    - `network`: any network.
    - `fitted`, `tested`: inputs in groups, with the same number of classes.
    - `blur`: relative readout noise, positive.
    - `key`: key of all draws.
    - `samples`: number of inputs that a readout is fitted on. About as many inputs test it, the
      same number of each group.
    - `repeats`: number of independent readouts, over which accuracies are averaged. Besides its
      standard error, a mean is off by some $p / \text{samples}$ for layers of width $p$.

    **Returns:** a `GroupEstimate`.

    **Raises:** `ValueError` for dimensions or classes that differ, fewer than two classes, fewer
    than two repeats, or a blur that is not positive.

    Source: beyond the paper.
    """
    noise = checks.positive("blur", blur).astype(network.dtype)
    for name, groups in (("fitted", fitted), ("tested", tested)):
        if groups.dim != network.sizes[0]:
            raise checks.bad(
                name, f"dimension {groups.dim}", f"the network's inputs, {network.sizes[0]}"
            )
    if fitted.classes < 2:
        raise checks.bad("fitted", f"{fitted.classes} class", "at least two")
    if tested.classes != fitted.classes:
        raise checks.bad(
            "tested",
            f"{tested.classes} classes",
            f"as many as the readout is fitted on, {fitted.classes}",
        )
    samples = checks.count("samples", samples, max(2, tested.probability.size))
    return _estimate(
        network, fitted, tested, noise, key, samples, checks.count("repeats", repeats, 2)
    )


@eqx.filter_jit
def _estimate(
    network: AbstractNetwork,
    fitted: Groups,
    tested: Groups,
    blur: Array,
    key: PRNGKeyArray,
    samples: int,
    repeats: int,
) -> GroupEstimate:
    dtype = blur.dtype
    count = tested.probability.size
    each = samples // count

    def once(key: PRNGKeyArray) -> Array:
        draw, other, jitter = jax.random.split(key, 3)
        x, group = fitted.sample(draw, samples)
        targets = signs(fitted.labels[group], fitted.classes, dtype)
        asked = jnp.repeat(jnp.arange(count), each)
        shown = network.representations(tested.draw(other, asked).astype(dtype))
        rows = []
        for key, r, t in zip(
            jax.random.split(jitter, len(shown)),
            network.representations(x.astype(dtype)),
            shown,
            strict=True,
        ):
            variance = blur**2 * jnp.mean(jnp.sum(r * r, axis=1))
            # A layer that is zero leaves a guess.
            ridge = jnp.where(variance > 0, variance, 1) * jnp.eye(r.shape[1], dtype=dtype)
            weights = jnp.linalg.solve(
                matmul(r.T, r) / samples + ridge, matmul(r.T, targets) / samples
            ).T
            readout = Readout(weights, jnp.zeros(len(weights), dtype), Status.fitted)
            said = readout(t + jnp.sqrt(variance) * jax.random.normal(key, t.shape, dtype))
            right = jnp.mean(
                (said == tested.labels[asked]).astype(dtype).reshape(count, each), axis=1
            )
            rows.append(jnp.where(variance > 0, right, 1 / fitted.classes))
        return jnp.stack(rows)

    seen = jax.lax.map(once, jax.random.split(key, repeats))
    averages = jnp.sum(seen * tested.probability.astype(dtype), axis=2)
    error = lambda x: jnp.std(x, axis=0, ddof=1) / repeats**0.5
    groups, groups_error = jnp.mean(seen, axis=0), error(seen)
    lowest = jnp.argmin(jnp.where(tested.probability > 0, groups, 2), axis=1)[:, None]
    pick = lambda x: jnp.take_along_axis(x, lowest, axis=1)[:, 0]
    return GroupEstimate(
        groups,
        groups_error,
        jnp.mean(averages, axis=0),
        error(averages),
        pick(groups),
        pick(groups_error),
    )
