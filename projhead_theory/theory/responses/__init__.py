"""Minimisers of other losses: response functions of the signal fraction."""

from .minimisers import *
from .negatives import *
from .response import *
