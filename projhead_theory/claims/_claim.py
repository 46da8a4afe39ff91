"""Claims: a statement, the check that could refute it, and controls that show that it can."""

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

from .._core.plain import plain
from ._verdict import Verdict, compare_values

FAMILY_ERROR = 1e-3
"""Probability that chance alone fails any significance test of a whole run of claims."""


class Measured(eqx.Module):
    """Measurement of a simulation, with bounds on its own errors.

    **Arguments:**

    - `value`: `(k,)` or `(k, m)`.
    - `errors`: named absolute bounds on the errors of the simulation itself, each `(k,)` or a
        number.
    - `effect`, `premises`, `converged`, `finite`: as in `Verdict`.
    """

    value: Float[Array, "k *m"]
    errors: dict[str, Any]
    effect: Any = None
    premises: dict[str, Any] = eqx.field(default_factory=dict)
    converged: Bool[Array, ""] = eqx.field(default=True, converter=jnp.asarray)
    finite: Bool[Array, ""] = eqx.field(default=True, converter=jnp.asarray)


def compare_measured(predicted: Any, measured: Measured, **words: Any) -> Verdict:
    """Default comparison of a claim: row by row, relative to the prediction.

    `words` are `labels` and `what` of `compare_values`.
    """
    return compare_values(
        predicted,
        measured.value,
        measured.errors,
        effect=measured.effect,
        premises=measured.premises,
        converged=measured.converged,
        finite=measured.finite,
        **words,
    )


@dataclasses.dataclass(frozen=True)
class Control:
    """The claim's own check with one thing replaced; its outcome must be `expects`.

    The premise that a control breaks is waived, unless it expects `premise_failed`. A control that
    replaces the prediction alone is decided on the claim's own run: if the claim holds there, the
    run has converged as far as the comparison needs.

    **Arguments:**

    - `name`, `breaks`: its name, and the change it makes, in words.
    - `problem`: a function of the problem, which replaces it.
    - `predict`: a function of the problem and of the claim's own prediction, which it replaces.
    - `measure`: a function of the problem and of the claim's own measurement, which it replaces.
    - `expects`: the name of the outcome that catches the control.
    - `on`: the number of the problem on which it is tried.
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
    """A statement that can fail.

    **Arguments:**

    - `name`: its name.
    - `statement`: the statement in words.
    - `problems`: a function of a key that yields the problems on which the claim is tried, any
        PyTrees, fixed ones first, then random ones.
    - `predict`: maps a problem to its prediction, from theory alone.
    - `measure`: maps a problem to its measurement, from simulation alone: a `Measured`, unless
        `compare` takes something else.
    - `controls`: the controls.
    - `compare`: maps a prediction and a measurement to a `Verdict`.
    - `latex`: the statement as a formula.
    - `hypotheses`: its hypotheses in words.
    - `source`: the place in the paper, or `"conjecture"`.
    - `search`: functions of a key, one for each shape, that draw harder problems for the random
        search (jit- and vmap-able).
    - `quick`: the number of problems that a quick run tries.
    - `tests`: the number of significance tests that `compare` makes, each at the keyword `level`,
        which it then takes.
    - `sharpness`: for each kind of row, its label with `#` for numbers: a ceiling for the tolerance
        over the effect on any problem, and a floor for the largest discrepancy over the tolerance.
        A tolerance beyond either hides the differences it should resolve.
    - `exact`: three results for a problem (jit- and vmap-able): the verdict on a network set to
        the closed form, the verdict on a network with one weight off by ten tolerances, and true
        if ten tolerances are less than the effect.

    !!! example

        ```pycon
        >>> claim = pt.claims.Claim(
        ...     name="odd-sum",
        ...     statement="The first n odd numbers sum to the square of n.",
        ...     problems=lambda key: [3, 5, 8],
        ...     predict=lambda n: jnp.asarray([n**2.0]),
        ...     measure=lambda n: pt.claims.Measured(
        ...         jnp.sum(jnp.arange(1.0, 2 * n, 2), keepdims=True), {"rounding": 1e-9}
        ...     ),
        ... )
        >>> claim.judge(5).name
        'holds'

        ```
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
        """Verdict on one problem."""
        return self.compare(self.predict(problem), self.measure(problem))

    def at_level(self, level: float) -> "Claim":
        """The same claim with each of its significance tests at this level."""
        return (
            dataclasses.replace(self, compare=functools.partial(self.compare, level=level))
            if self.tests
            else self
        )


@dataclasses.dataclass(frozen=True)
class Trial:
    """One problem and the verdict on it, with NumPy arrays."""

    problem: Any
    verdict: Verdict

    @property
    def label(self) -> str:
        return str(getattr(self.problem, "label", type(self.problem).__name__))

    def to_dict(self) -> dict[str, Any]:
        return {"problem": self.label, **self.verdict.to_dict()}

    def in_full(self) -> dict[str, Any]:
        """The problem with all its numbers, and the verdict in a sentence."""
        return {
            "problem": self.label,
            "sentence": str(self.verdict),
            "numbers": numbers(self.problem),
        }


@dataclasses.dataclass(frozen=True)
class ControlResult:
    """A control and the verdict on it, with NumPy arrays."""

    control: Control
    verdict: Verdict

    @property
    def caught(self) -> bool:
        return self.verdict.name == self.control.expects

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.control.name,
            "caught": self.caught,
            **self.verdict.decided(),
            "breaks": self.control.breaks,
            "expects": self.control.expects,
            "outcome": self.verdict.name,
        }


@dataclasses.dataclass(frozen=True)
class ClaimResult:
    """Trials of a claim and its controls, with the smallest counterexample if it was violated.

    `seconds` is the wall-clock time of all of them.
    """

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
        """True if every problem's verdict holds.

        A claim with an uncaught control is not verified even so.
        """
        return all(v.name == "holds" for v in self.verdicts)

    @property
    def verified(self) -> bool:
        """True if the claim holds and has controls, all of which were caught.

        A check that nothing fails shows nothing.
        """
        return self.holds and bool(self.controls) and all(c.caught for c in self.controls)

    @property
    def outcome(self) -> str:
        return self.worst.verdict.name

    @property
    def blunt(self) -> tuple[str, ...]:
        """Rows whose tolerance exceeds the claim's `sharpness` in float64, one sentence each."""
        rows: dict[str, list[list[float]]] = {}
        for v in self.verdicts:
            with np.errstate(divide="ignore", invalid="ignore"):
                width = np.where(v.tolerance == 0, 0.0, v.tolerance / v.effect)
                share = np.where(v.tolerance == 0, np.inf, v.discrepancy / v.tolerance)
            for label, *ratios in zip(v.labels, width.tolist(), share.tolist(), strict=True):
                rows.setdefault(re.sub(r"\d+", "#", label), []).append(ratios)
        said = []
        for kind, found in rows.items():
            ceiling, floor = self.claim.sharpness.get(kind, (np.inf, 0.0))
            width, share = np.max(found, axis=0)
            if not width <= ceiling:
                said.append(f"{kind}: a tolerance of {width:.1e} of the effect, over {ceiling:g}")
            if not share >= floor:
                said.append(
                    f"{kind}: a discrepancy of {share:.1e} of the tolerance, under {floor:g}"
                )
        return tuple(said)

    @property
    def worst(self) -> Trial:
        """The deciding trial: a violated one, else one that does not hold, else the closest.

        The closest trial has the largest discrepancy in units of its tolerance.
        """
        return max(
            self.trials,
            key=lambda t: (
                t.verdict.name == "violated",
                t.verdict.name != "holds",
                float(t.verdict.ratio[t.verdict.worst]),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.claim.name,
            "holds": self.holds,
            "verified": self.verified,
            "outcome": self.outcome,
            **self.worst.verdict.decided(),
            "seconds": round(self.seconds, 3),
            "controls": [c.to_dict() for c in self.controls],
            "statement": self.claim.statement,
            "latex": self.claim.latex,
            "hypotheses": list(self.claim.hypotheses),
            "source": self.claim.source,
            "verdicts": [t.to_dict() for t in self.trials],
            "counterexample": self.counterexample and self.counterexample.in_full(),
        }

    def to_xarray(self):
        """Every row of every trial as a labelled `xarray.Dataset`, along one dimension `row`."""
        import xarray

        rows = [(t.label, t.verdict, i) for t in self.trials for i in range(len(t.verdict.labels))]
        column = lambda get: ("row", np.asarray([get(v, i) for _, v, i in rows]))
        return xarray.Dataset(
            {
                "discrepancy": column(lambda v, i: v.discrepancy[i]),
                "tolerance": column(lambda v, i: v.tolerance[i]),
                "effect": column(lambda v, i: v.effect[i]),
                "outcome": column(lambda v, i: v.name),
            },
            coords={
                "problem": ("row", [label for label, *_ in rows]),
                "label": ("row", [v.labels[i] for _, v, i in rows]),
            },
            attrs={"claim": self.claim.name, "verified": int(self.verified)},
        )


def numbers(problem: Any) -> dict[str, Any]:
    """Every array of a problem, by its path."""
    leaves = jax.tree_util.tree_flatten_with_path(eqx.filter(problem, eqx.is_array))[0]

    def value(x: Any) -> Any:
        data = jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
        return plain(data) if jnp.issubdtype(data.dtype, jnp.floating) else data.tolist()

    return {jax.tree_util.keystr(path).lstrip("."): value(leaf) for path, leaf in leaves}
