from ._connected_sweep import ConnectedSweep, connected_sweep
from ._convergence import Convergence, convergence
from ._cosine_gap import CosineGap, cosine_gap, nt_xent_shares
from ._feature_sweep import FeatureSweep, feature_sweep
from ._shift_accuracy import ShiftAccuracy, shift_accuracy
from ._subclass_accuracy import SubclassAccuracy, subclass_accuracy

__all__ = [
    "ConnectedSweep",
    "Convergence",
    "CosineGap",
    "FeatureSweep",
    "ShiftAccuracy",
    "SubclassAccuracy",
    "connected_sweep",
    "convergence",
    "cosine_gap",
    "feature_sweep",
    "nt_xent_shares",
    "shift_accuracy",
    "subclass_accuracy",
]
