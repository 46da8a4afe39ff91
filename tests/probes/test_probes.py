"""Probes transform as their problem does, and what cannot be fitted is said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.probes import HOST, PROBES, overlapping, said, separable, tolerance
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory.probes import HardMargin, Logistic, NearestMean, Ridge, SoftMargin, Status


@pytest.mark.parametrize("name", PROBES)
@given(seed=st.integers(0, 2**31), wide=st.booleans())
def test_rotations_of_the_representation_rotate_the_readout(name, seed, wide):
    """And so leave the classes of whatever is rotated along."""
    eps = float(jnp.finfo(jnp.result_type(float)).eps)
    shape = (8, 12) if wide and not name.startswith("logistic") else (8, 3)
    x, y = separable(*shape, seed=1)
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((shape[1], shape[1])))[0].astype(
        x.dtype
    )
    plain, turned = PROBES[name].fit(x, y), PROBES[name].fit(x @ q, y)
    size = float(jnp.max(jnp.abs(plain.weights)))
    np.testing.assert_allclose(
        turned.weights @ q.T, plain.weights, atol=tolerance(name, eps) * size
    )
    np.testing.assert_allclose(
        turned.intercepts, plain.intercepts, atol=tolerance(name, eps) * size * np.abs(x).max()
    )


@pytest.mark.parametrize("name", PROBES)
def test_order_of_samples_and_names_of_classes_do_not_matter(name, eps):
    x, y = separable(8, 3, seed=3)
    order = np.random.default_rng(0).permutation(8)
    plain, shuffled, renamed = (
        PROBES[name].fit(a, b) for a, b in ((x, y), (x[order], y[order]), (x, 1 - y))
    )
    size = float(jnp.max(jnp.abs(plain.weights)))
    for other, sign in ((shuffled, 1), (renamed, -1)):
        np.testing.assert_allclose(
            sign * other.weights, plain.weights, atol=tolerance(name, eps) * size
        )
        np.testing.assert_allclose(
            sign * other.intercepts,
            plain.intercepts,
            atol=tolerance(name, eps) * size * np.abs(x).max(),
        )


@pytest.mark.parametrize("unit", [2.0**-30, 2.0**20])
def test_units_scale_the_margin_and_nothing_else(unit):
    """Hard margins and nearest means have no scale of their own; the others have it in their
    penalty or cost.
    """
    x, y = separable(8, 3)
    cases = [
        (HardMargin(True), HardMargin(True)),
        (NearestMean(), NearestMean()),
        (SoftMargin(0.5), SoftMargin(0.5 / unit**2)),
    ]
    cases += [(kind(0.5), kind(0.5 * unit**2)) for kind in (Ridge, Logistic)]
    for plain, scaled in cases:
        one, other = plain.fit(x, y), scaled.fit(x * x.dtype.type(unit), y)
        power = 1 if isinstance(plain, NearestMean) else -1
        np.testing.assert_allclose(other.weights, one.weights * unit**power, rtol=1e-4)
        if one.margin is not None:
            np.testing.assert_allclose(other.margin, one.margin * unit, rtol=1e-5)


@pytest.mark.parametrize("name", [n for n in PROBES if not n.startswith("hard")])
def test_repeating_the_samples_is_repeating_their_cost(name, eps):
    x, y = overlapping(8)
    doubled = {
        "soft": SoftMargin(0.35, "intercept" in name),
        "ridge": Ridge(0.6, "intercept" in name),
    }
    doubled |= {"logistic": Logistic(0.6, "intercept" in name), "nearest mean": NearestMean()}
    one, two = (
        PROBES[name].fit(x, y),
        doubled[name.split(",")[0]].fit(np.concatenate([x, x]), np.concatenate([y, y])),
    )
    np.testing.assert_allclose(
        two.weights, one.weights, atol=tolerance(name, eps) * float(jnp.max(jnp.abs(one.weights)))
    )


def test_repeated_samples_leave_the_hard_margin():
    x, y = separable(6, 9)
    one, two = (
        HardMargin().fit(x, y),
        HardMargin().fit(np.concatenate([x, x]), np.concatenate([y, y])),
    )
    np.testing.assert_allclose(
        two.weights, one.weights, atol=10 * HOST * float(jnp.max(jnp.abs(one.weights)))
    )


@pytest.mark.parametrize(
    ("x", "y", "intercept"),
    [
        ([[1.0], [-1.0], [2.0]], [1, 0, 0], False),
        ([[1.0], [2.0], [3.0]], [1, 0, 1], True),
        ([[1.0, 2.0], [1.0, 2.0]], [0, 1], True),
        ([[0.0, 0.0], [1.0, 1.0]], [1, 0], False),
        ([[0.0, 0.0], [0.0, 0.0]], [1, 0], True),
        ([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]], [0, 0, 1, 1], True),
    ],
)
def test_what_cannot_be_separated_is_infeasible(x, y, intercept):
    """Between two of the other class; one and the same input in both; at the origin; parity."""
    readout = HardMargin(intercept).fit(x, y, throw=False)
    assert readout.status == Status.infeasible
    assert float(readout.margin[0]) == 0
    assert not np.asarray(readout.weights).any()
    with pytest.raises(
        ValueError, match=r"^representations: got HardMargin, fit 1 of 1: No separator exists"
    ):
        HardMargin(intercept).fit(x, y)
    soft = SoftMargin(1.0, intercept).fit(x, y)
    assert soft.status == Status.fitted
    assert np.isfinite(np.asarray(soft.weights)).all()


def test_the_same_can_be_separable_with_an_intercept_alone():
    x, y = [[1.0], [2.0]], [0, 1]
    assert HardMargin().fit(x, y, throw=False).status == Status.infeasible
    readout = HardMargin(intercept=True).fit(x, y)
    np.testing.assert_allclose(
        [readout.weights[0, 0], readout.intercepts[0], readout.margin[0]], [2, -3, 0.5], rtol=1e-5
    )


def test_one_sample_of_each_class_has_its_bisector():
    x = np.asarray([[3.0, 0.0, 1.0], [1.0, 0.0, 1.0]])
    readout = HardMargin(intercept=True).fit(x, [1, 0])
    np.testing.assert_allclose(readout.weights, [[1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(readout.margin, [1], rtol=1e-6)
    np.testing.assert_allclose(readout.scores(jnp.asarray([[2.0, 5.0, -7.0]])), [[0]], atol=1e-5)


@pytest.mark.parametrize("name", PROBES)
def test_three_classes_have_a_score_each(name):
    x, y = separable(30, 4, classes=3)
    # One cone through the origin does not hold a class against the rest with few dimensions.
    if name == "hard":
        x = np.concatenate([x, np.ones((30, 1), x.dtype)], 1)
    readout = PROBES[name].fit(x, y)
    assert readout.weights.shape == (3, x.shape[1])
    assert readout.scores(jnp.asarray(x)).shape == (30, 3)
    np.testing.assert_array_equal(said(readout, x), y)
    assert float(readout.error(jnp.asarray(x), jnp.asarray(y))) == 0
    assert float(readout.error(jnp.asarray(x), jnp.asarray((y + 1) % 3))) == 1


@pytest.mark.parametrize("name", PROBES)
def test_a_batch_is_its_members(name, eps):
    """Those that cannot be separated among them."""
    probe = PROBES[name]
    xs, ys = (
        np.stack(a)
        for a in zip(separable(8, 3), overlapping(8, 3), separable(8, 3, 5), strict=True)
    )
    batch = probe.fit_many(xs, ys, throw=False)
    each = [probe.fit(x, y, throw=False) for x, y in zip(xs, ys, strict=True)]
    for name_of in ("weights", "intercepts"):
        want = np.stack([getattr(r, name_of) for r in each])
        np.testing.assert_allclose(
            getattr(batch, name_of), want, atol=tolerance(name, eps) * max(1, np.abs(want).max())
        )
    np.testing.assert_array_equal(
        batch.status == Status.fitted, [bool(r.status == Status.fitted) for r in each]
    )
    errors = jax.vmap(lambda r, x, y: r.error(x, y))(batch, jnp.asarray(xs), jnp.asarray(ys))
    np.testing.assert_array_equal(
        errors,
        [r.error(jnp.asarray(x), jnp.asarray(y)) for r, x, y in zip(each, xs, ys, strict=True)],
    )


@pytest.mark.parametrize("name", PROBES)
def test_dtype_is_that_of_the_representations(name):
    x, y = separable(8, 3)
    readout = PROBES[name].fit(x.astype(np.float32), y)
    assert readout.weights.dtype == readout.intercepts.dtype == jnp.float32
    full = PROBES[name].fit(x, y)
    np.testing.assert_allclose(
        readout.weights, full.weights, atol=5e-3 * float(jnp.max(jnp.abs(full.weights)))
    )


@pytest.mark.parametrize("name", ["ridge", "nearest mean", "logistic"])
def test_closed_forms_and_jax_run_under_jit(name, eps):
    x, y = separable(8, 3)
    run = jax.jit(lambda x, y: PROBES[name].fit(x, y, classes=2).weights)
    weights = PROBES[name].fit(x, y).weights
    np.testing.assert_allclose(
        run(jnp.asarray(x), jnp.asarray(y)),
        weights,
        atol=tolerance(name, eps) * float(jnp.max(jnp.abs(weights))),
    )


def test_a_penalty_can_be_swept_without_compiling_again(eps):
    x, y = (jnp.asarray(a) for a in overlapping(8, 3))
    penalties = jnp.asarray([0.1, 1.0, 10.0])
    swept = jax.vmap(lambda p: Ridge(p).fit(x, y, classes=2).weights)(penalties)
    np.testing.assert_allclose(
        swept, [Ridge(p).fit(x, y).weights for p in penalties], atol=1e3 * eps
    )


def test_a_fit_cut_short_has_failed():
    x, y = overlapping(8)
    assert Logistic(1e-3, max_steps=2).fit(x, y, throw=False).status == Status.failed
    with pytest.raises(ValueError, match=r"Logistic, fit 1 of 1: The solver stopped"):
        Logistic(1e-3, max_steps=2).fit(x, y)


GOOD = [[1.0, 2.0], [2.0, 1.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: HardMargin().fit([1.0, 2.0], [0, 1]),
            r"^representations: got shape \(2,\); want an array \(n, r\)",
        ),
        (
            lambda: HardMargin().fit(np.zeros((2, 0)), [0, 1]),
            r"^representations: got shape \(2, 0\)",
        ),
        (
            lambda: Ridge(1.0).fit_many(GOOD, [0, 1, 0]),
            r"^representations: got shape \(3, 2\); want an array \(B, n, r\)",
        ),
        (
            lambda: Ridge(1.0).fit([[1.0], [float("nan")]], [0, 1]),
            r"^representations: got nan at index \(1, 0\); want finite",
        ),
        (
            lambda: Ridge(1.0).fit(GOOD, [0, 1]),
            r"^labels: got shape \(2,\), dtype int\d+; want whole numbers of shape \(3,\)",
        ),
        (
            lambda: Ridge(1.0).fit(GOOD, [0.0, 1.0, 0.0]),
            r"^labels: got shape \(3,\), dtype float\d+; want whole numbers",
        ),
        (
            lambda: NearestMean().fit(GOOD, [0, -1, 1]),
            r"^labels: got -1 at index 1; want whole numbers from 0",
        ),
        (
            lambda: NearestMean().fit(GOOD, [1, 1, 1]),
            r"^labels: got only class 1; want at least two classes",
        ),
        (
            lambda: NearestMean().fit(GOOD, [0, 0, 0]),
            r"^labels: got only class 0; want at least two classes",
        ),
        (
            lambda: NearestMean().fit(GOOD, [0, 2, 2]),
            r"^labels: got no sample of class 1; want at least one of each of 3 classes",
        ),
        (
            lambda: NearestMean().fit(GOOD, [0, 4, 2]),
            r"^labels: got 3 samples; want at least one sample of each of 5 classes",
        ),
        (
            lambda: NearestMean().fit(GOOD, [0, 1, 2], classes=2),
            r"^labels: got class 2; want below 2",
        ),
        (lambda: SoftMargin(0.0), r"^cost: got 0\.0; want positive"),
        (lambda: SoftMargin([1.0, 2.0]), r"^cost: got shape \(2,\); want one number"),
        (lambda: Ridge(-1.0), r"^penalty: got -1\.0; want positive"),
        (lambda: Logistic(float("inf")), r"^penalty: got inf; want positive"),
        (
            lambda: jax.jit(lambda x: HardMargin().fit(x, [0, 1, 0], classes=2).weights)(
                jnp.asarray(GOOD)
            ),
            r"^representations: got a traced",
        ),
        (
            lambda: jax.jit(lambda y: Ridge(1.0).fit(GOOD, y).weights)(jnp.asarray([0, 1, 0])),
            r"^classes: got None, of labels that are traced",
        ),
    ],
)
def test_arguments_out_of_range_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
