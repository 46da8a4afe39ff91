"""A verdict: how far prediction and measurement are apart, how far they may be, and what that means."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._plain import plain


class Outcome(eqx.Enumeration):
    """What a comparison says."""

    holds = "holds: the discrepancy is within the tolerance"
    violated = "violated: the discrepancy exceeds the tolerance"
    premise_failed = "premise failed: a hypothesis of the statement does not hold here"
    undecidable = "undecidable: the tolerance is wider than the effect it should resolve"
    not_converged = "not converged: the run ended before it was stationary"
    diverged = "diverged: the run stopped being finite"


NAMES = ("holds", "violated", "premise_failed", "undecidable", "not_converged", "diverged")


class Verdict(eqx.Module):
    """The one report of any check.

    `discrepancy` `(k,)` and `parts`, the tolerance as a sum of named, derived sources, each `(k,)`; `effect` `(k,)`,
    the difference the check must be able to see; `predicted`, `measured` `(k, m)`, what is plotted; `labels`, one for
    each of the `k` rows; `what`, what is compared.
    """

    discrepancy: Float[Array, " k"]
    parts: dict[str, Float[Array, " k"]]
    effect: Float[Array, " k"]
    outcome: Any
    predicted: Float[Array, "k m"]
    measured: Float[Array, "k m"]
    labels: tuple[str, ...] = eqx.field(static=True)
    what: str = eqx.field(static=True)

    @property
    def tolerance(self) -> Float[Array, " k"]:
        return jnp.sum(jnp.stack(list(self.parts.values())), axis=0)

    @property
    def holds(self) -> Bool[Array, ""]:
        return self.outcome == Outcome.holds

    @property
    def name(self) -> str:
        """The outcome's short name."""
        return next(name for name in NAMES if bool(self.outcome == getattr(Outcome, name)))

    @property
    def worst(self) -> int:
        """The row that decides: largest discrepancy in units of its tolerance; if undecidable, largest tolerance for its effect."""
        if self.name == "undecidable":
            return int(np.argmax(np.nan_to_num(np.asarray(self.tolerance / self.effect), nan=np.inf)))
        return int(np.argmax(np.nan_to_num(np.asarray(self.discrepancy / self.tolerance), nan=np.inf)))

    def __str__(self) -> str:
        i = self.worst
        parts = ", ".join(f"{name} {float(value[i]):.0e}" for name, value in self.parts.items() if float(value[i]) > 0)
        word = self.name.replace("_", " ")
        if self.name == "undecidable":
            widest = max(self.parts, key=lambda part: float(self.parts[part][i]))
            word += f" (an effect of {float(self.effect[i]):.1e} needs less {widest})"
        return (
            f"{word}: {float(self.discrepancy[i]):.1e} {'within' if self.name == 'holds' else 'against'} "
            f"{float(self.tolerance[i]):.1e} ({parts}), {self.what}, worst at {self.labels[i]}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, for JSON."""
        return {
            "outcome": self.name,
            "what": self.what,
            "labels": list(self.labels),
            "discrepancy": plain(self.discrepancy),
            "tolerance": plain(self.tolerance),
            "parts": {name: plain(value) for name, value in self.parts.items()},
            "effect": plain(self.effect),
        }

    def to_xarray(self):
        """Discrepancy, tolerance and its parts, predicted and measured, as a labelled `xarray.Dataset`."""
        import xarray

        get = jax.device_get
        return xarray.Dataset(
            {
                "discrepancy": (("row",), get(self.discrepancy)),
                "tolerance": (("row",), get(self.tolerance)),
                "effect": (("row",), get(self.effect)),
                "part": (("source", "row"), np.stack([get(v) for v in self.parts.values()])),
                "predicted": (("row", "direction"), get(self.predicted)),
                "measured": (("row", "direction"), get(self.measured)),
            },
            coords={"row": list(self.labels), "source": list(self.parts)},
            attrs={"outcome": self.name, "what": self.what},
        )

    def plot(self, ax: Any = None):
        """Theory as lines, simulation as markers; returns the Matplotlib axes."""
        from ..figures import plot_verdict

        return plot_verdict(self, ax)


def judge(
    discrepancy: Array, parts: dict[str, Array], effect: Array, *, settled: Any = True, finite: Any = True, premise: Any = True
) -> Any:
    """The outcome, in order: diverged; premise failed; holds, unless the tolerance hides the effect; not converged; violated."""
    tolerance = jnp.sum(jnp.stack(list(parts.values())), axis=0)
    within = jnp.all(discrepancy <= tolerance)
    sharp = jnp.all(tolerance < effect)
    outcome = Outcome.where(jnp.asarray(settled), Outcome.violated, Outcome.not_converged)
    outcome = Outcome.where(within, Outcome.where(sharp, Outcome.holds, Outcome.undecidable), outcome)
    outcome = Outcome.where(jnp.asarray(premise), outcome, Outcome.premise_failed)
    return Outcome.where(jnp.asarray(finite) & jnp.all(jnp.isfinite(discrepancy)), outcome, Outcome.diverged)
