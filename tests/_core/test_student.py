"""Intervals of means: coverage, and the half-width that SciPy gives."""

import numpy as np
from scipy import stats

from projhead_theory._core.student import half_width


def test_half_width_is_that_of_scipys_interval():
    values = np.random.default_rng(0).standard_normal((2, 3, 7))
    low, high = stats.t.interval(0.9, 6, loc=values.mean(axis=-1), scale=stats.sem(values, axis=-1))
    np.testing.assert_allclose(half_width(values, 0.95), (high - low) / 2, rtol=1e-12)


def test_an_interval_covers_the_mean_as_often_as_it_says():
    values = np.random.default_rng(1).standard_normal((4000, 4))
    missed = np.abs(values.mean(axis=-1)) > half_width(values, 0.9)
    assert abs(missed.mean() - 0.2) < 4 * (0.2 * 0.8 / 4000) ** 0.5
    assert missed.mean() < np.mean(np.abs(values.mean(axis=-1)) > half_width(values, 0.8))
