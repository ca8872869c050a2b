"""What must be true of money at any moment, as queries: `manage.py audit`.

Read-only. Each check returns one line for each thing that is wrong.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator

from django.conf import settings
from django.db import connection

from agentflare.money import format_usd
from agentflare.partitions import PARTITIONS, partition_key, partition_of
from agentflare.redis_store import get_redis
from billing.admission import gate
from billing.admission.selectors import holds_of_partition
from billing.ledger.services import credit_account
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

# Each query returns the rows that break the rule named before it.
_RULES = {
    "an account's balance is the sum of its postings": """
        SELECT code, balance_nusd, moved FROM (
            SELECT a.code, a.balance_nusd,
                   coalesce((SELECT sum(amount_nusd) FROM ledger_posting
                              WHERE destination_id = a.code), 0)
                 - coalesce((SELECT sum(amount_nusd) FROM ledger_posting
                              WHERE source_id = a.code), 0) AS moved
              FROM ledger_ledgeraccount a) AS sums
         WHERE balance_nusd <> moved""",
    "all accounts together hold nothing": """
        SELECT sum(balance_nusd) FROM ledger_ledgeraccount HAVING sum(balance_nusd) <> 0""",
    "a usage entry's amount is the sum of its records": """
        SELECT e.reference, booked, used FROM ledger_journalentry e
          LEFT JOIN LATERAL (SELECT coalesce(sum(amount_nusd), 0) AS booked FROM ledger_posting p
                              WHERE p.entry_id = e.id) AS p ON true
          LEFT JOIN LATERAL (SELECT coalesce(sum(cost_nusd), 0) AS used, count(*) AS records
                               FROM usage_usagerecord u WHERE u.entry_id = e.id) AS u ON true
         WHERE e.kind = 'usage' AND (booked <> used OR records = 0)""",
    "every usage record belongs to a usage entry": """
        SELECT u.request_id FROM usage_usagerecord u
          LEFT JOIN ledger_journalentry e ON e.id = u.entry_id
         WHERE e.kind IS DISTINCT FROM 'usage'""",
    "hourly sums equal their records": """
        WITH records AS (
            SELECT date_trunc('hour', started_at, 'UTC') AS hour, key_id, ai_model,
                   count(*) AS calls, sum(cost_nusd) AS cost_nusd,
                   sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
              FROM usage_usagerecord GROUP BY 1, 2, 3)
        SELECT hour, key_id, ai_model FROM records r
          FULL JOIN usage_hourlyusage h USING (hour, key_id, ai_model)
         WHERE (r.calls, r.cost_nusd, r.input_tokens, r.output_tokens) IS DISTINCT FROM
               (h.calls, h.cost_nusd, h.input_tokens, h.output_tokens)""",
    "what keys have spent is the sum of their records": """
        WITH records AS (
            SELECT coalesce(nullif(k.line_id, ''), u.key_id) AS line_id, period,
                   sum(cost_nusd) AS cost_nusd
              FROM usage_usagerecord u LEFT JOIN keys_apikey k USING (key_id),
                   LATERAL (VALUES ('life'),
                                   (to_char(started_at AT TIME ZONE 'UTC', 'YYYYMM')),
                                   (to_char(started_at AT TIME ZONE 'UTC', 'YYYYMMDD')))
                                   AS p (period)
             WHERE cost_nusd > 0
             GROUP BY 1, 2)
        SELECT line_id, period, r.cost_nusd, s.cost_nusd FROM records r
          FULL JOIN usage_keyspend s USING (line_id, period)
         WHERE r.cost_nusd IS DISTINCT FROM s.cost_nusd""",
    "credit given is credit spent and credit left": """
        SELECT given, spent, left_over FROM (
            SELECT -coalesce(sum(balance_nusd) FILTER (WHERE code NOT IN ('credit', 'usage')), 0)
                       AS given,
                   coalesce(sum(balance_nusd) FILTER (WHERE code = 'usage'), 0) AS spent,
                   coalesce(sum(balance_nusd) FILTER (WHERE code = 'credit'), 0) AS left_over
              FROM ledger_ledgeraccount) AS sums
         WHERE given <> spent + left_over""",
}


def check_all() -> Iterator[str]:
    """Every violation, over all tenants and all of Redis."""
    for tenant in Tenant.objects.all():
        yield from check_ledger(tenant)
        yield from check_gate(tenant)
    yield from check_holds()
    yield from check_dead_letters()


def check_ledger(tenant: Tenant) -> Iterator[str]:
    with tenant_schema(tenant.code), connection.cursor() as cursor:
        for rule, query in _RULES.items():
            cursor.execute(query)
            for row in cursor.fetchall():
                yield f"{tenant.slug}: {rule}: {', '.join(map(str, row))}"


def check_gate(tenant: Tenant) -> Iterator[str]:
    """Gate, holds and outbox agree with each other, and with the ledger once all is settled.

    A call that ends between two reads looks like a fault; what does not persist is none.
    """
    yield from _persisting(lambda: _gate_faults(tenant))


def _gate_faults(tenant: Tenant) -> list[str]:
    known = gate.read(tenant.code)
    if known is None:
        return []  # made from the ledger at the next call
    partition = partition_of(tenant.code)
    held = _held_by_tenant(partition)[tenant.code]
    unsettled = _unsettled_by_tenant(partition)[tenant.code]
    faults = []
    if known.held != held:
        faults.append(f"held is {format_usd(known.held)}, its holds are {format_usd(held)}")
    if known.unsettled != unsettled:
        faults.append(
            f"unsettled is {format_usd(known.unsettled)}, the outbox has {format_usd(unsettled)}"
        )
    with tenant_schema(tenant.code):
        posted = credit_account().balance_nusd
    if not unsettled and known.posted != posted:
        faults.append(f"gate has {format_usd(known.posted)}, the ledger {format_usd(posted)}")
    return [f"{tenant.slug}: gate: {fault}" for fault in faults]


def check_holds() -> Iterator[str]:
    """No hold is much older than its expiry: the sweeper runs."""
    grace_ms = settings.HOLD_TTL_S * 1000
    latest = time.time() * 1000 - grace_ms
    for partition in range(PARTITIONS):
        for request_id in get_redis().zrangebyscore(gate.holds_key(partition), "-inf", latest):
            yield f"hold of {request_id} expired long ago and still stands"


def check_dead_letters() -> Iterator[str]:
    for partition in range(PARTITIONS):
        if count := get_redis().xlen(partition_key(partition, "dead_letters")):
            yield f"partition {partition}: {count} usage events could not be booked"


def _held_by_tenant(partition: int) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for hold in holds_of_partition(partition):
        sums[hold.tenant_code] += hold.amount_nusd
    return sums


def _unsettled_by_tenant(partition: int) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for _, fields in get_redis().xrange(gate.outbox_key(partition)):
        sums[fields["tenant"]] += int(fields["cost"])
    return sums


def _persisting(
    check: Callable[[], list[str]], *, tries: int = 4, pause_s: float = 0.5
) -> list[str]:
    """The faults that are still there after several looks."""
    for _ in range(tries - 1):
        faults = check()
        if not faults:
            return []
        time.sleep(pause_s)
    return check()
