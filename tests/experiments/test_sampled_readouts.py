"""Readouts from samples against exact ones and against another library."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from helpers.experiments import KEY
from sklearn.linear_model import Ridge

import projhead_theory as pt
from projhead_theory.measure import group_accuracy


def test_sampled_read_outs_of_linear_networks_are_the_exact_ones():
    """Six standard errors, of 32 repeats, and what a readout of three weights loses by being
    fitted on 2048 inputs.
    """
    groups = pt.problems.ShiftProblem([1.0, 1.2, 1.1], 0.5, [0.9, 0.6], [-0.4, 0.2])
    network = pt.DeepLinear.init(KEY, (3, 4, 2), 0.7)
    exact = eqx.filter_jit(group_accuracy)(network, groups.training, groups.test, 0.3)
    seen = pt.probes.group_accuracy(
        network, groups.training, groups.test, 0.3, key=KEY, samples=2048, repeats=32
    )
    assert (np.abs(seen.groups - exact) < 6 * seen.groups_error + 3 / 2048).all()
    assert (
        np.abs(seen.average - exact @ groups.test.probability) < 6 * seen.average_error + 3 / 2048
    ).all()
    assert (np.abs(seen.worst - exact.min(axis=1)) < 6 * seen.worst_error + 3 / 2048).all()
    assert (np.asarray(seen.groups_error) < 0.02).all()


def test_three_classes_of_a_network_with_thresholds_against_another_library():
    """Ridge regression on one-hot targets by scikit-learn, on 100,000 inputs and as many noisy ones
    drawn by NumPy. The last layer, which shows nothing, leaves a guess.
    """
    rng = np.random.default_rng(1)
    probability = [0.1, 0.2, 0.25, 0.3, 0.15]
    groups = pt.problems.Groups(
        probability, rng.normal(size=(5, 4)), [0.5, 0.2, 0.7, 0.3], [0, 1, 1, 2, 2]
    )
    network = pt.networks.ShallowThresholded.init(
        KEY, (4, 6, 5, 3), 0.6, (0.2, 0.1, 100.0), final=True
    )
    blur, n = 0.2, 100_000
    seen = pt.probes.group_accuracy(
        network, groups, groups, blur, key=KEY, samples=2048, repeats=32
    )
    means, noise, labels = (np.asarray(x) for x in (groups.means, groups.noise, groups.labels))
    draw = lambda g: jnp.asarray(
        (means[g] + noise * rng.normal(size=(len(g), 4))).astype(means.dtype)
    )
    fitted, asked = rng.choice(5, n, p=probability), np.repeat(np.arange(5), n // 5)
    np.testing.assert_allclose(seen.groups[-1], 1 / 3, rtol=1e-6)
    pairs = zip(
        network.representations(draw(fitted))[:-1],
        network.representations(draw(asked))[:-1],
        strict=True,
    )
    for layer, (r, shown) in enumerate(pairs):
        r, shown = np.asarray(r), np.asarray(shown)
        variance = blur**2 * (r**2).sum(1).mean()
        ridge = Ridge(alpha=n * variance, fit_intercept=False).fit(r, np.eye(3)[labels[fitted]])
        said = ridge.predict(shown + variance**0.5 * rng.normal(size=shown.shape)).argmax(1)
        want = (said == labels[asked]).reshape(5, -1).mean(1)
        error = np.hypot(np.asarray(seen.groups_error[layer]), 0.5 / (n // 5) ** 0.5)
        assert (np.abs(np.asarray(seen.groups[layer]) - want) < 6 * error + 6 / 2048).all()
