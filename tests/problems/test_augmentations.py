"""Augmentations: exact moments against sampled ones, for every augmentation, distribution and
mixing, and against formulas by hand.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory.problems import (
    DISTRIBUTIONS,
    AdditiveNoise,
    Compose,
    ContrastiveProblem,
    Custom,
    Features,
    Mask,
    Rescale,
    SignFlip,
    SpikeAndSlab,
)

PHI = np.array([0.5, 1.0, 3.0])
MIXING = np.random.default_rng(0).standard_normal((5, 3))  # neither square nor orthogonal
# Denser than the default: standard errors are those of a normal distribution only if what survives
# all masks is still seen often.
DENSE = {"spike-and-slab": SpikeAndSlab(0.5)}
AUGMENTATIONS = {
    "noise": AdditiveNoise([0.2, 0.0, 2.0]),
    "flip": SignFlip([0.1, 0.5, 0.0]),
    "mask": Mask([0.0, 0.3, 0.5]),
    "rescale": Rescale([0.5, -1.0, 2.0], [1.5, 1.0, 2.0]),
    "compose": Compose(Mask(0.2), AdditiveNoise([0.1, 0.5, 1.0]), SignFlip(0.1), Rescale(0.5, 1.0)),
    "nothing": Compose(),
}
SETTINGS = {
    "plain": (None, None),
    "mixed and ambient": (MIXING, Compose(SignFlip(0.1), AdditiveNoise(0.5))),
}


def agree(exact, sampled, eps):
    """Sampled moments within five of their standard errors, plus rounding where nothing is
    random.
    """
    for name in ("cross", "second"):
        truth, estimate = (np.asarray(getattr(m, name), np.float64) for m in (exact, sampled))
        error = np.asarray(getattr(sampled, f"{name}_error"), np.float64)
        slack = 5 * error + 64 * eps * np.abs(np.asarray(exact.second)).max()
        assert (np.abs(truth - estimate) <= slack).all(), (name, (truth - estimate) / slack)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_exact_moments_agree_with_sampled_ones(name, distribution, setting, eps):
    mixing, ambient = SETTINGS[setting]
    problem = ContrastiveProblem(
        Features(PHI, DENSE.get(distribution, distribution), mixing), AUGMENTATIONS[name], ambient
    )
    agree(problem.moments(), problem.sample_pairs(jax.random.key(3), 2**13).moments(), eps)


def test_the_comparison_catches_moments_of_another_augmentation(eps):
    """Control: half the noise is outside five standard errors."""
    features = Features(PHI, "gaussian")
    views = ContrastiveProblem(features, AdditiveNoise(1.0)).sample_pairs(jax.random.key(0), 2**13)
    with pytest.raises(AssertionError):
        agree(ContrastiveProblem(features, AdditiveNoise(0.5)).moments(), views.moments(), eps)


P = np.array([0.1, 0.4, 0.9])
CLOSED = {
    "noise": (AdditiveNoise(P), PHI**2, PHI**2 + P**2),
    "flip": (SignFlip(P), PHI**2 * (1 - 2 * P) ** 2, PHI**2),
    "mask": (Mask(P), PHI**2 * (1 - P) ** 2, PHI**2 * (1 - P)),
    "rescale": (
        Rescale(-P, 1 + P),
        PHI**2 * 0.25,
        PHI**2 * (P**2 - P * (1 + P) + (1 + P) ** 2) / 3,
    ),
    # Noise added before a mask is masked with the rest; noise added after it is not.
    "noise then mask": (
        Compose(AdditiveNoise(0.7), Mask(P)),
        PHI**2 * (1 - P) ** 2,
        (PHI**2 + 0.49) * (1 - P),
    ),
    "mask then noise": (
        Compose(Mask(P), AdditiveNoise(0.7)),
        PHI**2 * (1 - P) ** 2,
        PHI**2 * (1 - P) + 0.49,
    ),
    "noise twice": (Compose(AdditiveNoise(0.3), AdditiveNoise(0.4)), PHI**2, PHI**2 + 0.25),
}


@pytest.mark.parametrize("name", CLOSED)
def test_feature_model_moments_are_the_closed_forms(name, eps):
    augmentation, c, q = CLOSED[name]
    moments = ContrastiveProblem(Features(PHI), augmentation).moments()
    np.testing.assert_allclose(moments.cross, np.diag(c), atol=32 * eps * q.max())
    np.testing.assert_allclose(moments.second, np.diag(q), atol=32 * eps * q.max())


def test_mixed_moments_are_the_feature_moments_turned(eps):
    plain = ContrastiveProblem(Features(PHI), Mask(P)).moments()
    mixed = ContrastiveProblem(Features(PHI, mixing=MIXING), Mask(P)).moments()
    for name in ("cross", "second"):
        want = MIXING @ np.asarray(getattr(plain, name)) @ MIXING.T
        np.testing.assert_allclose(getattr(mixed, name), want, atol=64 * eps * np.abs(want).max())


NOTHING = {
    "compose": Compose(),
    "noise": AdditiveNoise(0.0),
    "flip": SignFlip(0.0),
    "mask": Mask(0.0),
    "rescale": Rescale(1.0, 1.0),
    "nested": Compose(Compose(), Mask(0.0)),
}


@pytest.mark.parametrize("name", NOTHING)
def test_an_augmentation_of_strength_zero_changes_nothing(name):
    x = jax.random.normal(jax.random.key(0), (5, 3))
    np.testing.assert_array_equal(NOTHING[name](jax.random.key(1), x), x)
    moments = ContrastiveProblem(Features(PHI, mixing=MIXING[:3]), NOTHING[name]).moments()
    np.testing.assert_array_equal(moments.cross, moments.second)


def test_composition_is_associative_in_moments(eps):
    a, b, c = Mask(P), AdditiveNoise(0.3), Rescale(0.5, 2.0)
    problems = [
        ContrastiveProblem(Features(PHI), parts)
        for parts in (Compose(a, Compose(b, c)), Compose(Compose(a, b), c), Compose(a, b, c))
    ]
    first, *others = [p.moments() for p in problems]
    for other in others:
        np.testing.assert_allclose(other.cross, first.cross, rtol=8 * eps)
        np.testing.assert_allclose(other.second, first.second, rtol=8 * eps)


def test_the_two_views_of_a_pair_are_drawn_independently():
    """Masked entirely in one view, a coordinate is still there in the other as often as chance has
    it.
    """
    n, m = 2**14, 0.5
    x1, x2 = ContrastiveProblem(Features([1.0]), Mask(m)).sample_pairs(jax.random.key(0), n)
    both = np.asarray((x1 == 0) & (x2 == 0)).mean()
    assert abs(both - m**2) <= 5 * (m**2 * (1 - m**2) / n) ** 0.5


def _noisy(key, x):
    return x + jnp.asarray([0.2, 0.0, 2.0], x.dtype) * jax.random.normal(key, x.shape, x.dtype)


def _masked(key, x):
    return jnp.where(jax.random.bernoulli(key, 0.3, x.shape), jnp.zeros_like(x), x)


@pytest.mark.parametrize(
    ("function", "same", "samples"),
    [(_noisy, AUGMENTATIONS["noise"], 2**13), (_masked, Mask(0.3), 2**15 + 7)],
    ids=["noise in one chunk", "mask in a chunk and a rest"],
)
def test_custom_moments_agree_with_those_of_the_same_builtin(function, same, samples, eps):
    features = Features(PHI, "uniform")
    problem = ContrastiveProblem(features, Custom(function))
    assert not problem.exact
    estimate = problem.moments(key=jax.random.key(0), samples=samples)
    assert int(estimate.pairs) == samples
    agree(ContrastiveProblem(features, same).moments(), estimate, eps)


def test_custom_works_in_a_composition_and_on_the_input(eps):
    features = Features(PHI, mixing=MIXING)
    exact = ContrastiveProblem(features, Mask(0.3), Mask(0.3))
    estimated = ContrastiveProblem(features, Compose(Custom(_masked)), Custom(_masked))
    agree(exact.moments(), estimated.moments(key=jax.random.key(1), samples=2**13), eps)


def problem(augmentation, **more):
    return ContrastiveProblem(Features(PHI), augmentation, **more)


BAD = {
    "no key": (lambda: problem(Custom(_masked)).moments(), "key: got None"),
    "one sample": (
        lambda: problem(Custom(_masked)).moments(key=jax.random.key(0), samples=1),
        "samples: got 1",
    ),
    "one pair": (lambda: problem(Mask(0.1)).sample_pairs(jax.random.key(0), 1), "n: got 1"),
    "noise length": (
        lambda: problem(AdditiveNoise([1.0, 2.0])),
        "scale: got 2 numbers; want one number, or 3",
    ),
    "flip length": (lambda: problem(SignFlip([0.1] * 4)), "probability: got 4"),
    "mask length": (lambda: problem(Mask([0.1] * 2)), "probability: got 2"),
    "rescale length": (lambda: problem(Rescale([0.1, 0.2], 1.0)), "low: got 2"),
    "composed length": (
        lambda: problem(Compose(Mask(0.1), Compose(AdditiveNoise([1.0, 2.0])))),
        "scale: got 2",
    ),
    "ambient length": (
        lambda: ContrastiveProblem(Features(PHI, mixing=MIXING), ambient=AdditiveNoise(PHI)),
        "scale: got 3 numbers.* 5",
    ),
    "custom shape": (
        lambda: problem(Custom(lambda key, x: x[:2])),
        r"function: got a view of shape \(2,\)",
    ),
    "negative noise": (lambda: AdditiveNoise([0.5, -0.5]), "scale: got -0.5 at index 1"),
    "nan noise": (lambda: AdditiveNoise(float("nan")), "scale: got nan"),
    "flip above one": (lambda: SignFlip(1.1), "probability: got 1.1"),
    "flip below zero": (lambda: SignFlip(-0.1), "probability: got -0.1"),
    "mask above one": (lambda: Mask([0.1, 2.0]), "probability: got 2.0 at index 1"),
    "rescale reversed": (lambda: Rescale(1.0, 0.5), "high: "),
    "rescale nan": (lambda: Rescale(float("nan"), 0.5), "low: got nan"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    make, message = BAD[case]
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


@pytest.mark.usefixtures("untyped")
def test_a_bare_function_in_a_composition_is_named():
    with pytest.raises(
        ValueError,
        match=r"^Compose: got function; want augmentations \(wrap a function in Custom\)",
    ):
        Compose(Mask(0.1), _masked)


unit = st.floats(0, 1, allow_subnormal=False)
parts = st.one_of(
    st.builds(AdditiveNoise, st.floats(0, 10)),
    st.builds(SignFlip, st.lists(unit, min_size=3, max_size=3)),
    st.builds(Mask, unit),
    st.builds(lambda low, width: Rescale(low, low + width), st.floats(-3, 3), st.floats(0, 3)),
)


@given(
    st.lists(parts, max_size=4),
    st.lists(parts.filter(lambda a: not isinstance(a, SignFlip)), max_size=2),
    st.integers(0, 99),
)
def test_cross_moment_lies_between_zero_and_the_second_moment(inner, outer, seed):
    rng = np.random.default_rng(seed)
    features = Features(10.0 ** rng.uniform(-2, 1, 3), mixing=rng.standard_normal((4, 3)))
    moments = ContrastiveProblem(features, Compose(*inner), Compose(*outer)).moments()
    cross, second = (np.asarray(m, np.float64) for m in (moments.cross, moments.second))
    # Rounding of the entries is eps times the largest; eigenvalues of a 4 x 4 matrix move by at
    # most 4 times that per product.
    slack = 32 * float(jnp.finfo(moments.second.dtype).eps) * np.abs(second).max()
    assert np.linalg.eigvalsh(cross)[0] >= -slack
    assert np.linalg.eigvalsh(second - cross)[0] >= -slack
