"""Distance of linear networks trained on NT-Xent from closed forms of the shares of features."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from .._core import checks
from .._core.plain import plain
from .._core.student import half_width
from ..losses import InfoNCE
from ..networks import DeepLinear
from ..problems import AdditiveNoise, ContrastiveProblem, Features
from ..simulation import annealed, stochastic
from ..theory.responses import cosine_shares
from ._arguments import grid

STRONGEST, WEAKEST = 0.9, 0.1
"""Signal fractions of the first and the last feature; the others are evenly spaced between."""


class CosineGap(eqx.Module):
    r"""Distances of trained shares from closed forms, $\frac12 \sum_i |x_i - \hat x_i|$.

    Shares are of the features in the mean square of the output. A distance is the part of the
    output that belongs to other features than predicted, between 0 and 1.

    - `temperature`: temperatures, `(T,)`.
    - `features`: numbers of features, `(F,)`.
    - `cosines`: distance of each of $N$ trained networks from `theory.responses.cosine_shares`,
      `(T, F, N)`.
    - `products`: distance from the minimiser of inner products, whose shares are the signal
      fractions over their sum, `(T, F, N)`.
    - `confidence`: of each interval.
    """

    temperature: Float[Array, " T"]
    features: Int[Array, " F"]
    cosines: Float[Array, "T F N"]
    products: Float[Array, "T F N"]
    confidence: float

    @property
    def half_widths(self) -> tuple[Float[np.ndarray, "T F"], Float[np.ndarray, "T F"]]:
        """Half the widths of the intervals of the two mean distances, by Student's t."""
        of = lambda x: half_width(np.asarray(x), (1 + self.confidence) / 2)
        return of(self.cosines), of(self.products)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, for JSON; numbers that are not finite become None."""
        means = {name: plain(getattr(self, name).mean(axis=-1)) for name in ("cosines", "products")}
        widths = dict(zip(means, map(plain, self.half_widths), strict=True))
        return {
            "temperature": plain(self.temperature),
            "features": np.asarray(self.features).tolist(),
            "confidence": self.confidence,
        } | {
            name: {"mean": means[name], "half_width": widths[name], "each": plain(each)}
            for name, each in (("cosines", self.cosines), ("products", self.products))
        }

    def to_xarray(self):
        """The results as a labelled `xarray.Dataset`."""
        import xarray

        names = ("temperature", "features", "seed")
        return xarray.Dataset(
            {name: (names, np.asarray(getattr(self, name))) for name in ("cosines", "products")},
            coords={
                "temperature": np.asarray(self.temperature),
                "features": np.asarray(self.features),
                "seed": np.arange(self.cosines.shape[-1]),
            },
            attrs={"confidence": self.confidence},
        )

    def plot(self, ax: Any = None):
        """Plot the distances over temperature, one colour a number of features.

        Returns the Matplotlib axes.
        """
        from ..figures import plot_cosine_gap

        return plot_cosine_gap(self, ax)


def cosine_gap(
    temperature: Any,
    features: Sequence[int],
    *,
    key: PRNGKeyArray,
    seeds: int = 4,
    steps: int = 1500,
    batch_size: int = 128,
    confidence: float = 0.95,
    progress: Callable[[str], None] = lambda line: None,
) -> CosineGap:
    r"""Train linear maps on NT-Xent, the loss of SimCLR, and compare the shares of their features.

    Gaussian features of second moment one have signal fractions from 0.9 to 0.1. Training is by
    Adam with a rate that falls from 0.01 to zero along a cosine, on fresh pairs. Each feature's
    squared weight, over the sum of all, is held against two closed forms: of cosines for many
    features, and of inner products. The shares in a layer $l$ of a deeper balanced network are as
    the powers $l/L$ of these, under any loss.

    **Arguments:**

    - `temperature`: temperatures $\tau > 0$, `(T,)`.
    - `features`: numbers of features, each at least 2.
    - `key`: key of the starts and batches.
    - `seeds`: number of runs of each setting, at least 2.
    - `steps`: steps of training.
    - `batch_size`: number $n$ of pairs in a batch, with $2n - 2$ negatives for each output.
    - `confidence`: of each interval, in (0, 1).
    - `progress`: function called with a line as each setting ends.

    **Returns:** a `CosineGap`.

    **Raises:** `ValueError` for arguments out of range.

    Source: beyond the paper.
    """
    taus = grid("temperature", checks.positive("temperature", temperature), "temperatures")
    counts = [checks.count("features", n, 2) for n in features]
    if not counts:
        raise checks.bad("features", "none", "at least one number")
    seeds, steps = checks.count("seeds", seeds, 2), checks.count("steps", steps)
    batch_size = checks.count("batch_size", batch_size, 2)
    if not 0 < confidence < 1:
        raise checks.bad("confidence", confidence, "a number in (0, 1)")
    cosines, products = [], []
    for number, count in enumerate(counts):
        fraction = jnp.linspace(STRONGEST, WEAKEST, count)
        keys = jax.random.split(jax.random.fold_in(key, count), seeds)
        inner = fraction / jnp.sum(fraction)
        found = []
        for i, tau in enumerate(taus):
            found.append(nt_xent_shares(keys, fraction, tau, steps, batch_size))
            done, total = number * taus.size + i + 1, len(counts) * taus.size
            progress(f"{done} of {total} settings: {count} features, temperature {tau:.3g}")
        wanted = jnp.stack([cosine_shares(fraction, tau).share for tau in taus])
        shares = jnp.stack(found)
        cosines.append(_distance(shares, wanted[:, None]))
        products.append(_distance(shares, inner))
    return CosineGap(
        taus, jnp.asarray(counts), jnp.stack(cosines, 1), jnp.stack(products, 1), confidence
    )


def _distance(shares: Array, others: Array) -> Array:
    return jnp.sum(jnp.abs(shares - others), axis=-1) / 2


@eqx.filter_jit
def nt_xent_shares(
    keys: Array,
    fraction: Float[Array, " d"],
    temperature: Float[Array, ""],
    steps: int = 1500,
    batch_size: int = 128,
) -> Float[Array, "N d"]:
    """Shares of Gaussian features in the outputs of linear maps trained on NT-Xent.

    **Arguments:**

    - `keys`: a key for each run, `(N,)`.
    - `fraction`: signal fractions of features of second moment one, in (0, 1).
    - `temperature`, `steps`, `batch_size`: as in `cosine_gap`.

    **Returns:** the squared weights over their sum, a row for each run.
    """
    count = fraction.size
    problem = ContrastiveProblem(
        Features(jnp.sqrt(fraction), "gaussian"), AdditiveNoise(jnp.sqrt(1 - fraction))
    )
    loss = InfoNCE(temperature, within_views=True)
    adam = annealed(steps)

    def one(key: Array) -> Array:
        start, batches = jax.random.split(key)
        run = stochastic(
            DeepLinear.init(start, (count, count), scale=1.0, dtype=fraction.dtype),
            problem,
            key=batches,
            loss=loss,
            learning_rate=0.01,
            steps=steps,
            batch_size=batch_size,
            optimiser=adam,
            save_at=2,
        )
        squared = jnp.sum(run.final.layers[0] ** 2, axis=0)
        return squared / jnp.sum(squared)

    return jax.lax.map(one, keys)
