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

Law = Callable[[DeepLinear], np.ndarray]


class LawGap(NamedTuple):
    r"""Distance of the Grams of a network from those of a law, layer by layer.

    - `gap` `(L,)`: $\|M_l - P_l\| / \|P_l\|$ in Frobenius norm, with $P_l$ the law's Gram.
    - `apart` `(L,)`: distance of $P_l$ from the nearest other layer's, in the same unit.
    """

    gap: np.ndarray
    apart: np.ndarray

    @property
    def ratio(self) -> float:
        """Largest gap over half the distance of two layers: below 1 the law tells layers apart."""
        return float((2 * self.gap / np.where(self.apart > 0, self.apart, 1)).max())


def layerwise_grams(network: DeepLinear) -> np.ndarray:
    r"""Powers $M_L^{l/L}$ of the last Gram."""
    last = measure.layer_grams(network)[-1]
    kept = jnp.asarray(min(network.width, last.shape[-1]))
    return np.asarray(gram_powers(last, kept, network.depth), float)


LAWS: Mapping[str, Law] = MappingProxyType({"layer-wise law": layerwise_grams})
"""Laws of linear networks by name; the gap of the first is `law_gap` of the report.

A law is a function of the network to the Grams `(L, d, d)` that it predicts from the last one.
"""


def gaps(network: DeepLinear) -> dict[str, LawGap]:
    """The gap of every law on a network."""
    grams = np.asarray(measure.layer_grams(network), float)
    norm = lambda a: np.sqrt((a**2).sum(axis=(-1, -2)))
    found = {}
    for name, law in LAWS.items():
        predicted = law(network)
        size = norm(predicted)
        size = np.where(size > 0, size, 1)
        between = norm(predicted[:, None] - predicted[None, :]) / size[:, None]
        apart = np.where(np.eye(len(grams), dtype=bool), np.inf, between).min(axis=1)
        found[name] = LawGap(norm(grams - predicted) / size, apart)
    return found
