"""Theorems on conserved quantities of neighbouring layers."""
