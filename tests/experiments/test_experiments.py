"""Experiments against closed forms and against symmetries that they must have."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.experiments import GROUPS, KEY, THRESHOLDS, WEIGHTS, diagonal, linear

import projhead_theory as pt
from projhead_theory import theory
from projhead_theory.experiments import (
    ConnectedSweep,
    ShiftAccuracy,
    SubclassAccuracy,
    connected_sweep,
    feature_sweep,
    shift_accuracy,
    subclass_accuracy,
)

STRENGTH, FLIPS, UNTIL = (0.2, 0.4, 0.6, 0.7, 1.1), (0.0, 0.1, 0.5, 0.9), 1e4
TIMES = (500.0, 1000.0, 2000.0)


@pytest.fixture(scope="module")
def sweep():
    return feature_sweep(diagonal(), STRENGTH, FLIPS, t1=UNTIL)


@pytest.fixture(scope="module")
def connected():
    return connect()


def connect(key=KEY, **options):
    return connected_sweep(
        linear,
        (0.2, 0.8),
        (0.0, 0.5),
        key=key,
        seeds=3,
        strong=[1.0],
        steps=40,
        batch_size=16,
        **options,
    )


@pytest.fixture(scope="module")
def subclass():
    return subclass_accuracy(GROUPS, TIMES, (2,), key=KEY, seeds=3)


@pytest.fixture(scope="module")
def shift():
    """As good as untrained."""
    return shift_accuracy([0.9, 0.8], [0.0], (1e-6,), key=KEY, seeds=3)


# A step errs by eps^(3/4), so up to eps^(-1/4) steps, some 8,000, by eps^(1/2), and what is
# stationary is so to ten such steps.


@pytest.mark.x64
def test_diagonal_networks_end_where_the_closed_form_says(sweep, eps):
    """With signal, every layer; and nothing differs between a probability and its complement."""
    signal = np.array(FLIPS) != 0.5
    np.testing.assert_allclose(
        sweep.measured[..., signal], sweep.predicted[..., signal], atol=eps**0.5
    )
    np.testing.assert_allclose(sweep.measured[..., 1], sweep.measured[..., 3], atol=eps**0.5)


@pytest.mark.x64
def test_a_disrupted_feature_is_where_the_closed_form_has_it_at_this_time(sweep, eps):
    """Its last amplitude is that of the time trained, the first one that of the threshold law. d ln
    t = -2 d ln A, at late times.
    """
    phi = jnp.array(STRENGTH[3:])
    columns = [jnp.stack([jnp.full(2, x) for x in values]) for values in (WEIGHTS, THRESHOLDS)]
    first, last = sweep.measured[:, 3:, 2] * phi
    assert (last > 0).all()
    when = theory.thresholds.threshold_time(last, *columns, phi, jnp.zeros(2))
    np.testing.assert_allclose(when, UNTIL, rtol=2 * eps**0.5 / float(last.min()))
    np.testing.assert_allclose(
        theory.thresholds.threshold_law(last, *columns, phi)[0], first, rtol=eps**0.5
    )
    assert (sweep.predicted[0, 3:, 2] > 0).all()
    assert (sweep.predicted[1, :, 2] == 0).all()


def test_the_window_is_where_the_edges_are(sweep):
    """A layer shows a feature, after training, if and only if its strength is beyond that layer's
    edge: exactly zero within.
    """
    shown = np.array(STRENGTH)[None, :] > np.asarray(sweep.reach)[:, None]
    assert shown.sum(axis=1).tolist() == [4, 2]
    np.testing.assert_array_equal(
        np.asarray(sweep.measured) > 0, np.broadcast_to(shown[..., None], sweep.measured.shape)
    )


@pytest.mark.slow
@pytest.mark.x64
@pytest.mark.parametrize("trained", [True, False])
def test_where_there_is_no_closed_form_the_last_layer_still_has_one(trained, eps):
    """Depth 4 with a threshold in layer 3, and trained thresholds: NaN below of what is active,
    nothing else; what is known agrees.
    """
    start = diagonal((1.0, 0.9, 0.8, 0.9), (0.1, 0.1, 0.05, 0.1), trained)
    result = feature_sweep(start, (0.2, 0.3, 1.1), (0.0, 0.9))
    predicted = np.asarray(result.predicted)
    np.testing.assert_array_equal(
        np.isnan(predicted[:, :, 0]), np.array([[0, 0, 1]] * 3 + [[0, 0, 0]], bool)
    )
    known = ~np.isnan(predicted)
    np.testing.assert_allclose(np.asarray(result.measured)[known], predicted[known], atol=eps**0.5)


@pytest.mark.slow
@pytest.mark.x64
@pytest.mark.parametrize("depth", [3, 4])
def test_deeper_diagonal_networks_too(depth, eps):
    start = diagonal((1.0,) + (0.9,) * (depth - 1), (0.1, 0.1) + (0.0,) * (depth - 3) + (0.1,))
    result = feature_sweep(start, (0.2, 0.5, 1.1), (0.0, 0.3))
    np.testing.assert_allclose(result.measured, result.predicted, atol=eps**0.5)


def test_training_never_touches_the_unseen_direction(connected):
    """In the first layer of a linear network its weight is that of the start, which is the same in
    all settings, bit for bit; that of the weak feature is not.
    """
    unseen, weak = (
        np.asarray(connected.squares)[0, ..., 2],
        np.asarray(connected.squares)[0, ..., 1],
    )
    np.testing.assert_array_equal(unseen, np.broadcast_to(unseen[:1, :1], unseen.shape))
    assert (weak != weak[:1, :1]).any()


def test_without_thresholds_the_diagonal_network_shows_all_but_what_is_disrupted(connected):
    assert (np.asarray(connected.reach) == 0).all()
    assert (connected.foretold[:, :, 0] == "present").all()
    assert (connected.foretold[1, :, 1] == "absent").all()


def test_the_same_key_gives_the_same_numbers(connected):
    np.testing.assert_array_equal(connect().squares, connected.squares)
    assert (np.asarray(connect(jax.random.key(1)).squares) != np.asarray(connected.squares)).all()


@pytest.mark.slow
@pytest.mark.x64
def test_batches_of_runs_are_the_runs(connected, eps):
    """In batches of five of twelve runs, up to the order of sums in each of the 40 steps."""
    lines = []
    result = connect(at_once=5, progress=lines.append)
    np.testing.assert_allclose(result.squares, connected.squares, rtol=1e4 * eps)
    assert lines == ["5 of 12 runs", "10 of 12 runs", "12 of 12 runs"]


def test_verdicts_by_hand():
    """Ten seeds whose differences are far above, at, and scattered around zero; a run that diverged
    decides nothing.
    """
    rng = np.random.default_rng(0)
    squares = np.ones((2, 4, 1, 10, 3))
    squares[..., 2] = 0.5
    mean, scatter = np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.1, 1e-4, 0.3, 0.1])
    squares[..., 1] = 0.5 + mean[:, None, None] + scatter[:, None, None] * rng.normal(size=10)
    squares[0, 3, 0, 4] = np.nan
    zeros = jnp.zeros((2, 4, 1))
    result = ConnectedSweep(
        jnp.ones(4), jnp.zeros(1), jnp.asarray(squares), zeros, jnp.zeros(2), 1e-3, 0.01
    )
    assert result.verdict[:, :, 0].tolist() == [
        ["present", "absent", "open", "open"],
        ["present", "absent", "open", "present"],
    ]
    dead = ConnectedSweep(
        jnp.ones(4), jnp.zeros(1), jnp.zeros((2, 4, 1, 10, 3)), zeros, jnp.zeros(2), 1e-3, 0.01
    )
    assert (dead.verdict == "open").all()
    low, high = result.limits
    np.testing.assert_allclose((low + high)[:, :3] / 2, result.share[:, :3])


@pytest.mark.slow
def test_late_in_training_random_starts_agree_with_the_aligned_one(subclass):
    """A power law forgets its start: within those of half and of twice the time, at every start and
    layer.
    """
    predicted, seen = np.asarray(subclass.predicted)[0], np.asarray(subclass.measured)[0, :, 1]
    assert (predicted[2] < seen).all()
    assert (seen < predicted[0]).all()


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param("contrastive", marks=pytest.mark.slow),
        pytest.param("regression", marks=pytest.mark.deep),
    ],
)
def test_narrow_and_wide_layers(loss):
    """One unit a layer: Grams are multiples of one another, so all layers read alike, and nothing
    is predicted. Wider than the inputs: as predicted, late in training, also at depth 3.
    """
    lines = []
    result = subclass_accuracy(
        GROUPS, TIMES, (1, 5), key=KEY, loss=loss, depth=3, seeds=2, progress=lines.append
    )
    assert np.isnan(result.predicted[0]).all()
    eps = np.finfo(result.measured.dtype).eps
    np.testing.assert_allclose(
        result.measured[0], np.broadcast_to(result.measured[0, ..., :1], (2, 3, 3)), atol=1e3 * eps
    )
    predicted, seen = np.asarray(result.predicted)[1], np.asarray(result.measured)[1, :, 1]
    assert ((predicted[2] < seen) & (seen < predicted[0])).all()
    assert lines == ["width 1: 1 of 2", "width 5: 2 of 2"]


@pytest.mark.deep
def test_a_tiny_threshold_is_none():
    """From the same starts, after one step too small to matter, readouts from samples agree with
    exact ones. An accuracy of n draws, and the readout it is of, have an error of at most 1/2
    sqrt(n) each; n is a thousand a group, of eight readouts of 1024 inputs, eight groups.
    """
    lines = []
    shift = shift_accuracy(
        [0.9, 0.8],
        (0.0, 1e-9),
        (1e-6,),
        key=KEY,
        seeds=3,
        learning_rate=1e-6,
        samples=1024,
        progress=lines.append,
    )
    assert lines == ["linear networks", "6 of 6 runs"]
    exact, sampled = (np.asarray(shift.measured)[:, :, i] for i in (0, 1))
    assert np.abs(exact - sampled).max() < 6 / 1024**0.5
    assert np.abs((exact - sampled).mean()) < 0.01 < np.abs(exact - 0.5).mean()


def test_read_outs_differ_by_what_they_are_fitted_on(shift):
    """The closed form of an untrained network, all directions alike: refitted, the worst group is
    read; on the training distribution it is lost. `predicted` has one Gram, a multiple of one, in
    all layers.
    """
    worst = np.asarray(shift.predicted_worst)[:, 0, 0]
    assert (worst[0] < 0.5).all()
    assert (worst[1] > 0.7).all()
    np.testing.assert_allclose(worst[:, 0], worst[:, 1], atol=1e-4)


@pytest.mark.slow
@pytest.mark.x64
def test_under_shift_late_in_training(eps):
    """Linear networks of depth 2: late in training as predicted, by half and twice the time, in the
    refitted readout's average; a single output makes all layers alike.
    """
    times = (20.0, 40.0, 80.0)
    result = shift_accuracy([[0.9, 0.8]], [0.0], times, key=KEY, seeds=2)
    predicted, seen = (
        np.asarray(result.predicted_average)[1, 0],
        np.asarray(result.average)[1, 0, 0, :, 1],
    )
    assert ((predicted[2] < seen) & (seen < predicted[0])).all()
    single = shift_accuracy([[0.9, 0.8]], [0.0], times, key=KEY, outputs=1, seeds=2)
    assert np.isnan(single.predicted).all()
    np.testing.assert_allclose(
        single.measured[..., 0, :], single.measured[..., 1, :], atol=eps**0.5
    )


def test_results_as_labelled_arrays(sweep, connected, subclass, shift):
    sizes = {
        "sweep": {"layer": 2, "strength": 5, "flips": 4},
        "connected": {"layer": 2, "strength": 2, "flips": 2, "seed": 3, "direction": 3},
        "subclass": {"width": 1, "time": 3, "layer": 2, "seed": 3},
        "shift": {
            "fitted": 2,
            "setting": 2,
            "threshold": 1,
            "seed": 3,
            "time": 1,
            "layer": 2,
            "group": 8,
            "spurious": 2,
        },
    }
    for name, result in (
        ("sweep", sweep),
        ("connected", connected),
        ("subclass", subclass),
        ("shift", shift),
    ):
        data = result.to_xarray()
        assert dict(data.sizes) == sizes[name]
        assert set(json.loads(json.dumps(result.to_dict(), allow_nan=False)))
    weights = sweep.to_xarray()["measured"].sel(layer=2, flips=0.9).values
    np.testing.assert_array_equal(weights, sweep.measured[1, :, 3])
    np.testing.assert_array_equal(
        shift.to_xarray()["worst"].sel(fitted="balanced", threshold=0).values, shift.worst[1, :, 0]
    )


def test_results_as_figures(sweep, connected, subclass, shift, tmp_path):
    """A line and a marker for each side of the head and flip probability; an error bar for each
    layer; and an edge for each layer.
    """
    import matplotlib.pyplot as plt

    assert len(sweep.plot().lines) == 4 * 2 * 2 + 2
    assert len(connected.plot().containers) == 4
    assert len(subclass.plot(width=2).containers) == 2
    ax = shift.plot(setting=1)
    assert len(ax.containers) == 2
    pt.figures.save(ax, tmp_path / "shift.svg")
    plt.close("all")
    with pytest.raises(ValueError, match="width: got 7"):
        subclass.plot(width=7)
    with pytest.raises(ValueError, match="setting: got 2"):
        shift.plot(setting=2)
    plt.close("all")


def test_means_over_starts_and_groups_by_hand():
    """The standard error is that of a mean; the worst group is one that occurs."""
    starts = jnp.array([0.5, 0.7, 0.9, 0.7])
    subclass = SubclassAccuracy(
        jnp.ones(1), jnp.array([2]), jnp.ones((1, 1, 1)), starts.reshape(1, 4, 1, 1)
    )
    np.testing.assert_allclose(subclass.mean, 0.7, rtol=1e-6)
    np.testing.assert_allclose(subclass.error, np.sqrt(0.08 / 3 / 4), rtol=1e-6)
    # Two correlations; of two groups, one never occurs in the second.
    probability = jnp.array([[0.25, 0.75], [0.0, 1.0]])
    groups = jnp.array([[[0.2, 0.8]], [[0.1, 0.6]]])[None]
    measured = groups[:, :, None, None]
    shift = ShiftAccuracy(
        jnp.ones((2, 1)),
        jnp.zeros(1),
        jnp.ones(1),
        probability,
        groups[..., None, :],
        measured[..., None, :],
    )
    for average, worst in (
        (shift.average, shift.worst),
        (shift.predicted_average, shift.predicted_worst),
    ):
        np.testing.assert_allclose(np.ravel(average), [0.65, 0.6], rtol=1e-6)
        np.testing.assert_allclose(np.ravel(worst), [0.2, 0.6], rtol=1e-6)
