"""Phase diagrams held against trained networks, on both sides of the boundary."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from helpers.draws import cast

from projhead_theory.problems import AdditiveNoise, Compose, ContrastiveProblem, Features, SignFlip
from projhead_theory.theorems import check_phase
from projhead_theory.theory.downstream import phase_diagram


def model(noise, strength):
    features = Features([1.5, strength, 0.6])
    return ContrastiveProblem(features, AdditiveNoise([1.0, noise, 0.3]))


def diagram(**options):
    return phase_diagram(model, 1, jnp.linspace(0, 1.5, 24), jnp.linspace(0.2, 2, 24), 2, **options)


@pytest.mark.x64
def test_the_boundary_separates_networks_trained_on_both_sides_of_it():
    result = check_phase(diagram(), 32, jax.random.key(0))
    assert bool(result.converged.all() & result.agrees.all())
    assert int(result.decided.sum()) >= 31
    assert not bool(result.misclassified.any())
    assert {bool(s) for s in result.measured > 0} == {True, False}


@pytest.mark.x64
def test_a_boundary_that_is_off_is_caught():
    """The same networks, against margins that are off by a third."""
    right = check_phase(diagram(), 32, jax.random.key(0))
    shifted = eqx.tree_at(lambda c: c.predicted, right, right.predicted + 0.3)
    assert bool(shifted.misclassified.any())
    assert bool(shifted.violated.all())


@pytest.mark.slow
def test_points_beyond_the_boundary_of_what_is_kept_are_not_compared():
    def flipped(flip, noise):
        parts = (SignFlip([flip, 0]), AdditiveNoise([0.3, noise]))
        return ContrastiveProblem(Features(cast([1.0, 1.0])), Compose(*parts))

    lost = phase_diagram(flipped, 0, cast([0.5]), cast([0.1, 0.5]), 2)
    result = check_phase(lost, 2, jax.random.key(0))
    assert not bool(
        result.kept.any() | result.agrees.any() | result.misclassified.any() | result.violated.any()
    )
    assert json.dumps(result.to_dict(), allow_nan=False)
    assert result.to_xarray()["kept"].shape == (2,)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: check_phase(diagram(), 0, jax.random.key(0)), "simulate"),
        (lambda: check_phase(diagram(width=2), 4, jax.random.key(0)), "width"),
        (lambda: check_phase(diagram(head_depth=2), 4, jax.random.key(0)), "head_depth"),
    ],
)
def test_bad_input_is_named(call, names):
    with pytest.raises(ValueError, match=f"^{names}: got .*; want "):
        call()
