"""Theorems on supervised contrastive learning, regression, and probes of the layers."""
