"""Draws, measurements and near misses that several test files share."""
