"""`python -m bench size`: one tenant with ten million usage records. Takes some five minutes and
6 GB below TMPDIR, which are given back.

Times what its pages and its API ask for, an export of a million records, settlement into tables of
that size, the audit, and the archiving of a month. `--explain` prints PostgreSQL's plans.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bench import processes
from bench.stack import BenchError
from bench.stores import running_stores
from bench.timing import timed
from sandbox.errors import SandboxError

_ROUNDS = 5
_EXPORTED = 1_000_000
_SETTLED = 20_000
GRANT_NUSD = 9 * 10**15
_TARGET_MS = 200


@dataclass
class Findings:
    """queries: name → milliseconds, the first time and the slowest of the next four."""

    records: int
    hours: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    queries: dict[str, tuple[float, float]] = field(default_factory=dict)
    export: dict[str, float] = field(default_factory=dict)
    settled_per_s: float = 0.0
    took_s: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    fixed_work_ms: float = 0.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench size", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--explain", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        with running_stores():
            findings = measure(options.records, explains=options.explain)
    except (BenchError, SandboxError) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(findings), indent=2) if options.json else as_text(findings))
    return 1 if findings.faults else 0


def measure(count: int, *, explains: bool) -> Findings:
    from bench.size import filling
    from billing import invariants
    from billing.archive.services import archive_usage
    from billing.ledger.services import grant_credit, sync_gate
    from billing.usage.models import HourlyUsage
    from tenants.keys.services import create_api_key
    from tenants.registry.schemas import tenant_schema
    from tenants.registry.services import create_tenant

    found = Findings(count)
    tenant = create_tenant(
        slug="big", name="Big", owner_email="big@bench.test", owner_password="correct-horse-1"
    )
    grant_credit(tenant=tenant, amount_nusd=GRANT_NUSD, reference="bench", actor="bench")
    _, key = create_api_key(tenant=tenant, name="bench", actor="bench", scopes=["usage"])
    end = datetime.now(UTC) - timedelta(minutes=1)
    with tenant_schema(tenant.code):
        with timed(found.took_s, "filling the tables"):
            filling.fill(count, start=end - timedelta(days=365), end=end)
        found.sizes, found.hours = filling.sizes(), HourlyUsage.objects.count()
    sync_gate(tenant.code)

    asked = queries(key, tenant.slug, end)
    for name, ask in asked.items():
        found.queries[name] = time_of(ask)
    if explains:
        for name, ask in asked.items():
            explain(name, ask)
    found.export = measure_export(key)
    with timed(found.took_s, "audit"):
        found.faults += invariants.check_all()
    with timed(found.took_s, "audit --since yesterday"):
        found.faults += invariants.check_all(since=end - timedelta(days=1))
    found.settled_per_s = measure_settlement(tenant)
    oldest = (end - timedelta(days=365)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    with timed(found.took_s, "archiving"):
        moved = archive_usage(tenant=tenant, before=(oldest + timedelta(days=62)).replace(day=1))
    found.took_s[f"archiving {sum(x.records for x in moved)} records"] = found.took_s.pop(
        "archiving"
    )
    with timed(found.took_s, "audit --archives"):
        found.faults += invariants.check_all(reads_archives=True)
    found.fixed_work_ms = processes.fixed_work_ms()
    return found


def queries(key: str, slug: str, end: datetime) -> dict[str, Callable[[], Any]]:
    """What clients ask for, through the product's own views."""
    from django.test import Client

    from bench.size.filling import (
        COMMON_KEY,
        COMMON_MODEL,
        RARE_KEY,
        RARE_MODEL,
        RARE_STATUS,
        SOME_KEY,
    )
    from tenants.users.models import User

    api = Client(HTTP_AUTHORIZATION=f"Bearer {key}")
    browser = Client()
    browser.force_login(User.objects.get(email="big@bench.test"))

    def get(path: str, client: Client = api, **query: Any) -> Callable[[], Any]:
        def ask() -> Any:
            response = client.get(path, query)
            if response.status_code != 200:
                raise BenchError(f"{path} {query}: {response.content.decode()[:200]}")
            return response

        return ask

    records = "/v1/usage/records"
    day = timedelta(days=1)
    middle = {"start_time": int((end - 180 * day).timestamp())}
    middle["end_time"] = middle["start_time"] + 86_400
    deep = get(records, end_time=middle["end_time"])().json()["last_id"]
    return {
        "the workspace's page": get(f"/t/{slug}/", browser),
        "newest 100": get(records, limit=100),
        "100 from the middle": get(records, limit=100, after=deep),
        "one record": get(f"{records}/{deep}"),
        "a day": get(records, limit=100, **middle),
        "a common key": get(records, limit=100, api_key_id=COMMON_KEY),
        "a common key, on a day": get(records, limit=100, api_key_id=COMMON_KEY, **middle),
        "a key with ten calls": get(records, limit=100, api_key_id=RARE_KEY),
        "a common model": get(records, limit=100, model=COMMON_MODEL),
        "a model with ten calls": get(records, limit=100, model=RARE_MODEL),
        "failed": get(records, limit=100, status="upstream_failed"),
        "an end that ten calls had": get(records, limit=100, status=RARE_STATUS),
        "completed": get(records, limit=100, status="completed"),
        "an endpoint": get(records, limit=100, endpoint="embeddings"),
        "an endpoint that nobody called": get(records, limit=100, endpoint="none"),
        "dear ones": get(records, limit=100, min_cost="0.0035"),
        "dearer than any": get(records, limit=100, min_cost="5"),
        "a key and a model that never met": get(
            records, limit=100, api_key_id=COMMON_KEY, model=RARE_MODEL
        ),
        "the same, of a key with one call in 67": get(
            records, limit=100, api_key_id=SOME_KEY, model=RARE_MODEL
        ),
        "a common key's failed calls": get(
            records, limit=100, api_key_id=COMMON_KEY, status="upstream_failed"
        ),
        "a key, a model, a day, dear": get(
            records, limit=100, api_key_id=COMMON_KEY, model=COMMON_MODEL, min_cost="5", **middle
        ),
        "export: its first piece": lambda: next(iter(get("/v1/usage/export")())),
        "sums of 30 days": get("/v1/usage"),
        "sums of 31 days by hour": get(
            "/v1/usage", bucket_width="1h", start_time=int((end - 31 * day).timestamp()) + 3600
        ),
        "sums of a year": get("/v1/usage", start_time=int((end - 365 * day).timestamp())),
        "sums of a year by model": get(
            "/v1/usage", start_time=int((end - 365 * day).timestamp()), group_by="model"
        ),
        "sums of a year by key and model": get(
            "/v1/usage",
            start_time=int((end - 365 * day).timestamp()),
            group_by="model,api_key_id",
        ),
    }


def time_of(ask: Callable[[], Any]) -> tuple[float, float]:
    times = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        ask()
        times.append(1000 * (time.perf_counter() - started))
    return times[0], max(times[1:])


def explain(name: str, ask: Callable[[], Any]) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        ask()
    path = "public"
    for query in captured.captured_queries:
        sql = query["sql"]
        if "search_path" in sql:
            path = sql
        if "usage_" not in sql:
            continue
        print(f"\n== {name}", file=sys.stderr)
        with connection.cursor() as cursor:
            cursor.execute(path)
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {sql.replace('%', '%%')}")
            print("\n".join(row[0] for row in cursor.fetchall()), file=sys.stderr)


def measure_export(key: str) -> dict[str, float]:
    from django.test import Client

    before_mb, most_mb, lines, size = processes.memory_mb(os.getpid()), 0.0, 0, 0
    started = time.monotonic()
    pieces: Any = Client(HTTP_AUTHORIZATION=f"Bearer {key}").get("/v1/usage/export")
    for piece in pieces:
        lines += piece.count(b"\n")
        size += len(piece)
        if lines % 50_000 < 1_000:
            most_mb = max(most_mb, processes.memory_mb(os.getpid()))
        if lines >= _EXPORTED:
            break
    took_s = time.monotonic() - started
    return {
        "records": lines,
        "megabytes": size / 1e6,
        "took_s": took_s,
        "memory_before_mb": before_mb,
        "memory_most_mb": most_mb,
    }


def measure_settlement(tenant: Any) -> float:
    """Events a second of this process alone, into tables as large as they are now."""
    from agentflare.partitions import partition_of
    from bench.settlement.events import usage_event
    from billing.admission import gate
    from billing.settlement.services import settle_partition

    chance = random.Random(17)
    for _ in range(_SETTLED):
        key_id = f"key{chance.randrange(12):05d}"
        event = usage_event(chance, tenant_code=tenant.code, key_id=key_id)
        gate.capture_event(event)
    started = time.monotonic()
    settled = settle_partition(partition=partition_of(tenant.code))
    if settled != _SETTLED:
        raise BenchError(f"{settled} of {_SETTLED} events were settled")
    return settled / (time.monotonic() - started)


def as_text(found: Findings) -> str:
    lines = [f"{found.records} records of one tenant, {found.hours} sums by the hour", ""]
    lines += [f"{size / 1e6:8.0f} MB  {name}" for name, size in found.sizes.items()]
    lines += ["", "Milliseconds, first time and slowest of the next four"]
    lines += [
        f"{first:8.1f} {later:8.1f}  {name}{'  SLOW' if later > _TARGET_MS else ''}"
        for name, (first, later) in found.queries.items()
    ]
    export = found.export
    lines += [
        "",
        f"Export as CSV: {export['records']:.0f} records, {export['megabytes']:.0f} MB in "
        f"{export['took_s']:.0f} s; memory {export['memory_before_mb']:.0f} → "
        f"{export['memory_most_mb']:.0f} MB",
        f"Settlement, one process: {found.settled_per_s:.0f} events/s",
        *[f"{name}: {took_s:.1f} s" for name, took_s in found.took_s.items()],
        f"A fixed piece of work takes {found.fixed_work_ms:.1f} ms",
        *[f"WRONG: {fault}" for fault in found.faults],
        *([] if found.faults else ["Nothing is lost: audit clean."]),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
