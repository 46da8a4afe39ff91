"""How well a least-squares read-out of each layer does on each group of inputs, from drawn inputs, for any network and classes."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .. import _checks
from .._spectra import matmul
from ..networks import LinearNetwork, Network
from ..problems import Groups
from ._probe import signs
from ._readout import Readout, Status


class GroupEstimate(eqx.Module):
    r"""Accuracies in [0, 1], layer by layer, and their standard errors over independent read-outs: `groups`, `groups_error` `(L, G)`;
    `average`, `average_error` `(L,)`, over groups by their probability; `worst` `(L,)`, the least of those of positive probability, and
    `worst_error`, that of this group. The least of several estimates is a little too low, by the order of that error.
    """

    groups: Float[Array, "L G"]
    groups_error: Float[Array, "L G"]
    average: Float[Array, " L"]
    average_error: Float[Array, " L"]
    worst: Float[Array, " L"]
    worst_error: Float[Array, " L"]


def group_accuracy(
    network: Network,
    fitted: Groups,
    tested: Groups,
    blur: _checks.Scalar = 0.1,
    *,
    key: PRNGKeyArray,
    samples: int = 4096,
    repeats: int = 8,
) -> GroupEstimate:
    r"""Accuracy on each group of `tested` of the least-squares read-out of each layer, fitted on the classes of `fitted`.

    A layer is read as $r + \tau \zeta$ with Gaussian $\zeta$ and $\tau^2 = \text{blur}^2\, E\|r\|^2$, as in `measure.group_accuracy`,
    which has the same numbers of linear networks and two classes exactly. Least squares on the read-out's own noise is ridge regression:

    $$V = Y^\top R\, (R^\top R + n \tau^2)^{-1},$$

    with targets $\pm 1$: one score for two classes, its sign the answer, else one score a class, the largest the answer; signs in place of
    one-hot targets move all scores alike. There is no intercept. The test draws the noise too.

    **Arguments:** `network`: any; `fitted`, `tested`: inputs in groups, of as many classes; `blur`: positive; `key`; `samples`: inputs a
    read-out is fitted on, and about as many it is tested on, the same number of each group; `repeats`: independent read-outs, of which the
    accuracies are means. A mean is off by some $p / \text{samples}$ for layers of width $p$, beside its standard error.

    **Raises:** `ValueError` for dimensions or classes that differ, fewer than two classes, fewer than two repeats, or a blur that is not
    positive.

    Source: beyond the paper.
    """
    noise = _checks.positive("blur", blur).astype(network.layers[0].dtype)
    for name, groups in (("fitted", fitted), ("tested", tested)):
        if groups.dim != network.sizes[0]:
            raise _checks.bad(
                name, f"dimension {groups.dim}", f"the network's inputs, {network.sizes[0]}"
            )
    if fitted.classes < 2:
        raise _checks.bad("fitted", f"{fitted.classes} class", "at least two")
    if tested.classes != fitted.classes:
        raise _checks.bad(
            "tested",
            f"{tested.classes} classes",
            f"as many as the read-out is fitted on, {fitted.classes}",
        )
    samples = _checks.count("samples", samples, max(2, tested.probability.size))
    return _estimate(
        network, fitted, tested, noise, key, samples, _checks.count("repeats", repeats, 2)
    )


@eqx.filter_jit
def _estimate(
    network: Network,
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
        shown = _layers(network, tested.draw(other, asked).astype(dtype))
        rows = []
        for key, r, t in zip(
            jax.random.split(jitter, len(shown)),
            _layers(network, x.astype(dtype)),
            shown,
            strict=True,
        ):
            variance = blur**2 * jnp.mean(jnp.sum(r * r, axis=1))
            # A layer that shows nothing leaves a guess.
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


def _layers(network: Network, x: Float[Array, "n d"]) -> tuple[Array, ...]:
    if isinstance(network, LinearNetwork):
        return tuple(matmul(x, w.T) for w in network.products())
    return network.representations(x)
