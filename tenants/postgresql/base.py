"""django-tenants' PostgreSQL backend, made safe for a connection pool."""

from typing import Any

from django_tenants.postgresql_backend.base import DatabaseWrapper as TenantsDatabaseWrapper


class DatabaseWrapper(TenantsDatabaseWrapper):
    """Sets `search_path` on every connection that it takes out of the pool.

    The connection may carry the path of whichever tenant used it last, and
    django-tenants remembers "already set" per wrapper, not per connection.
    """

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self.search_path_set_schemas = None
        return super().get_new_connection(conn_params)
