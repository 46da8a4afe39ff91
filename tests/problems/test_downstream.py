"""Downstream problems: labels are what they say, the moments are those of the samples, and the
target separates them.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from projhead_theory import DownstreamProblem, Features
from projhead_theory.problems import Labelled, LinearLabel, MajorityLabel, SignLabel

STRENGTH = [2.0, 1.0, 0.5, 1.5]
LABELS = {
    "sign": SignLabel(2),
    "linear": LinearLabel([0.5, -1.0, 0.0, 0.7]),
    "majority": MajorityLabel([0, 3, 1]),
}


def mixing(rows=4, seed=0):
    """Of independent columns, not orthogonal."""
    return np.random.default_rng(seed).standard_normal((rows, 4))


def problem(label, distribution="rademacher", **options):
    return DownstreamProblem(
        Features(STRENGTH, distribution, options.pop("mixing", None)), label, **options
    )


def drawn(p, n=512, seed=0):
    data = p.sample(jax.random.key(seed), n)
    assert isinstance(data, Labelled)
    return np.asarray(data.inputs), np.asarray(data.targets)


def test_labels_are_those_of_the_features():
    """Sign, linear function and majority, written out in NumPy."""
    for name, label in LABELS.items():
        x, y = drawn(problem(label, "gaussian"))
        want = {
            "sign": x[:, 2],
            "linear": x @ [0.5, -1.0, 0.0, 0.7],
            "majority": np.sign(x[:, [0, 1, 3]]).sum(1),
        }[name]
        np.testing.assert_array_equal(y, want > 0)
        assert np.issubdtype(y.dtype, np.integer)


@pytest.mark.parametrize("rows", [4, 7])
@pytest.mark.parametrize("label", LABELS)
def test_target_gives_the_score_that_the_label_is_the_sign_of(label, rows, eps):
    """Whatever the mixing, into the same or a larger space; majority and sign by a margin of
    one.
    """
    p = problem(LABELS[label], mixing=mixing(rows))
    x, y = drawn(p)
    score = x @ np.asarray(p.moments().target)
    np.testing.assert_array_equal(score > 0, y == 1)
    if label != "linear":
        assert np.abs(score).min() == pytest.approx(1, rel=1e3 * eps)


def test_linear_target_is_the_linear_function_of_the_features(eps):
    p = problem(LABELS["linear"], mixing=mixing(6))
    u = p.features.sample(jax.random.key(5), 64)
    score = p.features.embed(u) @ p.moments().target
    np.testing.assert_allclose(score, u @ LABELS["linear"].coefficients, atol=1e3 * eps)


@pytest.mark.parametrize("distribution", ["rademacher", "gaussian"])
def test_second_moment_is_that_of_the_samples(distribution):
    p = problem(SignLabel(0), distribution, mixing=mixing(5))
    x, _ = drawn(p, 2**15)
    second = np.asarray(p.moments().second)
    # The variance of an entry is at most twice the product of the variances of its coordinates.
    spread = np.sqrt(2 * np.outer(np.diag(second), np.diag(second)) / len(x))
    assert (np.abs(x.T @ x / len(x) - second) < 5 * spread).all()


def test_moments_of_unmixed_features_are_diagonal():
    moments = problem(MajorityLabel([1])).moments()
    np.testing.assert_array_equal(moments.second, np.diag(np.square(STRENGTH)))
    np.testing.assert_array_equal(moments.target, [0, 1, 0, 0])


def test_label_noise_flips_at_its_rate_and_leaves_the_inputs():
    clean, noisy = (drawn(problem(SignLabel(1), label_noise=q), 2**14) for q in (0.0, 0.2))
    np.testing.assert_array_equal(clean[0], noisy[0])
    assert np.mean(clean[1] != noisy[1]) == pytest.approx(0.2, abs=5 * (0.16 / 2**14) ** 0.5)


def test_a_score_of_zero_is_class_zero():
    data = problem(LinearLabel([1.0, -2.0, 0.0, 0.0])).sample(jax.random.key(0), 64)
    tied = np.asarray(data.inputs) @ [1.0, -2.0, 0.0, 0.0] == 0
    assert tied.any()
    assert not np.asarray(data.targets)[tied].any()


def test_more_features_than_samples():
    p = DownstreamProblem(Features(np.ones(300)), SignLabel(299))
    assert p.sample(jax.random.key(0), 2).inputs.shape == (2, 300)
    assert p.dim == 300


def test_dtype_is_that_of_the_strengths():
    """Float32 stays float32, under strict promotion."""
    features = Features(np.asarray(STRENGTH, np.float32), mixing=mixing().astype(np.float32))
    for label in LABELS.values():
        p = DownstreamProblem(
            features,
            jax.tree.map(lambda v: v.astype(jnp.float32) if v.dtype == float else v, label),
            0.1,
        )
        assert p.sample(jax.random.key(0), 3).inputs.dtype == jnp.float32
        assert p.moments().target.dtype == p.moments().second.dtype == jnp.float32


def test_problems_can_be_mapped_over():
    """A sweep over the label's feature and its noise compiles once."""

    @jax.jit
    def sample(feature, noise):
        return (
            problem(SignLabel(feature), label_noise=noise, mixing=mixing())
            .sample(jax.random.key(0), 8)
            .targets
        )

    each = jax.vmap(sample)(jnp.arange(4), jnp.zeros(4))
    np.testing.assert_array_equal(
        each, [drawn(problem(SignLabel(j), mixing=mixing()), 8)[1] for j in range(4)]
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SignLabel(-1), r"^feature: got -1; want whole numbers from 0"),
        (lambda: SignLabel(1.5), r"^feature: got 1\.5; want a whole number from 0"),
        (lambda: problem(SignLabel(4)), r"^feature: got 4; want below 4, the number of features"),
        (lambda: MajorityLabel([]), r"^indices: got \[\]; want a list of whole numbers"),
        (lambda: MajorityLabel(np.zeros(0, int)), r"^indices: got 0 features; want an odd number"),
        (
            lambda: MajorityLabel([0, 1]),
            r"^indices: got 2 features; want an odd number of features",
        ),
        (lambda: MajorityLabel([0, 1, 1]), r"^indices: got \[0, 1, 1\]; want different features"),
        (lambda: problem(MajorityLabel([0, 1, 7])), r"^indices: got 7 at index 2; want below 4"),
        (lambda: LinearLabel([0.0, 0.0]), r"^coefficients: got only zeros"),
        (lambda: LinearLabel([[1.0]]), r"^coefficients: got shape \(1, 1\); want a vector"),
        (
            lambda: LinearLabel([1.0, float("nan")]),
            r"^coefficients: got nan at index 1; want finite",
        ),
        (lambda: problem(LinearLabel([1.0, 2.0])), r"^coefficients: got 2 numbers; want 4"),
        (
            lambda: problem(SignLabel(0), label_noise=0.75),
            r"^label_noise: got 0\.75; want a probability in \[0, 1/2\]",
        ),
        (lambda: problem(SignLabel(0), label_noise=-0.25), r"^label_noise: got -0\.25"),
        (
            lambda: problem(SignLabel(0), label_noise=[0.1, 0.2]),
            r"^label_noise: got shape \(2,\); want one number",
        ),
        (
            lambda: problem(SignLabel(0), mixing=mixing(3)).moments(),
            r"^mixing: got rank 3; want 4 independent columns",
        ),
        (
            lambda: problem(SignLabel(0)).sample(jax.random.key(0), 1),
            r"^n: got 1; want a whole number >= 2",
        ),
    ],
)
def test_arguments_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
