"""`scalar-imbalance`: its closed form by another route, at its ends, and near misses of it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.misses import predicting
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory._core.powers import layer_shares
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theory.starts import scalar_imbalance_law, start_law

SQUARES = st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3)
SUMS = st.lists(st.floats(-0.9, 5.0), min_size=3, max_size=3)


def spectra(values, imbalance, **options):
    """Eigenvalues of all layers, of a diagonal last Gram."""
    grams = scalar_imbalance_law(jnp.diag(jnp.asarray(values)), jnp.asarray(imbalance), **options)
    return jnp.diagonal(grams, axis1=1, axis2=2)


@given(squares=SQUARES, sums=SUMS)
def test_the_law_finds_the_first_layer_again(squares, sums, eps):
    """From products of factors whose least one is the square that is drawn."""
    shifts = np.array([0.0, *sums])
    first = np.array(squares) - shifts.min()
    layers = np.cumprod(first + shifts[:, None], axis=0)
    seen = spectra(layers[-1], np.diff(shifts))
    np.testing.assert_allclose(seen, layers, rtol=2e3 * eps * max(1, shifts.max() / min(squares)))


@pytest.mark.x64
def test_the_law_is_a_root_of_a_polynomial():
    """By the companion matrix."""
    shifts = np.cumsum([0.0, 0.7, -1.1, 0.5])
    roots = np.roots(np.poly(-shifts) - np.array([0, 0, 0, 0, 2.5]))
    first = max(roots[np.abs(roots.imag) < 1e-12].real)
    want = np.cumprod(first + shifts)
    np.testing.assert_allclose(spectra([2.5], np.diff(shifts))[:, 0], want, rtol=1e-12)


@pytest.mark.x64
def test_special_cases():
    """No imbalance, two layers, no weight, one layer."""
    values = [4.0, 4.0, 0.1]
    powers = jnp.asarray(values) ** layer_shares(3, jnp.float64)[:, None]
    np.testing.assert_allclose(spectra(values, [0.0, 0.0]), powers, rtol=1e-13)
    for imbalance, (encoder, head) in ((0.6, (0.0, 0.6)), (-0.6, (0.6, 0.0))):
        gram = start_law(jnp.diag(jnp.asarray(values)), encoder=encoder, head=head)
        np.testing.assert_allclose(spectra(values, [imbalance])[0], jnp.diag(gram), rtol=1e-13)
    np.testing.assert_allclose(spectra([0.0], [-0.5, 0.2])[:, 0], [0.5, 0.0, 0.0], atol=1e-16)
    np.testing.assert_allclose(spectra(values, []), [values], rtol=1e-14)


@pytest.mark.x64
def test_decay_returns_to_the_layer_wise_law():
    near, late = (spectra([2.0], [1.0, 1.0], weight_decay=0.5, time=t) for t in (1.0, 60.0))
    np.testing.assert_allclose(near, spectra([2.0], [np.exp(-1.0)] * 2), rtol=1e-13)
    np.testing.assert_allclose(late, spectra([2.0], [0.0, 0.0]), rtol=1e-13)


@pytest.mark.x64
def test_the_law_has_the_derivative_of_the_implicit_function():
    first = lambda m: spectra(m[None], [1.0, 1.0])[0, 0]
    # x (x + 1) (x + 2) = 6 at x = 1, where its derivative is 6 + 3 + 2.
    assert float(jax.grad(first)(jnp.asarray(6.0))) == pytest.approx(1 / 11)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gram": jnp.ones((2, 3))}, r"gram: got shape \(2, 3\)"),
        ({"imbalance": 1.0}, r"imbalance: got shape \(\)"),
        ({"imbalance": [jnp.nan]}, "imbalance: got nan at index 0; want finite numbers"),
        ({"time": -1.0}, "time: "),
        ({"weight_decay": -1.0}, "weight_decay: "),
    ],
)
def test_bad_arguments_are_named(change, message, untyped):
    with pytest.raises(ValueError, match=message):
        scalar_imbalance_law(**({"gram": jnp.eye(2), "imbalance": [1.0]} | change))


# Near misses of M_l = (M_1 + mu_1) ... (M_1 + mu_l), with mu_k the sum of the imbalances below


def other(imbalance):
    """The law of other imbalances."""
    return predicting(lambda problem, own: replace(own, imbalance=imbalance(own.imbalance)))


def other_layer(gram, imbalance, **options):
    """The law of the layer below."""
    grams = scalar_imbalance_law(gram, imbalance, **options)
    return jnp.concatenate([grams[:1], grams[:-1]])


MISSES = {
    "imbalances in place of their sums": other(lambda x: jnp.diff(x, prepend=0.0)),
    "-lambda for lambda": other(jnp.negative),
    "half of each imbalance": other(lambda x: x / 2),
    "the first imbalance alone": other(lambda x: x * (jnp.arange(x.size) == 0)),
    "the mean imbalance everywhere": other(lambda x: jnp.full_like(x, jnp.mean(x))),
    "imbalances larger by a hundredth": other(lambda x: 1.01 * x),
    "M_(l-1) for M_l": predicting(lambda problem, own: dataclasses.replace(own, law=other_layer)),
    "exp(-gamma t)": predicting(
        lambda problem, own: replace(own, weight_decay=own.weight_decay / 2)
    ),
    "no decay": predicting(lambda problem, own: replace(own, weight_decay=0 * own.weight_decay)),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 1.13e-13,
    "rounding": 3.43e-12,
}
