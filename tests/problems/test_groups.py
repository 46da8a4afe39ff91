"""Inputs in groups and the supervised problems made of them: moments against samples and brute
force, and bad input.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from projhead_theory import DeepLinear, SupervisedContrastiveProblem, SupervisedProblem
from projhead_theory.losses import mse, spectral
from projhead_theory.moments import TargetMoments
from projhead_theory.problems import Groups, Labelled, MixedPositives, ShiftProblem
from projhead_theory.simulation import layer_gradients

KEY = jax.random.key(0)
MANY = 200_000


def three():
    """Three classes of unequal probability, five groups."""
    rng = np.random.default_rng(0)
    return Groups(
        [0.1, 0.2, 0.25, 0.3, 0.15],
        rng.standard_normal((5, 4)),
        [0.5, 0.0, 1.0, 0.3],
        [0, 1, 1, 2, 2],
    )


def within(value, want, samples, scale=1.0):
    """Six standard errors of a mean of so many terms of this size."""
    np.testing.assert_allclose(value, want, atol=6 * scale / samples**0.5)


def test_moments_of_pairs_of_a_class_are_those_of_samples():
    """Exact moments, from a loop over classes, and from drawn pairs within six standard errors."""
    g = three()
    moments = SupervisedContrastiveProblem(g).moments()
    p, m, labels = (np.asarray(x) for x in (g.probability, g.means, g.labels))
    cross = sum(
        np.outer(x := p[labels == k] @ m[labels == k], x) / p[labels == k].sum() for k in range(3)
    )
    np.testing.assert_allclose(moments.cross, cross, atol=1e-6)
    np.testing.assert_allclose(
        moments.second, (m.T * p) @ m + np.diag([0.25, 0.0, 1.0, 0.09]), atol=1e-6
    )
    assert np.linalg.matrix_rank(np.asarray(moments.cross), tol=1e-5) == 3
    seen = SupervisedContrastiveProblem(g).sample_pairs(KEY, MANY).moments()
    assert (np.abs(seen.cross - moments.cross) < 6 * seen.cross_error + 1e-7).all()
    assert (np.abs(seen.second - moments.second) < 6 * seen.second_error + 1e-7).all()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_mixed_positives_have_the_mixture_of_both_cross_moments(share):
    g = Groups.signs([1.0, 0.8], [0.4, 0.6], [0.5], balance=0.3)
    problem = SupervisedContrastiveProblem(g, MixedPositives(share))
    classes, views = (
        SupervisedContrastiveProblem(g, MixedPositives(a)).moments().cross for a in (1.0, 0.0)
    )
    moments = problem.moments()
    np.testing.assert_allclose(moments.cross, share * classes + (1 - share) * views, atol=1e-6)
    seen = problem.sample_pairs(KEY, MANY).moments()
    assert (np.abs(seen.cross - moments.cross) < 6 * seen.cross_error + 1e-7).all()


def test_signs_have_the_stated_correlations_given_the_class():
    g = Groups.signs([2.0, 1.0, 0.5], 0.3, [0.6, -0.9], balance=0.2)
    assert (g.means.shape, g.classes, g.dim) == ((8, 3), 2, 3)
    np.testing.assert_allclose(g.class_probability, [0.8, 0.2], atol=1e-6)
    np.testing.assert_allclose(g.class_means, [[-2.0, -0.6, 0.45], [2.0, 0.6, -0.45]], atol=1e-6)
    x, group = g.sample(KEY, MANY)
    label = np.asarray(g.labels)[np.asarray(group)]
    within(label.mean(), 0.2, MANY, 0.4)
    within(np.asarray(x)[label == 1].mean(0), [2.0, 0.6, -0.45], 0.2 * MANY, 1.1)
    within(
        (np.asarray(x)[label == 0] - np.asarray(g.means[group])[label == 0]).std(0),
        [0.3] * 3,
        0.8 * MANY,
        0.3,
    )


def test_a_perfect_correlation_leaves_groups_without_probability():
    """The problem is still one: two groups of four are never drawn, and no class is empty."""
    g = Groups.signs([1.0, 1.0], 0.0, [1.0])
    x, group = g.sample(KEY, 500)
    assert set(np.asarray(group).tolist()) == {0, 3}
    assert (np.asarray(x[:, 0]) == np.asarray(x[:, 1])).all()
    pair = SupervisedContrastiveProblem(g).sample_pairs(KEY, 500)
    np.testing.assert_array_equal(pair.first, pair.second)


def test_regression_moments_are_those_of_samples():
    problem = SupervisedProblem(three())
    moments, data = problem.moments(), problem.sample(KEY, MANY)
    x, y = np.asarray(data.inputs), np.asarray(data.targets)
    within(y.T @ x / MANY, moments.target, MANY, 2.0)
    within(x.T @ x / MANY, moments.second, MANY, 8.0)
    assert float(moments.power) == pytest.approx(1.0, abs=1e-6)
    signed = SupervisedProblem(Groups.signs([1.0, 0.5], 0.3, [0.4]), [[-1.0], [1.0]]).moments()
    np.testing.assert_allclose(signed.target, [[1.0, 0.2]], atol=1e-6)


def test_population_squared_error_is_that_of_all_rows():
    """Of a sample as a population: the moments of its rows give the loss of its rows, and the same
    layer gradients.
    """
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    moments = TargetMoments(y.T @ x / 20, x.T @ x / 20, (y**2).sum() / 20)
    network = DeepLinear.init(KEY, (3, 4, 2))
    np.testing.assert_allclose(mse(network, moments), mse(network, Labelled(x, y)), rtol=1e-5)
    for a, b in zip(
        layer_gradients(network, moments, mse),
        layer_gradients(network, Labelled(x, y), mse),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=2e-6)


def test_a_shift_changes_the_correlations_alone():
    problem = ShiftProblem([1.0, 2.0, 1.5], 0.5, [0.9, 0.8], [0.0, -0.5])
    np.testing.assert_array_equal(problem.training.means, problem.test.means)
    np.testing.assert_array_equal(problem.training.labels, problem.test.labels)
    np.testing.assert_allclose(problem.test.class_means[1], [1.0, 0.0, -0.75], atol=1e-6)
    train, test = problem.sample(KEY, 5_000)
    assert np.corrcoef(train.inputs[:, 1], train.targets)[0, 1] > 0.8
    assert abs(np.corrcoef(test.inputs[:, 1], test.targets)[0, 1]) < 0.1


def test_reading_a_feature_relabels_the_groups():
    g = Groups.signs([1.0, 0.5], 0.3, [0.4])
    np.testing.assert_array_equal(g.read(0).labels, g.labels)
    np.testing.assert_array_equal(g.read(1).labels, [1, 0, 1, 0])


def test_groups_pass_through_jit_without_recompiling():
    count = 0

    @jax.jit
    def cross(strength, r):
        nonlocal count
        count += 1
        return SupervisedContrastiveProblem(Groups.signs(strength, 0.1, r)).moments().cross

    for r in (0.2, 0.9):
        value = cross(jnp.array([1.0, 2.0]), jnp.array([r]))
        np.testing.assert_allclose(value, [[1.0, 2 * r], [2 * r, 4 * r**2]], rtol=1e-5)
    assert count == 1


def test_float32_stays_float32():
    g = Groups.signs(
        jnp.ones(2, jnp.float32), jnp.float32(0.1), jnp.array([0.5], jnp.float32), jnp.float32(0.5)
    )
    problem = SupervisedContrastiveProblem(g, MixedPositives(jnp.float32(0.5)))
    assert problem.moments().cross.dtype == jnp.float32
    assert problem.sample_pairs(KEY, 4).first.dtype == jnp.float32
    assert SupervisedProblem(g).moments().target.dtype == jnp.float32


HALF = [0.5, 0.5]
BAD = {
    "probabilities that do not sum to one": (
        lambda: Groups([0.5, 0.4], np.eye(2), 0.1, [0, 1]),
        r"probability: got a sum of 0.9",
    ),
    "a negative probability": (
        lambda: Groups([1.5, -0.5], np.eye(2), 0.1, [0, 1]),
        "probability: got 1.5 at index 0",
    ),
    "an empty class": (
        lambda: Groups(HALF, np.eye(2), 0.1, [0, 2]),
        "labels: got class 1 without any probability",
    ),
    "a class without probability": (
        lambda: Groups([1.0, 0.0], np.eye(2), 0.1, [0, 1]),
        "labels: got class 1 without",
    ),
    "a label out of range": (
        lambda: Groups(HALF, np.eye(2), 0.1, [0, 2], 2),
        "labels: got 2 at index 1; want whole numbers from 0 to 1",
    ),
    "a negative label": (
        lambda: Groups(HALF, np.eye(2), 0.1, [0, -1], 2),
        "labels: got -1 at index 1",
    ),
    "labels that are no integers": (
        lambda: Groups(HALF, np.eye(2), 0.1, [0.0, 1.0]),
        "labels: got shape",
    ),
    "means of another number": (lambda: Groups(HALF, np.eye(3), 0.1, [0, 1]), "means: got shape"),
    "negative noise": (lambda: Groups(HALF, np.eye(2), -0.1, [0, 1]), "noise: got -0.1"),
    "noise of another number": (
        lambda: Groups(HALF, np.eye(2), [0.1] * 3, [0, 1]),
        "noise: got shape",
    ),
    "a correlation beyond one": (
        lambda: Groups.signs([1.0, 1.0], 0.1, [1.5]),
        r"correlation: got 1.5 at index 0; want correlations in",
    ),
    "too few correlations": (
        lambda: Groups.signs([1.0, 1.0], 0.1),
        "correlation: got 0 numbers; want 1",
    ),
    "one class alone": (lambda: Groups.signs([1.0], 0.1, balance=1.0), "balance: got 1.0"),
    "a strength of zero": (lambda: Groups.signs([0.0], 0.1), "strength: got 0.0"),
    "mixing beyond one": (lambda: MixedPositives(1.2), "share: got 1.2"),
    "several mixings": (lambda: MixedPositives([0.1, 0.2]), "share: got shape"),
    "targets of another number": (
        lambda: SupervisedProblem(three(), np.ones((2, 1))),
        r"targets: got shape \(2, 1\)",
    ),
    "no such feature": (lambda: three().read(4), "feature: got 4"),
    "a feature of one sign": (
        lambda: Groups(HALF, [[1.0], [2.0]], 0.1, [0, 1]).read(0),
        "labels: got class 0 without",
    ),
    "a shift beyond one": (
        lambda: ShiftProblem([1.0, 1.0], 0.1, [0.5], [-1.1]),
        "correlation: got -1.1",
    ),
    "a shift of another number": (
        lambda: ShiftProblem([1.0, 1.0], 0.1, [0.5], [0.1, 0.1]),
        "correlation: got 2 numbers",
    ),
    "target moments of another width": (
        lambda: TargetMoments(np.ones((1, 3)), np.eye(2)),
        "target: got shape",
    ),
    "a target where nothing varies": (
        lambda: TargetMoments([[1.0, 1.0]], np.diag([1.0, 0.0]), 5.0),
        "target: got a moment 1",
    ),
    "too little power": (lambda: TargetMoments([[1.0, 1.0]], np.eye(2), 1.0), "power: got 1"),
    "a second moment that is none": (
        lambda: TargetMoments([[1.0, 1.0]], np.diag([1.0, -1.0])),
        "second: got least eigenvalue -1",
    ),
    "another number of outputs": (
        lambda: mse(DeepLinear([np.eye(2)]), TargetMoments([[1.0, 1.0]], np.eye(2))),
        "data: got targets",
    ),
    "a loss without targets": (
        lambda: spectral(DeepLinear([np.eye(2)]), TargetMoments(np.eye(2), np.eye(2))),
        "data: got TargetMoments",
    ),
}


@pytest.mark.parametrize(("call", "says"), BAD.values(), ids=BAD.keys())
@pytest.mark.usefixtures("untyped")
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=f"^{says}"):
        call()
