"""Learning curves: errors with confidence bands, samples needed, and comparison of layers."""

from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Float, Integer

from .._core import checks
from .._core.student import half_width

RESAMPLES = 2_000


class Estimate(NamedTuple):
    """A value and its confidence band from `low` to `high`: one number each, or one a layer."""

    value: Any
    low: Any
    high: Any


class Fewest(NamedTuple):
    """The layer that needs the fewest samples, and the share of resamples that agree.

    `layer` is counted from 1; it is None if several layers are tied.
    """

    layer: int | None
    share: float


class LearningCurve(eqx.Module):
    """Errors of a probe, layer by layer, at increasing numbers of training samples.

    - `sizes`: numbers of training samples, `(S,)`.
    - `errors`: errors for $R$ seeds, `(L, S, R)`.
    - `infeasible`: share of seeds in which the probe found no readout, `(L, S)`; their error
      counts as 1/2.
    - `layers`: names of the layers.

    Comparisons of numbers of samples resample the seeds with replacement, with the same draws for
    all layers: variation that the layers share does not count as scatter. Between sizes, errors
    are made monotone (the nearest decreasing curve, by least squares) and interpolated linearly
    over the logarithm of the number of samples.

    !!! example

        ```pycon
        >>> errors = np.array([[[0.4, 0.4], [0.1, 0.1]], [[0.3, 0.3], [0.1, 0.1]]])
        >>> curve = pt.probes.LearningCurve(
        ...     np.array([4, 16]), errors, np.zeros((2, 2)), ("layer 1", "layer 2")
        ... )
        >>> np.round(curve.samples_needed(0.2).value, 1), curve.fewest(0.2).layer
        (array([10.1,  8. ]), 2)

        ```
    """

    sizes: Integer[np.ndarray, " S"]
    errors: Float[np.ndarray, "L S R"]
    infeasible: Float[np.ndarray, "L S"]
    layers: tuple[str, ...] = eqx.field(static=True)

    @property
    def mean(self) -> Float[np.ndarray, "L S"]:
        """Mean error over the seeds."""
        return self.errors.mean(axis=2)

    def band(
        self, confidence: float = 0.95
    ) -> tuple[Float[np.ndarray, "L S"], Float[np.ndarray, "L S"]]:
        """Confidence band of each mean error, within [0, 1], by Student's t over the seeds.

        Seeds are independent and their means nearly normal. Resampling would make the band too
        narrow at few seeds.
        """
        half = half_width(self.errors, (1 + _confidence(confidence)) / 2)
        return np.clip(self.mean - half, 0, 1), np.clip(self.mean + half, 0, 1)

    def samples_needed(self, error: float, confidence: float = 0.95) -> Estimate:
        """Number of samples that each layer needs for a mean error of `error`: arrays `(L,)`.

        The mean error is then at most `error`. Infinite where no size reaches it, with the largest
        size as the lower end of the band. Where the smallest size already reaches it, that size is
        the value, and the band begins at 0.
        """
        least, most = self._needed(error)
        tail = (1 - _confidence(confidence)) / 2
        return Estimate(most[0], _quantile(least, tail), _quantile(most, 1 - tail))

    def ratio(self, layer_a: int, layer_b: int, error: float, confidence: float = 0.95) -> Estimate:
        """Samples that layer `layer_a` needs over samples that `layer_b` needs, counted from 1.

        The band is taken over the ratios in resamples of the seeds. The ratio is NaN where neither
        layer reaches the error within the sizes.
        """
        a, b = (
            self._index(name, layer) for name, layer in (("layer_a", layer_a), ("layer_b", layer_b))
        )
        least, most = self._needed(error)
        tail = (1 - _confidence(confidence)) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            # Numbers known within bounds have a ratio known within bounds.
            low, value, high = (
                least[:, a] / most[:, b],
                most[0, a] / most[0, b],
                most[:, a] / least[:, b],
            )
        unknown = np.isnan(value) or not (np.isfinite(most[0, a]) or np.isfinite(most[0, b]))
        ends = (
            np.nan_to_num(low, nan=0.0, posinf=np.inf),
            np.nan_to_num(high, nan=np.inf, posinf=np.inf),
        )
        return Estimate(
            float(np.nan if unknown else value),
            float(_quantile(ends[0], tail)),
            float(_quantile(ends[1], 1 - tail)),
        )

    def fewest(self, error: float) -> Fewest:
        """The layer that needs the fewest samples, and the share of resamples in which it does."""
        _, most = self._needed(error)
        best = most.min(axis=1, keepdims=True)
        alone = (most == best).sum(axis=1) == 1
        winner = np.where(alone, most.argmin(axis=1), -1)
        return Fewest(
            int(winner[0]) + 1 if alone[0] else None, float((winner[1:] == winner[0]).mean())
        )

    def to_xarray(self):
        """Errors, and the share of seeds without a readout, as a labelled `xarray.Dataset`."""
        import xarray

        return xarray.Dataset(
            {
                "error": (("layer", "samples", "seed"), self.errors),
                "infeasible": (("layer", "samples"), self.infeasible),
            },
            coords={
                "layer": list(self.layers),
                "samples": self.sizes,
                "seed": np.arange(self.errors.shape[2]),
            },
        )

    def plot(self, ax: Any = None, confidence: float = 0.95):
        """Plot error against the number of samples, a line and a band for each layer.

        Returns the Matplotlib axes.
        """
        from ..figures import plot_learning_curve

        return plot_learning_curve(self, ax, confidence)

    def _index(self, name: str, layer: int) -> int:
        number = checks.count(name, layer)
        if number > len(self.layers):
            raise checks.bad(name, number, f"a layer from 1 to {len(self.layers)}")
        return number - 1

    def _needed(self, error: float) -> tuple[np.ndarray, np.ndarray]:
        """Bounds on the samples that each layer needs, `(1 + resamples, L)` each.

        The first row is for the mean over all seeds, the others for resamples.
        """
        wanted = float(error)
        if not 0 < wanted < 0.5:
            raise checks.bad("error", error, "an error between 0 and 1/2")
        count = self.errors.shape[2]
        rows = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
        shares = np.stack([np.bincount(row, minlength=count) for row in rows]) / count
        means = np.concatenate([self.mean[None], np.einsum("br,lsr->bls", shares, self.errors)])
        return _crossing(self.sizes, decreasing(means), wanted)


def _confidence(value: float) -> float:
    if not 0 < value < 1:
        raise checks.bad("confidence", value, "a number between 0 and 1")
    return float(value)


def _quantile(x: np.ndarray, level: float) -> Any:
    """Quantile over resamples, without interpolation: it would spread infinite entries."""
    return np.quantile(x[1:], level, axis=0, method="inverted_cdf")


def decreasing(means: np.ndarray) -> np.ndarray:
    r"""The nearest decreasing curve along the last axis, by least squares.

    At $i$: $\min_{a \le i} \max_{b \ge i}$ of the mean of entries $a$ to $b$.
    """
    count = means.shape[-1]
    sums = np.concatenate([np.zeros((*means.shape[:-1], 1)), np.cumsum(means, axis=-1)], axis=-1)
    result = np.empty_like(means)
    for i in range(count):
        over = [
            ((sums[..., i + 1 :] - sums[..., a : a + 1]) / np.arange(i + 1 - a, count + 1 - a)).max(
                axis=-1
            )
            for a in range(i + 1)
        ]
        result[..., i] = np.min(over, axis=0)
    return result


def _crossing(sizes: np.ndarray, curve: np.ndarray, error: float) -> tuple[np.ndarray, np.ndarray]:
    """Bounds on the number of samples at which a decreasing curve reaches the error.

    The bounds are equal where the curve does so between two sizes. Before the first size they are
    0 and this size; after the last one they are this size and infinity.
    """
    logs = np.log(sizes)
    # The mean of equal errors may be off by a rounding error.
    reached = curve <= error + 1e-12
    first = np.where(reached.any(axis=-1), reached.argmax(axis=-1), len(logs))
    after = np.clip(first, 1, len(logs) - 1) if len(logs) > 1 else np.zeros_like(first)
    above, below = (
        np.take_along_axis(curve, i[..., None], axis=-1)[..., 0]
        for i in (np.maximum(after - 1, 0), after)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(above > below, np.clip((above - error) / (above - below), 0, 1), 1.0)
    value = np.exp(
        logs[np.maximum(after - 1, 0)] + share * (logs[after] - logs[np.maximum(after - 1, 0)])
    )
    begin, end = first == 0, first == len(logs)
    least = np.where(begin, 0.0, np.where(end, sizes[-1], value))
    return least, np.where(begin, sizes[0], np.where(end, np.inf, value))
