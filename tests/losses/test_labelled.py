"""Losses of labelled data: targets, samples, moments, and the forms of each loss."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.loss_cases import (
    outputs,
    rounding,
)

from projhead_theory import (
    DeepLinear,
    Labelled,
    Views,
)
from projhead_theory.losses import (
    AbstractLabelledLoss,
    barlow_twins,
    cross_entropy,
    info_nce,
    mse,
    spectral,
    supervised_contrastive,
    supervised_spectral,
    vicreg,
)
from projhead_theory.moments import TargetMoments

X = np.arange(6.0).reshape(3, 2)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (X, [0, 1], "targets: got 2 rows beside 3 inputs; want as many"),
        (X[:1], [0], "inputs: got 1 rows; want at least two"),
        (X[0], [0, 1], r"inputs: got shape \(2,\); want an array"),
        (X, [0, -1, 2], "targets: got -1 at index 1; want class labels from 0"),
        (X, [[0.0], [np.nan], [1.0]], r"targets: got nan at index \(1, 0\); want finite"),
        (X * np.nan, [0, 1, 2], r"inputs: got nan at index \(0, 0\); want finite"),
        (
            X,
            [0.0, 1.0, 2.0],
            r"targets: got shape \(3,\), dtype float\d\d; "
            r"want whole-number class labels \(n,\), or numbers \(n, k\)",
        ),
        (X, [True, False, True], r"targets: got shape \(3,\), dtype bool; want whole-number"),
        (X, 3, r"targets: got shape \(\), dtype int\d\d; want"),
        (X, ["a", "b", "c"], r"targets: got shape \(3,\), dtype <U1; want whole-number"),
        (
            X,
            [[1.0], [2.0, 3.0], [4.0]],
            r"targets: got \[\[1.0\], .*; want class labels \(n,\), or numbers \(n, k\)",
        ),
    ],
)
def test_bad_labelled_data_are_named(inputs, targets, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Labelled(inputs, targets)


def test_labelled_keeps_labels_whole_and_makes_numbers_of_whole_targets():
    for labels in ([0, 1, 1], np.asarray([0, 1, 1], np.uint8), jnp.asarray([0, 1, 1])):
        data = Labelled(X, labels)
        assert jnp.issubdtype(data.targets.dtype, jnp.integer)
        assert np.isfinite(cross_entropy(DeepLinear([np.eye(2)]), data))
        assert np.isfinite(supervised_spectral(DeepLinear([np.eye(2)]), data))
    assert jnp.issubdtype(Labelled(X, [[0, 1], [1, 0], [1, 0]]).targets.dtype, jnp.floating)
    assert Labelled(X, [0, 1, 1]).dim == 2


def test_sample_draws_rows_with_their_targets_each_as_often_as_any_other():
    data, n = Labelled(X, [2, 1, 0]), 30_000
    drawn = jax.jit(lambda key: data.sample(key, n))(jax.random.key(0))
    rows = np.asarray(drawn.inputs)[:, 0].astype(int) // 2
    np.testing.assert_array_equal(drawn.inputs, X[rows])
    np.testing.assert_array_equal(drawn.targets, 2 - rows)
    shares = np.bincount(rows) / n
    assert (abs(shares - 1 / 3) <= 5 * (2 / 9 / n) ** 0.5).all()


def test_moments_of_labelled_data_are_those_of_two_rows_of_one_class(eps):
    """An anchor is any row, its partner any row of its class, itself included."""
    x, labels = outputs(9, 3)[0], np.asarray([0, 0, 0, 0, 2, 2, 5, 5, 5])
    cross = (
        sum(
            np.outer(x[i], x[j]) / np.sum(labels == labels[i])
            for i in range(9)
            for j in range(9)
            if labels[i] == labels[j]
        )
        / 9
    )
    moments = Labelled(x, labels).moments()
    np.testing.assert_allclose(moments.cross, cross, atol=rounding(eps, x))
    np.testing.assert_allclose(moments.second, x.T @ x / 9, atol=rounding(eps, x))
    with pytest.raises(ValueError, match=r"^targets: got shape \(9, 3\); want class labels"):
        Labelled(x, x).moments()


def expectation(data, network, n, loss):
    """The exact mean of a loss over all batches of n rows drawn with replacement."""
    draws = jnp.asarray(list(itertools.product(range(len(data.inputs)), repeat=n)))
    one = lambda rows: loss.labelled(network(data.inputs[rows]), data.targets[rows])
    return float(jnp.mean(jax.jit(jax.vmap(one))(draws)))


def test_supervised_spectral_is_exactly_unbiased_for_equal_classes(eps):
    """Two classes and four rows: there is always a positive pair."""
    data, network = (
        Labelled(outputs(4, 3)[0], [0, 1, 1, 0]),
        DeepLinear.init(jax.random.key(0), (3, 2)),
    )
    want = supervised_spectral(network, data.moments())
    assert want == spectral(network, data.moments())
    assert abs(expectation(data, network, 4, supervised_spectral) - want) <= rounding(
        eps, np.asarray(data.inputs)
    )


def test_supervised_spectral_of_unequal_classes_errs_less_than_a_mean_over_pairs():
    class PairMean(AbstractLabelledLoss):
        """The plain mean over positive pairs, by which a class weighs the square of its share."""

        def labelled(self, outputs, targets):
            pairs = (targets[:, None] == targets[None, :]) & ~jnp.eye(len(targets), dtype=bool)
            products = outputs @ outputs.T
            return (
                -2
                * jnp.sum(jnp.where(pairs, products, 0))
                / jnp.maximum(jnp.sum(pairs, dtype=products.dtype), 1)
            )

    class Positive(AbstractLabelledLoss):
        def labelled(self, outputs, targets):
            n, gram = len(targets), outputs.T @ outputs
            repulsion = (jnp.sum(gram * gram) - jnp.sum(jnp.sum(outputs**2, 1) ** 2)) / (
                n * (n - 1)
            )
            return supervised_spectral.labelled(outputs, targets) - repulsion

    x, labels, n = (
        outputs(5, 3)[0] + np.asarray([3, 0, 0, 0, 0])[:, None],
        np.asarray([0, 1, 1, 1, 1]),
        5,
    )
    data, network = Labelled(x, labels), DeepLinear([np.eye(3)])
    shares, means = [0.2, 0.8], [x[labels == k].mean(0) for k in (0, 1)]
    want = -2 * sum(share * m @ m for share, m in zip(shares, means, strict=True))
    bound = 2 * sum(m @ m for m in means) * sum(n * s * (1 - s) ** (n - 1) for s in shares)
    error = abs(expectation(data, network, n, Positive()) - want)
    assert error <= bound
    # Many rows: the bound is negligible, and the weights of the plain mean are still the squared
    # shares.
    rows = jnp.tile(jnp.arange(5), 400)
    large = Positive().labelled(data.inputs[rows], data.targets[rows])
    assert abs(large - want) <= 1e-2 * abs(want)
    assert abs(PairMean().labelled(data.inputs[rows], data.targets[rows]) - want) > 0.3 * abs(want)


FORMS = [
    (spectral, ("Moments", "Views")),
    (info_nce, ("Views",)),
    (barlow_twins, ("Views",)),
    (vicreg, ("Views",)),
    (supervised_contrastive, ("Labelled",)),
    (supervised_spectral, ("Moments", "Labelled")),
    (mse, ("TargetMoments", "Labelled")),
    (cross_entropy, ("Labelled",)),
]


@pytest.mark.parametrize(("loss", "has"), FORMS, ids=[type(loss).__name__ for loss, _ in FORMS])
def test_each_loss_has_its_forms_and_names_them_when_asked_for_another(loss, has):
    network, targets = DeepLinear([np.eye(2)]), X if loss is mse else [0, 1, 1]
    views = Views(X, X)
    for data in (views.moments(), TargetMoments(np.eye(2), np.eye(2)), views, Labelled(X, targets)):
        kind = type(data).__name__
        if kind in has:
            assert np.isfinite(loss(network, data))
            continue
        with pytest.raises(
            ValueError,
            match=f"^data: got {kind}, for {type(loss).__name__}; "
            f"want {' or '.join(has)}: this loss has no ",
        ):
            loss(network, data)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("loss", "targets", "message"),
    [
        (
            mse,
            [0, 1, 1],
            r"shape \(3,\), dtype int\d\d; want numbers in the shape of the outputs, \(3, 2\)",
        ),
        (mse, [[1.0], [2.0], [3.0]], r"shape \(3, 1\), dtype float\d\d; want numbers in the shape"),
        (
            cross_entropy,
            [[1.0], [2.0], [3.0]],
            r"shape \(3, 1\), dtype float\d\d; want numbers in the shape",
        ),
        (
            cross_entropy,
            [0, 2, 1],
            r"2 at index 1; want class labels from 0 to 1, one for each output",
        ),
        (
            supervised_contrastive,
            X,
            r"shape \(3, 2\), dtype float\d\d; want 3 whole-number class labels",
        ),
        (
            supervised_spectral,
            X,
            r"shape \(3, 2\), dtype float\d\d; want 3 whole-number class labels",
        ),
    ],
)
def test_targets_that_do_not_fit_a_loss_are_named(loss, targets, message):
    with pytest.raises(ValueError, match=f"^targets: got {message}"):
        loss(DeepLinear([np.eye(2)]), Labelled(X, targets))
