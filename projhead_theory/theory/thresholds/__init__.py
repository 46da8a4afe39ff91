"""Diagonal networks with thresholds."""

from .law import *
