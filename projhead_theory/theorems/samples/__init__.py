"""Theorems on finite samples."""
