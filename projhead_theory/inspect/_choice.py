"""The layer to keep, and how sure that is."""

from __future__ import annotations

import dataclasses

import numpy as np

from ._moments import Estimate, jackknife
from ._probing import RESAMPLES, Probing


@dataclasses.dataclass(frozen=True)
class Choice:
    """A layer, and how sure it is the best.

    - `layer`: the layer, from 1.
    - `sure`: the share of resamples in which it is the best.
    - `alike`: other layers that the data cannot tell from it at 95 per cent.
    - `by_indicator`: the layer of least indicator.
    """

    layer: int
    sure: float
    alike: tuple[int, ...]
    by_indicator: int


def choose(indicator: np.ndarray, probing: Probing | None, rng: np.random.Generator) -> Choice:
    """The layer of least indicator among those that measured accuracy cannot tell from the best.

    A layer counts as no worse than the most accurate one if its accuracy is within one standard
    error of their difference. Without labels the indicator alone decides.
    """
    least = int(np.argmin(indicator[0]))
    if probing is None:
        scores = _resampled(-np.log(np.maximum(indicator, 1e-300)), rng)
        best = least
    else:
        scores = probing.resampled
        accuracy = probing.accuracy["few-shot"].value
        top = int(np.argmax(accuracy))
        error = (scores - scores[:, top : top + 1]).std(axis=0, ddof=1)
        candidates = np.flatnonzero(accuracy >= accuracy[top] - error)
        best = int(candidates[np.argmin(indicator[0][candidates])])
    winners = scores >= scores.max(axis=1, keepdims=True)
    sure = float((winners[:, best] / winners.sum(axis=1)).mean())
    ahead = scores[:, best : best + 1] - scores
    low, high = np.quantile(ahead, (0.025, 0.975), axis=0)
    alike = tuple(int(i) + 1 for i in np.flatnonzero((low <= 0) & (high >= 0)) if int(i) != best)
    return Choice(best + 1, sure, alike, least + 1)


def _resampled(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Estimates in resamples of the groups, from the jackknife's pseudo-values, `(B, L)`."""
    groups = len(values) - 1
    pseudo = groups * values[0] - (groups - 1) * values[1:]
    shares = rng.multinomial(groups, np.full(groups, 1 / groups), RESAMPLES) / groups
    return shares @ pseudo


def log_estimate(indicator: np.ndarray) -> Estimate:
    """The indicator with its standard error, from its logarithm."""
    value, error = jackknife(np.log(np.maximum(indicator, 1e-300)))
    return Estimate(np.exp(value), np.exp(value) * error)
