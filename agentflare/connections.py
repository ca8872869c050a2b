"""Connections of the pool are few, and calls are long."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def given_back() -> Iterator[None]:
    """Give the connection back to the pool afterwards: Django keeps it until a request ends.

    Not inside a transaction of the caller's.
    """
    try:
        yield
    finally:
        if not connection.in_atomic_block:
            connection.close()
