"""The outside world on one machine: what `make run` starts around the product.

Imports no app of the product and is imported by none: the two meet in the
environment, on the command line of manage.py, and over HTTP.
"""
