"""Arguments of experiments out of range are named."""

import functools

import pytest
from helpers.experiments import GROUPS, KEY, commuting, diagonal, linear

import projhead_theory as pt
from projhead_theory.experiments import (
    connected_sweep,
    feature_sweep,
    shift_accuracy,
    subclass_accuracy,
)

SWEEP = functools.partial(feature_sweep, diagonal())
CONNECTED = functools.partial(connected_sweep, key=KEY)
SUBCLASS = functools.partial(subclass_accuracy, key=KEY)
SHIFT = functools.partial(shift_accuracy, key=KEY)
PROBED = functools.partial(pt.probes.group_accuracy, pt.DeepLinear.init(KEY, (2, 2)), key=KEY)
THREE = GROUPS.relabel([0, 1, 2, 2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SWEEP([0.0], [0.1]), "strength: got 0"),
        (lambda: SWEEP([], [0.1]), "strength: got shape"),
        (lambda: SWEEP([1.0], [1.1]), "flips: got 1.1"),
        (lambda: SWEEP([1.0], []), "flips: got shape"),
        (
            lambda: feature_sweep(diagonal((1.0,), (0.1,)), [1.0], [0.1]),
            "start: got weights of shape",
        ),
        (lambda: CONNECTED(linear, [1.0], [0.1], seeds=3), "start: got 3 inputs, 2 layers"),
        (
            lambda: CONNECTED(lambda k: pt.DeepLinear.init(k, (4, 2)), [1.0], [0.1], seeds=3),
            "start: got 4 inputs, 1 layers",
        ),
        (lambda: CONNECTED(linear, [-1.0], [0.1]), "strength: got -1"),
        (lambda: CONNECTED(linear, [1.0], [0.1], seeds=1), "seeds: got 1"),
        (lambda: CONNECTED(linear, [1.0], [0.1], level=0.0), "level: got 0"),
        (lambda: CONNECTED(linear, [1.0], [0.1], strong_flips=[0.1]), "strong_flips: got shape"),
        (
            lambda: CONNECTED(linear, [1.0], [0.1], strong=[1.0], seeds=3, at_once=0),
            "at_once: got 0",
        ),
        (lambda: SUBCLASS(THREE, [1.0], [2]), "groups: got 3 classes"),
        (lambda: SUBCLASS(GROUPS, [2.0, 1.0], [2]), "times: got times out of order"),
        (lambda: SUBCLASS(GROUPS, [], [2]), "times: got shape"),
        (lambda: SUBCLASS(GROUPS, [1.0], []), "widths: got none"),
        (lambda: SUBCLASS(GROUPS, [1.0], [0]), "widths: got 0"),
        (lambda: SUBCLASS(GROUPS, [1.0], [2], depth=1), "depth: got 1"),
        (lambda: SUBCLASS(GROUPS, [1.0], [2], loss="hinge"), "loss: got 'hinge'"),
        (lambda: SUBCLASS(GROUPS, [1.0], [2], feature=2), "feature: got 2"),
        (lambda: SHIFT([1.2], [0.0], [1.0]), "correlation: got 1.2"),
        (lambda: SHIFT([[0.9]], [0.0], [1.0]), "correlation: got shape"),
        (lambda: SHIFT([], [0.0], [1.0]), "correlation: got shape"),
        (lambda: SHIFT([0.9], [-0.1], [1.0]), "thresholds: got -0.1"),
        (lambda: SHIFT([0.9], [], [1.0]), "thresholds: got shape"),
        (lambda: SHIFT([0.9], [0.1], [1e-9]), "times: got"),
        (lambda: SHIFT([0.9], [0.0], [1.0], depth=1), "depth: got 1"),
        (lambda: SHIFT([0.5], [0.0], [1.0], turned=-4.0), "turned: got -2"),
        (lambda: SHIFT([0.2], [0.0], [1.0]), "variance: got -0.58"),
        (lambda: SHIFT([0.9], [0.0], [1.0], strength=[1.0]), "strength: got one feature"),
        (lambda: PROBED(THREE, GROUPS), "tested: got 2 classes"),
        (lambda: PROBED(commuting(), GROUPS), "fitted: got dimension 3"),
        (lambda: PROBED(GROUPS.relabel([0, 0, 0, 0]), GROUPS), "fitted: got 1 class"),
        (lambda: PROBED(GROUPS, GROUPS, 0.0), "blur: got 0"),
        (lambda: PROBED(GROUPS, GROUPS, repeats=1), "repeats: got 1"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
