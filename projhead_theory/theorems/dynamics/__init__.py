"""Theorems on the course of training, contrastive and by regression."""
