"""Response functions: each minimiser against brute force and quadrature, their limits, their
invariances, and what is refused.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from helpers.draws import cast
from hypothesis import given, settings
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory import losses
from projhead_theory.problems import random_moments
from projhead_theory.theory import decay, dynamics
from projhead_theory.theory.layers import NonUniqueMinimiserError, spectral
from projhead_theory.theory.responses import (
    BarlowTwins,
    InfoNCE,
    InfoNCEDistance,
    InfoNCERademacher,
    Spectral,
    VICReg,
    Whitening,
    layers,
    minimiser,
)

BETA, TAU = 1.7, 0.4
FRACTIONS = np.array([0.85, 0.5, 0.2])
ALL = (
    Spectral(),
    VICReg(BETA),
    Whitening(),
    InfoNCE(TAU),
    InfoNCEDistance(TAU),
    InfoNCERademacher(TAU),
    BarlowTwins(),
)
names = lambda response: type(response).__name__


def mixed(d=3, seed=0):
    return random_moments(jax.random.key(seed), cast(FRACTIONS[:d]), condition=4.0)


def apart(fractions=FRACTIONS, variances=(1.0, 2.0, 0.5)):
    second = np.asarray(variances[: len(fractions)])
    return pt.Moments(np.diag(fractions * second), np.diag(second))


# The losses a second time, by quadrature and by enumeration


def nodes(second, count):
    """Nodes and probabilities of a centred Gaussian."""
    x, w = np.polynomial.hermite_e.hermegauss(count)
    grid = np.array(list(itertools.product(x, repeat=len(second))))
    chance = np.prod(list(itertools.product(w / w.sum(), repeat=len(second))), axis=1)
    return grid @ np.linalg.cholesky(second).T, chance


def signs(second):
    every = np.array(list(itertools.product([-1, 1], repeat=len(second))))
    return every * np.sqrt(np.diag(second)), np.full(len(every), 1 / len(every))


def contrast(w, cross, second, drawn, by_distance=False):
    """InfoNCE with infinitely many negatives, from its definition."""
    x, chance = drawn
    z = x @ w.T
    if by_distance:
        scores = -np.sum((z[:, None] - z[None]) ** 2, axis=-1) / (2 * TAU)
        aligned = np.trace(w @ (second - cross) @ w.T) / TAU
    else:
        scores, aligned = z @ z.T / TAU, -np.trace(w @ cross @ w.T) / TAU
    top = scores.max(axis=1)
    return aligned + chance @ (top + np.log(np.exp(scores - top[:, None]) @ chance))


def defined(response, w, cross, second):
    """The loss of a matrix, from the definition."""
    one = np.eye(len(w))
    if isinstance(response, VICReg):
        apart_ = 2 * np.trace(w @ (second - cross) @ w.T)
        return BETA * apart_ + np.sum((w @ second @ w.T - one) ** 2)
    if isinstance(response, BarlowTwins):
        return np.sum((w @ cross @ w.T - one) ** 2)
    if isinstance(response, InfoNCERademacher):
        return contrast(w, cross, second, signs(second))
    # Of one coordinate many nodes, of two as many as the scores need.
    drawn = nodes(second, 48 if len(second) == 1 else 24)
    return contrast(w, cross, second, drawn, isinstance(response, InfoNCEDistance))


def lowest(response, moments, width):
    """Gram and loss of the lowest of several descents of the loss as it is defined."""
    cross, second = np.asarray(moments.cross), np.asarray(moments.second)
    d, rng = moments.dim, np.random.default_rng(0)
    loss = lambda w: defined(response, w.reshape(width, d), cross, second)
    runs = [
        scipy.optimize.minimize(loss, rng.normal(size=width * d) / 2, options={"gtol": 1e-8})
        for _ in range(3)
    ]
    best = min(runs, key=lambda run: run.fun)
    w = best.x.reshape(width, d)
    return w.T @ w, best.fun - loss(np.zeros(width * d))


@pytest.mark.x64
@pytest.mark.parametrize(
    ("response", "moments", "width"),
    [
        (VICReg(BETA), mixed(), 3),
        (VICReg(BETA), mixed(), 1),
        (InfoNCE(TAU), mixed(1), 1),
        (InfoNCE(TAU), mixed(2), 1),
        (InfoNCEDistance(TAU), mixed(1), 1),
        (InfoNCEDistance(TAU), mixed(2), 2),
        (InfoNCERademacher(TAU), apart(), 3),
        (BarlowTwins(), mixed(), 3),
    ],
    ids=lambda x: names(x) if isinstance(x, tuple(map(type, ALL))) else str(getattr(x, "dim", x)),
)
def test_minimiser_is_the_lowest_point_of_the_loss_as_defined(response, moments, width):
    """The loss from its definition, by quadrature over both views where it is an expectation."""
    gram, gain = lowest(response, moments, width)
    found = minimiser(moments, response, width)
    # Descents stop at a gradient of 1e-8, and differences of the loss leave some 1e-7 of a weight.
    np.testing.assert_allclose(found.gram, gram, atol=3e-6)
    np.testing.assert_allclose(found.loss, gain, atol=1e-9)


@pytest.mark.x64
def test_whitening_is_the_best_whitened_map():
    """Over random whitened maps none is better, and the map itself is white."""
    moments, rng = mixed(), np.random.default_rng(0)
    found = minimiser(moments, Whitening(), 2)
    values, vectors = np.linalg.eigh(np.asarray(found.gram))
    w = (vectors[:, 1:] * np.sqrt(values[1:])).T
    np.testing.assert_allclose(w @ moments.second @ w.T, np.eye(2), atol=1e-12)
    apart_ = np.asarray(moments.second - moments.cross)
    cost = lambda w: 2 * np.trace(w @ apart_ @ w.T)
    np.testing.assert_allclose(cost(w), found.loss, rtol=1e-12)
    root = np.linalg.inv(np.linalg.cholesky(np.asarray(moments.second)))
    others = [np.linalg.qr(rng.normal(size=(3, 2)))[0].T @ root for _ in range(200)]
    assert min(map(cost, others)) >= found.loss


# Limits


@pytest.mark.x64
def test_vicreg_at_one_is_spectral_and_near_zero_whitens():
    moments = mixed()
    own = spectral(moments)
    np.testing.assert_allclose(minimiser(moments, VICReg(1.0)).gram, own.gram, rtol=1e-12)
    np.testing.assert_allclose(minimiser(moments, Spectral()).gram, own.gram, rtol=1e-12)
    np.testing.assert_allclose(minimiser(moments, Spectral()).loss, own.loss, rtol=1e-12)
    white = minimiser(moments, Whitening()).gram
    np.testing.assert_allclose(minimiser(moments, VICReg(1e-9)).gram, white, rtol=1e-7, atol=1e-7)


@pytest.mark.x64
def test_vicreg_extinguishes_what_lies_at_or_below_its_extinction():
    response = VICReg(2.0)
    assert float(response.extinction) == 0.5
    found = minimiser(apart(np.array([0.9, 0.6, 0.4])), response)
    assert int(found.kept) == 2
    assert np.diag(found.gram)[2] == 0
    at = minimiser(apart(np.array([0.9, 0.5])), response)
    assert np.diag(at.gram)[1] == 0
    # Without extinction even a feature without signal has a weight.
    kept = minimiser(apart(np.array([0.9, 0.0])), VICReg(0.5))
    np.testing.assert_allclose(np.diag(kept.gram), [0.95, 0.25], rtol=1e-12)


@pytest.mark.x64
def test_distances_and_signs_respond_linearly_to_small_fractions():
    small = cast([1e-9, 1e-5])
    slope = lambda response: np.asarray(response.curve(small) / small)
    np.testing.assert_allclose(slope(InfoNCEDistance(TAU)), 2 * TAU / 3, rtol=2e-5)
    np.testing.assert_allclose(slope(InfoNCERademacher(TAU)), TAU, rtol=1e-9)
    assert float(InfoNCEDistance(TAU).curve(cast(1 - 1e-6))) > 1e4


@pytest.mark.x64
def test_barlow_twins_reverses_the_order_and_sees_no_noise():
    features = pt.Features([2.0, 1.0, 0.5])
    grams = [
        minimiser(
            pt.ContrastiveProblem(features, pt.AdditiveNoise(s)).moments(), BarlowTwins()
        ).gram
        for s in (0.0, 3.0)
    ]
    np.testing.assert_allclose(np.diag(grams[0]), [0.25, 1, 4], rtol=1e-12)
    np.testing.assert_allclose(*grams, rtol=1e-12)


@pytest.mark.x64
def test_a_narrow_barlow_twins_network_has_many_minimisers_and_this_is_the_shortest():
    moments = mixed()
    found = minimiser(moments, BarlowTwins(), 2)
    values, vectors = np.linalg.eigh(np.asarray(moments.cross))
    root = (vectors * values**-0.5) @ vectors.T
    loss, rng = losses.unnormalised_barlow_twins, np.random.default_rng(0)
    traces = []
    for _ in range(50):
        w = np.linalg.qr(rng.normal(size=(3, 2)))[0].T @ root
        np.testing.assert_allclose(loss(pt.DeepLinear([w]), moments), 0, atol=1e-20)
        traces.append(np.sum(w**2))
    assert min(traces) > float(jnp.trace(found.gram))
    np.testing.assert_allclose(jnp.trace(found.gram), np.sum(1 / values[1:]), rtol=1e-12)


# Other moments


@pytest.mark.x64
@pytest.mark.parametrize("response", [ALL[1], ALL[3], ALL[6]], ids=names)
def test_moments_of_a_spectral_loss_have_the_same_minimiser(response):
    moments = mixed()
    if isinstance(response, VICReg):
        response = VICReg(0.6)
    same = response.spectral_moments(moments)
    np.testing.assert_allclose(
        minimiser(moments, response).gram, spectral(same).gram, rtol=1e-11, atol=1e-12
    )


@pytest.mark.x64
def test_moments_of_a_spectral_loss_have_the_same_loss():
    """Up to the loss of weight zero, for any network: so every flow is the same."""
    moments, w = mixed(), np.random.default_rng(0).normal(size=(2, 3))
    network, none = pt.DeepLinear([w]), pt.DeepLinear([0 * w])
    for response, loss in (
        (VICReg(0.6), losses.SquaredVICReg(0.6)),
        (InfoNCE(TAU), losses.GaussianInfoNCE(TAU)),
        (BarlowTwins(), losses.unnormalised_barlow_twins),
    ):
        own = loss(network, moments) - loss(none, moments)
        other = losses.spectral(network, response.spectral_moments(moments))
        np.testing.assert_allclose(own, other, rtol=1e-12)


@pytest.mark.x64
def test_closed_forms_of_the_spectral_loss_serve_infonce():
    """Extinction by weight decay, and the course of training, at depth two."""
    c, q, start = 0.6, 1.0, 0.05
    moments = pt.Moments([[c]], [[q]])
    same = InfoNCE(TAU).spectral_moments(moments)
    scaled = same.cross[0, 0], same.second[0, 0]
    lost = decay.extinction_decay(*scaled, 2)
    run = pt.gradient_flow(
        pt.DeepLinear([jnp.eye(1) * start**0.5] * 2),
        moments,
        loss=losses.GaussianInfoNCE(TAU),
        t1=3.0,
        save_at=jnp.asarray([1.0, 3.0]),
    )
    weights = dynamics.weight_at_time(jnp.asarray([1.0, 3.0]), start, *scaled, 2)
    np.testing.assert_allclose(run.weights()[:2, -1, 0], weights, rtol=1e-9)
    energy = lambda s, g: -c * s**2 / TAU + (q * s**2 / TAU) ** 2 / 2 + g * s
    least = lambda g: min(energy(s, g) for s in np.linspace(1e-4, 2, 4000))
    assert least(0.99 * float(lost)) < 0 < least(1.01 * float(lost))


def test_what_is_no_spectral_loss_says_so():
    for response in (Whitening(), InfoNCEDistance(TAU), InfoNCERademacher(TAU)):
        with pytest.raises(ValueError, match=f"response: got {names(response)}"):
            response.spectral_moments(mixed())
    with pytest.raises(ValueError, match="response: got VICReg with beta = 3"):
        VICReg(3.0).spectral_moments(mixed())


# Layers, ranks and invariances


@pytest.mark.x64
@pytest.mark.parametrize("response", ALL, ids=names)
def test_layers_are_powers_of_the_minimiser(response):
    moments = apart()
    found = layers(moments, response, depth=3)
    last = np.diag(minimiser(moments, response).gram)
    np.testing.assert_allclose(found.weights, last ** (np.arange(1, 4)[:, None] / 6), rtol=1e-12)


@pytest.mark.x64
@pytest.mark.parametrize("response", ALL, ids=names)
def test_directions_without_variance_have_no_weight(response):
    """Nor do they change the others."""
    moments = apart()
    wider = pt.Moments(*(np.pad(np.asarray(m), (0, 1)) for m in (moments.cross, moments.second)))
    if isinstance(response, Whitening | InfoNCERademacher):
        want = minimiser(moments, response)
        if isinstance(response, Whitening):
            with pytest.raises(ValueError, match="width: got 4; want at most 3"):
                minimiser(wider, response)
            np.testing.assert_allclose(minimiser(wider, response, 3).gram[:3, :3], want.gram)
            return
    found = minimiser(wider, response)
    np.testing.assert_allclose(found.gram[:3, :3], minimiser(moments, response).gram, rtol=1e-12)
    assert not np.asarray(found.gram[3]).any()


@pytest.mark.x64
@settings(max_examples=10)
@given(seed=st.integers(0, 2**31), chosen=st.sampled_from([0, 1, 2, 3, 4]))
def test_minimisers_follow_a_change_of_coordinates(seed, chosen):
    """M for x becomes A^-T M A^-1 for A x, where nothing but (C, S) matters."""
    response, moments, rng = ALL[chosen], mixed(), np.random.default_rng(seed)
    a = np.linalg.qr(rng.normal(size=(3, 3)))[0] * rng.uniform(0.5, 2, 3)
    moved = pt.Moments(*(a @ np.asarray(m) @ a.T for m in (moments.cross, moments.second)))
    back = a.T @ np.asarray(minimiser(moved, response, 2).gram) @ a
    np.testing.assert_allclose(back, minimiser(moments, response, 2).gram, atol=1e-10)


@pytest.mark.x64
@pytest.mark.parametrize("response", ALL[1:6], ids=names)
def test_gradient_is_that_of_central_differences(response):
    """In the moments, at a tie of two signal fractions, and in the parameter."""
    moments = random_moments(jax.random.key(1), cast([0.6, 0.6, 0.2]), condition=4.0)
    mix = np.random.default_rng(0).normal(size=(3, 3))
    leaves, rest = jax.tree.flatten(response)

    def value(cross, parameters):
        one = jax.tree.unflatten(rest, parameters)
        return jnp.vdot(mix, minimiser(pt.Moments(cross, moments.second), one, 3).gram)

    way = np.random.default_rng(1).normal(size=(3, 3))
    way = way + way.T
    at = lambda h: value(moments.cross + h * way, [x * (1 + h) for x in leaves])
    gradient = jax.grad(value, argnums=(0, 1))(moments.cross, leaves)
    slope = jnp.vdot(gradient[0], way) + sum(
        g * x for g, x in zip(gradient[1], leaves, strict=True)
    )
    np.testing.assert_allclose(slope, (at(1e-5) - at(-1e-5)) / 2e-5, rtol=1e-6, atol=1e-8)


# What is refused


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: VICReg(0.0), "beta: got 0.0; want positive"),
        (lambda: VICReg([1.0, 2.0]), r"beta: got shape \(2,\); want one positive number"),
        (lambda: InfoNCE(-1.0), "temperature: got -1.0"),
        (lambda: InfoNCEDistance(0.0), "temperature: got 0.0"),
        (lambda: InfoNCERademacher(float("nan")), "temperature: got nan"),
        (lambda: minimiser(apart(), Spectral(), 0), "width: got 0"),
        (lambda: layers(apart(), Spectral(), 0), "depth: got 0"),
        (
            lambda: minimiser(apart(), InfoNCERademacher(1.0), 2),
            "width: got 2; want at least the number of features, 3",
        ),
        (
            lambda: minimiser(apart(np.array([1.0, 0.5])), InfoNCEDistance(1.0)),
            "moments: got a signal fraction of 1",
        ),
        (
            lambda: minimiser(apart(np.array([1.0, 0.5])), InfoNCERademacher(1.0)),
            "moments: got a signal fraction of 1",
        ),
    ],
)
def test_bad_input_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.x64
def test_a_cut_through_a_tie_is_refused_or_reported():
    tied = apart(np.array([0.9, 0.5, 0.5]), (1.0, 1.0, 1.0))
    for response, what in ((VICReg(1.2), "signal fractions"), (BarlowTwins(), "eigenvalues of C")):
        with pytest.raises(NonUniqueMinimiserError, match=f"width: got 2, .* tied {what} 2 and 3"):
            minimiser(tied, response, 2)
        found = minimiser(tied, response, 2, throw=False)
        assert not bool(found.unique)
        assert int(found.kept) == 1
    # Extinct features are tied at zero, and nothing is lost by the cut.
    assert bool(minimiser(tied, VICReg(3.0), 2).unique)
