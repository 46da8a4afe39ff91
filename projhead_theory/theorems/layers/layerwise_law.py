"""layerwise-law: Grams of the intermediate layers."""

from ...claims import Claim
from .._common import (
    PREMISE,
    WRONG_EXPONENT,
    exact_check,
    harder,
    judge_layers,
    over,
    predict,
    train,
)
from ._training import SEARCHED, SHARED, balanced_problems

CLAIM = Claim(
    name="layerwise-law",
    statement="In a balanced network the Gram of layer l is the last one to the power l/L; in a "
    "feature model the weight of a feature at layer l is its final weight to the power l/L.",
    latex=r"M_l = M_L^{\,l/L}, \qquad \|W_{l:1} v_i\| = w_i^{\,l/L}",
    hypotheses=(
        "linear network",
        PREMISE,
        "gradient flow",
        "unique minimiser",
        "trained to stationarity",
    ),
    source="paper section 3, for depth 2; beyond the paper for any depth, width and pair of "
    "moments",
    problems=balanced_problems,
    predict=predict,
    measure=train,
    compare=judge_layers,
    sharpness={
        "layer #": (7e-9, 0.09),
    },
    controls=(*SHARED, WRONG_EXPONENT),
    search=over(harder, "sizes", SEARCHED[1:]),
    exact=exact_check(judge_layers, predict),
)
