"""Learning curves: paired samples, what they say of layers, and runs that are taken up where they
were left.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory import DeepLinear, DownstreamProblem, Features, probes
from projhead_theory.probes import HardMargin, LearningCurve, NearestMean, Ridge, learning_curve
from projhead_theory.probes._curve import decreasing
from projhead_theory.problems import SignLabel

D, SIZES = 6, (2, 5, 12)
OPTIONS = {"seeds": 6, "test": 256}


def network(weights=None, depth=2):
    weights = np.linspace(0.4, 1.5, D) if weights is None else weights
    weights = jnp.asarray(weights, jnp.result_type(float))
    return DeepLinear.aligned(jnp.eye(D, dtype=weights.dtype), weights, (D,) * (depth + 1))


def problem(feature=0, distribution="gaussian", **options):
    return DownstreamProblem(Features(np.ones(D), distribution), SignLabel(feature), **options)


def run(net=None, task=None, probe=None, sizes=SIZES, seed=0, **options):
    probe = NearestMean() if probe is None else probe
    return learning_curve(
        net or network(),
        task or problem(),
        probe,
        sizes,
        key=jax.random.key(seed),
        **(OPTIONS | options),
    )


def curve(errors, sizes=(4, 16, 64)):
    """A curve whose seeds have exactly these errors `(L, S, R)`."""
    errors = np.asarray(errors, float)
    return LearningCurve(
        np.asarray(sizes),
        errors,
        np.zeros(errors.shape[:2]),
        tuple(f"layer {i + 1}" for i in range(len(errors))),
    )


@pytest.mark.parametrize("probe", [Ridge(0.1), HardMargin()])
def test_errors_are_those_of_probes_fitted_by_hand(probe):
    """Layer by layer and seed by seed, on the beginning of one and the same sample."""
    got = run(probe=probe)
    for r in (0, 3):
        key = _keys()[r]
        train, test = jax.random.split(key)
        data, held = problem().sample(train, SIZES[-1]), problem().sample(test, 256)
        for i, n in enumerate(SIZES):
            labels = np.asarray(data.targets[:n])
            for layer, w in enumerate(network().products()):
                if len(set(labels)) < 2:
                    want = 0.5
                else:
                    readout = probe.fit(data.inputs[:n] @ w.T, labels, throw=False)
                    fitted = bool(readout.status == probes.Status.fitted)
                    want = float(readout.error(held.inputs @ w.T, held.targets)) if fitted else 0.5
                # A test input on the boundary to rounding may fall either way.
                assert got.errors[layer, i, r] == pytest.approx(want, abs=1.5 / 256)


def test_layers_and_sizes_are_paired():
    """A depth of equal layers has equal curves, and a size's errors do not depend on which smaller
    ones are asked for.
    """
    same = run(network(np.ones(D)))
    np.testing.assert_array_equal(same.errors[0], same.errors[1])
    np.testing.assert_array_equal(run(sizes=(5, 12)).errors, run().errors[:, 1:])


def test_a_sample_of_one_class_or_without_a_separator_counts_as_a_guess():
    got = run(task=problem(label_noise=0.4), probe=HardMargin(), sizes=(2, 40))
    assert (got.infeasible[:, 1] == 1).all()
    assert (got.errors[:, 1] == 0.5).all()
    one_class = [
        len({*np.asarray(problem().sample(jax.random.split(k)[0], 12).targets[:2]).tolist()}) < 2
        for k in _keys()
    ]
    np.testing.assert_array_equal(run().infeasible[:, 0], np.mean(one_class))


def _keys():
    return jax.random.split(jax.random.key(0), OPTIONS["seeds"])


def test_a_layer_that_has_lost_the_label_is_at_chance():
    got = run(network([0.0, *np.ones(D - 1)]), sizes=(12,), seeds=12, test=2048)
    assert (np.abs(got.mean - 0.5) < 5 * 0.5 / (12 * 12) ** 0.5).all()


def test_float32_stays_and_other_seeds_differ():
    net = jax.tree.map(lambda w: w.astype(jnp.float32), network())
    task = DownstreamProblem(Features(np.ones(D, np.float32), "gaussian"), SignLabel(0))
    assert np.isfinite(run(net, task).errors).all()
    assert (run(seed=1).errors != run().errors).any()


class Stop(Exception):  # noqa: N818 - no error: what a user's interrupt is
    """Raised by a progress callback."""


def test_an_interrupted_run_is_taken_up_where_it_was_left(tmp_path):
    """Finished sizes are not fitted again, and the result is that of one run."""
    path = tmp_path / "curve.npz"

    def interrupt(done, total):
        assert total == 3
        if done == 2:
            raise Stop

    with pytest.raises(Stop):
        run(checkpoint=path, progress=interrupt)
    seen = []

    class Counting(NearestMean):
        def solve(self, x, labels, classes):
            seen.append(x.shape[1])
            return super().solve(x, labels, classes)

    with np.load(path) as file:
        np.testing.assert_array_equal(
            np.isnan(file["readouts"]).any(axis=(0, 2, 3)), [False, False, True]
        )
    steps = []
    resumed = run(checkpoint=path, progress=lambda done, total: steps.append(done))
    assert steps == [1, 2, 3]
    np.testing.assert_array_equal(resumed.errors, run().errors)
    np.testing.assert_array_equal(resumed.infeasible, run().infeasible)
    # Another probe's checkpoint is begun anew, and once whole nothing is fitted.
    other = tmp_path / "other.npz"
    for wanted in (list(np.repeat(SIZES, 2)), []):
        seen.clear()
        run(probe=Counting(), checkpoint=other)
        assert seen == wanted


@pytest.mark.parametrize(
    "change",
    [
        {"net": network(np.ones(D))},
        {"task": problem(1)},
        {"task": problem(distribution="uniform")},
        {"probe": Ridge(1.0)},
        {"sizes": (2, 5, 13)},
        {"seed": 1},
        {"seeds": 7},
        {"test": 128},
    ],
)
def test_a_checkpoint_of_other_arguments_is_refused(tmp_path, change):
    path = tmp_path / "curve.npz"
    run(checkpoint=path)
    with pytest.raises(
        ValueError, match=r"^checkpoint: got .*curve\.npz, which belongs to other arguments; want"
    ):
        run(checkpoint=path, **change)


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_file_that_is_no_checkpoint_is_refused_and_kept(tmp_path, content):
    path = tmp_path / "mine.npz"
    if content is None:
        np.savez(path, x1=np.ones(3))
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"^checkpoint: got .*mine\.npz, which is not one"):
        run(checkpoint=path)
    assert path.read_bytes() == before


def test_samples_needed_are_read_off_the_curve():
    """Linear in the error over the logarithm of the number: half-way between 4 and 16 lies 8."""
    got = curve(
        np.broadcast_to(
            [[[0.4], [0.2], [0.0]], [[0.4], [0.4], [0.3]], [[0.2], [0.1], [0.0]]], (3, 3, 5)
        )
    ).samples_needed(0.3)
    np.testing.assert_allclose(got.value, [8, 64, 4])
    np.testing.assert_allclose(got.low, [8, 64, 0])
    np.testing.assert_allclose(got.high, [8, 64, 4])
    never = curve(np.full((1, 3, 4), 0.4)).samples_needed(0.1)
    np.testing.assert_array_equal(never, [[np.inf], [64], [np.inf]])


def test_one_size_brackets_from_one_side_only():
    both = curve([[[0.1, 0.1]], [[0.4, 0.4]]], sizes=(8,)).samples_needed(0.2)
    np.testing.assert_array_equal(both, [[8, np.inf], [0, 8], [8, np.inf]])


@given(seed=st.integers(0, 2**31), count=st.integers(1, 9))
def test_curves_are_made_monotone_by_the_nearest_decreasing_one(seed, count):
    """Against a constrained least-squares solver, through the increments."""
    y = np.random.default_rng(seed).random(count)
    steps = np.tril(np.ones((count, count)))
    steps[:, 1:] *= -1
    want = (
        steps
        @ scipy.optimize.lsq_linear(
            steps, y, (np.r_[-np.inf, np.zeros(count - 1)], np.inf), tol=1e-14
        ).x
    )
    np.testing.assert_allclose(decreasing(y[None])[0], want, atol=1e-6)


def noisy(shift, seeds=48, scatter=0.05, seed=0):
    """Two layers with common errors that scatter much from seed to seed, the second `shift` above
    the first.
    """
    rng = np.random.default_rng(seed)
    common = np.asarray([0.45, 0.25, 0.05])[:, None] + scatter * rng.standard_normal((3, seeds))
    return curve(np.stack([common, common + shift]))


def test_pairing_resolves_what_separate_bands_do_not():
    got = noisy(0.01)
    needed, ratio, best = got.samples_needed(0.2), got.ratio(2, 1, 0.2), got.fewest(0.2)
    assert needed.high[0] > needed.low[1]
    assert 1 < ratio.low < ratio.value < ratio.high
    assert best.layer == 1
    assert best.share == 1
    backwards = got.ratio(1, 2, 0.2)
    np.testing.assert_allclose(
        [backwards.value, backwards.low, backwards.high],
        [1 / ratio.value, 1 / ratio.high, 1 / ratio.low],
        rtol=0.01,
    )


def test_equal_layers_are_tied():
    got = noisy(0.0)
    assert got.ratio(1, 2, 0.2) == pytest.approx((1, 1, 1))
    assert got.fewest(0.2) == (None, 1.0)


def test_bands_cover_at_their_confidence():
    """Of the mean error, Student's t: exact for normal errors. Of the samples needed, resampling: a
    little narrow at 48 seeds.
    """
    covered, needed, repeats = 0, 0, 150
    for seed in range(repeats):
        got = noisy(0.0, scatter=0.1, seed=seed)
        low, high = got.band(0.8)
        covered += low[0, 1] <= 0.25 <= high[0, 1]
        estimate = got.samples_needed(0.25, 0.8)
        needed += estimate.low[0] <= 16 <= estimate.high[0]
    spread = 4 * (0.8 * 0.2 / repeats) ** 0.5
    assert abs(covered / repeats - 0.8) < spread
    assert abs(needed / repeats - 0.8) < spread + 0.03


def test_a_ratio_to_what_is_never_reached_is_bounded_from_one_side():
    errors = np.stack([np.broadcast_to([[0.4], [0.2], [0.1]], (3, 4)), np.full((3, 4), 0.45)])
    got = curve(errors)
    up, down = got.ratio(2, 1, 0.3), got.ratio(1, 2, 0.3)
    assert up.value == np.inf
    assert up.low == pytest.approx(8)
    assert (down.value, down.low) == (0, 0)
    assert down.high == pytest.approx(1 / 8)
    assert np.isnan(got.ratio(2, 2, 0.3).value)
    assert got.fewest(0.3) == (1, 1.0)


def test_labelled_and_plotted(tmp_path):
    from projhead_theory.figures import plot_learning_curve, save

    got = run()
    data = got.to_xarray()
    assert data["error"].sel(layer="layer 2", samples=5).shape == (6,)
    np.testing.assert_array_equal(data["infeasible"], got.infeasible)
    ax = got.plot()
    assert [line.get_label() for line in ax.lines] == ["layer 1", "layer 2"]
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), got.mean[1])
    assert plot_learning_curve(got, ax) is ax
    save(ax, tmp_path / "curve.png")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run(sizes=()), r"^sizes: got \(\); want increasing"),
        (lambda: run(sizes=(4, 4)), r"^sizes: got \(4, 4\); want increasing"),
        (lambda: run(sizes=(1, 4)), r"^sizes: got 1; want a whole number >= 2"),
        (lambda: run(seeds=1), r"^seeds: got 1; want a whole number >= 2"),
        (
            lambda: run(task=DownstreamProblem(Features([1.0, 2.0]), SignLabel(0))),
            r"^problem: got inputs of dimension 2; want the network's 6",
        ),
        (
            lambda: noisy(0.1).samples_needed(0.5),
            r"^error: got 0\.5; want an error between 0 and 1/2",
        ),
        (
            lambda: noisy(0.1).samples_needed(0.2, 1.0),
            r"^confidence: got 1\.0; want a number between 0 and 1",
        ),
        (lambda: noisy(0.1).ratio(3, 1, 0.2), r"^layer_a: got 3; want a layer from 1 to 2"),
        (lambda: noisy(0.1).ratio(1, 0, 0.2), r"^layer_b: got 0; want a whole number >= 1"),
    ],
)
def test_arguments_out_of_range_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
