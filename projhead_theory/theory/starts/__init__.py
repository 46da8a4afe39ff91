"""Two layers from any isotropic start: the law of the layers without balance."""

from .benefit import *
from .imbalance import *
from .law import *
from .times import *
