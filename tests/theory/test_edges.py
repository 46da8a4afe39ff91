"""Closed forms at their edges: pairings, margins without nuisance, rounding of layers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

import projhead_theory as pt
from projhead_theory._core.tolerance import power_rounding
from projhead_theory.theory import dynamics
from projhead_theory.theory.downstream import boundary_weight, margin_error, margin_samples
from projhead_theory.theory.dynamics import regression
from projhead_theory.theory.heads import decayed_matching, matching_limit
from projhead_theory.theory.layers import layerwise, spectral
from projhead_theory.theory.supervised import regression_minimiser

pytestmark = pytest.mark.x64


def energy(cross, second, rows, weight_decay):
    """Of features that are carried by these rows, in this order."""
    return -np.sum((cross - weight_decay / (4 * rows**2)) ** 2 / second**2)


@pytest.mark.parametrize("rest", [(), (3.0,)], ids=["two features", "three"])
def test_an_exchange_of_the_last_two_features_sets_the_limit_of_the_sorted_pairing(rest):
    """Where both pairings have one energy, by a search for it; the rows in any order."""
    cross, second = np.append([0.5, 0.54], rest), np.append([1.0, 1.05], [0.5 for _ in rest])
    rows = np.array([4.0, 2.0, 1.0])[-len(cross) :]
    order = np.argsort(-np.sqrt(cross) / second)
    c, q = cross[order], second[order]
    swapped = rows.copy()
    swapped[-2:] = rows[[-1, -2]]
    found = brentq(
        lambda weight_decay: energy(c, q, rows, weight_decay) - energy(c, q, swapped, weight_decay),
        0.1,
        1.5,
        xtol=1e-14,
    )
    np.testing.assert_allclose(
        matching_limit(cross, second, jnp.asarray(rows[::-1].copy())), found, rtol=1e-9
    )


def test_a_decayed_feature_is_carried_by_the_row_of_its_rank():
    """Ranks are those of root c over q: here not those of root q over c."""
    cross, second, rows, weight_decay = (
        np.array([0.9, 0.2]),
        np.array([1.0, 0.9]),
        np.array([2.0, 1.0]),
        0.1,
    )
    want = np.sqrt(cross - weight_decay / (4 * rows**2)) / (second * rows)
    np.testing.assert_allclose(
        decayed_matching(cross, second, jnp.asarray(rows), weight_decay), want, rtol=1e-12
    )


def test_a_label_alone_needs_no_samples_and_its_need_has_a_derivative():
    """Without nuisance there is nothing to be divided by."""
    label = pt.problems.Downstream(jnp.eye(1), jnp.ones(1))
    value, slope = jax.value_and_grad(lambda g: margin_samples(g, label, 0.1))(
        jnp.full((1, 1), 2.0)
    )
    assert float(value) == 0
    np.testing.assert_array_equal(slope, [[0.0]])


def test_the_variance_of_a_label_that_is_traced_is_not_asked_for():
    """While its second moment is known."""
    second, target = jnp.diag(jnp.asarray([1.0, 2.0])), jnp.asarray([1.0, 0.0])
    plain = margin_error(jnp.eye(2), pt.problems.Downstream(second, target), 5)
    known = pt.problems.Downstream(second, target)
    traced = jax.jit(
        lambda t: margin_error(jnp.eye(2), eqx.tree_at(lambda d: d.target, known, t), 5)
    )
    np.testing.assert_allclose(traced(target), plain, rtol=1e-12)


def test_layers_of_mixed_features_are_granted_the_rounding_of_their_powers_on_top():
    """Eight roundings a layer, of what the error of M makes of its powers."""
    moments = pt.Moments(
        jnp.asarray([[0.5, 0.1], [0.1, 0.3]]), jnp.asarray([[1.0, 0.2], [0.2, 1.0]])
    )
    found = layerwise(moments, 3)
    powers = power_rounding(found.grams, found.minimiser.kept, found.minimiser.rounding)
    np.testing.assert_allclose(
        found.rounding[:-1] - powers[:-1], 24 * np.finfo(float).eps, rtol=1e-6
    )


@pytest.mark.parametrize("zero", ["weight", "strength"])
def test_a_feature_without_weight_or_strength_counts_for_no_threshold(zero):
    """With a head as deep as the network too, where layers before it weight all features alike."""
    weights, strength = jnp.asarray([1.0, 0.5, 2.0]), jnp.asarray([1.0, 0.7, 0.4])
    more = (
        jnp.append(weights, float(zero == "strength")),
        jnp.append(strength, float(zero == "weight")),
    )
    np.testing.assert_allclose(
        boundary_weight(*more, 0, 2, head_depth=2),
        boundary_weight(weights, strength, 0, 2, head_depth=2),
        rtol=1e-12,
    )


def test_of_modes_that_tie_at_the_cut_none_is_kept_however_they_are_rounded():
    """Three that differ by less than the rounding of each, one of which the width cuts off; the
    larger of them no more than the others.
    """
    half = 0.5 * (1 + np.finfo(float).eps * np.array([4, 0, 0]))
    found = spectral(pt.Moments(jnp.diag(jnp.append(0.9, half)), jnp.eye(4)), 3, throw=False)
    assert not found.unique
    assert int(found.kept) == 1
    np.testing.assert_allclose(found.gram, np.diag([0.9, 0, 0, 0]), atol=1e-15)
    chain = 0.5 * (1 + np.finfo(float).eps * np.array([19, 10, 0]))
    assert int(spectral(pt.Moments(jnp.diag(chain), jnp.eye(3)), 2, throw=False).kept) == 0


@pytest.mark.parametrize("mixed", ["cross", "second"])
def test_fractions_of_mixed_features_err_as_the_whitened_moment_does(mixed):
    """Whichever of the two moments mixes them; each to its own digits if none does."""
    plain, other = jnp.diag(jnp.asarray([0.5, 0.3])), jnp.asarray([[0.5, 0.1], [0.1, 0.3]])
    found = spectral(
        pt.Moments(other, jnp.eye(2)) if mixed == "cross" else pt.Moments(plain, 2 * other)
    )
    np.testing.assert_array_equal(found.fraction_rounding, [found.whitening.rounding] * 2)
    apart = spectral(pt.Moments(plain, jnp.eye(2)))
    np.testing.assert_allclose(
        apart.fraction_rounding, 16 * np.finfo(float).eps * np.array([0.5, 0.3])
    )


def test_a_map_that_nothing_is_cut_from_errs_as_both_of_its_factors():
    """The inverse root, and the whitened map, whose error is as large in all directions."""
    target, second = np.diag([0.8, 0.1]), np.diag([1.0, 4.0])
    found = regression_minimiser(
        pt.moments.TargetMoments(jnp.asarray(target), jnp.asarray(second), 10.0)
    )
    root = np.diag([1.0, 0.5])
    everything = (
        np.linalg.norm(target @ root, 2)
        * np.linalg.norm(root)
        / np.linalg.norm(target @ root @ root)
    )
    np.testing.assert_allclose(
        found.rounding, found.whitening.rounding * (1 + everything), rtol=1e-12
    )
    np.testing.assert_allclose(found.weights, [[0.8, 0.025]], rtol=1e-12)


def test_a_transient_is_as_long_as_the_start_is_small():
    """1 / (4 L e q^2 s^e t), with e = 3 at depth 2 and e = 2 at depth 1."""
    np.testing.assert_allclose(
        dynamics.vanishing_transient(10.0, 0.1, 2.0, 2), 1 / (4 * 2 * 3 * 4 * 1e-3 * 10), rtol=1e-12
    )
    np.testing.assert_allclose(
        dynamics.vanishing_transient(10.0, 0.1, 2.0, 1), 1 / (4 * 2 * 4 * 1e-2 * 10), rtol=1e-12
    )


def test_the_end_of_a_mode_is_never_reached_and_leaves_derivatives_finite():
    """Neither is it from the other side, nor by a mode without variance."""
    time = lambda weight, start, target, second: regression.time_to_weight(
        weight, start, target, second, 1
    )
    for weight, start, target, second in (
        (0.5, 0.1, 1.0, 2.0),
        (0.6, 0.1, 1.0, 2.0),
        (0.5, 0.1, 0.0, 0.0),
    ):
        assert time(weight, start, target, second) == np.inf
        assert np.isfinite(jax.grad(time, argnums=(0, 1, 2))(weight, start, target, second)).all()
