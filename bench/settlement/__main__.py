"""`python -m bench settlement`: events a second from the outbox into the ledger, in a minute.

Fills the outboxes of several tenants by the product's own capture, then lets one Celery worker
settle them, as it does in production. Afterwards the books are audited.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from bench import processes
from bench.stack import PROJECT, BenchError, stop
from bench.stores import running_stores
from sandbox.embedded.children import spawn
from sandbox.errors import SandboxError

KEYS_OF_A_TENANT = 5
GRANT_NUSD = 10**15
_WAIT_S = 120.0


@dataclass(frozen=True)
class Findings:
    """worker_cpu_s: of the worker with all its processes; the stores' own beside it."""

    events: int
    tenants: int
    worker_processes: int
    took_s: float
    events_per_s: float
    worker_cpu_s: float
    fixed_work_ms: float
    faults: list[str]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench settlement", description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--tenants", type=int, default=8)
    parser.add_argument("--processes", type=int, default=2, help="of the one worker (-c)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        with running_stores():
            findings = measure(options.events, options.tenants, options.processes)
    except (BenchError, SandboxError) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(findings), indent=2) if options.json else as_text(findings))
    return 1 if findings.faults else 0


def measure(events: int, tenants: int, worker_processes: int) -> Findings:
    from billing import invariants

    expected = fill(events, tenants)
    worker = start_worker(worker_processes)
    try:
        before_s = processes.cpu_s(worker.pid)
        took_s = settle_all()
        cpu_s = processes.cpu_s(worker.pid) - before_s
    finally:
        stop(worker)
    faults = list(invariants.check_all())
    for tenant_code, (count, cost_nusd) in expected.items():
        if (booked := books_of(tenant_code)) != (count, cost_nusd):
            faults.append(f"{tenant_code}: captured {count}, {cost_nusd} nUSD; booked {booked}")
    return Findings(
        events=events,
        tenants=tenants,
        worker_processes=worker_processes,
        took_s=took_s,
        events_per_s=events / took_s,
        worker_cpu_s=cpu_s,
        fixed_work_ms=processes.fixed_work_ms(),
        faults=faults,
    )


def fill(events: int, tenants: int) -> dict[str, tuple[int, int]]:
    """Capture calls of all tenants, mixed. Returns how many each has, and their cost."""
    from bench.settlement.events import usage_event
    from billing.admission import gate
    from billing.ledger.services import grant_credit
    from tenants.registry.services import create_tenant

    chance = random.Random(17)
    codes = []
    for number in range(tenants):
        tenant = create_tenant(slug=f"bench-{number}", name="Bench")
        grant_credit(tenant=tenant, amount_nusd=GRANT_NUSD, reference="bench", actor="bench")
        codes.append(tenant.code)
    sums = dict.fromkeys(codes, (0, 0))
    for _ in range(events):
        code = chance.choice(codes)
        key_id = f"key{chance.randrange(KEYS_OF_A_TENANT):05d}"
        event = usage_event(chance, tenant_code=code, key_id=key_id)
        # Without the hold from before.
        gate.capture_event(event)
        sums[code] = (sums[code][0] + 1, sums[code][1] + event.cost_nusd)
    return sums


def start_worker(worker_processes: int) -> "subprocess.Popen[bytes]":
    """A worker that has nothing to do yet, and is past its own start."""
    from agentflare.celery import app

    command = ["-m", "celery", "-A", "agentflare", "worker", "-l", "WARNING", "--without-mingle"]
    worker = spawn(
        [sys.executable, *command, "-c", str(worker_processes)],
        cwd=PROJECT,
        env=os.environ,
        output=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + _WAIT_S
    while not app.control.ping(timeout=0.5):
        if worker.poll() is not None or time.monotonic() > deadline:
            raise BenchError("the worker does not start")
    return worker


def settle_all() -> float:
    """As beat does it, every second, until all outboxes are empty. Returns the seconds."""
    from billing.settlement.services import busy_partitions
    from billing.settlement.tasks import settle_task

    started = time.monotonic()
    next_round = started
    while busy_partitions():
        now = time.monotonic()
        if now - started > _WAIT_S:
            raise BenchError(f"settlement has not ended after {_WAIT_S:.0f} s")
        if now >= next_round:
            settle_task.apply_async(expires=5)
            next_round += 1
        time.sleep(0.01)
    return time.monotonic() - started


def books_of(tenant_code: str) -> tuple[int, int]:
    from django.db.models import Count, Sum

    from billing.usage.models import UsageRecord
    from tenants.registry.schemas import tenant_schema

    with tenant_schema(tenant_code):
        sums = UsageRecord.objects.aggregate(count=Count("*"), cost=Sum("cost_nusd"))
    return sums["count"], int(sums["cost"] or 0)


def as_text(findings: Findings) -> str:
    return "\n".join(
        [
            f"{findings.events} events of {findings.tenants} tenants, one worker with "
            f"{findings.worker_processes} processes: {findings.events_per_s:.0f} events/s "
            f"({findings.took_s:.1f} s)",
            f"The worker's processor time for an event: "
            f"{1e6 * findings.worker_cpu_s / findings.events:.0f} µs",
            f"A fixed piece of work takes {findings.fixed_work_ms:.1f} ms",
            *[f"WRONG: {fault}" for fault in findings.faults],
            *([] if findings.faults else ["All of it is booked, once: audit clean."]),
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
