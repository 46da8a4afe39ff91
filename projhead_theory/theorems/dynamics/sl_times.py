"""sl-times: the course of regression, at half the depth of the contrastive flow."""

from ...claims import Claim
from .._common import ModeTask, over
from .flow_times import WRONG_DEPTH, harder_modes, judge_paths, modes, paths, start_controls, train

CLAIM = Claim(
    name="sl-times",
    statement="In regression, from an aligned balanced start every mode evolves alone, "
    "ds/dt = L s^(2 - 2/L) (a - q s): exponentially at depth 1, along a sigmoid at depth 2, and in "
    "closed form at any depth; layer l carries s^(l/L) at every time.",
    latex=r"\dot s = L\, s^{2 - 2/L} (a - q s), \qquad "
    r"L = 2:\ s = \frac{a/q}{1 + (\frac{a}{q s_0} - 1)\, e^{-2at}}",
    hypotheses=(
        "linear network",
        "squared error",
        "aligned modes",
        "aligned balanced start",
        "gradient flow",
    ),
    source="beyond the paper; Saxe et al. 2014 for depth 2",
    problems=lambda key: (
        modes(key, depth, index=index)
        for depth, index in ((3, 0), (2, 0), (1, 0), (5, 0), (4, 0), (2, 1), (3, 1))
    ),
    predict=paths,
    measure=train,
    compare=judge_paths,
    sharpness={
        "feature #": (5e-11, 0.004),
    },
    controls=(*start_controls(ModeTask), WRONG_DEPTH),
    search=over(harder_modes, "depth", (1, 2, 3)),
    quick=1,
)
