"""Captures that neither store could take, on this machine's disk until one of them can."""

from billing.spool.files import append, take_in

__all__ = ["append", "take_in"]
