"""`start-law`: near misses of its formula."""

import dataclasses

import jax.numpy as jnp
from helpers.misses import Transformation, predicting

from projhead_theory._core.linalg import psd_power
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theory.starts import Start, start_law

# Near misses of ((a - b) + ((a + b)^2 + 4 M_2)^(1/2)) / 2


def scaled(encoder: float, head: float) -> Transformation:
    """The law of other scales."""
    return predicting(
        lambda problem, own: replace(
            own, start=Start(encoder * own.start.encoder, head * own.start.head)
        )
    )


def other_law(total, factor: float) -> Transformation:
    """The law with other numbers beneath the root."""

    def law(gram, *, encoder, head, weight_decay, time):
        faded = jnp.exp(-2 * weight_decay * time)
        a, b, one = encoder * faded, head * faded, jnp.eye(len(gram))
        root = psd_power(total(a, b) * one + factor * gram, 0.5, len(gram))
        return ((a - b) * one + root) / 2

    return predicting(lambda problem, own: dataclasses.replace(own, law=law))


def other_decay(factor: float) -> Transformation:
    return predicting(lambda problem, own: replace(own, weight_decay=factor * own.weight_decay))


def exchanged(gram, *, encoder, head, **rest):
    return start_law(gram, encoder=head, head=encoder, **rest)


MISSES = {
    "2 M_2 for 4 M_2": other_law(lambda a, b: (a + b) ** 2, 2.0),
    "(a - b)^2 for (a + b)^2": other_law(lambda a, b: (a - b) ** 2, 4.0),
    "a^2 + b^2 for (a + b)^2": other_law(lambda a, b: a**2 + b**2, 4.0),
    "b - a for a - b": predicting(lambda problem, own: dataclasses.replace(own, law=exchanged)),
    "no scale of the encoder": scaled(0.0, 1.0),
    "no scale of the head": scaled(1.0, 0.0),
    "the balanced law": scaled(0.0, 0.0),
    "an encoder larger by a hundredth": scaled(1.01, 1.0),
    "exp(-gamma t)": other_decay(0.5),
    "exp(-4 gamma t)": other_decay(2.0),
    "no decay": other_decay(0.0),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 2.38e-13,
    "rounding": 2.99e-13,
}
