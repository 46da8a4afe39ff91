"""Minimisers under weight decay."""

from .minimiser import *
