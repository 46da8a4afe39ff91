"""Training dynamics of aligned networks in closed form.

The functions of this package belong to the spectral contrastive loss, the functions of `regression`
to the mean squared error.
"""

from . import regression as regression
from .contrastive import *
