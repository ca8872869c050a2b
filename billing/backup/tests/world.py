"""An installation of a test's own, worked on by processes of its own.

    python -m billing.backup.tests.world STEPS

does each step, a list of an action and its arguments, and prints what they have found as JSON, on
its last line: importing Django takes longer than most of them. An installation is an environment:
which database, which Redis, which folders.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

PROJECT = Path(__file__).resolve().parents[3]
USD = 1_000_000_000
SECRET_KEY = "of-the-drill-" + "0123456789abcdef" * 3


@dataclass(frozen=True)
class Installation:
    """A place that may hold AgentFlare."""

    database_url: str
    redis_url: str
    folder: Path

    @property
    def database(self) -> str:
        return urlsplit(self.database_url).path.removeprefix("/")

    @property
    def environment(self) -> dict[str, str]:
        from sandbox.embedded.programs import find_postgres

        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "agentflare.settings",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "SECRET_KEY": SECRET_KEY,
            "ARCHIVE_DIR": str(self.folder / "archive"),
            "SPOOL_DIR": str(self.folder / "spool"),
            "EXPORT_DIR": str(self.folder / "exports"),
            "POSTGRESQL_BIN": str(find_postgres().bin),
        }

    def ask(self, *steps: Sequence[str | Path], **variables: str) -> list[Any]:
        """What each step has found."""
        done = subprocess.run(
            self._command(steps),
            cwd=PROJECT,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (done.returncode, done.stderr[-2_000:])
        found: list[Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    def start(self, *steps: Sequence[str | Path], **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command(steps),
            cwd=PROJECT,
            env={**self.environment, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def _command(steps: Sequence[Sequence[str | Path]]) -> list[str]:
        return [sys.executable, "-m", __name__, json.dumps(steps, default=str)]

    def query(self, statement: str) -> list[Any]:
        return query(self.database_url, statement)


def query(url: str, statement: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def make_database(url: str, name: str, *, like: str | None = None) -> str:
    """A database beside that of the URL, empty or a copy of another; returns its own URL."""
    copied = f' TEMPLATE "{like}"' if like else ""
    query(url, f'CREATE DATABASE "{name}"{copied}')
    return urlsplit(url)._replace(path=f"/{name}").geturl()


# --- In a process of the installation -----------------------------------------------


def fill() -> dict[str, Any]:
    """acme has bought and was given, globex was given, initech has been suspended. There
    are calls that are booked, archived, captured and not booked, running."""
    from django.conf import settings

    from billing.archive.services import archive_usage
    from billing.payments.tests.shop import Shop
    from billing.settlement.services import settle_partition
    from conftest import make_cast
    from tenants.registry.services import suspend_tenant

    casts = {
        name: make_cast(name, credit_nusd=credit * USD)
        for name, credit in (("acme", 25), ("globex", 10), ("initech", 5))
    }
    acme, globex, initech = casts.values()
    with ExitStack() as stack:
        from sandbox.stripe.tests import stand_in

        running = stack.enter_context(stand_in.running())
        settings.STRIPE_SECRET_KEY = stand_in.SECRET_KEY
        settings.STRIPE_API_BASE = running.url
        Shop(running).buy(acme, 2500)
    suspend_tenant(tenant=initech.tenant, reason="A reason.", actor="test")
    for cast in (acme, globex):
        call(cast.code, 1_000)
        _book_old(cast)
        archive_usage(tenant=cast.tenant, before=datetime(2024, 10, 1, tzinfo=UTC))
    for partition in range(64):
        settle_partition(partition=partition)
    waiting = {cast.code: [call(cast.code, cost) for cost in (3, 4)] for cast in (acme, globex)}
    running_ids = [run_and_die(acme.code, 50), run_and_die(globex.code, 0)]
    return {
        "tenants": {
            name: {"code": cast.code, "slug": cast.tenant.slug, "key": cast.key}
            for name, cast in casts.items()
        },
        "waiting": waiting,
        "running": running_ids,
    }


def _book_old(cast: Any) -> None:
    from agentflare.ids import first_uuid7, uuid7
    from billing.admission.tests.builders import event
    from billing.ledger.services import sync_gate
    from billing.settlement.services import book
    from tenants.registry.schemas import tenant_schema

    moments = [datetime(2024, month, 5, tzinfo=UTC) for month in (8, 9, 10)]
    events = [
        event(
            cast,
            cost,
            request_id=f"{first_uuid7(moment).int | uuid7().int & 2**62 - 1:032x}",
            started_at=moment.timestamp(),
            status="completed",
            cost_nusd=cost,
        )
        for cost, moment in enumerate(moments, start=100)
    ]
    with tenant_schema(cast.code):
        book(events)
    sync_gate(cast.code)


def _event(tenant_code: str, amount_nusd: int) -> Any:
    from types import SimpleNamespace

    from agentflare.ids import uuid7
    from billing.admission.tests.builders import event

    request_id = uuid7()
    started_at = (request_id.int >> 80) / 1000
    return event(
        SimpleNamespace(code=tenant_code),
        amount_nusd,
        request_id=request_id.hex,
        started_at=started_at,
    )


def call(tenant_code: str, cost_nusd: int) -> str:
    from billing.admission.services import admit, capture

    hold = admit(event=_event(tenant_code, cost_nusd))
    capture(hold, hold.event.with_(cost_nusd=cost_nusd, status="completed"))
    return str(hold.request_id)


def run_and_die(tenant_code: str, delivered_nusd: int) -> str:
    """A call that has said how far it got, and whose process then died."""
    from billing.admission import gate, live_holds
    from billing.admission.services import admit

    event = _event(tenant_code, 1_000)
    admit(event=event)
    live_holds.forget_all()
    gate.renew(
        gate.HoldKeys.of(event),
        request_id=event.request_id,
        tenant_code=tenant_code,
        amount_nusd=1_000,
        cost_nusd=delivered_nusd,
        event=event.with_(cost_nusd=delivered_nusd).dumps(),
    )
    return str(event.request_id)


def serve(*tenant_codes: str) -> dict[str, Any]:
    """Calls and settles until a line comes; says each call that has ended."""
    import threading

    from agentflare.partitions import partition_of
    from billing.settlement.services import settle_partition

    stopped = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stopped.set()), daemon=True).start()
    count = 0
    while not stopped.wait(0.002):
        code = tenant_codes[count % len(tenant_codes)]
        request_id = call(code, 10)
        sys.stdout.write(f"{request_id}\n")
        sys.stdout.flush()
        count += 1
        if count % 5 == 0:
            settle_partition(partition=partition_of(code))
    return {"count": count}


def look() -> dict[str, Any]:
    """Each tenant's ledger and gate, its calls, what an audit finds, and what waits."""
    from billing import invariants
    from billing.admission.services import books
    from billing.ledger.services import credit_account
    from billing.usage.models import UsageRecord
    from tenants.registry.models import Tenant
    from tenants.registry.schemas import tenant_schema

    found = {}
    for tenant in Tenant.objects.all():
        with tenant_schema(tenant.code):
            known = books(tenant)
            found[tenant.code] = {
                "credit": credit_account().balance_nusd,
                "gate": [known.posted, known.held, known.unsettled],
                "calls": {row.request_id.hex: row.cost_nusd for row in UsageRecord.objects.all()},
            }
    return {"tenants": found, "violations": list(invariants.check_all(reads_archives=True))}


def use_key(key: str, tenant_code: str) -> dict[str, Any]:
    """Over the API. Where the key is taken, a call of $0.000000007 is made and booked, too."""
    from django.test import Client

    from agentflare.partitions import partition_of
    from billing.settlement.services import settle_partition

    client = Client(headers={"Authorization": f"Bearer {key}", "Host": "localhost"})
    answer = client.get("/v1/models")
    if answer.status_code != 200:
        return {"status": answer.status_code, "error": answer.json()["error"]}
    call(tenant_code, 7)
    settle_partition(partition=partition_of(tenant_code))
    return {"status": 200, "models": len(answer.json()["data"])}


def mark_unfinished(stage: str) -> None:
    from django.db import connection

    from tenants.registry.schemas import UNFINISHED

    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {UNFINISHED}")
        cursor.execute(f"COMMENT ON SCHEMA {UNFINISHED} IS '{stage}'")


def manage(*arguments: str) -> dict[str, Any]:
    """A command of manage.py: what it said, and why it failed."""
    from django.core.management import call_command
    from django.core.management.base import CommandError

    said = StringIO()
    try:
        call_command(*arguments, stdout=said, skip_checks=False)
    except CommandError as exc:
        return {"said": said.getvalue(), "error": str(exc)}
    return {"said": said.getvalue(), "error": None}


ACTIONS: dict[str, Callable[..., Any]] = {
    each.__name__: each for each in (fill, serve, look, use_key, mark_unfinished, manage)
}


def main(steps: list[list[str]]) -> None:
    import django

    django.setup()
    from django.contrib.auth.hashers import Argon2PasswordHasher

    # As production hashes, and in a moment.
    Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost = 1, 64
    found = [ACTIONS[action](*arguments) for action, *arguments in steps]
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
