"""Connections of the pool are few, and calls are long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.conf import settings
from django.db import OperationalError, connection

from agentflare.concurrency import within

Result = TypeVar("Result")


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


def patiently(work: Callable[[], Result]) -> Result:
    """What PostgreSQL answers within DATABASE_PATIENCE_S, in a web worker.

    Raises OperationalError beyond it; the work may still be done.
    """

    def alone() -> Result:
        with given_back():
            return work()

    try:
        return within(settings.DATABASE_PATIENCE_S, alone)
    except TimeoutError as exc:
        raise OperationalError(f"PostgreSQL: {exc}") from exc
