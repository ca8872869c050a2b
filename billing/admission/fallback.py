"""Admission and capture in PostgreSQL, while Redis is down: docs/adr/0007.

The tenant's credit account is locked, so a tenant's calls are admitted one after another
however many processes race. What runs is in FallbackHold: admitted here, or carried over from
Redis by the processes whose calls they are. `recovery` tells Redis of all of it afterwards.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from agentflare import errors
from billing.admission import outage, peers
from billing.admission.models import FallbackHold
from billing.admission.refusals import refusal_of
from billing.admission.rules import WINDOW_S, Rules
from billing.ledger.models import AccountCode
from billing.ledger.services import lock_accounts
from billing.settlement.services import book_and_sum
from billing.usage.budgets import spent_by
from billing.usage.events import UsageEvent
from billing.usage.models import UsageRecord
from tenants.limits import Limits
from tenants.registry.schemas import tenant_schema

_OPEN = """
INSERT INTO admission_gatestanding AS standing (redis, down_since) VALUES (%s, clock_timestamp())
ON CONFLICT (redis) DO UPDATE
   SET down_since = coalesce(standing.down_since, clock_timestamp())
"""
# Shared: admissions do not wait for each other here, and recovery waits for them all, in turn.
_LOCK = "SELECT pg_advisory_xact_lock_shared(hashtext('gate'), hashtext(%s))"
_DOWN_FOR = """
SELECT extract(epoch FROM clock_timestamp() - down_since)
  FROM admission_gatestanding WHERE redis = %s
"""
_SUMS = """
SELECT coalesce(sum(amount_nusd) FILTER (WHERE cost_nusd IS NULL), 0),
       coalesce(sum(amount_nusd) FILTER (WHERE cost_nusd IS NULL AND line_id = %(line)s), 0),
       coalesce(sum(coalesce(cost_nusd, amount_nusd)) FILTER (WHERE NOT is_carried), 0)
  FROM admission_fallbackhold WHERE redis = %(redis)s AND tenant_code = %(tenant)s
"""
# As in a window: everything of it is counted that is not a minute old.
_WINDOWS = """
WITH calls AS (
    SELECT line_id = %(line)s AS own, line_id = %(line)s AND asked_model = %(model)s AS own_model,
           admitted_at > clock_timestamp() - make_interval(secs => %(window)s) AS counts,
           cost_nusd IS NULL AS runs, tokens
      FROM admission_fallbackhold WHERE redis = %(redis)s AND tenant_code = %(tenant)s)
SELECT count(*) FILTER (WHERE counts), coalesce(sum(tokens) FILTER (WHERE counts), 0),
       count(*) FILTER (WHERE runs),
       count(*) FILTER (WHERE counts AND own),
       coalesce(sum(tokens) FILTER (WHERE counts AND own), 0),
       count(*) FILTER (WHERE runs AND own),
       count(*) FILTER (WHERE counts AND own_model),
       coalesce(sum(tokens) FILTER (WHERE counts AND own_model), 0),
       count(*) FILTER (WHERE runs AND own_model)
  FROM calls
"""
_HOLD = """
INSERT INTO admission_fallbackhold AS held (request_id, redis, tenant_code, line_id, asked_model,
    amount_nusd, tokens, cost_nusd, is_carried, event, admitted_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp())
ON CONFLICT (request_id) DO UPDATE SET
    cost_nusd = excluded.cost_nusd, event = excluded.event,
    tokens = CASE WHEN excluded.cost_nusd IS NULL THEN held.tokens ELSE excluded.tokens END
 WHERE held.cost_nusd IS NULL
"""
# Of a limit by the minute: when to come again.
_RETRY_S = 5


class OutageOverError(Exception):
    """Somebody has told Redis of everything: it admits again, if it is to be had."""


@dataclass(frozen=True, slots=True)
class _Sums:
    """Of a tenant's calls in this outage, in nUSD. admitted: by us, cost or hold."""

    held: int
    held_by_key: int
    admitted: int


def open_outage() -> None:
    """PostgreSQL admits from now on. Repeats change nothing."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [outage.redis_name()])
    outage.note_told()


def admit(*, event: UsageEvent, tokens: int, rules: Rules) -> int:
    """Hold `event.estimated_nusd`. Returns what is available then, in nUSD.

    No more than the ledger has less what runs, and no more than the allowance for one outage.
    Raises as `services.admit`; ServiceUnavailableError beyond the allowance; OutageOverError.
    """
    with tenant_schema(event.tenant_code), transaction.atomic():
        down_for_s = _down_for_s()
        credit = lock_accounts([AccountCode.CREDIT])[AccountCode.CREDIT]
        if FallbackHold.objects.filter(pk=event.request_id).exists():
            return credit.balance_nusd - _sums(event).held
        _check_limits(event, tokens, rules)
        sums = _sums(event)
        _check_budgets(event, rules, sums)
        _check_money(event, tokens, sums, balance_nusd=credit.balance_nusd)
        _check_allowance(event, sums, balance_nusd=credit.balance_nusd, down_for_s=down_for_s)
        _write([_row(event, tokens=tokens)])
        return credit.balance_nusd - sums.held - event.estimated_nusd


def capture(event: UsageEvent) -> int:
    """Book what a call cost, at once. Returns what is booked for it, in nUSD.

    A repeat, also by way of the outbox, changes nothing and returns what was booked first.
    """
    with tenant_schema(event.tenant_code), transaction.atomic():
        book_and_sum([event])
        cost_nusd = UsageRecord.objects.values_list("cost_nusd", flat=True).get(pk=event.request_id)
        _write([_row(event, tokens=event.tokens, cost_nusd=cost_nusd)])
    return int(cost_nusd)


def carry_over(events: Sequence[UsageEvent]) -> None:
    """Tell PostgreSQL what this process' running calls hold, and how far they are.

    Those that have ended meanwhile stay ended. Calls admitted here are renewed so.
    """
    _write([_row(event, is_carried=True) for event in events])


def book_early(events: Iterable[UsageEvent]) -> None:
    """Book calls that Redis has captured, and settlement perhaps not.

    What they cost is then missing from the balance, and settlement changes nothing any more.
    Redis is told too: it may have lost them again.
    """
    by_tenant: dict[str, list[UsageEvent]] = {}
    for event in events:
        by_tenant.setdefault(event.tenant_code, []).append(event)
    for tenant_code, batch in by_tenant.items():
        with tenant_schema(tenant_code), transaction.atomic():
            book_and_sum(batch)
            ids = [event.request_id for event in batch]
            booked = UsageRecord.objects.filter(pk__in=ids).values_list("pk", "cost_nusd")
            costs = {request_id.hex: cost_nusd for request_id, cost_nusd in booked}
            _write(
                [
                    _row(
                        event,
                        tokens=event.tokens,
                        cost_nusd=costs[event.request_id],
                        is_carried=True,
                    )
                    for event in batch
                ]
            )


def _down_for_s() -> float:
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [outage.redis_name()])
        cursor.execute(_DOWN_FOR, [outage.redis_name()])
        row = cursor.fetchone()
    if row is None or row[0] is None:
        raise OutageOverError
    return float(row[0])


def _sums(event: UsageEvent) -> _Sums:
    with connection.cursor() as cursor:
        cursor.execute(_SUMS, _names(event))
        return _Sums(*(int(value) for value in cursor.fetchone()))


def _names(event: UsageEvent) -> dict[str, str]:
    return {
        "redis": outage.redis_name(),
        "tenant": event.tenant_code,
        "line": event.spender,
        "model": event.asked_model[:120],
    }


def _check_limits(event: UsageEvent, tokens: int, rules: Rules) -> None:
    """Coarse: what Redis admitted in the minute before the outage is not known here."""
    if not any(rules.limits):
        return
    with connection.cursor() as cursor:
        cursor.execute(_WINDOWS, {**_names(event), "window": WINDOW_S})
        counts = [int(value) for value in cursor.fetchone()]
    for number, limits in enumerate(rules.limits, start=1):
        requests, sum_of_tokens, running = counts[3 * number - 3 : 3 * number]
        _check_window(number, limits, tokens, requests, sum_of_tokens, running)


def _check_window(
    number: int, limits: Limits, tokens: int, requests: int, sum_of_tokens: int, running: int
) -> None:
    for kind, limit, used, need in (
        ("concurrent", limits.concurrent_calls, running, 1),
        ("requests", limits.requests_per_minute, requests, 1),
        ("tokens", limits.tokens_per_minute, sum_of_tokens, tokens),
    ):
        if limit is not None and used + need > limit:
            wait_ms = -1 if need > limit else _RETRY_S * 1000
            facts = [str(value) for value in (number, kind, limit, used, wait_ms)]
            raise refusal_of("limited", facts, amount_nusd=0, tokens=tokens)


def _check_budgets(event: UsageEvent, rules: Rules, sums: _Sums) -> None:
    if not rules.budgets:
        return
    spent = spent_by([event.spender])[event.spender]
    used = {"day": spent.day_nusd, "month": spent.month_nusd, "life": spent.life_nusd}
    for period, budget in rules.budgets.by_period().items():
        nusd = used[period]
        if budget is not None and nusd + sums.held_by_key + event.estimated_nusd > budget:
            facts = [period, str(budget), str(nusd), str(sums.held_by_key)]
            raise refusal_of("budget", facts, amount_nusd=event.estimated_nusd, tokens=0)


def _check_money(event: UsageEvent, tokens: int, sums: _Sums, *, balance_nusd: int) -> None:
    amount_nusd = event.estimated_nusd
    if amount_nusd > balance_nusd - sums.held:
        verdict = "insufficient" if amount_nusd > balance_nusd else "credit_held"
        facts = [str(balance_nusd - sums.held), str(sums.held)]
        raise refusal_of(verdict, facts, amount_nusd=amount_nusd, tokens=tokens)


def _check_allowance(
    event: UsageEvent, sums: _Sums, *, balance_nusd: int, down_for_s: float
) -> None:
    """Raises ServiceUnavailableError: refused for now, and not for want of credit."""
    wanted_nusd = sums.admitted + event.estimated_nusd
    if wanted_nusd > settings.FALLBACK_ALLOWANCE_NUSD:
        raise errors.ServiceUnavailableError(
            "The service runs without one of its stores, and what it may lend you meanwhile is "
            "used up. Please retry later.",
            retry_after_s=_RETRY_S,
        )
    if peers.all_have_told(down_for_s=down_for_s):
        return
    # Not every process has carried over what its calls hold, and one may still have Redis:
    # credit may be gone that is free as far as is known here. Who has little must wait.
    free_nusd = balance_nusd - sums.held
    last = outage.last_available(event.tenant_code)
    known_nusd = free_nusd if last is None else min(last, free_nusd)
    needed_nusd = max(wanted_nusd * settings.FALLBACK_GRACE_PART, settings.FALLBACK_ALLOWANCE_NUSD)
    if known_nusd < needed_nusd:
        raise errors.ServiceUnavailableError(
            "One of the service's stores has just failed, and it is not known yet what your "
            "running calls hold of your credit. Please retry in a moment.",
            retry_after_s=max(1, settings.FALLBACK_GRACE_S - down_for_s),
        )


def _row(
    event: UsageEvent, *, tokens: int = 0, cost_nusd: int | None = None, is_carried: bool = False
) -> tuple[object, ...]:
    return (
        UUID(event.request_id),
        outage.redis_name(),
        event.tenant_code,
        event.spender,
        event.asked_model[:120],
        event.estimated_nusd,
        tokens,
        cost_nusd,
        is_carried,
        event.dumps(),
    )


def _write(rows: Sequence[tuple[object, ...]]) -> None:
    if not rows:
        return
    # In one order, so that two processes cannot wait for each other.
    in_order: list[Any] = sorted(rows, key=lambda row: str(row[0]))
    with connection.cursor() as cursor:
        cursor.executemany(_HOLD, in_order)
