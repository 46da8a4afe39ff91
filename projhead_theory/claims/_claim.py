"""A claim: a statement, the check that could refute it, and the controls that show the check can."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from .._plain import plain
from ._verdict import Verdict, compare_values

FAMILY_ERROR = 1e-3
"""The probability that chance alone fails any significance test of a whole run of claims."""


class Measured(eqx.Module):
    """What a simulation measured.

    `value`: `(k,)` or `(k, m)`; `errors`: named bounds on what the simulation itself may be off by, absolute, each `(k,)`
    or a number; `effect`, `premises`, `settled`, `finite`: as in `Verdict`.
    """

    value: Float[Array, "k *m"]
    errors: dict[str, Any]
    effect: Any = None
    premises: dict[str, Any] = eqx.field(default_factory=dict)
    settled: Bool[Array, ""] = eqx.field(default=True, converter=jnp.asarray)
    finite: Bool[Array, ""] = eqx.field(default=True, converter=jnp.asarray)


def compare_measured(predicted: Any, measured: Measured) -> Verdict:
    """The comparison of a claim that states none: row by row, relative to the prediction."""
    m = measured
    return compare_values(
        predicted,
        m.value,
        m.errors,
        effect=m.effect,
        premises=m.premises,
        settled=m.settled,
        finite=m.finite,
    )


@dataclasses.dataclass(frozen=True)
class Control:
    """The claim's own check with one thing replaced; it must come back as `expects`.

    What is replaced: `problem`, a function of the problem; `predict`, a function of the problem and of the claim's own
    prediction for it; `measure`, a function of the problem and of the claim's own measurement. `on` is the number of
    the problem it is tried on. The premise a control breaks is waived, unless it expects `premise_failed`. A control that
    replaces the prediction alone is decided on the claim's own run: if the claim holds there, the run has converged as far as the
    comparison needs it.
    """

    name: str
    breaks: str
    problem: Callable[[Any], Any] | None = None
    predict: Callable[[Any, Any], Any] | None = None
    measure: Callable[[Any, Any], Any] | None = None
    expects: str = "violated"
    on: int = 0


@dataclasses.dataclass(frozen=True)
class Claim:
    r"""A statement that can fail.

    **Arguments:** `name`; `statement`, in words; `problems`: a function of a key that yields what the claim is tried on,
    any PyTrees, fixed ones first, then random ones; `predict(problem)`: theory alone; `measure(problem)`: simulation
    alone, a `Measured` unless `compare` takes something else; `controls`; `compare(prediction, measurement)`: a
    `Verdict`; `latex`: the statement as a formula; `hypotheses`; `source`; `search`: functions of a key, one for each
    shape, that draw harder problems for the random search (jit- and vmap-able); `quick`: how many of the problems a
    quick run tries; `tests`: how many significance tests `compare` makes, each at the keyword `level` it then takes; `sharpness`: for each
    kind of row, its label with `#` for numbers, a ceiling for the tolerance over the effect on any problem, and a floor for the largest
    discrepancy over the tolerance: a tolerance that outgrows either hides what it should see; `exact(problem)`: the verdicts on a network
    set to the closed form itself, and on one of which a weight is off by ten tolerances, and whether those are less than the effect (jit-
    and vmap-able).
    """

    name: str
    statement: str
    problems: Callable[[PRNGKeyArray], Iterable[Any]]
    predict: Callable[[Any], Any]
    measure: Callable[[Any], Any]
    controls: tuple[Control, ...] = ()
    compare: Callable[..., Verdict] = compare_measured
    latex: str = ""
    hypotheses: tuple[str, ...] = ()
    source: str = "conjecture"
    search: tuple[Callable[[PRNGKeyArray], Any], ...] = ()
    quick: int = 2
    tests: int = 0
    sharpness: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    exact: Callable[[Any], tuple[Verdict, Verdict, Bool[Array, ""]]] | None = None

    def judge(self, problem: Any) -> Verdict:
        """The verdict on one problem."""
        return self.compare(self.predict(problem), self.measure(problem))

    def at_level(self, level: float) -> "Claim":
        """The same claim, each of its significance tests made at this level."""
        return (
            dataclasses.replace(self, compare=functools.partial(self.compare, level=level))
            if self.tests
            else self
        )


@dataclasses.dataclass(frozen=True)
class Trial:
    """One problem, and the verdict on it."""

    problem: Any
    verdict: Verdict

    @property
    def label(self) -> str:
        return str(getattr(self.problem, "label", type(self.problem).__name__))

    def to_dict(self) -> dict[str, Any]:
        return {"problem": self.label, **self.verdict.to_dict()}


@dataclasses.dataclass(frozen=True)
class ControlResult:
    """What a control came back as."""

    control: Control
    verdict: Verdict

    @property
    def caught(self) -> bool:
        return self.verdict.name == self.control.expects

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.control.name,
            "caught": self.caught,
            "discrepancy": plain(self.verdict.on_host.discrepancy[self.verdict.worst]),
            "tolerance": plain(self.verdict.on_host.tolerance[self.verdict.worst]),
            "breaks": self.control.breaks,
            "expects": self.control.expects,
            "outcome": self.verdict.name,
        }


@dataclasses.dataclass(frozen=True)
class ClaimResult:
    """The trials of a claim and its controls, the smallest counterexample if it was violated, and how long all took."""

    claim: Claim
    trials: tuple[Trial, ...]
    controls: tuple[ControlResult, ...]
    seconds: float
    counterexample: Trial | None = None

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return tuple(t.verdict for t in self.trials)

    @property
    def holds(self) -> bool:
        """Whether every problem's verdict holds; a claim with an uncaught control is not verified even so."""
        return all(v.name == "holds" for v in self.verdicts)

    @property
    def verified(self) -> bool:
        """Whether the claim holds and has controls, all of which were caught: a check that nothing fails shows nothing."""
        return self.holds and bool(self.controls) and all(c.caught for c in self.controls)

    @property
    def outcome(self) -> str:
        return self.worst.verdict.name

    @property
    def blunt(self) -> tuple[str, ...]:
        """Rows whose tolerance is wider than the claim's `sharpness` allows, in float64; one sentence each."""
        found: dict[str, tuple[float, float]] = {}
        for verdict in self.verdicts:
            here = verdict.on_host
            with np.errstate(divide="ignore", invalid="ignore"):
                width = np.where(here.tolerance == 0, 0.0, here.tolerance / here.effect)
                share = np.where(here.tolerance == 0, np.inf, here.discrepancy / here.tolerance)
            for label, *ratios in zip(verdict.labels, width.tolist(), share.tolist(), strict=True):
                kind = re.sub(r"\d+", "#", label)
                found[kind] = tuple(
                    max(pair) for pair in zip(found.get(kind, (0.0, 0.0)), ratios, strict=True)
                )  # type: ignore[assignment]
        said = []
        for kind, (width, share) in found.items():
            ceiling, floor = self.claim.sharpness.get(kind, (np.inf, 0.0))
            if not width <= ceiling:
                said.append(f"{kind}: a tolerance of {width:.1e} of the effect, over {ceiling:g}")
            if not share >= floor:
                said.append(
                    f"{kind}: a discrepancy of {share:.1e} of the tolerance, under {floor:g}"
                )
        return tuple(said)

    @property
    def worst(self) -> Trial:
        """The trial that decides: a violated one if there is any, else one that does not hold, else that nearest to its tolerance."""

        def badness(trial: Trial) -> tuple[bool, bool, float]:
            name = trial.verdict.name
            return (
                name == "violated",
                name != "holds",
                float(trial.verdict.ratio[trial.verdict.worst]),
            )

        return max(self.trials, key=badness)

    def to_dict(self) -> dict[str, Any]:
        worst = self.worst.verdict.on_host
        return {
            "name": self.claim.name,
            "holds": self.holds,
            "verified": self.verified,
            "outcome": worst.name,
            "discrepancy": plain(worst.discrepancy[worst.worst]),
            "tolerance": plain(worst.tolerance[worst.worst]),
            "seconds": round(self.seconds, 3),
            "controls": [c.to_dict() for c in self.controls],
            "statement": self.claim.statement,
            "latex": self.claim.latex,
            "hypotheses": list(self.claim.hypotheses),
            "source": self.claim.source,
            "verdicts": [t.to_dict() for t in self.trials],
            "counterexample": None
            if self.counterexample is None
            else counterexample_dict(self.counterexample),
        }

    def to_xarray(self):
        """Every row of every trial as a labelled `xarray.Dataset`, along one dimension `row`."""
        import xarray

        rows = [
            (t.label, v.labels[i], v, i)
            for t in self.trials
            for v in [t.verdict.on_host]
            for i in range(len(v.labels))
        ]
        column = lambda get: ("row", np.asarray([get(v, i) for _, _, v, i in rows]))
        return xarray.Dataset(
            {
                "discrepancy": column(lambda v, i: float(v.discrepancy[i])),
                "tolerance": column(lambda v, i: float(v.tolerance[i])),
                "effect": column(lambda v, i: float(v.effect[i])),
                "outcome": column(lambda v, i: v.name),
            },
            coords={
                "problem": ("row", [p for p, *_ in rows]),
                "label": ("row", [label for _, label, *_ in rows]),
            },
            attrs={"claim": self.claim.name, "verified": int(self.verified)},
        )


def counterexample_dict(trial: Trial) -> dict[str, Any]:
    """A problem that refutes a claim, with all its numbers."""
    return {
        "problem": trial.label,
        "sentence": str(trial.verdict),
        "numbers": numbers(trial.problem),
    }


def numbers(problem: Any) -> dict[str, Any]:
    """Every array of a problem, by its path."""
    leaves = jax.tree_util.tree_flatten_with_path(eqx.filter(problem, eqx.is_array))[0]

    def value(x: Any) -> Any:
        data = jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
        return plain(data) if jnp.issubdtype(data.dtype, jnp.floating) else data.tolist()

    return {jax.tree_util.keystr(path).lstrip("."): value(leaf) for path, leaf in leaves}
