"""What must be true of money at any moment, as queries: `manage.py audit`.

Read-only. Each check returns one line for each thing that is wrong.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from agentflare.ids import first_uuid7
from agentflare.money import format_usd
from agentflare.partitions import PARTITIONS, partition_of
from agentflare.redis_store import get_redis
from billing.admission import gate
from billing.admission.selectors import holds_of_partition
from billing.archive.selectors import faults_of_files
from billing.ledger.models import JournalEntry
from billing.ledger.services import credit_account
from billing.payments.rules import RULES as PAYMENT_RULES
from billing.payments.rules import check_events
from billing.reconciliation.comparing import find_drift
from billing.settlement.dead_letters import buried_nusd, key_of
from billing.usage.records import ARRIVAL
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

# Each query returns the rows that break the rule named before it. The tables of records and
# postings are read as a whole, once for each rule at most, which takes a second or so for a million
# records; `since` leaves out what was booked before. Records that were archived are no more, and
# the sums of their files stand for them (billing/archive).
_RULES = {
    "an account's balance is the sum of its postings": """
        WITH moved AS (
            SELECT code, sum(amount) AS amount_nusd
              FROM (SELECT destination_id, source_id, sum(amount_nusd) AS amount_nusd
                      FROM ledger_posting GROUP BY 1, 2) AS p,
                   LATERAL (VALUES (destination_id, amount_nusd), (source_id, -amount_nusd))
                           AS side (code, amount)
             GROUP BY 1)
        SELECT code, balance_nusd, m.amount_nusd FROM ledger_ledgeraccount a
          FULL JOIN moved m USING (code)
         WHERE balance_nusd IS DISTINCT FROM coalesce(m.amount_nusd, 0)""",
    "all accounts together hold nothing": """
        SELECT sum(balance_nusd) FROM ledger_ledgeraccount HAVING sum(balance_nusd) <> 0""",
    "usage records belong to a usage entry whose amount is their sum": """
        WITH used AS (
            SELECT entry_id, sum(cost_nusd - correction_nusd) AS cost_nusd FROM usage_usagerecord
             WHERE entry_id >= %(entry)s GROUP BY 1),
        archived AS (
            SELECT key::bigint AS entry_id, sum(value::bigint) AS cost_nusd
              FROM usage_usagearchive, jsonb_each_text(split_entries) GROUP BY 1),
        booked AS (
            SELECT entry_id, sum(amount_nusd) AS amount_nusd FROM ledger_posting
             WHERE entry_id >= %(entry)s GROUP BY 1)
        SELECT e.reference, e.kind, b.amount_nusd, u.cost_nusd FROM used u
          LEFT JOIN ledger_journalentry e ON e.id = u.entry_id
          LEFT JOIN booked b USING (entry_id) LEFT JOIN archived a USING (entry_id)
         WHERE e.kind IS DISTINCT FROM 'usage'
            OR coalesce(b.amount_nusd, 0) <> u.cost_nusd + coalesce(a.cost_nusd, 0)""",
    "corrections are booked, each by an entry of its own": """
        WITH booked AS (
            SELECT substr(reference, 12) AS id, kind, amount_nusd
              FROM ledger_journalentry e LEFT JOIN LATERAL (
                   SELECT sum(CASE WHEN source_id = 'credit' AND destination_id = 'usage'
                                   THEN amount_nusd
                                   WHEN source_id = 'usage' AND destination_id = 'credit'
                                   THEN -amount_nusd END) AS amount_nusd
                     FROM ledger_posting p WHERE p.entry_id = e.id) AS p ON true
             WHERE reference LIKE 'reconciled:%%' AND e.id >= %(entry)s
               AND created_at > (SELECT coalesce(max(before), '-infinity') + interval '2 days'
                                   FROM usage_usagearchive))
        SELECT id, b.amount_nusd, c.correction_nusd FROM booked b
          LEFT JOIN usage_usagerecord c ON c.request_id = id::uuid
         WHERE b.kind IS DISTINCT FROM 'adjustment'
            OR b.amount_nusd IS DISTINCT FROM c.correction_nusd""",
    "corrected calls cost what they did at first, and their correction": """
        SELECT request_id, cost_nusd, correction_nusd, first_figures FROM usage_usagerecord
         WHERE first_figures IS NOT NULL AND request_id >= %(id)s
           AND (truth <> 'reconciled'
                OR cost_nusd <> (first_figures->>'cost_nusd')::bigint + correction_nusd
                OR cost_nusd > greatest(estimated_nusd, (first_figures->>'cost_nusd')::bigint))""",
    "all corrections ever are those of records and archives": """
        WITH records AS (
            SELECT (SELECT coalesce(sum(correction_nusd), 0) FROM usage_usagerecord
                     WHERE first_figures IS NOT NULL)
                 + (SELECT coalesce(sum(correction_nusd), 0) FROM usage_usagearchive)
                   AS correction_nusd),
        booked AS (
            SELECT coalesce(sum(CASE source_id WHEN 'credit' THEN amount_nusd
                                               ELSE -amount_nusd END), 0) AS amount_nusd
              FROM ledger_posting p JOIN ledger_journalentry e ON e.id = p.entry_id
             WHERE reference LIKE 'reconciled:%%')
        SELECT amount_nusd, correction_nusd FROM booked, records
         WHERE amount_nusd <> correction_nusd""",
    "usage entries have records": """
        SELECT reference FROM ledger_journalentry e
         WHERE kind = 'usage' AND id >= %(entry)s
           AND id > (SELECT coalesce(max(last_entry_id), 0) FROM usage_usagearchive)
           AND NOT EXISTS (SELECT FROM usage_usagerecord u WHERE u.entry_id = e.id)""",
    "usage entries without records are those that were archived": """
        WITH archived AS (
            SELECT sum(cost_nusd - correction_nusd) AS cost_nusd,
                   max(last_entry_id) AS last_entry_id
              FROM usage_usagearchive),
        emptied AS (
            SELECT e.id FROM ledger_journalentry e, archived a
             WHERE kind = 'usage' AND e.id <= a.last_entry_id
               AND NOT EXISTS (SELECT FROM usage_usagerecord u WHERE u.entry_id = e.id)),
        split AS (
            SELECT value::bigint AS cost_nusd
              FROM usage_usagearchive, jsonb_each_text(split_entries) AS part
             WHERE EXISTS (SELECT FROM usage_usagerecord u WHERE u.entry_id = part.key::bigint)),
        booked AS (
            SELECT (SELECT coalesce(sum(amount_nusd), 0) FROM ledger_posting p
                     WHERE p.entry_id IN (SELECT id FROM emptied))
                 + (SELECT coalesce(sum(cost_nusd), 0) FROM split) AS cost_nusd)
        SELECT b.cost_nusd, a.cost_nusd FROM booked b, archived a
         WHERE b.cost_nusd <> a.cost_nusd""",
    "hourly sums equal their records": """
        WITH archived AS (
            SELECT coalesce(max(before), '-infinity') AS before FROM usage_usagearchive),
        records AS (
            SELECT date_trunc('hour', started_at, 'UTC') AS hour, key_id, ai_model,
                   count(*) AS calls, sum(cost_nusd) AS cost_nusd,
                   sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
                   sum(provider_cost_nusd) AS provider_cost_nusd
              FROM usage_usagerecord
             WHERE started_at >= %(hour)s AND request_id >= %(id)s
               AND started_at >= (SELECT before FROM archived)
             GROUP BY 1, 2, 3)
        SELECT hour, key_id, ai_model FROM records r
          FULL JOIN (SELECT * FROM usage_hourlyusage
                      WHERE hour >= %(hour)s AND hour >= (SELECT before FROM archived)) AS h
                    USING (hour, key_id, ai_model)
         WHERE (r.calls, r.cost_nusd, r.input_tokens, r.output_tokens, r.provider_cost_nusd)
               IS DISTINCT FROM
               (h.calls, h.cost_nusd, h.input_tokens, h.output_tokens, h.provider_cost_nusd)""",
    "daily sums by account equal their records": """
        WITH first AS (
            SELECT (greatest(%(hour)s, (SELECT coalesce(max(before), '-infinity')
                                          FROM usage_usagearchive))
                    AT TIME ZONE 'UTC' + interval '1 day - 1 microsecond')::date AS day),
        records AS (
            SELECT (started_at AT TIME ZONE 'UTC')::date AS day, upstream, upstream_model,
                   count(*) AS calls, sum(provider_cost_nusd) AS provider_cost_nusd
              FROM usage_usagerecord
             WHERE started_at >= (SELECT day::timestamp AT TIME ZONE 'UTC' FROM first)
               AND request_id >= %(id)s
             GROUP BY 1, 2, 3)
        SELECT day, upstream, upstream_model, r.provider_cost_nusd, u.provider_cost_nusd
          FROM records r
          FULL JOIN (SELECT * FROM usage_upstreamusage
                      WHERE day >= (SELECT day FROM first)) AS u
                    USING (day, upstream, upstream_model)
         WHERE (r.calls, r.provider_cost_nusd) IS DISTINCT FROM
               (u.calls, u.provider_cost_nusd)""",
    "daily sums equal their hours": """
        WITH hours AS (
            SELECT (hour AT TIME ZONE 'UTC')::date AS day, key_id, ai_model, sum(calls) AS calls,
                   sum(failed_calls) AS failed_calls, sum(input_tokens) AS input_tokens,
                   sum(cached_input_tokens) AS cached_input_tokens,
                   sum(output_tokens) AS output_tokens, sum(cost_nusd) AS cost_nusd
              FROM usage_hourlyusage GROUP BY 1, 2, 3)
        SELECT day, key_id, ai_model FROM hours h
          FULL JOIN usage_dailyusage d USING (day, key_id, ai_model)
         WHERE (h.calls, h.failed_calls, h.input_tokens, h.cached_input_tokens, h.output_tokens,
                h.cost_nusd) IS DISTINCT FROM
               (d.calls, d.failed_calls, d.input_tokens, d.cached_input_tokens, d.output_tokens,
                d.cost_nusd)""",
    "hourly sums of archived months equal their archives": """
        WITH archived AS (SELECT max(before) AS before FROM usage_usagearchive),
        records AS (
            SELECT month::date AS month, calls, cost_nusd, input_tokens, output_tokens
              FROM usage_usagearchive
             UNION ALL
            SELECT date_trunc('month', started_at, 'UTC') AT TIME ZONE 'UTC', 1, cost_nusd,
                   input_tokens, output_tokens
              FROM usage_usagerecord, archived WHERE started_at < before),
        hours AS (
            SELECT (date_trunc('month', hour, 'UTC') AT TIME ZONE 'UTC')::date AS month,
                   sum(calls) AS calls, sum(cost_nusd) AS cost_nusd,
                   sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
              FROM usage_hourlyusage, archived WHERE hour < before GROUP BY 1)
        SELECT month, h.cost_nusd, r.cost_nusd FROM hours h
          FULL JOIN (SELECT month, sum(calls) AS calls, sum(cost_nusd) AS cost_nusd,
                            sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
                       FROM records GROUP BY 1) AS r USING (month)
         WHERE (r.calls, r.cost_nusd, r.input_tokens, r.output_tokens) IS DISTINCT FROM
               (h.calls, h.cost_nusd, h.input_tokens, h.output_tokens)""",
    "what keys have spent is the sum of their hours": """
        WITH hours AS (
            SELECT coalesce(nullif(k.line_id, ''), h.key_id) AS line_id, period,
                   sum(cost_nusd) AS cost_nusd
              FROM usage_hourlyusage h LEFT JOIN keys_apikey k USING (key_id),
                   LATERAL (VALUES ('life'),
                                   (to_char(hour AT TIME ZONE 'UTC', 'YYYYMM')),
                                   (to_char(hour AT TIME ZONE 'UTC', 'YYYYMMDD')))
                                   AS p (period)
             WHERE cost_nusd > 0
             GROUP BY 1, 2)
        SELECT line_id, period, h.cost_nusd, s.cost_nusd FROM hours h
          FULL JOIN usage_keyspend s USING (line_id, period)
         WHERE coalesce(h.cost_nusd, 0) <> coalesce(s.cost_nusd, 0)""",
    "credit given is credit spent and credit left": """
        SELECT given, spent, left_over FROM (
            SELECT -coalesce(sum(balance_nusd) FILTER (WHERE code NOT IN ('credit', 'usage')), 0)
                       AS given,
                   coalesce(sum(balance_nusd) FILTER (WHERE code = 'usage'), 0) AS spent,
                   coalesce(sum(balance_nusd) FILTER (WHERE code = 'credit'), 0) AS left_over
              FROM ledger_ledgeraccount) AS sums
         WHERE given <> spent + left_over""",
    **PAYMENT_RULES,
}


def check_all(*, since: datetime | None = None, reads_archives: bool = False) -> Iterator[str]:
    """Every violation, over all tenants and all of Redis.

    since: records booked before are not looked at again; sums of all time still are.
    reads_archives: the files of archived records, too.
    """
    for tenant in Tenant.objects.all():
        yield from check_ledger(tenant, since=since)
        yield from check_gate(tenant)
        if reads_archives:
            yield from check_archives(tenant)
    yield from check_holds()
    yield from check_dead_letters()
    yield from find_drift()
    yield from check_events()


def check_ledger(tenant: Tenant, *, since: datetime | None = None) -> Iterator[str]:
    with tenant_schema(tenant.code), connection.cursor() as cursor:
        span = _span(since)
        # Of a tenant whose data is deleted only the ledger is left.
        is_deleted = tenant.closed is not None and tenant.closed.deleted_at is not None
        for rule, query in _RULES.items():
            if is_deleted and "usage_" in query:
                continue
            cursor.execute(query, span)
            for row in cursor.fetchall():
                yield f"{tenant.slug}: {rule}: {', '.join(map(str, row))}"


def _span(since: datetime | None) -> dict[str, Any]:
    """Where to begin: the first entry, the first hour, and an id before all of that hour's."""
    if since is None:
        return {"entry": 0, "hour": datetime.min.replace(tzinfo=UTC), "id": UUID(int=0)}
    first = JournalEntry.objects.filter(created_at__gte=since).order_by("id").first()
    hour = since.replace(minute=0, second=0, microsecond=0)
    # Without an entry since then there is nothing to look at.
    return {"entry": first.pk if first else 2**62, "hour": hour, "id": first_uuid7(hour - ARRIVAL)}


def check_archives(tenant: Tenant) -> Iterator[str]:
    """Archives' files are as they were written, and have the sums that stand for them."""
    with tenant_schema(tenant.code):
        for fault in faults_of_files():
            yield f"{tenant.slug}: archives: {fault}"


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
    # Dead letters are told of by themselves.
    waiting = known.unsettled - buried_nusd(tenant.code)
    if waiting != unsettled:
        faults.append(f"unsettled is {format_usd(waiting)}, the outbox has {format_usd(unsettled)}")
    with tenant_schema(tenant.code):
        posted = credit_account().balance_nusd
    # What is from before a restart of Redis is asked of the ledger again before it is lent by.
    if known.is_current and not unsettled and known.posted != posted:
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
        if count := get_redis().xlen(key_of(partition)):
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
