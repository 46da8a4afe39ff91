"""The theory's view of a trained head, and readouts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import projhead_theory as pt
from projhead_theory.images import _foresight, _reading

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


class Plain(pt.images.AbstractEncoder):
    """Images as they are."""

    size: int = 4

    def __call__(self, x):
        return x.reshape(len(x), -1)


def pairs(count=4000):
    """Four features with signal fractions 0.9, 0.6, 0.3 and 0.1, of strengths 1, 3, 1 and 2."""
    fraction, strength = np.asarray([0.9, 0.6, 0.3, 0.1]), np.asarray([1.0, 3.0, 1.0, 2.0])
    shared = RNG.normal(size=(count, 4)) * np.sqrt(fraction)
    own = lambda: RNG.normal(size=(count, 4)) * np.sqrt(1 - fraction)
    return tuple(5 + strength * (shared + own()) for _ in range(2)), shared


def under(head):
    return pt.images.ImageNetwork(Plain(), head)


def test_a_trained_head_has_the_minimiser_of_the_spectral_loss():
    """Its loss is the least, and the Gram is the library's on centred moments."""
    (x1, x2), _ = pairs()
    network = under(pt.images.LinearProjection(4, 2, key=KEY))
    head, mean = _foresight.head_matrix(network, x1, x2)
    assert np.allclose(mean, 5, atol=0.2)
    a, b = x1 - mean, x2 - mean
    second, cross = (a.T @ a + b.T @ b) / (2 * len(a)), (a.T @ b + b.T @ a) / (2 * len(a))
    seen = head @ second @ head.T
    fractions = np.sort(np.linalg.eigvals(np.linalg.solve(second, cross)).real)[::-1]
    assert np.allclose(np.linalg.eigvalsh(seen)[::-1], fractions[:2], rtol=1e-6)
    assert np.allclose(head @ cross @ head.T, np.diag(fractions[:2] ** 2), atol=1e-6)


def test_a_fixed_head_is_its_diagonal_and_no_head_the_identity():
    (x1, x2), _ = pairs(50)
    fixed = pt.images.FixedProjection(pt.networks.ReweightingHead(2.0), 4)
    assert np.allclose(
        _foresight.head_matrix(under(fixed), x1, x2)[0], np.diag(0.5 ** np.arange(4))
    )
    none = pt.images.NoProjection(4)
    assert np.array_equal(_foresight.head_matrix(under(none), x1, x2)[0], np.eye(4))


def test_a_head_is_found_where_signal_fractions_are_tied():
    """Both views are the same: every fraction is 1, and any two directions minimise the loss."""
    (x1, _), _ = pairs(200)
    network = under(pt.images.LinearProjection(4, 2, key=KEY))
    head, mean = _foresight.head_matrix(network, x1, x1)
    seen = (x1 - mean) @ head.T
    assert np.allclose(seen.T @ seen / 200, np.eye(2), atol=1e-6)


def test_views_that_share_nothing_leave_no_head():
    """The label is then unread above the head, which costs every sample there is."""
    x = np.repeat([[1.0], [-1.0]], 20, axis=0) * np.ones(4)
    network = under(pt.images.LinearProjection(4, 2, key=KEY))
    head, _ = _foresight.head_matrix(network, x, -x)
    assert head.shape == (0, 4)
    assert _foresight.complexity(x @ head.T, np.arange(40) % 2, 2, 40) == 40


def test_the_indicator_is_the_least_penalised_error():
    x, y = RNG.normal(size=(300, 3)) * [1.0, 2.0, 0.1], RNG.integers(0, 2, 300)
    found = _foresight.complexity(x, y, 2, 40)
    z, t = x - x.mean(axis=0), (y - y.mean()) / y.std()
    penalty = (z**2).sum(axis=1).mean() / 40
    v = np.linalg.solve(z.T @ z / 300 + penalty * np.eye(3), z.T @ t / 300)
    assert found == pytest.approx(40 * (((t - z @ v) ** 2).mean() + penalty * v @ v), rel=1e-6)


@pytest.mark.parametrize(("feature", "side"), [(0, "post"), (3, "pre")])
def test_the_theory_prefers_the_layer_that_weights_the_label(feature, side):
    """A head keeps what both views share: it helps with the first feature, not with the last."""
    (x1, x2), shared = pairs()
    labels = (shared[:, feature] > 0).astype(int)
    network = under(pt.images.LinearProjection(4, 4, key=KEY))
    post = tuple(x @ np.asarray(network.head.weight).T for x in (x1, x2))
    found = _foresight.foresee(network, (x1, x2), post, labels, x1[:500], labels[:500], 2)
    assert (found.predicted > 1) == (side == "pre")
    assert found.signal[0, :4] == pytest.approx([0.9, 0.6, 0.3, 0.1], abs=0.06)
    assert found.indicator.shape == (2,)


def test_a_fixed_head_is_foreseen_as_it_is_measured():
    """`pt.inspect` on the layer above the head gives the ratio that is predicted from below it."""
    (x1, x2), shared = pairs(1000)
    labels = (shared[:, 1] > 0).astype(int)
    network = under(pt.images.FixedProjection(pt.networks.ReweightingHead(1.5), 4))
    post = tuple(x * 1.5 ** -np.arange(4) for x in (x1, x2))
    found = _foresight.foresee(network, (x1, x2), post, labels, x1, labels, 2)
    # The readout sees first views alone, inspection both: they differ by sampling, 1 / sqrt(1000).
    ratio = found.indicator[1] / found.indicator[0]
    assert found.predicted == pytest.approx(ratio, rel=4 / np.sqrt(1000))


def test_a_readout_does_not_depend_on_scale_or_shift():
    x, y = RNG.normal(size=(60, 3)), np.arange(60) % 3
    x = x + 2 * np.eye(3)[y]
    a, b = (
        _reading.read(jnp.asarray(z, jnp.float32), y, [jnp.asarray(z, jnp.float32)], 3)[0]
        for z in (x, 100 * x + 7)
    )
    assert np.array_equal(a, b)
    assert (a == y).mean() > 0.7


def test_group_accuracies_are_shares_of_each_group():
    found = _reading.group_accuracies(
        np.asarray([0, 1, 1, 0]), np.asarray([0, 1, 0, 0]), np.asarray([0, 0, 5, 5])
    )
    assert found.tolist() == [1.0, 0.5]
    with pytest.raises(ValueError, match="groups"):
        _reading.group_accuracies(np.zeros(3, int), np.zeros(3, int), np.zeros(2, int))
