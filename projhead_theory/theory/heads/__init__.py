"""Fixed projection heads: the encoder that they leave, and the head that replaces a trained one."""

from .kappa import *
from .matching import *
