"""Theorems of other published theories of the projection head, on the library's problems."""
