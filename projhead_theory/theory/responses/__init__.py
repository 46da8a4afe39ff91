"""Minimisers of other losses: response functions, and the features that each loss keeps."""

from .cosine import *
from .minimisers import *
from .narrow_head import *
from .negatives import *
from .response import *
