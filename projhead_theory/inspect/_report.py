"""The report on a network: a row for every layer, hypotheses, and the layer to keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from ._hypotheses import Hypothesis
from ._indicator import FixedHead

Row = Float[np.ndarray, " L"]


class Inspection(eqx.Module):
    r"""Weights of every layer of a network, the layer to keep, and the hypotheses that hold.

    Every number has its standard error in the field of the same name with `_error`; errors of what
    follows from matrices alone are zero.

    - `signal` `(L,)`: share $\mathrm{tr}\, C / \mathrm{tr}\, S$ of a layer's variance that both
      views have in common.
    - `signal_fractions` `(L, m)`: the largest eigenvalues of $S^{-1/2} C S^{-1/2}$.
    - `effective_rank` `(L,)`: of the Gram of a stack of matrices, else of the second moment.
    - `weights` `(L, k)`: weight of each feature: known features, else input coordinates of a stack
      of matrices, else principal directions of the lowest layer.
    - `spread` `(L,)`: largest over least weight of the features in `kept`.
    - `kept` `(k,)`: features whose weight can be told from zero in every layer.
    - `exponents` `(L,)`: slope of the logarithm of the weights over the last layer's logarithm, to
      hold beside `shares`; None where the last layer weights all features alike.
    - `shares` `(L,)`: the exponents of the layer-wise law, $l / L$.
    - `imbalance` `(L - 1,)`: $\|W_{l+1}^\top W_{l+1} - W_l W_l^\top\|_F$; None without matrices.
    - `law_gap` `(L,)`: relative distance of the Gram from $M_L^{l/L}$; without matrices, of the
      squared weights from their law, up to a scale; None if fewer than two features are kept.
    - `start_scales` `(2,)`: scales $a$ of the encoder and $b$ of the head at the start, fitted by
      the start law; None for other than two layers, or outputs without all inputs beside them.
    - `start_gap` `(2,)`: relative distance of the Gram from the start law's with these scales.
    - `start_weights` `(2, k)`: weight of each feature by the start law.
    - `accuracy`: accuracy of each probe on each layer, `(L,)`, by its name; empty without labels.
    - `indicator` `(L,)`: ridge indicator of each layer for `samples` labels, the mean over all
      labels, or features if there are no labels.
    - `label_weight` `(L,)`: share of a layer's variance that lies between classes; None without
      labels.
    - `recommended`, `sure`, `alike`: the layer to keep, the share of resamples in which it is the
      best, and the other layers that the data cannot tell from it.
    - `reason`: the recommendation in words.
    - `head`: the best fixed head in place of the trained one.
    - `hypotheses`: by name.
    - `features`: names of the features.
    - `samples`, `shots`: labels of the indicator, and labels of each class of the few-shot probe.
    """

    signal: Row
    signal_error: Row
    signal_fractions: Float[np.ndarray, "L m"]
    signal_fractions_error: Float[np.ndarray, "L m"]
    effective_rank: Row
    effective_rank_error: Row
    weights: Float[np.ndarray, "L k"]
    weights_error: Float[np.ndarray, "L k"]
    spread: Row
    spread_error: Row
    kept: np.ndarray
    exponents: Row | None
    exponents_error: Row | None
    shares: Row
    imbalance: Float[np.ndarray, " J"] | None
    law_gap: Row | None
    law_gap_error: Row | None
    start_scales: Float[np.ndarray, " 2"] | None
    start_scales_error: Float[np.ndarray, " 2"] | None
    start_gap: Row | None
    start_gap_error: Row | None
    start_weights: Float[np.ndarray, "L k"] | None
    accuracy: dict[str, Row]
    accuracy_error: dict[str, Row]
    indicator: Row
    indicator_error: Row
    label_weight: Row | None
    label_weight_error: Row | None
    head: FixedHead = eqx.field(static=True)
    hypotheses: dict[str, Hypothesis] = eqx.field(static=True)
    recommended: int = eqx.field(static=True)
    sure: float = eqx.field(static=True)
    alike: tuple[int, ...] = eqx.field(static=True)
    reason: str = eqx.field(static=True)
    features: tuple[str, ...] = eqx.field(static=True)
    pairs: int = eqx.field(static=True)
    samples: int = eqx.field(static=True)
    shots: int = eqx.field(static=True)

    @property
    def depth(self) -> int:
        return len(self.signal)

    def __str__(self) -> str:
        return self.reason

    def to_dict(self) -> dict[str, Any]:
        """Plain Python data, for JSON; None only where there is no such number.

        `accuracy` comes from the few-shot probe, which decides; all others are in `to_xarray`.
        """
        few = self.accuracy.get("few-shot")
        entry = lambda values, i: None if values is None or i >= len(values) else float(values[i])
        rows = []
        for i in range(self.depth):
            rows.append(
                {
                    "layer": i + 1,
                    "weights": [float(w) for w in self.weights[i]],
                    "spread": entry(self.spread, i),
                    "effective_rank": entry(self.effective_rank, i),
                    "imbalance": entry(self.imbalance, i),
                    "law_gap": entry(self.law_gap, i),
                    "start_gap": entry(self.start_gap, i),
                    "accuracy": entry(few, i),
                    "indicator": entry(self.indicator, i),
                }
            )
        return {
            "layers": rows,
            "exponents": [] if self.exponents is None else [float(x) for x in self.exponents],
            "start": self._start(),
            "recommended_layer": self.recommended,
            "reason": self.reason,
            "hypotheses": {name: h.to_dict() for name, h in self.hypotheses.items()},
        }

    def _start(self) -> dict[str, float] | None:
        """The fitted scales of the start with their standard errors, by name."""
        if self.start_scales is None or self.start_scales_error is None:
            return None
        (encoder, head), errors = map(float, self.start_scales), self.start_scales_error
        return {
            "encoder": encoder,
            "encoder_error": float(errors[0]),
            "head": head,
            "head_error": float(errors[1]),
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The report as JSON, written to a file if one is given."""
        import json

        text = json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
        if path is not None:
            from .._core.files import write_atomically

            write_atomically(path, lambda file: file.write(text.encode()), "json")
        return text

    def to_xarray(self):
        """All numbers of the layers, with their standard errors, as a labelled `xarray.Dataset`."""
        import xarray

        data: dict[str, Any] = {}
        for name, value in vars(self).items():
            base = name.removesuffix("_error")
            if base in ("accuracy",) or not isinstance(value, np.ndarray) or base == "imbalance":
                continue
            dims = {
                "weights": ("layer", "feature"),
                "start_weights": ("layer", "feature"),
                "start_scales": ("part",),
                "kept": ("feature",),
                "signal_fractions": ("layer", "mode"),
            }
            data[name] = (dims.get(base, ("layer",)), value)
        if self.accuracy:
            for name, table in (
                ("accuracy", self.accuracy),
                ("accuracy_error", self.accuracy_error),
            ):
                data[name] = (("probe", "layer"), np.stack(list(table.values())))
        if self.imbalance is not None:
            data["imbalance"] = (("lower_layer",), self.imbalance)
        coordinates: dict[str, Any] = {
            "layer": np.arange(1, self.depth + 1),
            "feature": list(self.features),
        }
        if self.start_scales is not None:
            coordinates["part"] = ["encoder", "head"]
        if self.accuracy:
            coordinates["probe"] = list(self.accuracy)
        if self.imbalance is not None:
            coordinates["lower_layer"] = np.arange(1, self.depth)
        return xarray.Dataset(
            data,
            coords=coordinates,
            attrs={
                "recommended_layer": self.recommended,
                "sure": self.sure,
                "reason": self.reason,
                "pairs": self.pairs,
                "samples": self.samples,
                "shots": self.shots,
                "kappa": self.head.kappa,
            },
        )

    def plot(self):
        """Weights, exponents, accuracy and indicator over the layers; returns the figure."""
        from ..figures import plot_inspection

        return plot_inspection(self)
