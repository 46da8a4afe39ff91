"""Sums of exponentials, and scalar arguments that broadcast."""
