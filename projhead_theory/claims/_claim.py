"""A claim: a statement, the check that could refute it, and the controls that show the check can."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from .._plain import plain
from ._verdict import Verdict


@dataclasses.dataclass(frozen=True)
class Control:
    """A run of the claim's own check with one thing broken; it must come back as `expects`."""

    name: str
    breaks: str
    run: Callable[[PRNGKeyArray], Verdict]
    expects: str = "violated"


@dataclasses.dataclass(frozen=True)
class Claim:
    """`run` yields a verdict for each problem the claim is tried on; all must hold, and every control must be caught."""

    name: str
    statement: str
    hypotheses: tuple[str, ...]
    source: str
    run: Callable[[PRNGKeyArray], Iterator[Verdict]]
    controls: tuple[Control, ...]


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
            "discrepancy": plain(self.verdict.discrepancy[self.verdict.worst]),
            "breaks": self.control.breaks,
            "expects": self.control.expects,
            "outcome": self.verdict.name,
        }


@dataclasses.dataclass(frozen=True)
class ClaimResult:
    """The verdicts of a claim and of its controls, and how long they took."""

    claim: Claim
    verdicts: tuple[Verdict, ...]
    controls: tuple[ControlResult, ...]
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether every problem's verdict holds; a claim with an uncaught control is not verified even so."""
        return all(v.name == "holds" for v in self.verdicts)

    @property
    def verified(self) -> bool:
        return self.holds and all(c.caught for c in self.controls)

    @property
    def worst(self) -> Verdict:
        """The verdict that decides: one that does not hold if there is any, else the one nearest to its tolerance."""

        def badness(v: Verdict) -> tuple[bool, float]:
            ratio = float(v.discrepancy[v.worst] / v.tolerance[v.worst])
            return v.name != "holds", ratio if np.isfinite(ratio) else np.inf

        return max(self.verdicts, key=badness)

    def to_dict(self) -> dict[str, Any]:
        worst = self.worst
        return {
            "name": self.claim.name,
            "holds": self.holds,
            "discrepancy": plain(worst.discrepancy[worst.worst]),
            "tolerance": plain(worst.tolerance[worst.worst]),
            "seconds": round(self.seconds, 3),
            "controls": [c.to_dict() for c in self.controls],
            "statement": self.claim.statement,
            "source": self.claim.source,
            "verdicts": [v.to_dict() for v in self.verdicts],
        }


def check(claim: Claim, seed: int = 0) -> ClaimResult:
    """Run one claim with its controls. Every draw follows from `seed`."""
    begin = time.perf_counter()
    key = jax.random.key(seed)
    verdicts = tuple(claim.run(key))
    controls = tuple(ControlResult(control, control.run(key)) for control in claim.controls)
    return ClaimResult(claim, verdicts, controls, time.perf_counter() - begin)
