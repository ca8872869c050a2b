"""How fast the gateway is: `make bench`. What it measures is told in docs/performance.md.

Imports no app of the product: it starts the product's processes and commands, and talks
to them over HTTP.
"""
