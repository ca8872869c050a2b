"""django-tenants' PostgreSQL backend, made safe for a connection pool."""

import time
from typing import Any

import psycopg
from django.conf import settings
from django_tenants.postgresql_backend.base import DatabaseWrapper as TenantsDatabaseWrapper
from psycopg_pool import PoolTimeout

from agentflare.breaker import Breaker


def _probe() -> None:
    """psycopg.connect takes the same arguments as the pool's connections."""
    from django.db import connection

    params = connection.get_connection_params()
    psycopg.connect(**{**params, "connect_timeout": 2}).close()


# One wait for the pool is enough to ask: a pool tells a server that is down from one that is
# busy by nothing else.
breaker = Breaker("postgresql", probe=_probe, errors=(psycopg.Error, OSError), failures=1)


class DatabaseWrapper(TenantsDatabaseWrapper):
    """Sets `search_path` on every connection that it takes out of the pool.

    The connection may carry the path of whichever tenant used it last, and
    django-tenants remembers "already set" per wrapper, not per connection.

    Fails at once while PostgreSQL is known to be down, as OperationalError.
    """

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self.search_path_set_schemas = None
        deadline = time.monotonic() + settings.DATABASE_POOL_TIMEOUT_S
        while True:
            if breaker.is_open and breaker.refuses():
                raise psycopg.OperationalError("PostgreSQL is down: not asked")
            try:
                return super().get_new_connection(conn_params)
            except PoolTimeout:
                if breaker.is_open or not breaker.ask() or time.monotonic() > deadline:
                    raise
