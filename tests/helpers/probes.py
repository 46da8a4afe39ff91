"""Probes of every kind, and data to fit them on."""

import jax.numpy as jnp
import numpy as np

from projhead_theory.probes import HardMargin, Logistic, NearestMean, Ridge, SoftMargin

PROBES = {
    "hard": HardMargin(),
    "hard, intercept": HardMargin(intercept=True),
    "soft": SoftMargin(0.7),
    "soft, intercept": SoftMargin(0.7, intercept=True),
    "ridge": Ridge(0.3),
    "ridge, intercept": Ridge(0.3, intercept=True),
    "logistic": Logistic(0.3),
    "logistic, intercept": Logistic(0.3, intercept=True),
    "nearest mean": NearestMean(),
}
MARGINS = ("hard", "soft")
# A tolerance of 1e-9 on objectives leaves about its root in a minimiser, and the scale of the data.
HOST = 1e-6


def tolerance(name, eps):
    """What the probe's solver leaves: of the host's, in float64, or of the dtype."""
    return (
        10 * HOST
        if name.startswith(MARGINS)
        else 100 * eps**0.5
        if name.startswith("logistic")
        else 1e4 * eps
    )


def separable(n, r, seed=0, classes=2):
    """Standard normal inputs, moved away from the boundaries of their classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.standard_normal((n, r))
    if classes == 2:
        x[:, 0] = (0.3 + np.abs(x[:, 0])) * (2 * y - 1)
    else:
        x[:, :2] += 20 * np.stack(
            [np.cos(2 * np.pi * y / classes), np.sin(2 * np.pi * y / classes)], 1
        )
    return x.astype(jnp.result_type(float)), y


def overlapping(n=40, r=3, seed=0, classes=2):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return (rng.standard_normal((n, r)) + y[:, None] * 0.5).astype(jnp.result_type(float)), y


def said(readout, x):
    return np.asarray(readout(jnp.asarray(x)))


def host(readout):
    return np.asarray(readout.weights, float), np.asarray(readout.intercepts, float)
