"""Network types that the simulators train."""

from ._headed import LinearNetwork
from ._shallow import ShallowReLU, ShallowThresholded
from ._thresholded import ThresholdedDiagonal

NonlinearNetwork = ThresholdedDiagonal | ShallowReLU | ShallowThresholded
Network = LinearNetwork | NonlinearNetwork
