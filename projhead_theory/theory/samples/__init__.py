"""Error of predictions from finitely many positive pairs."""

from .error import *
