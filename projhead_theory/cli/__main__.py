"""`python -m projhead_theory.cli` is `projhead`."""

from . import main

main()
