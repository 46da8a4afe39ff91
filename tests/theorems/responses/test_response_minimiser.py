"""`response-minimiser`: near misses of its formulas."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.measured import side
from helpers.misses import predicting

from projhead_theory.theorems import CLAIMS
from projhead_theory.theorems._common.law import raised
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.responses.response_minimiser import (
    BARLOW,
    DISTANCE,
    INFONCE,
    LOSSES,
    NAMES,
    RADEMACHER,
    RESPONSES,
    VICREG,
    predict,
)
from projhead_theory.theory.responses import minimiser

# Near misses of g(lambda), each under the one loss that it is about


def responding(kind: int, change: Callable[[Any, Any], Any]):
    """Another function of the signal fractions and of the parameter, under this loss."""

    def wrong(problem, own):
        if int(problem.kind) != kind:
            return own
        values, vectors = jnp.linalg.eigh(problem.moments.second)
        root = (vectors * values**-0.5) @ vectors.T
        fractions, modes = jnp.linalg.eigh(root @ problem.moments.cross @ root)
        gram = root @ (modes * change(fractions, problem.parameter)) @ modes.T @ root
        depth = own.layers.depth
        powers = jnp.arange(1, depth + 1) / depth
        return replace(own, layers=raised(own.layers, powers, (gram + gram.T) / 2))

    return predicting(wrong)


def lower_root(f):
    return (jnp.sqrt(9 - 8 * f) - 1) / 2


MISSES = {
    "1 - beta lambda": responding(VICREG, lambda f, b: 1 - b * f),
    "1 - 2 beta (1 - lambda)": responding(VICREG, lambda f, b: jnp.maximum(1 - 2 * b * (1 - f), 0)),
    "lambda, whatever beta": responding(VICREG, lambda f, b: f),
    "tau lambda / 2": responding(INFONCE, lambda f, t: t * f / 2),
    "tau lambda^2": responding(INFONCE, lambda f, t: t * f**2),
    "tau artanh lambda of Gaussian views": responding(INFONCE, lambda f, t: t * jnp.arctanh(f)),
    "tau / u": responding(DISTANCE, lambda f, t: t / lower_root(f)),
    "tau (1 - u)": responding(DISTANCE, lambda f, t: t * (1 - lower_root(f))),
    "two thirds of tau lambda": responding(DISTANCE, lambda f, t: 2 * t * f / 3),
    "tau lambda by distance": responding(DISTANCE, lambda f, t: t * f),
    "tau tanh lambda": responding(RADEMACHER, lambda f, t: t * jnp.tanh(f)),
    "tau lambda of signs": responding(RADEMACHER, lambda f, t: t * f),
    "one over lambda": responding(BARLOW, lambda f, t: 1 / f**2),
    "one for each mode of S": responding(BARLOW, lambda f, t: jnp.ones_like(f)),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 9.98e-11,
    "rounding": 1.8e-12,
    "start": 2.86e-13,
}


@pytest.mark.x64
@pytest.mark.parametrize("kind", range(5), ids=NAMES)
def test_the_prediction_is_the_minimiser_of_the_library(kind):
    """The claim puts all losses into one program; the library has a function for each."""
    problem, _ = side("response-minimiser", kind)
    response = RESPONSES[kind](problem.parameter)
    own, alone = predict(problem).layers, minimiser(problem.moments, response)
    np.testing.assert_allclose(own.grams[-1], alone.gram, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(own.loss, alone.loss, rtol=1e-11)


@pytest.mark.x64
@pytest.mark.parametrize("kind", range(5), ids=NAMES)
def test_the_premise_is_about_the_losses_whose_views_matter(kind):
    problem, _ = side("response-minimiser", kind)
    held = [bool(predict(replace(problem, kurtosis=np.asarray(k))).views) for k in (1.0, 1.8, 3.0)]
    named = RESPONSES[kind](problem.parameter).premise
    assert (
        held
        == {
            "": [True, True, True],
            "Gaussian views": [False, False, True],
            "Rademacher features": [True, False, False],
        }[named]
    )


def test_all_losses_and_depths_are_tried():
    problems = list(CLAIMS["response-minimiser"].problems(jax.random.key(0)))
    assert {int(p.kind) for p in problems} == set(range(len(LOSSES)))
    assert {p.depth for p in problems} == {1, 2, 3}
    assert {p.moments.dim for p in problems} >= {2, 3, 8}
    assert any(min(p.sizes) < p.sizes[0] for p in problems)
    extinct = [
        p
        for p in problems
        if int(p.kind) == VICREG and int(predict(p).layers.minimiser.kept) < min(p.sizes)
    ]
    assert extinct
