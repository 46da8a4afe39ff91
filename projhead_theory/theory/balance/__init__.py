"""Balancedness of layers: its conservation, its loss, and factors of least norm."""

from .imbalance import *
from .norm import *
