"""Minimiser of the spectral contrastive loss, and the share of each layer in it."""

from .law import *
from .minimiser import *
