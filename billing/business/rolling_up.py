"""From a tenant's schema into the shared one: its days, how calls ended, how long they took, its
months in the ledger, and how it stands.

Each is replaced for a span of time, in one transaction: a repeat, and two at once, change
nothing. Calls are counted in the day in which they started; one may be booked, or corrected, days
later. So the last two days are made anew all the time, and `LOOK_BACK_DAYS` once a night.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from agentflare.ids import first_uuid7
from billing.business.latency import BOUNDS_MS
from billing.business.models import Latency, TenantState
from billing.ledger.models import AccountCode
from tenants.registry import versions
from tenants.registry.models import Tenant
from tenants.registry.schemas import schema_name, tenant_schema

LOOK_BACK_DAYS = 40
# Latencies are kept so long.
KEEP_LATENCY_DAYS = 15

# One of a tenant at a time; the transaction's end lets go.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('business'), hashtext(%(tenant)s))"
_FACTS = """
SELECT coalesce((SELECT balance_nusd FROM ledger_ledgeraccount WHERE code = %(credit)s), 0),
       coalesce((SELECT version FROM ledger_ledgeraccount WHERE code = %(credit)s), 0),
       coalesce((SELECT sum(calls) FROM usage_usageends
                  WHERE is_day AND is_refused AND start >= %(today)s), 0),
       (SELECT started_at FROM usage_usagerecord ORDER BY request_id DESC LIMIT 1),
       coalesce((SELECT auto_state FROM payments_billingaccount WHERE auto_enabled), '')
"""
# Of one tenant, in its schema: what tells whether anything is new. Codes are our own.
_VERSION = """
SELECT '{code}',
       coalesce((SELECT version FROM "{schema}".ledger_ledgeraccount WHERE code = %(credit)s), 0),
       coalesce((SELECT sum(calls) FROM "{schema}".usage_usageends
                  WHERE is_day AND is_refused AND start >= %(today)s), 0)
"""
# Each takes some locks until the statement ends.
_ASKED_AT_ONCE = 50
_STEPS = (
    "DELETE FROM business_tenantday WHERE tenant_code = %(tenant)s AND day >= %(since)s",
    """
INSERT INTO business_tenantday (day, tenant_code, ai_model, calls, failed_calls, input_tokens,
    cached_input_tokens, output_tokens, cost_nusd, provider_cost_nusd)
SELECT (hour AT TIME ZONE 'UTC')::date, %(tenant)s, ai_model, sum(calls), sum(failed_calls),
       sum(input_tokens), sum(cached_input_tokens), sum(output_tokens), sum(cost_nusd),
       sum(provider_cost_nusd)
  FROM usage_hourlyusage WHERE hour >= %(since)s::date AT TIME ZONE 'UTC'
 GROUP BY 1, 3""",
    "DELETE FROM business_tenantends WHERE tenant_code = %(tenant)s AND day >= %(since)s",
    """
INSERT INTO business_tenantends (day, tenant_code, "end", is_refused, calls)
SELECT (start AT TIME ZONE 'UTC')::date, %(tenant)s, "end", is_refused, sum(calls)
  FROM usage_usageends WHERE is_day AND start >= %(since)s::date AT TIME ZONE 'UTC'
 GROUP BY 1, 3, 4""",
    "DELETE FROM business_latency WHERE tenant_code = %(tenant)s AND hour >= %(hour)s",
    """
INSERT INTO business_latency (hour, tenant_code, ai_model, what, bucket, calls)
SELECT date_trunc('hour', started_at, 'UTC'), %(tenant)s, ai_model, what,
       width_bucket(ms - 1, %(bounds)s::int[]), count(*)
  FROM usage_usagerecord, LATERAL (VALUES ('answer', duration_ms), ('first_token', first_token_ms))
       AS took (what, ms)
 WHERE request_id >= %(first_id)s AND started_at >= %(hour)s AND status = 'completed'
   AND ms IS NOT NULL
 GROUP BY 1, 3, 4, 5""",
    "DELETE FROM business_ledgermonth WHERE tenant_code = %(tenant)s AND month >= %(month)s",
    """
INSERT INTO business_ledgermonth (month, tenant_code, kind, amount_nusd)
SELECT (date_trunc('month', created_at, 'UTC') AT TIME ZONE 'UTC')::date, %(tenant)s, kind,
       sum(CASE destination_id WHEN %(credit)s THEN amount_nusd ELSE -amount_nusd END)
  FROM ledger_journalentry e JOIN ledger_posting p ON p.entry_id = e.id
 WHERE created_at >= %(month)s::date AT TIME ZONE 'UTC'
   AND %(credit)s IN (destination_id, source_id)
 GROUP BY 1, 3""",
)
_STATE = """
INSERT INTO business_tenantstate AS state (tenant_code, credit_nusd, ledger_version, refused_today,
    last_call_at, auto_state, rolled_at)
VALUES (%(tenant)s, %(balance)s, %(version)s, %(refused)s, %(last_call)s, %(auto)s, now())
ON CONFLICT (tenant_code) DO UPDATE SET
    credit_nusd = excluded.credit_nusd, ledger_version = excluded.ledger_version,
    refused_today = excluded.refused_today, rolled_at = excluded.rolled_at,
    last_call_at = coalesce(excluded.last_call_at, state.last_call_at),
    auto_state = excluded.auto_state
"""


def roll_up_changed(*tenant_codes: str) -> int:
    """Roll up what may be new since the last time. Returns how many tenants had anything."""
    now = timezone.now()
    known = TenantState.objects.in_bulk(tenant_codes)
    changed = [
        code
        for code, version, refused in _versions(tenant_codes, now)
        if not (
            (state := known.get(code))
            and (state.ledger_version, state.refused_today) == (version, refused)
            and state.rolled_at.astimezone(UTC).date() == now.date()
        )
    ]
    for code in changed:
        roll_up(code, days=1 if code in known else None)
    return len(changed)


def _versions(tenant_codes: Sequence[str], now: datetime) -> list[tuple[str, int, int]]:
    """Code, the ledger's version and calls refused today, of each: one statement for some tens, as
    most have nothing new."""
    rows: list[tuple[str, int, int]] = []
    for at in range(0, len(tenant_codes), _ASKED_AT_ONCE):
        codes = tenant_codes[at : at + _ASKED_AT_ONCE]
        each = (_VERSION.format(code=code, schema=schema_name(code)) for code in codes)
        names: dict[str, Any] = {"credit": AccountCode.CREDIT, "today": _midnight(now)}
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(each), names)
            rows += [(code, int(version), int(sum_)) for code, version, sum_ in cursor.fetchall()]
    return rows


def _midnight(now: datetime) -> datetime:
    return datetime.combine(now.date(), datetime.min.time(), UTC)


def roll_up(tenant_code: str, *, days: int | None = LOOK_BACK_DAYS) -> None:
    """days: how many before today; None: all there ever was."""
    now = timezone.now()
    begin = now - timedelta(days=days) if days is not None else datetime(1970, 1, 1, tzinfo=UTC)
    with transaction.atomic(), tenant_schema(tenant_code), connection.cursor() as cursor:
        hour = max(_latencies_since(begin, days, now), now - timedelta(days=KEEP_LATENCY_DAYS))
        hour = hour.replace(minute=0, second=0, microsecond=0)
        names: dict[str, Any] = {
            "tenant": tenant_code,
            "since": begin.date(),
            "month": begin.date().replace(day=1),
            "hour": hour,
            "first_id": first_uuid7(hour),
            "bounds": list(BOUNDS_MS),
            "credit": AccountCode.CREDIT,
        }
        cursor.execute(_LOCK, names)
        balance, version, refused, last_call, auto = _facts(now)
        for step in _STEPS:
            cursor.execute(step, names)
        state: dict[str, Any] = {
            "balance": balance,
            "version": version,
            "refused": refused,
            "last_call": last_call,
            "auto": auto,
        }
        cursor.execute(_STATE, {**names, **state})


def _latencies_since(begin: datetime, days: int | None, now: datetime) -> datetime:
    """These are counted call by call, so of a busy day no more than its last hours."""
    return now - timedelta(hours=2) if days == 1 else begin


def _facts(now: datetime) -> tuple[int, int, int, datetime | None, str]:
    """Credit, the ledger's version, calls refused today, the last call, auto-recharge. In the
    tenant's schema."""
    with connection.cursor() as cursor:
        cursor.execute(_FACTS, {"credit": AccountCode.CREDIT, "today": _midnight(now)})
        balance, version, refused, last_call, auto = cursor.fetchone()
    return int(balance), int(version), int(refused), last_call, auto


def forget_old() -> int:
    """Delete latencies that are past keeping. Returns how many rows."""
    oldest = timezone.now() - timedelta(days=KEEP_LATENCY_DAYS)
    deleted, _ = Latency.objects.filter(hour__lt=oldest).delete()
    return deleted


def codes_to_roll_up() -> list[str]:
    """Not of those whose data is deleted: what they were stays as it was rolled up last. Nor of
    those whose schema is of another release."""
    rows = Tenant.objects.exclude(closure__deleted_at__isnull=False)
    refused = versions.current().tenants
    codes = rows.order_by("pk").values_list("code", flat=True)
    return [code for code in codes if code not in refused]
