"""Claims on two layers that start without balance."""
