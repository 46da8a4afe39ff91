"""Descent along the factorisations of one product: what it keeps, what it lowers, where it ends."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from projhead_theory import DeepLinear, measure
from projhead_theory.simulation import rebalance
from projhead_theory.theory.balance import least_norm, least_norm_factors

pytestmark = pytest.mark.x64

# A fixed set of shapes: JAX compiles anew for each.
SHAPES = ((3, 2, 4), (4, 2, 2, 3))


def norm(network):
    return float(sum(jnp.sum(w * w) for w in network.layers))


def imbalance(network):
    return float(jnp.max(measure.imbalance_norms(network)))


def start(sizes, seed):
    """Layers of unlike sizes, far from balanced."""
    return DeepLinear.init(jax.random.key(seed), sizes, [3.0, 0.3, 1.0][: len(sizes) - 1])


@pytest.mark.parametrize("sizes", SHAPES)
def test_rebalancing_finds_the_balanced_factorisation_of_the_same_product(sizes):
    """On random networks: the product is kept to rounding and integration, the norm falls to the
    least there is, L sum s^(2/L), and the imbalance vanishes; the result says so of itself.
    """
    for seed in range(4):
        network = start(sizes, seed)
        found = rebalance(network)
        assert bool(found.converged)
        assert found.network.sizes == sizes
        size = float(jnp.linalg.norm(network.matrix))
        moved = float(jnp.linalg.norm(found.network.matrix - network.matrix)) / size
        assert moved < 1e-10
        assert float(found.moved) == pytest.approx(moved, rel=1e-6, abs=1e-15)
        least = float(least_norm(network.matrix, network.depth))
        assert norm(network) > 1.1 * least
        assert norm(found.network) == pytest.approx(least, rel=1e-9)
        assert imbalance(network) > 0.1 * norm(network)
        assert imbalance(found.network) <= float(found.residual) * norm(found.network) * (1 + 1e-9)
        assert float(found.residual) < 1e-9


def test_a_rebalanced_network_has_the_factors_of_the_closed_form():
    """Up to rotations between the layers: their singular values are the roots of the product's."""
    sizes = SHAPES[1]
    network = start(sizes, 7)
    found = rebalance(network).network
    for layer, factor in zip(
        found.layers, least_norm_factors(network.matrix, 3, sizes[1:-1]), strict=True
    ):
        np.testing.assert_allclose(
            *(jnp.linalg.svd(w, compute_uv=False) for w in (layer, factor)), rtol=1e-8
        )


def test_directions_that_the_product_does_not_use_die_out():
    """Inner widths above the rank: what is spare decays, but only as a power of time. The norm is
    then close to the least, from above, by no more than the imbalance that is left.
    """
    network = start((2, 4, 3, 2), 5)
    found = rebalance(network)
    least = float(least_norm(network.matrix, 3))
    assert float(jnp.linalg.norm(found.network.matrix - network.matrix)) < 1e-10 * norm(network)
    assert (
        -1e-10 * least
        < norm(found.network) - least
        <= 3 * 4**0.5 * float(jnp.sum(measure.imbalance_norms(found.network)))
    )
    assert norm(found.network) == pytest.approx(least, rel=1e-4)


def test_the_norm_never_increases():
    """Whenever the descent is stopped: it is no detour."""
    network = start(SHAPES[0], 1)
    norms = [
        norm(network),
        *(norm(rebalance(network, t1=t).network) for t in (1e-3, 1e-2, 0.1, 1.0, 10.0, 1e6)),
    ]
    assert all(later <= earlier * (1 + 1e-12) for earlier, later in itertools.pairwise(norms))
    assert norms[3] < norms[0]


def test_a_balanced_network_does_not_move():
    """It is where it would end."""
    network = DeepLinear.balanced(jax.random.key(0), SHAPES[1], scale=0.7)
    found = rebalance(network)
    assert bool(found.converged)
    for before, after in zip(network.layers, found.network.layers, strict=True):
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-13)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_do_not_matter(unit):
    """A product a million times as large, or as small, is rebalanced in the same way."""
    network = start(SHAPES[0], 2)
    scaled = rebalance(DeepLinear([unit * w for w in network.layers]))
    assert bool(scaled.converged)
    for a, b in zip(rebalance(network).network.layers, scaled.network.layers, strict=True):
        np.testing.assert_allclose(b / unit, a, rtol=1e-7, atol=1e-9)


def test_one_layer_is_its_only_factorisation():
    network = DeepLinear([jnp.array([[1.0, 2.0], [3.0, 4.0]])])
    found = rebalance(network)
    assert bool(found.converged)
    np.testing.assert_allclose(found.network.matrix, network.matrix, rtol=1e-14)


def test_a_descent_cut_short_is_not_settled():
    """By its time or by its number of steps: no result is passed off as the least."""
    network = start(SHAPES[0], 3)
    assert not bool(rebalance(network, t1=1e-3).converged)
    cut = rebalance(network, max_steps=2)
    assert not bool(cut.converged)
    assert np.isfinite(norm(cut.network))


def test_a_zero_product_is_no_nan():
    """All factors of zero are zero, or tend to it; nothing is divided by nothing."""
    found = rebalance(DeepLinear([jnp.zeros((2, 3)), jnp.zeros((4, 2))]))
    assert bool(found.converged)
    assert norm(found.network) == 0.0


def test_a_tolerance_is_kept():
    """Looser, the product drifts further and the descent stops earlier, but not beyond the
    tolerance asked for.
    """
    network = start(SHAPES[0], 4)
    fine, loose = rebalance(network), rebalance(network, rtol=1e-5)
    assert float(fine.moved) < float(loose.moved) < 1e-3
    assert float(fine.residual) < float(loose.residual) <= 1e-4
    assert bool(loose.converged)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rtol": 0.0}, r"^rtol: got 0\.0; want positive"),
        ({"rtol": -1e-3}, r"^rtol: got -0\.001"),
        ({"rtol": float("nan")}, r"^rtol: got nan"),
        ({"t1": 0.0}, r"^t1: got 0\.0"),
        ({"t1": float("inf")}, r"^t1: got inf"),
        ({"max_steps": 0}, r"^max_steps: got 0; want a whole number >= 1"),
        ({"max_steps": 2.5}, r"^max_steps: got 2\.5"),
    ],
)
def test_bad_arguments_are_named(untyped, options, says):
    with pytest.raises(ValueError, match=says):
        rebalance(start(SHAPES[0], 0), **options)
