"""PostgreSQL and Valkey as child processes, from the programs inside two packages."""

from sandbox.embedded.postgres import Postgres, start_postgres
from sandbox.embedded.server import Server
from sandbox.embedded.valkey import Valkey, start_valkey

__all__ = ["Postgres", "Server", "Valkey", "start_postgres", "start_valkey"]
