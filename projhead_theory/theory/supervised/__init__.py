"""Supervised and supervised contrastive learning, and accuracy under shift."""

from .contrastive import *
from .dynamics import *
from .group_accuracy import *
from .regression import *
