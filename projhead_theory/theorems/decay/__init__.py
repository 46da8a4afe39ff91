"""Theorems on weight decay."""
