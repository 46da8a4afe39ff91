"""Verdicts: the distance of prediction and measurement, its tolerance, and the outcome."""

import dataclasses
import functools
import operator
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._core import bad, name_of
from .._core.plain import plain


class Outcome(eqx.Enumeration):
    """Outcome of a comparison."""

    holds = "holds: the discrepancy is within the tolerance"
    violated = "violated: the discrepancy exceeds the tolerance"
    premise_failed = "premise failed: a hypothesis of the statement does not hold here"
    undecidable = "undecidable: the tolerance is wider than the effect it should resolve"
    not_converged = "not converged: the run ended before it was stationary"
    diverged = "diverged: the run stopped being finite"


Numbers = Array | np.ndarray

REMEDIES = {
    "start": "a start that is smaller, or balanced more exactly",
    "integration": "a smaller rtol of the flow",
    "discretisation": "smaller steps, or gradient flow",
    "stationarity": "a longer run, or a smaller stationarity",
    "noise": "a larger batch, or smaller steps",
    "rounding": "float64, or a better conditioned problem",
    "sampling": "more replicates",
    "second order": "larger samples",
    "asymptotics": "a smaller start, or a later time",
    "interpolation": "more records",
}


class Verdict(eqx.Module):
    """Report of one comparison, the same for every check.

    - `discrepancy`: `(k,)`.
    - `parts`: the tolerance as a sum of named, derived sources, each `(k,)`.
    - `effect`: `(k,)`, the difference that the check must be able to see.
    - `predicted`, `measured`: `(k, m)`, the plotted values.
    - `premises`: the hypotheses that were measured on the run.
    - `converged`: true if a run that had to converge did.
    - `finite`: true if the run stayed finite.
    - `labels`: one for each of the `k` rows.
    - `what`: the compared quantity, in words.

    !!! example

        ```pycon
        >>> verdict = pt.claims.compare_values(jnp.ones(1), jnp.asarray([1.1]), {"noise": 0.05})
        >>> verdict.name, np.round(verdict.discrepancy, 3), np.round(verdict.tolerance, 3)
        ('violated', Array([0.1], dtype=float64), Array([0.05], dtype=float64))

        ```
    """

    discrepancy: Float[Numbers, " k"]
    parts: dict[str, Float[Numbers, " k"]]
    effect: Float[Numbers, " k"]
    predicted: Float[Numbers, "k m"]
    measured: Float[Numbers, "k m"]
    premises: dict[str, Bool[Numbers, ""]] = eqx.field(default_factory=dict)
    converged: Bool[Numbers, ""] = eqx.field(default=True, converter=jnp.asarray)
    finite: Bool[Numbers, ""] = eqx.field(default=True, converter=jnp.asarray)
    labels: tuple[str, ...] = eqx.field(static=True, default=())
    what: str = eqx.field(static=True, default="discrepancy")

    @property
    def tolerance(self) -> Float[Numbers, " k"]:
        return functools.reduce(operator.add, self.parts.values())

    @property
    def outcome(self) -> Any:
        """An entry of `Outcome`."""
        return judge(
            self.discrepancy,
            self.parts,
            self.effect,
            converged=self.converged,
            finite=self.finite,
            premise=functools.reduce(operator.and_, self.premises.values(), True),
        )

    @property
    def waived(self) -> "Verdict":
        """The same comparison with every premise taken to hold, for controls, which break one."""
        return dataclasses.replace(self, premises={})

    @property
    def holds(self) -> Bool[Array, ""]:
        return self.outcome == Outcome.holds

    @property
    def name(self) -> str:
        """Short name of the outcome."""
        return name_of(Outcome, self.on_host.outcome)

    @property
    def on_host(self) -> "Verdict":
        """The same verdict with NumPy arrays.

        Reading these does not depend on the settings of JAX at that time.
        """
        return jax.device_get(self)

    @property
    def worst(self) -> int:
        """The deciding row: the largest discrepancy in units of its tolerance.

        If the comparison is undecidable, it is the row with the largest tolerance for its effect.
        """
        here, ratio = self.on_host, self.ratio
        if self.name == "undecidable":
            ratio = _quotient(here.tolerance, here.effect)
        return int(np.argmax(np.nan_to_num(ratio, nan=np.inf)))

    @property
    def ratio(self) -> np.ndarray:
        """Discrepancy in units of the tolerance, row by row; zero over zero is zero."""
        here = self.on_host
        return np.where(here.discrepancy == 0, 0.0, _quotient(here.discrepancy, here.tolerance))

    @property
    def failed(self) -> tuple[str, ...]:
        """Premises that do not hold."""
        return tuple(name for name, value in self.premises.items() if not bool(value))

    @property
    def remedy(self) -> str:
        """Advice that would decide an undecidable comparison.

        It names the widest part of the tolerance in the row where the tolerance most exceeds the
        effect.
        """
        i, here = self.worst, self.on_host
        widest = max(
            here.parts, key=lambda part: np.nan_to_num(float(here.parts[part][i]), nan=np.inf)
        )
        return (
            f"an effect of {float(here.effect[i]):.1e} needs less {widest}: "
            f"{REMEDIES.get(widest, 'a smaller ' + widest + ' error')}"
        )

    def __str__(self) -> str:
        i, here = self.worst, self.on_host
        sizes = {part: float(value[i]) for part, value in here.parts.items()}
        parts = ", ".join(f"{part} {size:.0e}" for part, size in sizes.items() if size > 0)
        why = {"undecidable": self.remedy, "premise_failed": ", ".join(self.failed)}
        more = f" ({why[self.name]})" if self.name in why else ""
        return (
            f"{self.name.replace('_', ' ')}{more}: {float(here.discrepancy[i]):.1e} "
            f"{'within' if self.name == 'holds' else 'against'} "
            f"{float(here.tolerance[i]):.1e} ({parts}), {self.what}, worst at {self.labels[i]}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, for JSON."""
        here = self.on_host
        return {
            "outcome": self.name,
            "sentence": str(self),
            "what": self.what,
            "labels": list(self.labels),
            "discrepancy": plain(here.discrepancy),
            "tolerance": plain(here.tolerance),
            "parts": {part: plain(value) for part, value in here.parts.items()},
            "effect": plain(here.effect),
            "premises": {premise: bool(value) for premise, value in here.premises.items()},
            "remedy": self.remedy if self.name == "undecidable" else None,
        }

    def decided(self) -> dict[str, Any]:
        """Discrepancy and tolerance of the deciding row, in plain Python."""
        i, here = self.worst, self.on_host
        return {"discrepancy": plain(here.discrepancy[i]), "tolerance": plain(here.tolerance[i])}

    def to_xarray(self):
        """Discrepancy, tolerance, its parts, prediction and measurement as an `xarray.Dataset`."""
        import xarray

        here = self.on_host
        return xarray.Dataset(
            {
                "discrepancy": (("row",), here.discrepancy),
                "tolerance": (("row",), here.tolerance),
                "effect": (("row",), here.effect),
                "part": (("source", "row"), np.stack(list(here.parts.values()))),
                "predicted": (("row", "direction"), here.predicted),
                "measured": (("row", "direction"), here.measured),
            },
            coords={"row": list(self.labels), "source": list(here.parts)},
            attrs={"outcome": self.name, "what": self.what},
        )

    def plot(self, ax: Any = None):
        """Theory as lines, simulation as markers; returns the Matplotlib axes."""
        from ..figures import plot_verdict

        return plot_verdict(self, ax)


def judge(
    discrepancy: Numbers,
    parts: Mapping[str, Numbers],
    effect: Numbers,
    *,
    converged: Any = True,
    finite: Any = True,
    premise: Any = True,
) -> Any:
    """Outcome of a comparison.

    The first that applies of: diverged; premise failed; holds, or undecidable if the tolerance
    hides the effect; not converged; violated.
    """
    tolerance = functools.reduce(operator.add, parts.values())
    agrees = Outcome.where((tolerance < effect).all(), Outcome.holds, Outcome.undecidable)
    differs = Outcome.where(converged, Outcome.violated, Outcome.not_converged)
    outcome = Outcome.where((discrepancy <= tolerance).all(), agrees, differs)
    outcome = Outcome.where(premise, outcome, Outcome.premise_failed)
    # Comparisons keep the precision of NumPy arrays, whatever the settings of JAX.
    whole = (abs(discrepancy) < np.inf).all()
    return Outcome.where(finite & whole, outcome, Outcome.diverged)


def _quotient(a: Any, b: Any) -> np.ndarray:
    """Quotient of NumPy arrays, without a warning of division by zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return a / b


def compare_values(
    predicted: Any,
    measured: Any,
    errors: Mapping[str, Any],
    *,
    effect: Any = None,
    labels: tuple[str, ...] | None = None,
    what: str = "relative discrepancy",
    premises: Mapping[str, Any] | None = None,
    converged: Any = True,
    finite: Any = True,
) -> Verdict:
    """Row-by-row comparison in Euclidean norm, relative to the prediction.

    **Arguments:**

    - `predicted`, `measured`: `(k,)` or `(k, m)`.
    - `errors`: named absolute bounds on other sources of difference, each broadcast to `(k,)`.
    - `effect`: `(k,)`, the smallest absolute difference that the check must be able to see; by
        default the size of the prediction.
    - `labels`, `what`, `premises`, `converged`, `finite`: as in `Verdict`.

    **Returns:** a `Verdict`.

    **Raises:** `ValueError` for shapes that differ or have neither one nor two dimensions, or for
    no errors.

    !!! example

        ```pycon
        >>> predicted, measured = jnp.asarray([1.0, 2.0]), jnp.asarray([1.0, 2.001])
        >>> print(pt.claims.compare_values(predicted, measured, {"rounding": 0.01}))
        holds: 5.0e-04 within 5.0e-03 (rounding 5e-03), relative discrepancy, worst at row 2

        ```
    """
    predicted, measured = jnp.asarray(predicted), jnp.asarray(measured)
    if predicted.ndim not in (1, 2):
        raise bad("predicted", f"shape {predicted.shape}", "(k,) or (k, m)")
    if measured.shape != predicted.shape:
        raise bad("measured", f"shape {measured.shape}", f"the prediction's {predicted.shape}")
    if not errors:
        raise bad("errors", "none", "at least one named source of error")
    # A number becomes an array first, so that another number does not recompile.
    array = lambda x: x if x is None or isinstance(x, jax.Array) else np.asarray(x)
    return Verdict(
        **_relative(
            predicted,
            measured,
            {name: array(value) for name, value in errors.items()},
            array(effect),
        ),
        premises={name: jnp.asarray(value, bool) for name, value in (premises or {}).items()},
        converged=jnp.asarray(converged, bool),
        finite=jnp.asarray(finite, bool),
        labels=tuple(f"row {i + 1}" for i in range(len(predicted))) if labels is None else labels,
        what=what,
    )


@eqx.filter_jit
def _relative(
    predicted: Array, measured: Array, errors: dict[str, Any], effect: Any
) -> dict[str, Any]:
    wide = predicted.reshape(predicted.shape[0], -1)
    seen = measured.reshape(wide.shape).astype(wide.dtype)
    size = jnp.sqrt(jnp.sum(wide**2, axis=1))
    scale = jnp.where(size > 0, size, 1)
    rows = lambda x: jnp.broadcast_to(jnp.asarray(x, wide.dtype), size.shape) / scale
    return {
        "discrepancy": jnp.sqrt(jnp.sum((seen - wide) ** 2, axis=1)) / scale,
        "parts": {name: rows(value) for name, value in errors.items()},
        "effect": rows(scale if effect is None else effect),
        "predicted": wide,
        "measured": seen,
    }
