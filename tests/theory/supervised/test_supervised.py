"""Supervised contrastive and supervised learning in closed form: against brute force, quadrature
and degenerate inputs.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import some
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp
from scipy.special import hyp2f1

from projhead_theory import (
    DeepLinear,
    Moments,
    SupervisedContrastiveProblem,
    SupervisedProblem,
    measure,
    theory,
)
from projhead_theory.moments import TargetMoments
from projhead_theory.problems import Groups, MixedPositives
from projhead_theory.theory.dynamics import regression
from projhead_theory.theory.supervised import (
    class_minimiser,
    collapses,
    collapsing_weight,
    group_accuracy,
    mixed_subclass_weight,
    regression_minimiser,
    subclass_weights,
)

KEY = jax.random.key(0)
MODES = [(1.0, 0.7, 1e-3), (0.4, 2.0, 1.5), (0.0, 0.6, 1.0), (2.0, 0.5, 0.3)]


# Regression dynamics


@pytest.mark.x64
@pytest.mark.parametrize("depth", some([1, 2, 3, 4, 5], 0, 2))
def test_a_mode_moves_as_the_equation_says(depth):
    """Against a Runge-Kutta solution, from below and above the end, and without signal; odd depths
    are half-integers below.
    """
    times = np.array([0.3, 2.0, 9.0])
    a, q, start = (np.array(x)[:, None] for x in zip(*MODES, strict=True))
    want = [
        solve_ivp(
            lambda t, s, a=a, q=q: depth * s ** (2 - 2 / depth) * (a - q * s),
            (0, 9),
            [s0],
            "DOP853",
            times,
            rtol=1e-12,
            atol=1e-99,
        ).y[0]
        for a, q, s0 in MODES
    ]
    weights = regression.weight_at_time(times, start, a, q, depth)
    np.testing.assert_allclose(weights, want, rtol=1e-10)
    layers = regression.layer_weights(times, start, a, q, depth)
    np.testing.assert_allclose(
        layers, weights[..., None] ** (np.arange(1, depth + 1) / depth), rtol=1e-13
    )


@pytest.mark.x64
@pytest.mark.parametrize("depth", some([1, 2, 3, 4, 5], 0, 2))
def test_time_is_the_integral_and_the_inverse(depth):
    a, q = 1.3, 0.8
    for start, end in ((0.01, 0.9), (1.2, 1.5), (3.0, 1.8)):
        want = quad(
            lambda s: 1 / (depth * s ** (2 - 2 / depth) * (a - q * s)),
            start,
            end,
            epsabs=0,
            epsrel=1e-12,
        )[0]
        time = regression.time_to_weight(end, start, a, q, depth)
        np.testing.assert_allclose(time, want, rtol=1e-10)
        np.testing.assert_allclose(
            regression.time_to_weight(start, end, a, q, depth), -want, rtol=1e-10
        )
        np.testing.assert_allclose(
            regression.weight_at_time(time, start, a, q, depth), end, rtol=1e-10
        )
    if depth > 2:
        f = lambda s: (
            s ** (2 / depth - 1)
            / ((2 / depth - 1) * a)
            * hyp2f1(1, 2 / depth - 1, 2 / depth, q * s / a)
        )
        np.testing.assert_allclose(
            regression.time_to_weight(0.9, 0.01, a, q, depth), (f(0.9) - f(0.01)) / depth, rtol=1e-8
        )


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_modes_without_motion_stay_and_nothing_is_a_nan(depth, eps):
    """No variance, no signal at zero, already there, and infinite times; the sigmoid at depth 2."""
    inf = np.inf
    np.testing.assert_allclose(
        regression.weight_at_time(3.0, 0.7, 0.0, 0.0, depth), 0.7, rtol=4 * eps
    )
    assert float(regression.weight_at_time(5.0, 0.0, 0.0, 1.0, depth)) == 0
    np.testing.assert_allclose(
        regression.weight_at_time(5.0, 2.0, 1.0, 0.5, depth), 2.0, rtol=8 * eps
    )
    np.testing.assert_allclose(
        regression.weight_at_time(inf, 0.1, 1.0, 0.5, depth), 2.0, rtol=8 * eps
    )
    assert float(regression.weight_at_time(inf, 0.1, 0.0, 0.5, depth)) == 0
    assert float(regression.time_to_weight(2.0, 0.1, 1.0, 0.5, depth)) == inf
    assert float(regression.time_to_weight(3.0, 0.1, 1.0, 0.5, depth)) == inf
    assert float(regression.time_to_weight(0.1, 0.1, 1.0, 0.5, depth)) == 0
    assert (
        regression.weight_at_time(
            jnp.float32(1), jnp.float32(0.1), jnp.float32(1), jnp.float32(1), depth
        ).dtype
        == jnp.float32
    )


def test_retention_exponents_are_those_of_the_power_law(eps):
    """Over a late decade; at depth 1 there is none."""
    for depth in (2, 3, 4):
        early, late = (regression.layer_weights(t, 1.0, 0.0, 0.7, depth) for t in (1e5, 1e6))
        slopes = -np.log10(np.asarray(late / early))
        np.testing.assert_allclose(
            slopes,
            [regression.retention_exponent(depth, layer) for layer in range(1, depth + 1)],
            rtol=1e-3,
        )
    assert regression.retention_exponent(1, 1) == np.inf
    assert (regression.retention_exponent(2, 1), regression.retention_exponent(2, 2)) == (0.5, 1.0)


# The minimiser of regression


def task(seed, k=3, d=5, rows=60):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, d)) * np.geomspace(1, 0.2, d)
    y = x @ rng.standard_normal((d, k)) + rng.standard_normal((rows, k))
    return x, y, TargetMoments(y.T @ x / rows, x.T @ x / rows, (y**2).sum() / rows)


@pytest.mark.x64
def test_the_full_minimiser_is_least_squares():
    x, y, moments = task(0)
    found = regression_minimiser(moments, 3)
    want = np.linalg.lstsq(x, y, rcond=None)[0].T
    np.testing.assert_allclose(found.matrix, want, rtol=1e-9)
    np.testing.assert_allclose(found.loss, ((x @ want.T - y) ** 2).sum() / 60 / 2, rtol=1e-10)
    _, s, vt = np.linalg.svd(want, full_matrices=False)
    for level in (1, 2, 3):
        np.testing.assert_allclose(
            found.grams[level - 1], (vt.T * s ** (2 * level / 3)) @ vt, atol=1e-9
        )


@pytest.mark.x64
def test_a_width_below_the_rank_is_cut_in_the_metric_of_the_inputs():
    """Alternating least squares from many starts finds no less, and ends at the same map; plain
    truncation of A S^-1 is worse.
    """
    _, _, moments = task(1)
    a, s, rng = np.asarray(moments.target), np.asarray(moments.second), np.random.default_rng(2)
    loss = lambda w: np.trace(w @ s @ w.T) / 2 - np.sum(w * a) + float(moments.power) / 2
    found = regression_minimiser(moments, 1, 2)
    ends = []
    for _ in range(3):
        u = rng.standard_normal((3, 2))
        for _ in range(400):
            v = np.linalg.solve(u.T @ u, u.T) @ a @ np.linalg.inv(s)
            u = a @ v.T @ np.linalg.inv(v @ s @ v.T)
        ends.append(u @ v)
    for w in ends:
        np.testing.assert_allclose(w, found.matrix, atol=1e-7)
    np.testing.assert_allclose(loss(np.asarray(found.matrix)), found.loss, rtol=1e-10)
    left, sizes, right = np.linalg.svd(a @ np.linalg.inv(s), full_matrices=False)
    assert loss((left[:, :2] * sizes[:2]) @ right[:2]) > float(found.loss) + 1e-3


@pytest.mark.x64
def test_directions_without_variance_get_no_weight():
    x, y, _ = task(3)
    x[:, 1] = 2 * x[:, 0]
    moments = TargetMoments(y.T @ x / 60, x.T @ x / 60, (y**2).sum() / 60)
    np.testing.assert_allclose(
        regression_minimiser(moments).matrix, (np.linalg.pinv(x) @ y).T, atol=1e-9
    )
    zero = regression_minimiser(TargetMoments(np.zeros((2, 2)), np.eye(2)), 2)
    assert not np.asarray(zero.matrix).any()
    assert float(zero.loss) == 0


def test_a_cut_through_tied_correlations_is_said():
    moments = TargetMoments(np.eye(3), np.eye(3))
    with pytest.raises(theory.layers.NonUniqueMinimiserError, match=r"^width: got 2, which cuts"):
        regression_minimiser(moments, 1, 2)
    assert not bool(regression_minimiser(moments, 1, 2, throw=False).unique)
    assert bool(regression_minimiser(moments).unique)


# Supervised contrastive


@given(
    st.floats(0.3, 3), st.floats(0.3, 3), st.floats(0, 2), st.floats(0.1, 2), st.floats(-0.95, 0.95)
)
@pytest.mark.x64
def test_two_classes_weigh_a_subclass_as_the_discriminant_does(phi_c, phi_s, sigma_c, sigma_s, r):
    """Against the general minimiser of the exact moments, at every layer."""
    moments = SupervisedContrastiveProblem(
        Groups.signs([phi_c, phi_s], [sigma_c, sigma_s], [r])
    ).moments()
    layers = theory.layers.layerwise(moments, 3, width=1)
    np.testing.assert_allclose(
        subclass_weights([phi_c, phi_s], [sigma_c, sigma_s], r, 3),
        layers.weights,
        atol=1e-7,
    )
    np.testing.assert_allclose(class_minimiser(moments), layers.grams[-1], atol=1e-8)


def test_collapse_is_exact_in_every_layer():
    """Without noise of the class, or correlation, the subclass has weight zero to the bit; else the
    same ratio in all layers.
    """
    for sigma_c, r in ((0.0, 0.7), (0.8, 0.0)):
        weights = subclass_weights([1.0, 2.0], [sigma_c, 0.5], r, 4)
        assert (np.asarray(weights[:, 1]) == 0).all()
        assert bool(collapses([sigma_c, 0.5], r))
    weights = np.asarray(subclass_weights([1.0, 2.0], [0.8, 0.5], 0.4, 4))
    np.testing.assert_allclose(
        weights[:, 1] / weights[:, 0], 0.4 * 2 * 0.64 / (4 * 0.84 + 0.25), rtol=1e-5
    )
    assert not bool(collapses([0.8, 0.5], 0.4))


@pytest.mark.x64
def test_more_classes_than_dimensions_and_unequal_shares():
    rng = np.random.default_rng(4)
    for k, d in ((3, 6), (6, 3)):
        p = rng.dirichlet(np.ones(k))
        moments = SupervisedContrastiveProblem(
            Groups(p, rng.standard_normal((k, d)), 0.7, np.arange(k))
        ).moments()
        np.testing.assert_allclose(
            class_minimiser(moments),
            theory.layers.spectral(moments, min(k, d)).gram,
            atol=1e-9,
        )


@pytest.mark.x64
def test_views_among_the_positives_keep_the_subclass():
    groups = Groups.signs([1.0, 0.8], [0.4, 0.6], [0.0])
    for share in (0.0, 0.3, 0.95, 1.0):
        moments = SupervisedContrastiveProblem(groups, MixedPositives(share)).moments()
        want = theory.layers.layerwise(moments, 3).weights[:, 1]
        np.testing.assert_allclose(mixed_subclass_weight(share, 0.8, 0.6, 3), want, atol=1e-9)
    assert mixed_subclass_weight(jnp.ones(4) / 2, 0.8, 0.6, 2).shape == (4, 2)


@pytest.mark.x64
def test_a_collapsing_direction_alone_follows_the_law_of_vanishing_features():
    """Where nothing is correlated with it: the exact power law, late."""
    moments = Moments(np.diag([1.0, 0.0]), np.diag([1.3, 0.7]))
    for depth in (1, 2, 3):
        late = theory.dynamics.layer_weights(1e8, 1.0, 0.0, 0.7, depth)
        np.testing.assert_allclose(
            collapsing_weight(1e8, moments, jnp.array([0.0, 1.0]), depth),
            late,
            rtol=1e-3,
        )


# Readouts


def test_accuracy_needs_the_gram_alone(eps):
    """Another factorisation of the same Grams, and the solve on the layers themselves, give the
    same accuracies.
    """
    groups = Groups.signs([1.0, 0.8, 0.5], [0.3, 0.6, 0.2], [0.5, -0.2], balance=0.3)
    network = DeepLinear.init(KEY, (3, 5, 2))
    found = group_accuracy(measure.layer_grams(network), groups, groups.read(1), 0.2)
    seen = measure.group_accuracy(network, groups, groups.read(1), 0.2)
    np.testing.assert_allclose(found.groups, seen, atol=1e5 * eps)
    np.testing.assert_allclose(
        found.average, np.asarray(seen) @ np.asarray(groups.probability), atol=1e5 * eps
    )
    np.testing.assert_allclose(found.worst, np.asarray(seen).min(1), atol=1e5 * eps)


@pytest.mark.x64
def test_accuracy_is_that_of_a_fitted_probe_on_noisy_layers():
    """Inputs are drawn, layers computed and blurred, least squares fitted, and its errors on each
    group counted.
    """
    groups = Groups.signs([1.0, 0.8], [0.5, 0.6], [0.4])
    network, n, blur = DeepLinear.init(KEY, (2, 3, 2)), 60_000, 0.4
    x, group = groups.sample(KEY, n)
    exact = np.asarray(measure.group_accuracy(network, groups, groups.read(1), blur))
    for level, layer in enumerate(network.products()):
        r = np.asarray(x @ layer.T)
        r = r + blur * np.sqrt((r**2).sum(1).mean()) * np.random.default_rng(level).standard_normal(
            r.shape
        )
        v = np.linalg.lstsq(
            r[: n // 2],
            2 * np.asarray(groups.labels)[np.asarray(group)][: n // 2] - 1.0,
            rcond=None,
        )[0]
        hit = (r[n // 2 :] @ v > 0) == np.asarray(groups.read(1).labels)[np.asarray(group)][
            n // 2 :
        ]
        for g in range(4):
            inside = np.asarray(group)[n // 2 :] == g
            np.testing.assert_allclose(
                hit[inside].mean(), exact[level, g], atol=6 * 0.5 / inside.sum() ** 0.5
            )


def test_layers_of_rank_one_are_equivalent_and_so_are_full_layers_without_blur(eps):
    """The two honest negatives: a single output, and a noiseless readout."""
    groups = Groups.signs([1.0, 0.8], [0.5, 0.6], [0.4])
    test = Groups.signs([1.0, 0.8], [0.5, 0.6], [-0.9])
    moments = SupervisedProblem(groups, [[-1.0], [1.0]]).moments()
    single = group_accuracy(regression_minimiser(moments, 3).grams, groups, test, 0.3).groups
    np.testing.assert_allclose(single[0], single[2], atol=64 * eps)
    grams = jnp.stack([jnp.diag(jnp.array([1.0, w])) for w in (1.0, 0.25, 0.1)])
    full = group_accuracy(grams, groups, test, 1e-3).groups
    np.testing.assert_allclose(full[0], full[2], atol=1e-3)
    assert (
        np.abs(np.asarray(group_accuracy(grams, groups, test, 0.5).groups)[0] - full[2]).max()
        > 0.01
    )


def test_a_dead_layer_guesses():
    groups = Groups.signs([1.0, 0.8], 0.5, [0.4])
    np.testing.assert_array_equal(
        group_accuracy(jnp.zeros((1, 2, 2)), groups, groups).average, [0.5]
    )
    np.testing.assert_array_equal(
        measure.group_accuracy(DeepLinear([jnp.zeros((2, 2))]), groups, groups),
        np.full((1, 4), 0.5),
    )


CLASSES = Groups([0.5, 0.3, 0.2], np.eye(3), 0.1, [0, 1, 2])
PAIR = Groups.signs([1.0, 0.8], 0.5, [0.4])
COLLAPSING = Moments(np.diag([1.0, 0.0]), np.eye(2))
BAD = {
    "target": (lambda: regression.weight_at_time(1.0, 1.0, 1.0, 0.0, 2), "target: got 1.0"),
    "negative target": (
        lambda: regression.time_to_weight(1.0, 1.0, -1.0, 1.0, 2),
        "target: got -1.0",
    ),
    "layer": (lambda: regression.retention_exponent(2, 3), "layer: got 3"),
    "depth": (
        lambda: regression_minimiser(TargetMoments(np.eye(2), np.eye(2)), 0),
        "depth: got 0",
    ),
    "correlation": (
        lambda: subclass_weights([1.0, 1.0], [0.1, 0.1], 1.1, 2),
        "correlation: got 1.1",
    ),
    "strengths": (
        lambda: subclass_weights([1.0], [0.1, 0.1], 0.1, 2),
        "strength: got shape",
    ),
    "no inverse": (
        lambda: subclass_weights([1.0, 1.0], [0.0, 0.0], 1.0, 2),
        "noise: got 0.0",
    ),
    "share": (lambda: mixed_subclass_weight(1.1, 1.0, 0.1, 2), "share: got 1.1"),
    "time": (
        lambda: collapsing_weight(0.0, COLLAPSING, jnp.array([0.0, 1.0]), 2),
        "time: got 0.0",
    ),
    "direction": (
        lambda: collapsing_weight(1.0, COLLAPSING, jnp.array([1.0, 1.0]), 2),
        "direction: got 0.7",
    ),
    "three classes": (
        lambda: group_accuracy(jnp.eye(3)[None], CLASSES, CLASSES),
        "fitted: got 3 classes",
    ),
    "dimension": (
        lambda: group_accuracy(jnp.eye(3)[None], PAIR, PAIR),
        "fitted: got dimension 2",
    ),
    "blur": (
        lambda: group_accuracy(jnp.eye(2)[None], PAIR, PAIR, 0.0),
        "blur: got 0.0",
    ),
    "measured classes": (
        lambda: measure.group_accuracy(DeepLinear([jnp.eye(3)]), CLASSES, CLASSES),
        "fitted: got 3 classes",
    ),
    "measured dimension": (
        lambda: measure.group_accuracy(DeepLinear([jnp.eye(3)]), PAIR, PAIR),
        "fitted: got dimension 2",
    ),
}


@pytest.mark.parametrize(("call", "says"), BAD.values(), ids=BAD.keys())
@pytest.mark.usefixtures("untyped")
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=f"^{says}"):
        call()
