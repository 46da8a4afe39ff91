"""coarse-to-fine: accuracies of probes of subclasses on every layer."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ..._core import named
from ...claims import Claim, Control
from ...problems import Groups
from .._common import drawn, replace
from .shift import ProbeTask, judge, predict, train, upside_down
from .subclass_retention import RETENTION_RECORDS


@drawn
def finely(key: PRNGKeyArray, kind: str, depth: int, *, index: Array | int = 0) -> ProbeTask:
    """A class, and an independent subclass to read out.

    Readouts are fitted on the training distribution and on one with unbalanced subclasses.
    """
    k1, k2, k3 = jax.random.split(named(key, "coarse to fine", index), 3)
    strength = jnp.asarray([1.2, 0.9], float) * jax.random.uniform(k1, (2,), float, 0.9, 1.1)
    noise = jnp.asarray([0.3, 0.35], float) * jax.random.uniform(k2, (2,), float, 0.9, 1.1)
    signs = lambda r: Groups.signs(strength, noise, jnp.full(1, r, float))
    # As many save times as in other claims, whose compiled programs then train these networks.
    times = jnp.geomspace(0.3, 300.0, RETENTION_RECORDS, dtype=float)
    start, blur = jnp.asarray(0.5, float), jnp.asarray(0.25, float)
    return ProbeTask(
        signs(0.0),
        (signs(0.0).read(1), signs(0.5).read(1)),
        signs(0.0).read(1),
        start,
        blur,
        times,
        k3,
        kind,
        depth,
    )


CLAIM = Claim(
    name="coarse-to-fine",
    statement=(
        "Trained on classes, by positives of a class or by regression, a network loses an "
        "independent subclass as a power of time, and the accuracy with which it is read off a "
        "layer falls with it, later in lower layers: once the subclass weighs less than the "
        "class, it is read better there than above."
    ),
    latex=(
        r"\mathrm{acc}_l(t) = \Phi\Big(\tfrac{\phi_s}{\sqrt{\sigma_s^2 + \tau_l^2 / "
        r"s(t)^{2l/L}}}\Big), \qquad s(t) \sim t^{-1/(4 - 2/L)} \text{ or } t^{-1/(2 - 2/L)}"
    ),
    hypotheses=(
        "linear network",
        "subclass independent of the class",
        "aligned balanced start",
        "gradient flow",
        "readout with noise",
    ),
    source="paper section 5; in closed form, beyond the paper",
    problems=lambda key: (
        finely(key, kind, depth, index=index)
        for kind, depth, index in (
            ("classes", 2, 0),
            ("regression", 2, 0),
            ("classes", 3, 0),
            ("regression", 3, 0),
            ("classes", 2, 1),
        )
    ),
    predict=predict,
    measure=train,
    compare=judge,
    sharpness={
        "fitted, average, layer #": (5e-8, 0.002),
        "fitted, worst, layer #": (5e-8, 0.002),
        "refitted, average, layer #": (5e-8, 0.003),
        "refitted, worst, layer #": (5e-8, 0.006),
    },
    controls=(
        Control(
            "upside-down",
            "predicts the accuracy of each layer for the one at the other end",
            predict=upside_down,
        ),
        Control(
            "class-read",
            "predicts the accuracy with which the class is read",
            predict=lambda p, own: predict(
                replace(p, fitted=tuple(g.read(0) for g in p.fitted), tested=p.tested.read(0))
            ),
        ),
        Control(
            "no-training",
            "predicts that layers stay as they start",
            predict=lambda problem, own: predict(replace(problem, times=1e-6 * problem.times)),
        ),
    ),
    search=(
        lambda key: finely(key, "classes", 2),
        lambda key: finely(key, "regression", 2),
    ),
    quick=1,
)
