"""Other published theories of the projection head, in closed form on the library's problems."""

from .collapse import *
from .compression import *
from .information import *
from .self_prediction import *
