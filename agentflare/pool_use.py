"""How many connections of this process' pool are used, as a metric."""

import time
from typing import Any

from django.db import connection

from agentflare.background import ProcessThread
from agentflare.metrics import DATABASE_CONNECTIONS

_EVERY_S = 2.0


def note() -> None:
    """Nothing is asked of PostgreSQL."""
    pools: dict[str, Any] = connection._connection_pools  # type: ignore[attr-defined]
    pool = pools.get(connection.alias)
    if pool is None:
        return
    told = pool.get_stats()
    idle = told.get("pool_available", 0)
    for state, number in (
        ("used", told.get("pool_size", 0) - idle),
        ("idle", idle),
        ("waited_for", told.get("requests_waiting", 0)),
    ):
        DATABASE_CONNECTIONS.labels(state).set(number)


def _watch() -> None:
    while True:
        note()
        time.sleep(_EVERY_S)


watch = ProcessThread("pool-use", _watch)
