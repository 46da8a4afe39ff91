"""class-collapse: the weight of a subclass feature, layer by layer."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import problems, theory
from ..._core import layer_shares, named
from ...claims import Claim, Control, Verdict
from .._common import PREMISE, Run, carried, drawn, judge_layers, replace, train, with_entries
from .scl_minimiser import ClassTask


class Collapse(eqx.Module):
    """A class and a subclass feature: strength and noise of each, and their correlation."""

    strength: Float[Array, " 2"]
    noise: Float[Array, " 2"]
    correlation: Float[Array, ""]
    key: PRNGKeyArray
    depth: int = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"depth {self.depth}, a class and a subclass"

    @eqx.filter_jit
    def classes(self, width: int = 1, scale: float = 0.7) -> ClassTask:
        """The classes, and a start of a network of this width and scale."""
        one = jnp.ones_like(self.correlation)
        return ClassTask(
            problems.Groups.signs(self.strength, self.noise, self.correlation[None]),
            one,
            self.key,
            scale * one,
            (2,) + (width,) * self.depth,
        )


@drawn
def collapse(
    key: PRNGKeyArray,
    depth: int,
    *,
    noise: Array | float,
    correlation: Array | float,
    index: Array | int = 0,
) -> Collapse:
    """Features of random strength, with this noise of the class."""
    k1, k2 = jax.random.split(named(key, "collapse", index))
    return Collapse(
        jnp.asarray([1.5, 1.2], float) * jax.random.uniform(k1, (2,), float, 0.9, 1.1),
        jnp.stack([jnp.asarray(noise), jnp.asarray(0.5, float)]),
        jnp.asarray(correlation),
        k2,
        depth,
    )


class Layers(eqx.Module):
    """Predicted weights of class and subclass in every layer.

    `layers` is the prediction of the whole layers, from which the tolerances follow.
    """

    weights: Float[Array, "L 2"]
    layers: theory.layers.LayerPrediction


def predict_collapse(p: Collapse) -> Layers:
    return Layers(
        theory.supervised.subclass_weights(p.strength, p.noise, p.correlation, p.depth),
        theory.layers.layerwise(p.classes().moments, p.depth, width=1, throw=False),
    )


@eqx.filter_jit
def judge_collapse(prediction: Layers, run: Run) -> Verdict:
    """Verdict on the weight of the subclass relative to the class, layer by layer."""
    law = judge_layers(prediction.layers, run)
    seen = run.fine.weights()[-1]
    predicted, measured = (w[:, 1] / w[:, 0] for w in (prediction.weights, seen))
    # The Gram has rank one. Twice its relative error bounds the turn of its direction, and with it
    # the change of the tangent of the angle. All layers are multiples of the first row, so the
    # tolerance of the last holds for each.
    last = {name: jnp.full_like(part, part[-1]) for name, part in law.parts.items()}
    return carried(
        replace(law, parts=last),
        jnp.abs(measured - predicted),
        2 * (1 + predicted**2),
        # Effect: a hundredth of equal weights.
        effect=0.01,
        predicted=prediction.weights,
        measured=seen,
        what="weight of the subclass over that of the class",
    )


def _less_below(problem: Collapse, own: Layers) -> Layers:
    """Prediction with the last ratio of the two weights to the power l / L at layer l.

    Features that do not collapse follow this law.
    """
    weights = np.asarray(own.weights)
    ratio = weights[-1, 1] / weights[-1, 0]
    levels = np.asarray(layer_shares(problem.depth, weights.dtype))
    return replace(own, weights=with_entries(weights, np.s_[:, 1], weights[:, 0] * ratio**levels))


def _harder_collapse(key: PRNGKeyArray) -> Collapse:
    k1, k2, k3 = jax.random.split(key, 3)
    some = jax.random.uniform(k1, (), float, 0.05, 1.5)
    return collapse(
        key,
        2,
        noise=jnp.where(jax.random.bernoulli(k3, 0.3), 0, some),
        correlation=jax.random.uniform(k2, (), float, -0.95, 0.95),
    )


CLAIM = Claim(
    name="class-collapse",
    statement=(
        "Trained on two classes to the minimum, a linear network gives a subclass feature the "
        "weight r phi_s sigma_c^2 over phi_c (phi_s^2 (1 - r^2) + sigma_s^2) relative to the "
        "class feature, in every layer alike: none at all, in any layer, if the class feature "
        "has no noise or the subclass is independent of it."
    ),
    latex=(
        r"\frac{\|W_{l:1} e_s\|}{\|W_{l:1} e_c\|} = \frac{|r|\, \phi_s \sigma_c^2}{\phi_c "
        r"(\phi_s^2 (1 - r^2) + \sigma_s^2)} \ \text{ for all } l"
    ),
    hypotheses=(
        "linear network",
        "two balanced classes",
        "width one",
        PREMISE,
        "trained to stationarity",
    ),
    source="paper section 5; that no layer is spared, beyond the paper",
    problems=lambda key: (
        collapse(key, depth, noise=noise, correlation=correlation, index=index)
        for index, (noise, correlation, depth) in enumerate(
            ((0.0, 0.6, 3), (0.8, 0.5, 3), (0.8, 0.0, 3), (0.5, -0.7, 3), (0.0, -0.9, 2))
        )
    ),
    predict=predict_collapse,
    measure=lambda problem: train(problem.classes()),
    compare=judge_collapse,
    sharpness={
        "layer #": (6e-8, 0.03),
    },
    controls=(
        Control(
            "collapsed",
            "predicts that the subclass collapses where the class feature has noise",
            predict=lambda problem, own: replace(
                own, weights=with_entries(own.weights, np.s_[:, 1], 0)
            ),
            on=1,
        ),
        Control(
            "kept-below",
            "predicts that lower layers weight the subclass less unequally",
            predict=_less_below,
            on=1,
        ),
    ),
    search=(_harder_collapse,),
    quick=2,
)
