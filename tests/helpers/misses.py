"""Near misses: claims with one thing in their formula changed, beside the tests of each claim."""

import dataclasses
import functools
import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax.numpy as jnp

from helpers.measured import tests_of
from projhead_theory.claims import Claim
from projhead_theory.theorems._common.law import with_exponents
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.balance.balancedness import constant, judge_kept
from projhead_theory.theorems.balance.discrete_balancedness import shrunk
from projhead_theory.theorems.supervised import shift

Wrong = Callable[[Any, Any], Any]
"""Another prediction: a function of the problem and of the claim's own prediction for it."""

Transformation = Callable[[Claim], Claim]

TIMES, POWER = (lambda value, factor: value * factor), (lambda value, factor: value**factor)
TWENTIETH = (0.95, 1.05)


def predicting(wrong: Wrong) -> Transformation:
    """The claim with another prediction."""
    return lambda claim: dataclasses.replace(
        claim, predict=lambda problem: wrong(problem, claim.predict(problem))
    )


def predictions(table: dict[str, Wrong]) -> dict[str, Transformation]:
    return {label: predicting(wrong) for label, wrong in table.items()}


def stepping(**fields: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda problem, own: replace(
        own, **{name: jnp.asarray(f(own), own.learning_rate.dtype) for name, f in fields.items()}
    )


def second_order(factor: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The law of a step with another factor of its second-order term."""

    def wrong(problem, own):
        share = jnp.asarray(factor(own), own.learning_rate.dtype)

        def follow(kept, gradients, step, weight_decay):
            first = shrunk(kept, gradients, step, weight_decay)
            whole = own.follow(kept, gradients, step, weight_decay)
            return tuple(a + share * (b - a) for a, b in zip(first, whole, strict=True))

        return dataclasses.replace(own, follow=follow)

    return wrong


def conserving(quantity: Callable[[Any], tuple[Any, ...]]) -> Transformation:
    """The claim that another quantity of the network is conserved."""
    return lambda claim: dataclasses.replace(
        claim,
        predict=functools.partial(constant, quantity=quantity),
        compare=functools.partial(judge_kept, quantity=quantity),
    )


def read(change: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The accuracies of another problem."""
    return lambda problem, own: replace(
        own, **{n: getattr(shift.predict(change(problem)), n) for n in ("average", "worst")}
    )


EXPONENTS = {
    "l / (L + 1)": predicting(with_exponents(lambda level, depth: level / (depth + 1))),
    "(l / L)^2": predicting(with_exponents(lambda level, depth: (level / depth) ** 2)),
    "root of l / L": predicting(with_exponents(lambda level, depth: (level / depth) ** 0.5)),
    "(2 l - 1) / (2 L)": predicting(
        with_exponents(lambda level, depth: (2 * level - 1) / (2 * depth))
    ),
    "l / (2 L), the root taken twice": predicting(
        with_exponents(lambda level, depth: level / (2 * depth))
    ),
    "(l + 1) / (L + 1)": predicting(with_exponents(lambda level, depth: (level + 1) / (depth + 1))),
    "(l - 1) / L": predicting(with_exponents(lambda level, depth: (level - 1) / depth)),
}


@functools.cache
def beside(name: str) -> ModuleType:
    """The tests of this claim, with its `MISSES`, its `PARTS` and, for some, `FORMULAS`."""
    path = tests_of(name)
    specification = importlib.util.spec_from_file_location(f"misses.{path.stem}", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
