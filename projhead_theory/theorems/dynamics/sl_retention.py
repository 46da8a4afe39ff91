"""sl-retention: the rate at which regression loses a feature that the target does not use."""

from ...claims import Claim, Control
from ...theory.dynamics import regression
from .._common import ModeTask, over, replace
from .flow_times import fading, harder_fading, modes, train
from .vanishing_features import forgetting, judge_forgetting, same_rate, some_signal

CLAIM = Claim(
    name="sl-retention",
    statement="A mode that says nothing of the target is forgotten by regression as a power of "
    "time, t^(-(l/L)/(2 - 2/L)) at layer l of two or more: the lower layers keep it longer. At "
    "depth 1 it falls exponentially.",
    latex=r"\|W_{l:1} v\| \sim t^{-\frac{l/L}{2 - 2/L}} \quad (a = 0,\ L \ge 2)",
    hypotheses=(
        "linear network",
        "squared error",
        "depth at least 2",
        "aligned balanced start",
        "no signal",
        "gradient flow",
    ),
    source="beyond the paper",
    problems=lambda key: (
        fading(modes(key, depth, index=index), 1.5, 1e-4, 1e4)
        for depth, index in ((3, 20), (2, 20), (4, 20), (2, 21))
    ),
    predict=lambda problem: forgetting(
        problem, regression.retention_exponent, regression.retention_transient
    ),
    measure=train,
    compare=judge_forgetting,
    sharpness={
        "slope, layer #": (0.007, 0.1),
        "path, layer #": (4e-11, 3e-4),
    },
    controls=(
        Control(
            "some-signal",
            "leaves a hundredth of the signal in the mode",
            measure=some_signal(1e-2),
        ),
        Control(
            "same-rate",
            "predicts that all layers forget at the rate of the last",
            predict=same_rate,
        ),
        Control(
            "contrastive-rate",
            "predicts the exponents of the spectral contrastive loss",
            predict=lambda problem, own: replace(
                own, slopes=own.slopes * (2 * problem.depth - 2) / (4 * problem.depth - 2)
            ),
        ),
    ),
    search=over(harder_fading, "depth", (2, 3), kind=ModeTask, first=1e-4),
    quick=1,
)
