"""Theorems on losses other than the spectral contrastive loss."""
