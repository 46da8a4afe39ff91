"""Checks, errors, linear algebra, tolerances and files: what every package may use."""
