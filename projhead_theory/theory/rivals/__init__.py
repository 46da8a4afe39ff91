"""Other published theories of the projection head, in closed form on the library's problems."""

from .self_prediction import *
