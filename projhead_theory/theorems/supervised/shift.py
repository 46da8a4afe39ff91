"""shift: accuracies of probes under a shift of the correlation between features."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ..._core import named
from ...claims import Claim, Control
from ...problems import Groups
from .._common import RECORDS, drawn, replace
from ._probing import COMMUTE, ProbeTask, judge, predict, train, upside_down

TRAINING, TEST = (0.9, 0.8), (-0.4, -0.3)
"""Correlations of background and co-occurring object with the label, in training and in test."""


@drawn
def shifted(key: PRNGKeyArray, kind: str, depth: int, *, index: Array | int = 0) -> ProbeTask:
    """A core, a background and an object, whose moments commute.

    Given the label, all features have the same variance; in the problem of views, the same noise.
    """
    k1, k2, k3 = jax.random.split(named(key, "shift", index), 3)
    strength = jnp.asarray([1.0, 1.2, 1.1], float) * jax.random.uniform(k1, (3,), float, 0.9, 1.1)
    training, test = jnp.asarray(TRAINING, float), jnp.asarray(TEST, float)
    variance = jax.random.uniform(k2, (), float, 0.6, 0.8)
    explained = jnp.append(jnp.zeros(1, float), strength[1:] ** 2 * (1 - training**2))
    noise = jnp.full(3, 0.5, float) if kind == "views" else jnp.sqrt(variance - explained)
    signs = lambda r: Groups.signs(strength, noise, r)
    start, blur = jnp.asarray(0.3, float), jnp.asarray(0.2, float)
    return ProbeTask(
        signs(training),
        (signs(training), signs(0 * training)),
        signs(test),
        start,
        blur,
        jnp.geomspace(0.3, 30.0, RECORDS, dtype=float),
        k3,
        kind,
        depth,
    )


@eqx.filter_jit
def _uneven(p: ProbeTask) -> ProbeTask:
    """The problem with more noise in the core, so that the label is no eigenvector any more."""
    louder = lambda g: replace(g, noise=g.noise.at[0].mul(1.5))
    return replace(
        p,
        trained=louder(p.trained),
        fitted=tuple(louder(g) for g in p.fitted),
        tested=louder(p.tested),
    )


CLAIM = Claim(
    name="shift",
    statement=(
        "Average and worst-group accuracy on a shifted distribution, of a readout of any "
        "layer at any time, follow from the layers' closed-form Grams. Of a network that "
        "regresses the label, lower layers serve a readout that is refitted where no feature "
        "is spurious, at any finite time; a single output makes all layers equivalent."
    ),
    latex=(
        r"\mathrm{acc}_g = \Phi\Big(\tfrac{y_g\, \beta^\top m_g}{\sqrt{\beta^\top \Sigma \beta "
        r"+ \tau^2 |v|^2}}\Big), \quad \beta = M_l^{1/2} v,\ v = (M_l^{1/2} S M_l^{1/2} + "
        r"\tau^2)^{-1} M_l^{1/2} a"
    ),
    hypotheses=(
        "linear network",
        COMMUTE,
        "aligned balanced start",
        "gradient flow",
        "readout with noise",
    ),
    source="paper section 5; in closed form, and where it does not help, beyond the paper",
    problems=lambda key: (
        shifted(key, kind, depth, index=index)
        for kind, depth, index in (
            ("regression", 3, 0),
            ("single", 2, 0),
            ("views", 2, 0),
            ("classes", 2, 0),
            ("regression", 2, 0),
            ("regression", 2, 1),
        )
    ),
    predict=predict,
    measure=train,
    compare=judge,
    sharpness={
        "fitted, average, layer #": (9e-7, 2e-5),
        "fitted, worst, layer #": (9e-7, 2e-4),
        "refitted, average, layer #": (9e-7, 0.001),
        "refitted, worst, layer #": (9e-7, 0.001),
    },
    controls=(
        Control(
            "upside-down",
            "predicts the accuracy of each layer for the one at the other end",
            predict=upside_down,
        ),
        Control(
            "no-shift",
            "predicts for a test on the training distribution",
            predict=lambda problem, own: predict(replace(problem, tested=problem.trained)),
        ),
        Control(
            "uneven-noise",
            "more noise in the core: moments do not commute",
            problem=_uneven,
            expects="premise_failed",
        ),
    ),
    search=(lambda key: shifted(key, "regression", 2),),
    quick=1,
)
