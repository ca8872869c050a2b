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
from billing.admission import gate, outage, peers, recent
from billing.admission.models import FallbackHold
from billing.admission.refusals import limit_in_doubt, refusal_of
from billing.admission.rules import WINDOW_S, Count, Place, Rules
from billing.ledger.models import AccountCode
from billing.ledger.services import lock_accounts
from billing.settlement.services import book_and_sum
from billing.usage.budgets import spent_by
from billing.usage.events import UsageEvent
from billing.usage.models import UsageRecord
from tenants.registry.schemas import tenant_schema

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
# As in a window: everything of it is counted that is not a minute old. What Redis had admitted is
# in CountedSecond; of its calls the rows tell here only which of them still run.
_WINDOWS = """
WITH calls AS (
    SELECT line_id, asked_model, NOT is_carried AS is_ours, cost_nusd IS NULL AS runs,
           is_counted::int AS requests, CASE WHEN is_counted THEN tokens ELSE 0 END AS tokens
      FROM admission_fallbackhold, LATERAL (SELECT NOT is_carried AND
           admitted_at > clock_timestamp() - make_interval(secs => %(window)s)) AS age (is_counted)
     WHERE redis = %(redis)s AND tenant_code = %(tenant)s
     UNION ALL
    SELECT line_id, asked_model, FALSE, FALSE, requests, tokens
      FROM admission_countedsecond
     WHERE redis = %(redis)s AND tenant_code = %(tenant)s
       AND second >= floor(extract(epoch FROM clock_timestamp())) - %(window)s)
SELECT coalesce(sum(requests), 0), coalesce(sum(tokens), 0), count(*) FILTER (WHERE runs),
       coalesce(sum(requests) FILTER (WHERE is_ours), 0),
       coalesce(sum(tokens) FILTER (WHERE is_ours), 0), count(*) FILTER (WHERE runs AND is_ours)
  FROM (VALUES (1, '', ''), (2, %(line)s, ''), (3, %(line)s, %(model)s))
       AS scope (number, line, model)
  LEFT JOIN calls ON (number = 1 OR line_id = line) AND (number < 3 OR asked_model = model)
 GROUP BY number ORDER BY number
"""
_HOLD = """
INSERT INTO admission_fallbackhold AS held (request_id, redis, tenant_code, line_id, asked_model,
    amount_nusd, tokens, cost_nusd, is_carried, windows, second, event, admitted_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp())
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


def open_outage(*parts: int) -> None:
    """PostgreSQL admits from now on. Repeats change nothing."""
    parts = parts or (outage.WHOLE,)
    peers.note_down(parts)
    for part in parts:
        outage.note_told(part)


def admit(*, event: UsageEvent, tokens: int, rules: Rules) -> int:
    """Hold `event.estimated_nusd`. Returns what is available then, in nUSD.

    No more than the ledger has less what runs, and no more than the allowance for one outage.
    Raises as `services.admit`; ServiceUnavailableError beyond the allowance; OutageOverError.
    """
    with tenant_schema(event.tenant_code), transaction.atomic():
        part = outage.part_of(event.tenant_code)
        down_for_s = _down_for_s(part)
        credit = lock_accounts([AccountCode.CREDIT])[AccountCode.CREDIT]
        if FallbackHold.objects.filter(pk=event.request_id).exists():
            return credit.balance_nusd - _sums(event).held
        all_is_told = peers.all_have_told(down_for_s=down_for_s, part=part)
        wait_s = 0 if all_is_told else max(1, settings.FALLBACK_GRACE_S - down_for_s)
        _check_limits(event, tokens, rules, wait_s=wait_s)
        sums = _sums(event)
        _check_budgets(event, rules, sums)
        _check_money(event, tokens, sums, balance_nusd=credit.balance_nusd)
        _check_allowance(event, sums, balance_nusd=credit.balance_nusd, wait_s=wait_s)
        _write([_row(event, place_of(rules, tokens))])
        return credit.balance_nusd - sums.held - event.estimated_nusd


def capture(event: UsageEvent) -> int:
    """Book what a call cost, at once. Returns what is booked for it, in nUSD.

    A repeat, also by way of the outbox, changes nothing and returns what was booked first.
    """
    with tenant_schema(event.tenant_code), transaction.atomic():
        book_and_sum([event])
        cost_nusd = UsageRecord.objects.values_list("cost_nusd", flat=True).get(pk=event.request_id)
        # Whatever PostgreSQL has admitted has a row already.
        place = Place(tokens=event.tokens)
        _write([_row(event, place, cost_nusd=cost_nusd, is_carried=True)])
    return int(cost_nusd)


def carry_over(calls: Sequence[tuple[UsageEvent, Place]]) -> None:
    """Tell PostgreSQL what this process' running calls hold, and how far they are.

    Those that have ended meanwhile stay ended. Calls admitted here are renewed so.
    """
    _write([_row(event, place, is_carried=True) for event, place in calls])


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
                        Place(tokens=event.tokens),
                        cost_nusd=costs[event.request_id],
                        is_carried=True,
                    )
                    for event in batch
                ]
            )


def _down_for_s(part: int) -> float:
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [outage.redis_name(part)])
        cursor.execute(_DOWN_FOR, [outage.redis_name(part)])
        row = cursor.fetchone()
    if row is None or row[0] is None:
        raise OutageOverError
    return float(row[0])


def _sums(event: UsageEvent) -> _Sums:
    with connection.cursor() as cursor:
        cursor.execute(_SUMS, _names(event))
        return _Sums(*(int(value) for value in cursor.fetchone()))


def _gate_of(event: UsageEvent) -> str:
    return outage.redis_name(outage.part_of(event.tenant_code))


def _names(event: UsageEvent) -> dict[str, str]:
    return {
        "redis": _gate_of(event),
        "tenant": event.tenant_code,
        "line": event.spender,
        "model": event.asked_model[:120],
    }


def _check_limits(event: UsageEvent, tokens: int, rules: Rules, *, wait_s: float) -> None:
    """wait_s: until all is told; 0: it is."""
    if not any(rules.limits):
        return
    with connection.cursor() as cursor:
        cursor.execute(_WINDOWS, {**_names(event), "window": WINDOW_S})
        rows = cursor.fetchall()
    part = outage.part_of(event.tenant_code)
    is_in_doubt = wait_s > 0 and peers.others_are_silent(part)
    windows = gate.window_keys(event.tenant_code, event.spender, event.asked_model)
    for number, (limits, key, counts) in enumerate(
        zip(rules.limits, windows, rows, strict=True), start=1
    ):
        used, admitted = (Count(limits, *map(int, part)) for part in (counts[:3], counts[3:]))
        seen = recent.fill_of(key) if wait_s else Count(limits, 0, 0)
        for kind, limit, need in (
            ("running", limits.concurrent_calls, 1),
            ("requests", limits.requests_per_minute, 1),
            ("tokens", limits.tokens_per_minute, tokens),
        ):
            if limit is None:
                continue
            count = _Counted(
                getattr(used, kind), getattr(admitted, kind), getattr(seen, kind), need, limit
            )
            # Of the calls that run nobody but their processes knows, and they know for sure.
            least = count.least(by_sight=is_in_doubt or kind != "running")
            if least + need > limit:
                wait_ms = -1 if need > limit else round(1000 * (wait_s or _RETRY_S))
                name = "concurrent" if kind == "running" else kind
                facts = [str(value) for value in (number, name, limit, least, wait_ms)]
                raise refusal_of("limited", facts, amount_nusd=0, tokens=tokens)
            if is_in_doubt and count.may_be_over(is_by_minute=kind != "running"):
                raise limit_in_doubt(number, kind, retry_after_s=wait_s)


@dataclass(frozen=True, slots=True)
class _Counted:
    """Of one kind, in one window. admitted: the part of `used` that PostgreSQL let through in this
    outage; seen: what Redis told this process last.
    """

    used: int
    admitted: int
    seen: int
    need: int
    limit: int

    def least(self, *, by_sight: bool) -> int:
        """What it has for sure."""
        return max(self.used, self.admitted + self.seen) if by_sight else self.used

    def may_be_over(self, *, is_by_minute: bool) -> bool:
        """Others may have admitted as much again since, or all of it where we saw nothing: until
        they have told, no more than a part is admitted on it.
        """
        if self.admitted + 2 * self.seen + self.need > self.limit:
            return True
        part = (self.admitted + self.need) * settings.FALLBACK_GRACE_PART
        return is_by_minute and part > self.limit


def place_of(rules: Rules, tokens: int) -> Place:
    """Of a call that PostgreSQL admits: Redis will count it where its row says."""
    windows = "".join("1" if limits else "0" for limits in rules.limits)
    return Place(windows=windows, tokens=tokens)


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


def _check_allowance(event: UsageEvent, sums: _Sums, *, balance_nusd: int, wait_s: float) -> None:
    """Raises ServiceUnavailableError: refused for now, and not for want of credit."""
    wanted_nusd = sums.admitted + event.estimated_nusd
    if wanted_nusd > settings.FALLBACK_ALLOWANCE_NUSD:
        raise errors.ServiceUnavailableError(
            "The service runs without one of its stores, and what it may lend you meanwhile is "
            "used up. Please retry later.",
            retry_after_s=_RETRY_S,
        )
    if not wait_s:
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
            retry_after_s=wait_s,
        )


def _row(
    event: UsageEvent, place: Place, *, cost_nusd: int | None = None, is_carried: bool = False
) -> tuple[object, ...]:
    return (
        UUID(event.request_id),
        _gate_of(event),
        event.tenant_code,
        event.spender,
        event.asked_model[:120],
        event.estimated_nusd,
        place.tokens,
        cost_nusd,
        is_carried,
        place.windows,
        place.second,
        event.dumps(),
    )


def _write(rows: Sequence[tuple[object, ...]]) -> None:
    if not rows:
        return
    # In one order, so that two processes cannot wait for each other.
    in_order: list[Any] = sorted(rows, key=lambda row: str(row[0]))
    with connection.cursor() as cursor:
        cursor.executemany(_HOLD, in_order)
