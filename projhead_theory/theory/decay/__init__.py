"""Minimisers under weight decay.

The functions of this package belong to the spectral contrastive loss, the functions of `regression`
to the mean squared error.
"""

from . import regression as regression
from .minimiser import *
