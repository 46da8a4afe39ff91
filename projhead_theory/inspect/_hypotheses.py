"""Hypotheses of the theory, each measured on the network at hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.stats import rankdata

from .. import measure
from ..moments import Moments as PairMoments
from ..networks import DeepLinear
from ..theory.balance import imbalance_bound
from ..theory.layers import spectral
from ._choice import Choice
from ._law import LawGap
from ._moments import Estimate, Moments

NEAR = 0.05
"""Share that counts as small, where theory gives no scale to compare with."""


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """A hypothesis of the theory, or one of its statements, on this network.

    - `holds`: whether it holds here.
    - `value`: the number that decides.
    - `sentence`: the number in words, with what it is compared with.
    """

    holds: bool
    value: float
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        return {"holds": self.holds, "value": self.value, "sentence": self.sentence}


def _stated(holds: Any, value: Any, sentence: str) -> Hypothesis:
    return Hypothesis(bool(holds), float(value), sentence)


def of_stack(network: DeepLinear, laws: dict[str, LawGap]) -> dict[str, Hypothesis]:
    """Balance and the laws of a stack of matrices, from the matrices alone."""
    if network.depth == 1:
        return {}
    norms = np.asarray(measure.imbalance_norms(network), float)
    sizes = [float(jnp.linalg.norm(w @ w.T)) for w in network.layers]
    sides = [float(jnp.linalg.norm(w.T @ w)) for w in network.layers]
    whole = [(a + b) / 2 for a, b in zip(sizes, sides[1:], strict=False)]
    relative = float(max(n / w if w > 0 else 0 for n, w in zip(norms, whole, strict=True)))
    grams = measure.layer_grams(network)
    bound = np.asarray(imbalance_bound(grams, jnp.asarray(norms, grams.dtype)), float)
    moved = float(
        (bound / np.maximum(np.linalg.norm(np.asarray(grams, float), axis=(1, 2)), 1e-300)).max()
    )
    return {
        "balanced": _stated(
            relative <= NEAR,
            relative,
            f"The largest imbalance is {relative:.2g} of the size of its two layers "
            f"(balanced: at most {NEAR:g}); by the bound on the law it can move a Gram by "
            f"{moved:.2g} of its size.",
        ),
    } | {name: _law(law) for name, law in laws.items()}


def of_start(law: LawGap) -> dict[str, Hypothesis]:
    """The start law on layers that are known by their outputs."""
    return {"start law": _law(law)}


def _law(law: LawGap) -> Hypothesis:
    """A law holds if every gap is below half the distance of its layers from one another.

    Zero counts as a layer: a gap of half a Gram's own size is too much.
    """
    worst = int(np.argmax(law.gap))
    return _stated(
        law.ratio < 1,
        law.gap[worst],
        f"Layer {worst + 1} is {law.gap[worst]:.2g} of its size away from the law, the most; "
        + ("no layer is" if law.ratio < 1 else "some layer is")
        + " further from its law than half the distance of the law's layers, or of zero.",
    )


def progressive(spread: Estimate, logs: Estimate) -> dict[str, Hypothesis]:
    """Progressive weighting: weights more unequal from layer to layer.

    `logs` has the increments of the logarithm of the spread.
    """
    if len(logs.value) == 0:
        return {}
    bound = logs.value + 2 * logs.error
    rises = bool((bound >= -1e-9).all() and logs.value.sum() > 2 * np.sqrt((logs.error**2).sum()))
    at = int(np.argmin(logs.value))
    total = float(spread.value[-1] / spread.value[0])
    return {
        "progressive weighting": _stated(
            rises,
            logs.value.min(),
            f"The spread of weights goes from {spread.value[0]:.3g} to {spread.value[-1]:.3g} "
            f"(times {total:.3g}); the least change of its logarithm is {logs.value[at]:.2g} "
            f"(standard error {logs.error[at]:.1g}), at step {at + 1}.",
        )
    }


def power_law(fitted: Estimate | None, shares: np.ndarray) -> dict[str, Hypothesis]:
    """The fitted exponent of every layer is nearer to its own share than to another layer's."""
    if fitted is None or len(shares) < 2:
        return {}
    off = np.abs(fitted.value - shares)
    at, step = int(np.argmax(off)), float(shares[1] - shares[0])
    return {
        "exponents l/L": _stated(
            off[at] < step / 2,
            off[at],
            f"The fitted exponent of layer {at + 1} is {fitted.value[at]:.3g} (standard error "
            f"{fitted.error[at]:.1g}) where the law has {shares[at]:.3g}, the largest gap; half "
            f"the distance of two layers is {step / 2:.2g}.",
        )
    }


def linear(lowest: Moments, layers: list[Moments]) -> dict[str, Hypothesis]:
    """The least share of a layer's variance that a linear function of the inputs explains.

    From the first view of the inputs and of the layer, with the degrees of freedom taken off.
    """
    x = lowest.rows
    n, size = len(x), x.shape[1]
    if n < 2 * size + 2:
        size = max(1, n // 4)
        x = x[:, :size]
    x = x - x.mean(axis=0)
    q = np.linalg.qr(x)[0]
    shares = []
    for layer in layers:
        r = layer.rows - layer.rows.mean(axis=0)
        whole = (r**2).sum()
        missed = 1 - ((q.T @ r) ** 2).sum() / whole if whole > 0 else 0.0
        shares.append(1 - max(missed, 0) * (n - 1) / max(n - 1 - size, 1))
    at, least = int(np.argmin(shares)), float(min(shares))
    return {
        "linear": _stated(
            least >= 1 - NEAR,
            least,
            f"A linear function of the inputs explains {least:.1%} of the variance of layer "
            f"{at + 1}, the least (linear: at least {1 - NEAR:.0%}).",
        )
    }


def spectral_minimum(network: DeepLinear, pairs: PairMoments) -> dict[str, Hypothesis]:
    """The spectral loss on these pairs is near its minimum."""
    minimiser = spectral(pairs, min(network.width, pairs.dim), throw=False)
    w = np.asarray(network.matrix, float)
    cross, second = (np.asarray(a, float) for a in (pairs.cross, pairs.second))
    seen = w @ second @ w.T
    loss = -2 * np.trace(w @ cross @ w.T) + (seen**2).sum()
    least = float(minimiser.loss)
    above = (loss - least) / abs(least) if least < 0 else 0.0
    return {
        "minimum of the spectral loss": _stated(
            above <= NEAR,
            above,
            f"The spectral loss of this network on these pairs is {above:.2g} of the least value "
            f"above that value (at the minimum: at most {NEAR:g}).",
        )
    }


def label_kept(layers: list[Moments]) -> dict[str, Hypothesis]:
    """The last layer still has what a linear readout of the first one has of the labels."""
    explained = []
    for layer in layers:
        if layer.labels is None:
            return {}
        values, vectors = np.linalg.eigh(layer.second[0])
        kept = values > len(values) * np.finfo(float).eps * max(values[-1], 0)
        along = vectors.T @ layer.labels[0]
        own = np.where(kept[:, None], along**2, 0) / np.where(kept, values, 1)[:, None]
        explained.append(float(np.clip(own.sum(axis=0), 0, 1).mean()))
    ratio = explained[-1] / explained[0] if explained[0] > 0 else 1.0
    return {
        "labels kept": _stated(
            ratio >= 1 - NEAR,
            ratio,
            f"A linear readout of all rows explains {explained[-1]:.1%} of the labels' variance on "
            f"the last layer and {explained[0]:.1%} on the first (kept: at least "
            f"{1 - NEAR:.0%} of it).",
        )
    }


def agreement(choice: Choice, indicator: np.ndarray, accuracy: np.ndarray) -> dict[str, Hypothesis]:
    """The indicator has its least value at the best measured layer, or at one as good."""
    if len(accuracy) < 2:
        return {}
    ranks = np.array([rankdata(-indicator), rankdata(accuracy)])
    tied = (np.ptp(ranks, axis=1) == 0).any()
    rank = 1.0 if tied else float(np.corrcoef(ranks)[0, 1])
    best = {choice.layer, *choice.alike}
    return {
        "indicator orders the layers": _stated(
            choice.by_indicator in best,
            rank,
            f"The indicator is least at layer {choice.by_indicator}, "
            + ("which is" if choice.by_indicator in best else "which is not")
            + " among the layers that read best; its rank correlation with accuracy is "
            f"{rank:.2g}.",
        )
    }


def log_increments(squares: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Increments of the logarithm of the spread, `(1 + G, L - 1)`."""
    if kept.sum() < 2:
        return np.zeros((len(squares), max(squares.shape[1] - 1, 0)))
    logs = np.log(squares[:, :, kept]) / 2
    return np.diff(logs.max(axis=2) - logs.min(axis=2), axis=1)
