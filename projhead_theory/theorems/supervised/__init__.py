"""Theorems on supervised contrastive learning, regression, and what probes make of the layers."""
