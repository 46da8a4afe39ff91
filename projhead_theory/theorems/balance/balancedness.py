"""balancedness: gradient flow conserves the imbalance of neighbouring layers."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ... import Labelled, Views, losses
from ..._core import named
from ...claims import Claim
from .._common import DIM, WIDTH, over, task
from ._training import (
    PAIRS,
    SIZES,
    WEIGHT_DECAY,
    Training,
    class_means,
    constant,
    gaussian_features,
    harder_training,
    judge_kept,
    step_controls,
    train,
    training_on,
)


def _views(key: PRNGKeyArray) -> Views:
    return gaussian_features().sample_pairs(named(key, "views"), PAIRS)


def _targets(key: PRNGKeyArray) -> Labelled:
    inputs = class_means(key).inputs
    teacher = jax.random.normal(named(key, "teacher"), (DIM, WIDTH), inputs.dtype)
    return Labelled(inputs, jnp.sin(inputs @ teacher))


def _losses(key: PRNGKeyArray) -> Iterator[Training]:
    yield training_on(key, losses.spectral, task(key, SIZES).moments)
    views, classes = _views(key), class_means(key)
    # Of cosines, an output may reach zero in finite time. The loss has no gradient there, and the
    # steps of the flow shrink without end.
    yield training_on(key, losses.InfoNCE(0.5, normalise=False), views)
    yield training_on(key, losses.cross_entropy, classes)
    yield training_on(key, losses.barlow_twins, views)
    # With the paper's target of 1 an output reaches the hinge. The loss has a kink there, and the
    # flow then slides along it.
    yield training_on(key, losses.VICReg(target=3.0), views)
    yield training_on(key, losses.supervised_contrastive, classes)
    yield training_on(key, losses.mse, _targets(key))
    yield training_on(key, losses.supervised_spectral, classes)
    yield training_on(key, losses.spectral, views)
    yield training_on(key, losses.spectral, task(key, SIZES, index=1).moments)


CLAIM = Claim(
    name="balancedness",
    statement="Under gradient flow on any differentiable loss of the network's output, every "
    "imbalance D_l = W_(l+1)^T W_(l+1) - W_l W_l^T is constant in time.",
    latex=r"\frac{d}{dt}\left(W_{l+1}^\top W_{l+1} - W_l W_l^\top\right) = 0",
    hypotheses=(
        "linear network",
        "gradient flow",
        "a differentiable loss of the output",
        "no weight decay",
    ),
    source="paper section 3; Arora et al. 2018 for deep linear networks",
    problems=_losses,
    predict=constant,
    measure=train,
    compare=judge_kept,
    sharpness={
        "layers #, #": (3e-12, 0.01),
    },
    controls=(WEIGHT_DECAY, *step_controls(adam=5e-3, coarse=3e-2, number=2_000)),
    search=over(harder_training, "sizes", ((3, 2, 4), (2, 3, 2, 2))),
    quick=1,
)
