"""Training dynamics of aligned networks in closed form.

The functions of this package belong to the spectral contrastive loss, the functions of `regression`
to the mean squared error, the functions of `barlow_twins` to Barlow Twins without normalisation.
"""

from . import barlow_twins as barlow_twins
from . import regression as regression
from .contrastive import *
