"""Heavy reads of settled usage, at a replica of PostgreSQL where there is one.

Never for money, nor for what somebody has just changed: admission, settlement, balances and every
row that is edited are the primary's. Inside a transaction all reads are.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC
from functools import cache
from typing import Any, TypeVar

import psycopg
from django.conf import settings
from django.db import connection
from django.db.backends.postgresql.psycopg_any import get_adapters_template
from psycopg_pool import ConnectionPool, PoolTimeout

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
# It is asked how far it is so often, and may be so much behind.
_LOOK_S, _MOST_LAG_S = 1.0, 10.0
# One that is away, or too far behind, is left alone for so long.
_REST_S = 5.0
_POOL_TIMEOUT_S = 1.0


class _Standing:
    """What this process knows of the replica. noted: when, and how far the primary was then."""

    def __init__(self) -> None:
        self.noted = (-1e9, "0/0")
        self.is_fresh = False
        self.rests_until = 0.0


_standing = _Standing()


def read(work: Callable[[Any], Result]) -> Result:
    """What `work` gets out of a cursor, in the schema of the caller. It may be called twice, and
    must only read: the replica refuses the rest."""
    if settings.DATABASE_REPLICA_URL and not connection.in_atomic_block:
        try:
            if is_to_be_had():
                return _at_replica(work)
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as exc:
            _rest(str(exc))
    with connection.cursor() as cursor:
        return work(cursor)


def is_to_be_had() -> bool:
    """Whether it answers, and has what the primary had a few seconds ago.

    A process that has not looked for a while does not know: its next read is the primary's.
    Raises psycopg's errors.
    """
    now = time.monotonic()
    if now < _standing.rests_until:
        return False
    noted_at, noted = _standing.noted
    if now - noted_at < _LOOK_S:
        return _standing.is_fresh
    _standing.noted = (now, _how_far_is_the_primary())
    _standing.is_fresh = False
    if now - noted_at > _MOST_LAG_S:
        return False
    _standing.is_fresh = _at_replica(lambda cursor: _has(cursor, noted))
    if not _standing.is_fresh:
        _rest(f"more than {now - noted_at:.0f} s behind")
    return _standing.is_fresh


def forget() -> None:
    """As a process that has just started."""
    global _standing
    if _pool.cache_info().currsize:
        _pool().close()
    _pool.cache_clear()
    _standing = _Standing()


def _rest(why: str) -> None:
    logger.warning("The replica is left alone: %s", why)
    _standing.is_fresh = False
    _standing.rests_until = time.monotonic() + _REST_S


def _how_far_is_the_primary() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn()::text")
        (place,) = cursor.fetchone()
    return str(place)


def _has(cursor: Any, place: str) -> bool:
    cursor.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [place])
    return bool(cursor.fetchone()[0])


def _at_replica(work: Callable[[Any], Result]) -> Result:
    with _pool().connection() as replica, replica.cursor() as cursor:
        # At each check-out: it may carry another tenant's.
        schema: str = connection.schema_name  # type: ignore[attr-defined]
        path = f'"{schema}", public'
        cursor.execute("SELECT set_config('search_path', %s, false)", [path])
        return work(cursor)


@cache
def _pool() -> ConnectionPool[Any]:
    """Made at first use, hence after gunicorn or Celery has forked."""
    return ConnectionPool(
        settings.DATABASE_REPLICA_URL,
        min_size=0,
        max_size=settings.DATABASE_POOL_SIZE,
        timeout=_POOL_TIMEOUT_S,
        kwargs={
            "autocommit": True,
            "connect_timeout": 2,
            "options": "-c timezone=UTC",
            # Values come as Django's own connections give them.
            "context": get_adapters_template(settings.USE_TZ, UTC),
        },
        open=True,
    )
