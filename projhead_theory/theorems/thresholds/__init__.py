"""Theorems on networks with thresholds."""
