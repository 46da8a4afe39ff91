"""Theorems on fixed heads."""
