"""Downstream sample complexity of every layer, and the layer that needs fewest labels."""

from .best import *
from .complexity import *
from .crossover import *
from .margin import *
from .phase import *
from .ridge import *
