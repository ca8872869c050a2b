"""Web processes, commands and stores of tests that play upgrades: a database of their own."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import requests

from sandbox.embedded import start_postgres, start_valkey
from sandbox.embedded.ports import free_port
from sandbox.supervisor.choices import PROJECT
from sandbox.testing import OURS, wait_until

# The code that there is, and releases to come (bench/releases).
NOW = ""
PATIENCE_S = 90.0
# Of whoever upgrades: tenants/registry/migrating.py.
UPGRADE_LOCK = 7_265_031
_MAKE_TENANTS = """
import json
from billing.ledger.services import grant_credit
from tenants.keys.services import create_api_key
from tenants.registry.services import create_tenant
for slug in {slugs!r}:
    tenant = create_tenant(slug=slug, name=slug)
    grant_credit(tenant=tenant, amount_nusd=10**9, reference="test", actor="test")
    scopes = ["inference", "usage"]
    row, key = create_api_key(tenant=tenant, name="test", actor="test", scopes=scopes)
    print(json.dumps([slug, tenant.code, key]))
"""


@dataclass
class Tenant:
    slug: str
    code: str
    key: str

    @property
    def schema(self) -> str:
        return f"t_{self.code}"


@dataclass
class Web:
    """gunicorn with one worker, of some release."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, tenant: Tenant | None = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {tenant.key}"} if tenant else {}
        return requests.get(f"{self.url}{path}", headers=headers, timeout=60)

    def balance(self, tenant: Tenant) -> int:
        """The status of a call that reads the tenant's books."""
        return self.get("/v1/usage/records", tenant).status_code

    def ready(self) -> tuple[int, Any]:
        answer = self.get("/health/ready")
        return answer.status_code, answer.json()


@dataclass
class Stores:
    """PostgreSQL and Valkey of a test's own, upgraded to this release."""

    folder: Path
    database_url: str
    redis_url: str
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def environment(self, release: str, **variables: str) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if name not in OURS}
        settings = "bench.releases.settings" if release else "agentflare.settings"
        return env | {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "SECRET_KEY": self.secret,
            "AGENTFLARE_SANDBOX": "1",
            "DJANGO_SETTINGS_MODULE": settings,
            "BENCH_RELEASE": release,
            "WEB_CONCURRENCY": "1",
            "WEB_GRACEFUL_TIMEOUT_S": "1",
            **variables,
        }

    def start(self, *arguments: str, release: str = NOW, **variables: str) -> Any:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env=self.environment(release, **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, release: str = NOW) -> tuple[int, str]:
        """Exit status, and all that was printed."""
        process = self.start(*arguments, release=release)
        output, _ = process.communicate(timeout=PATIENCE_S)
        return process.returncode, output

    def manage(self, *arguments: str, release: str = NOW) -> str:
        status, output = self.run("manage.py", *arguments, release=release)
        assert status == 0, output
        return output

    def tenants(self, *slugs: str) -> list[Tenant]:
        told = self.manage("shell", "-v", "0", "-c", _MAKE_TENANTS.format(slugs=list(slugs)))
        lines = [line for line in told.splitlines() if line.startswith('["')]
        return [Tenant(*json.loads(line)) for line in lines]

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.database_url, autocommit=True) as own:
            yield own

    def migrations(self, tenant: Tenant) -> set[str]:
        """Of the app that releases to come change."""
        with self.connection() as own:
            rows = own.execute(
                f"SELECT name FROM {tenant.schema}.django_migrations WHERE app = 'usage'"
            )
            return {name for (name,) in rows}

    def columns(self, tenant: Tenant) -> set[str]:
        """And indexes, of usage records."""
        with self.connection() as own:
            rows = own.execute(
                "SELECT attname FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND"
                " attrelid = %(table)s::regclass UNION SELECT indexname FROM pg_indexes"
                " WHERE schemaname = %(schema)s",
                {"table": f"{tenant.schema}.usage_usagerecord", "schema": tenant.schema},
            )
            return {name for (name,) in rows}

    @contextmanager
    def web(self, release: str = NOW, **variables: str) -> Iterator[Web]:
        port = free_port()
        log = self.folder / f"web-{port}.log"
        options = ["-c", "agentflare/gunicorn.py", "--bind", f"127.0.0.1:{port}"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "agentflare.wsgi:application", *options],
                cwd=PROJECT,
                env=self.environment(release, **variables),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        web = Web(port, process, log)
        try:
            wait_until(lambda: is_live(web), PATIENCE_S)
            yield web
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def is_live(web: Web) -> bool:
    assert web.process.poll() is None, web.log.read_text()[-2000:]
    with suppress(requests.ConnectionError):
        return web.get("/health/live").status_code == 200
    return False


@contextmanager
def running_stores(folder: Path) -> Iterator[Stores]:
    folder.chmod(0o711)  # PostgreSQL may run as someone else
    valkey = start_valkey(folder)
    try:
        postgres = start_postgres(folder)
        try:
            stores = Stores(folder, postgres.url, valkey.url)
            stores.manage("upgrade")
            yield stores
        finally:
            postgres.stop_quickly()
    finally:
        valkey.stop_quickly()


def killed(process: Any) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()
