"""`python -m bench tenants`: the operator's side of two hundred tenants with a hundred thousand
calls, in five minutes; with `--tenants 1000`, in a quarter of an hour.

Times making tenants, migrating their schemas (killed half-way, while calls are served), rolling
them up, the audit, a month's close, and the admin's pages, with the number of SQL statements of
each, beside those with ten tenants. `--explain` prints the statements.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import processes
from bench.stack import BenchError
from bench.stores import running_stores
from bench.timing import timed
from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from tenants.registry.models import Tenant

_DAYS = 60
_TARGET_MS = 200
# Pages are looked at with so many first.
_FEW = 10
# Of the last ones that are made, and the first.
_MADE_LATE = 100
# Tasks that ask Cloudflare or Stripe.
_GO_OUTSIDE = {"compare_task", "fetch_missed_events_task", "reconcile_task"}


@dataclass(frozen=True)
class Asked:
    """Milliseconds, the first time and the slowest of the next ones; SQL statements; a page's
    bytes."""

    first_ms: float
    later_ms: float
    statements: int
    size: int


# (what is asked, its name)
Watch = Callable[[Callable[[], Any], str], Asked]


@dataclass
class Findings:
    """settled: usage records there are, and tenants that have some."""

    tenants: int
    records: int
    settled: dict[str, int] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)
    made_ms: list[float] = field(default_factory=list)
    pages_of_few: dict[str, Asked] = field(default_factory=dict)
    pages: dict[str, Asked] = field(default_factory=dict)
    upgrade: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, Asked] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    fixed_work_ms: float = 0.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench tenants", description=__doc__)
    parser.add_argument("--tenants", type=int, default=200)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5, help="of each page and task (5)")
    parser.add_argument("--explain", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.tenants < 3 or options.records < 1 or options.rounds < 2:
        parser.error("three tenants, a record and two rounds are the least")
    try:
        with running_stores() as folder:
            findings = measure(
                options.tenants,
                options.records,
                folder=folder,
                rounds=options.rounds,
                explains=options.explain,
            )
    except (BenchError, SandboxError) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(findings), indent=2) if options.json else as_text(findings))
    return 1 if findings.faults else 0


def measure(count: int, records: int, *, folder: Path, rounds: int, explains: bool) -> Findings:
    from django.core.management import call_command

    from bench.tenants import filling
    from bench.tenants.upgrading import upgrade_under_calls
    from billing import invariants
    from billing.business.rolling_up import codes_to_roll_up
    from billing.business.tasks import roll_up_changed_task, roll_up_some_task
    from billing.reconciliation.sums import roll_up as sum_up_days

    found = Findings(count, records)
    end = datetime.now(UTC) - timedelta(minutes=1)
    start = end - timedelta(days=_DAYS)
    watch = partial(time_of, rounds=rounds, explains=explains)
    tenants: list[Tenant] = []

    def make(until: int) -> None:
        while len(tenants) < until:
            started = time.perf_counter()
            tenants.append(filling.provision(len(tenants)))
            found.made_ms.append(1000 * (time.perf_counter() - started))

    few = min(_FEW, count - 1)
    make(few)
    of_few = records * few // count
    filling.use(tenants, of_few, start=start, end=end)
    filling.date_entries(tenants, start=start)
    filling.write_trail(tenants)
    filling.write_days(end=end)
    roll_up_changed_task(codes_to_roll_up())
    measure_pages(found.pages_of_few, tenants[0], watch)

    with timed(found.took_s, "making the tenants"):
        make(count)
    with timed(found.took_s, "capturing and settling the calls"):
        filling.use(tenants, records - of_few, start=start, end=end, seed=19)
    filling.date_entries(tenants, start=start)
    filling.write_trail(tenants[few:])

    codes = codes_to_roll_up()
    with timed(found.took_s, "rolling up, the first time"):
        roll_up_changed_task(codes)
    with timed(found.took_s, "rolling up, nothing new"):
        roll_up_changed_task(codes)
    filling.use(tenants[::10], len(tenants[::10]), start=end, end=datetime.now(UTC), seed=18)
    with timed(found.took_s, "rolling up, a tenth has something new"):
        roll_up_changed_task(codes)
    with timed(found.took_s, "rolling up anew, as at night"):
        roll_up_some_task(codes)
    with timed(found.took_s, "sums of three days for reconciliation"):
        days = [(end - timedelta(days=back)).date() for back in range(1, 4)]
        sum_up_days(days, account_of=lambda name: name)

    found.settled = filling.books(tenants)
    measure_pages(found.pages, tenants[0], watch)
    measure_tasks(found, watch)

    with timed(found.took_s, "audit"):
        found.faults += invariants.check_all()
    with timed(found.took_s, "audit --since yesterday"):
        found.faults += invariants.check_all(since=end - timedelta(days=1))
    with timed(found.took_s, "close_month"):
        call_command("close_month", f"{start:%Y-%m}", stdout=StringIO())
    with timed(found.took_s, "migrate_tenants, nothing to do"):
        call_command("migrate_tenants", stdout=StringIO())
    upgrade = upgrade_under_calls(tenants, folder)
    name = "migrate_tenants, a column and an index, killed and started again"
    found.took_s[name] = upgrade.took_s
    found.upgrade = {
        "killed after": f"{upgrade.killed_after} schemas",
        "calls before": upgrade.before.in_words,
        "calls meanwhile": upgrade.meanwhile.in_words,
    }
    found.faults += [f"a call failed: {each}" for each in upgrade.meanwhile.failures[:3]]
    filling.settle_all()
    with timed(found.took_s, "audit, after that"):
        found.faults += invariants.check_all()
    found.fixed_work_ms = processes.fixed_work_ms()
    return found


def measure_pages(pages: dict[str, Asked], busy: Any, watch: Watch) -> None:
    """busy: the tenant with the most calls."""
    from django.test import Client

    from tenants.users.models import User

    operator = Client()
    user = User.objects.filter(email="operator@bench.test").first()
    operator.force_login(user or User.objects.create_superuser("operator@bench.test"))
    operator.get("/admin/")  # templates are read once
    for name, path in {
        "overview, 30 days": "/admin/",
        "overview, 90 days": "/admin/?days=90",
        "tenants": "/admin/registry/tenant/",
        "tenants, by name": "/admin/registry/tenant/?q=bench-17",
        "tenants, by a member’s address": "/admin/registry/tenant/?q=owner17@",
        "tenant": f"/admin/tenants/{busy.code}/",
        "tenant’s form": f"/admin/registry/tenant/{busy.pk}/change/",
        "users": "/admin/users/user/",
        "users, by address": "/admin/users/user/?q=owner17@",
        "domains": "/admin/registry/domain/",
        "plans": "/admin/registry/plan/",
        "announcements": "/admin/announcements/announcement/",
        "a new announcement": "/admin/announcements/announcement/add/",
        "sign-ins": "/admin/users/signin/",
        "operators’ trail": "/admin/operators/operatoraction/",
        "operators’ trail, by reason": "/admin/operators/operatoraction/?q=7th",
        "month’s close": "/admin/close/",
        "month’s close, as CSV": "/admin/close/?format=csv",
        "reconciliation": "/admin/reconciliation/upstreamday/",
        "settlement": "/admin/settlement/",
        "dead letters": "/admin/dead-letters/",
        "holds": "/admin/holds/",
        "disputes": "/admin/disputes/",
        "Stripe events": "/admin/stripe/stripeevent/",
        "AI models": "/admin/catalog/aimodel/",
        "prices": "/admin/prices/priceversion/",
        "routes": "/admin/catalog/route/",
        "upstreams": "/admin/upstream-health/",
    }.items():
        pages[name] = watch(partial(look_at, operator, path), name)
    owner = Client()
    owner.force_login(User.objects.get(email=f"{busy.slug.replace('bench-', 'owner')}@bench.test"))
    for part in ("", "usage/", "usage/calls/", "keys/", "billing/", "team/", "models/"):
        name = f"workspace: {part.rstrip('/') or 'overview'}"
        pages[name] = watch(partial(look_at, owner, f"/t/{busy.slug}/{part}"), name)


def look_at(client: Any, path: str) -> int:
    """Returns the bytes of the page."""
    response = client.get(path)
    if response.status_code != 200:
        raise BenchError(f"{path}: {response.status_code}")
    return len(response.content)


def measure_tasks(found: Findings, watch: Watch) -> None:
    """What beat starts, in this process; what it makes others of is only put into the queue."""
    from django.conf import settings
    from django.utils.module_loading import import_string

    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        _, _, name = entry["task"].rpartition(".")
        if name not in _GO_OUTSIDE:
            task = import_string(entry["task"])
            found.tasks[name] = watch(task, name)


def time_of(ask: Callable[[], Any], name: str, *, rounds: int, explains: bool) -> Asked:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        size = ask()
        times.append(1000 * (time.perf_counter() - started))
    with CaptureQueriesContext(connection) as captured:
        ask()
    if explains:
        print(f"\n== {name}", file=sys.stderr)
        for query in captured.captured_queries:
            print(f"{query['time']} {query['sql'][:300]}", file=sys.stderr)
    return Asked(times[0], max(times[1:]), len(captured), size if isinstance(size, int) else 0)


def made_in_words(took_ms: list[float]) -> str:
    return f"median {median(took_ms):.0f}, p99 {sorted(took_ms)[int(len(took_ms) * 0.99)]:.0f}"


def as_text(found: Findings) -> str:
    lines = [f"{found.tenants} tenants, {found.records} calls in {_DAYS} days", ""]
    for name, took_s in found.took_s.items():
        lines.append(f"{took_s:8.2f} s  {name}: {1000 * took_s / found.tenants:.1f} ms a tenant")
    made = found.made_ms
    lines += [
        "",
        f"Making a tenant, ms: the first {_MADE_LATE} {made_in_words(made[:_MADE_LATE])}; "
        f"the last {_MADE_LATE} {made_in_words(made[-_MADE_LATE:])}",
        *[f"The upgrade: {name}: {value}" for name, value in found.upgrade.items()],
        "",
        "Pages: ms the first time, slowest of the next, SQL statements, kB; the same with few",
    ]
    lines += [
        f"{page.first_ms:8.1f} {page.later_ms:8.1f} {page.statements:5} {page.size / 1000:7.1f}"
        f" {few.later_ms:8.1f} {few.statements:5}"
        f"  {name}{'  SLOW' if page.later_ms > _TARGET_MS else ''}"
        f"{'  MORE STATEMENTS' if page.statements > few.statements else ''}"
        for name, page in found.pages.items()
        for few in (found.pages_of_few[name],)
    ]
    lines += ["", "Tasks of beat: ms the first time, slowest of the next, SQL statements"]
    lines += [
        f"{task.first_ms:8.1f} {task.later_ms:8.1f} {task.statements:5}  {name}"
        for name, task in found.tasks.items()
    ]
    lines += [
        "",
        f"A fixed piece of work takes {found.fixed_work_ms:.1f} ms",
        *[f"WRONG: {fault}" for fault in found.faults],
        *([] if found.faults else ["Nothing is lost: audit clean."]),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
