"""Controls that several claims share."""

from collections.abc import Callable
from typing import Any

from ... import DeepLinear
from ...claims import Control
from .law import train, with_exponents
from .tasks import lopsided


def unbalanced_start(
    train: Callable[[Any, DeepLinear], Any] = train,
    start: Callable[[Any], DeepLinear] = lopsided,
    unlike: str = "the same product, but a larger lowest layer and smaller ones above",
) -> Control:
    """Control that trains from layers of unlike size.

    **Arguments:**

    - `train`: the claim's training, of a problem from a start.
    - `start`: the unbalanced start of a problem.
    - `unlike`: the start in words, after "starts with".
    """
    return Control(
        "unbalanced-start",
        f"starts with {unlike}",
        measure=lambda problem, own: train(problem, start(problem)),
    )


UNBALANCED = unbalanced_start()
WRONG_EXPONENT = Control(
    "wrong-exponent",
    "predicts the power l / (L + 1)",
    predict=with_exponents(lambda level, layers: level / (layers + 1)),
)
