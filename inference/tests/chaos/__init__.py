"""Chaos: load, disasters at random, and then the sums. `make test-chaos` tells how."""
