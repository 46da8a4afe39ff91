"""Minimisers of other losses, and the features that each of them keeps."""

from .narrow_head import *
