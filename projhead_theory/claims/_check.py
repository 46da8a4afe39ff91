"""Check of one claim on its problems, with its controls."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import jax
import numpy as np

from .._core import bad
from ._claim import FAMILY_ERROR, Claim, ClaimResult, Control, ControlResult, Trial
from ._search import shrink
from ._verdict import Verdict


def check(
    claim: Claim,
    seed: int = 0,
    *,
    quick: bool = False,
    level: float | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> ClaimResult:
    """Run one claim with its controls. Every draw follows from `seed`.

    **Arguments:**

    - `claim`: the claim to check.
    - `seed`: the seed of all draws.
    - `quick`: try only the claim's first few problems, and its controls on these.
    - `level`: the level of each significance test. By default chance fails any test of this claim
        with probability `FAMILY_ERROR`.
    - `progress`: called with the name of each problem and control before it runs.

    **Returns:** a `ClaimResult`. If a trial is violated, its problem is shrunk to a small one that
    still violates the claim.

    **Raises:** `ValueError` if the claim has no problems, or if a control names a problem that does
    not exist.

    !!! example

        ```pycon
        >>> treble = pt.claims.Control("treble", "predicts 3x", predict=lambda x, own: 3 * x)
        >>> claim = pt.claims.Claim(
        ...     "double",
        ...     "A number added to itself is its double.",
        ...     problems=lambda key: jax.random.uniform(key, (3, 1)),
        ...     predict=lambda x: 2 * x,
        ...     measure=lambda x: pt.claims.Measured(x + x, {"rounding": 1e-15}),
        ...     controls=(treble,),
        ... )
        >>> result = pt.claims.check(claim)
        >>> result.outcome, result.verified
        ('holds', True)

        ```
    """
    begin = time.perf_counter()
    problems = _problems(claim, seed, quick)
    if level is None:
        level = FAMILY_ERROR / max(claim.tests * len(problems), 1)
    judged = claim.at_level(level)
    sides = []
    for number, problem in enumerate(problems, 1):
        progress(f"{claim.name}, problem {number} of {len(problems)}")
        sides.append((problem, claim.predict(problem), claim.measure(problem)))
    trials = tuple(Trial(problem, judged.compare(*both).on_host) for problem, *both in sides)
    controls = []
    for number, control in enumerate(claim.controls, 1):
        progress(f"{claim.name}, control {number} of {len(claim.controls)}: {control.name}")
        controls.append(_control(judged, control, sides[control.on], trials[control.on].verdict))
    violated = next((t for t in trials if t.verdict.name == "violated"), None)
    return ClaimResult(
        claim,
        trials,
        tuple(controls),
        time.perf_counter() - begin,
        violated and shrink(judged, violated),
    )


def _problems(claim: Claim, seed: int, quick: bool) -> list[Any]:
    drawn: Iterator[Any] = iter(claim.problems(jax.random.key(seed)))
    last = max((control.on for control in claim.controls), default=0)
    problems = list(islice(drawn, max(claim.quick, last + 1)) if quick else drawn)
    if not problems:
        raise bad("claim.problems", "none", f"at least one problem to try {claim.name!r} on")
    for control in claim.controls:
        if not 0 <= control.on < len(problems):
            raise bad(
                "control.on",
                f"{control.on} for {control.name!r}",
                f"the number of one of the {len(problems)} problems",
            )
    return problems


def _control(
    claim: Claim, control: Control, side: tuple[Any, Any, Any], own: Verdict
) -> ControlResult:
    problem, prediction, measurement = side
    if control.problem is not None:
        problem = control.problem(problem)
        prediction = claim.predict(problem)
        measurement = None if control.measure else claim.measure(problem)
    if control.predict is not None:
        prediction = control.predict(problem, prediction)
    if control.measure is not None:
        measurement = control.measure(problem, measurement)
    verdict = claim.compare(prediction, measurement).on_host
    if control.problem is None and control.measure is None and own.name == "holds":
        verdict = dataclasses.replace(verdict, converged=np.ones((), bool))
    return ControlResult(
        control, verdict if control.expects == "premise_failed" else verdict.waived
    )
