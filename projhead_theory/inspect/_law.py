"""Laws that give the Gram of every layer of a linear network from its last one, and their gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from .. import measure
from .._core.powers import gram_powers
from ..networks import DeepLinear
from ._start import fitted_start, predicted_from

Law = Callable[[DeepLinear], np.ndarray | None]


class LawGap(NamedTuple):
    r"""Distance of the Grams of a network from a law's, layer by layer.

    - `gap` `(L,)`: $\|M_l - P_l\| / \|P_l\|$ in Frobenius norm, with $P_l$ the law's Gram.
    - `apart` `(L,)`: distance of $P_l$ from the nearest other layer's or from zero, in the same
      unit.
    - `grams` `(L, d, d)`: $P_l$.
    """

    gap: np.ndarray
    apart: np.ndarray
    grams: np.ndarray

    @property
    def ratio(self) -> float:
        """Largest gap over half the distance of two layers: below 1 the law tells layers apart."""
        return float((2 * self.gap / np.where(self.apart > 0, self.apart, 1)).max())


def layerwise_grams(network: DeepLinear) -> np.ndarray:
    r"""Powers $M_L^{l/L}$ of the last Gram."""
    last = measure.layer_grams(network)[-1]
    kept = jnp.asarray(min(network.width, last.shape[-1]))
    return np.asarray(gram_powers(last, kept, network.depth), float)


def start_grams(network: DeepLinear) -> np.ndarray | None:
    """Grams of the start law, with fitted scales of encoder and head; of two layers alone."""
    if network.depth != 2:
        return None
    return predicted_from(measure.layer_grams(network)[-1], fitted_start(network))


LAWS: Mapping[str, Law] = MappingProxyType(
    {"layer-wise law": layerwise_grams, "start law": start_grams}
)
"""Laws of linear networks by name.

A law is a function of the network to the Grams `(L, d, d)` that it predicts from the last one, or
to None if it does not speak of networks of this depth.
"""


def gaps(network: DeepLinear) -> dict[str, LawGap]:
    """The gap of every law that speaks of networks of this depth."""
    grams = np.asarray(measure.layer_grams(network), float)
    predicted = {name: law(network) for name, law in LAWS.items()}
    return {name: gap_of(grams, law) for name, law in predicted.items() if law is not None}


def gap_of(grams: np.ndarray, predicted: np.ndarray) -> LawGap:
    """The gap of Grams `(L, d, d)` from a law's."""
    norm = lambda a: np.sqrt((a**2).sum(axis=(-1, -2)))
    size = norm(predicted)
    size = np.where(size > 0, size, 1)
    between = norm(predicted[:, None] - predicted[None, :]) / size[:, None]
    apart = np.where(np.eye(len(grams), dtype=bool), np.inf, between).min(axis=1)
    apart = np.minimum(apart, 1)
    return LawGap(norm(grams - predicted) / size, apart, predicted)
