"""Releases to come, for the bench and for tests of upgrades: settings of the product with a
migration more. BENCH_RELEASE chooses which; see settings.py.
"""
