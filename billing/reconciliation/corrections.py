"""A booked call whose use is known better now: docs/billing.md says what that changes.

What the call costs us follows the provider's figures. What the tenant pays follows them where no
answer has told the price yet, and as far as it pays for what was counted: a cut answer by what was
delivered, never by what was made.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from agentflare.money import format_usd
from agentflare.redis_store import get_redis
from billing.admission import gate
from billing.admission.services import books
from billing.ledger.models import AccountCode, JournalEntry
from billing.ledger.services import LedgerError, Line, lock_accounts, post_entry, sync_gate
from billing.prices.models import PriceVersion, Unit
from billing.prices.services import Price, as_price
from billing.usage.budgets import LIFE, sync_spend
from billing.usage.models import KeySpend, Status, Truth, UsageRecord
from tenants.keys.models import ApiKey
from tenants.registry.schemas import tenant_schema
from tenants.registry.selectors import tenant_by_code

logger = logging.getLogger(__name__)
# Records that are older may be archived while we look.
_CORRECTED_UNTIL = timedelta(hours=23)
_UNPAID = {Status.EMPTY, Status.UPSTREAM_FAILED}

_HOURS = """
UPDATE usage_hourlyusage SET input_tokens = input_tokens + %(input_tokens)s,
       cached_input_tokens = cached_input_tokens + %(cached_input_tokens)s,
       output_tokens = output_tokens + %(output_tokens)s, cost_nusd = cost_nusd + %(cost_nusd)s,
       provider_cost_nusd = provider_cost_nusd + %(provider_cost_nusd)s
 WHERE hour = date_trunc('hour', %(started_at)s::timestamptz, 'UTC') AND key_id = %(key_id)s
   AND ai_model = %(ai_model)s"""
_DAYS = """
UPDATE usage_dailyusage SET input_tokens = input_tokens + %(input_tokens)s,
       cached_input_tokens = cached_input_tokens + %(cached_input_tokens)s,
       output_tokens = output_tokens + %(output_tokens)s, cost_nusd = cost_nusd + %(cost_nusd)s
 WHERE day = %(day)s AND key_id = %(key_id)s AND ai_model = %(ai_model)s"""
# Of a call that was completed there is none.
_ENDS = """
UPDATE usage_usageends SET cost_nusd = cost_nusd + %(cost_nusd)s
 WHERE start = date_trunc(CASE WHEN is_day THEN 'day' ELSE 'hour' END,
                          %(started_at)s::timestamptz, 'UTC') AND key_id = %(key_id)s
   AND ai_model = %(ai_model)s AND "end" = %(status)s AND NOT is_refused"""
_UPSTREAMS = """
UPDATE usage_upstreamusage SET provider_cost_nusd = provider_cost_nusd + %(provider_cost_nusd)s
 WHERE day = %(day)s AND upstream = %(upstream)s AND upstream_model = %(upstream_model)s"""
_SPEND = """
INSERT INTO usage_keyspend AS sums (line_id, period, cost_nusd)
SELECT %(line_id)s, unnest(%(periods)s::text[]), %(cost_nusd)s
ON CONFLICT (line_id, period) DO UPDATE SET cost_nusd = sums.cost_nusd + excluded.cost_nusd"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the provider says that a call used. input_tokens: all of them, cached ones too."""

    input_tokens: int
    cached_input_tokens: int
    output_tokens: int


def correct(*, tenant_code: str, request_id: UUID, told: Figures, is_whole: bool) -> bool:
    """Put the provider's figures in place of our own. Returns whether this call did.

    is_whole: all that was made was delivered. A repeat changes nothing, and tells the gate again
    what a first try may have died before telling. Raises RedisDownError, LedgerError.
    """
    # What is free is known to the gate alone; a call that starts meanwhile may take it, and then
    # the balance is below zero by no more than this correction.
    free_nusd = books(tenant_by_code(tenant_code)).available
    with tenant_schema(tenant_code), transaction.atomic():
        # As settlement does: one at a time changes a tenant's sums.
        lock_accounts([AccountCode.CREDIT])
        record = UsageRecord.objects.select_for_update(of=("self",)).filter(pk=request_id).first()
        if record is None:
            return False
        line_id = _line_of(record.key_id)
        is_new = (
            record.truth in (Truth.COUNTED, Truth.ESTIMATED)
            and record.started_at > timezone.now() - _CORRECTED_UNTIL
            and _is_figure(record, told)
        )
        if is_new:
            room_nusd = min(free_nusd, _budget_left(tenant_code, record, line_id))
            _book(record, line_id, told, is_whole=is_whole, room_nusd=room_nusd)
    if record.correction_nusd:
        sync_gate(tenant_code)
        sync_spend(tenant_code, line_id)
    if record.correction_nusd > 0 and is_new:
        _alarm_if_overdrawn(tenant_code, record)
    return is_new


def _alarm_if_overdrawn(tenant_code: str, record: UsageRecord) -> None:
    available = books(tenant_by_code(tenant_code)).available
    if available < 0:
        logger.warning(
            "The correction of req_%s has brought %s below zero: %d nUSD",
            record.request_id.hex,
            tenant_code,
            available,
        )


def _book(
    record: UsageRecord, line_id: str, told: Figures, *, is_whole: bool, room_nusd: int
) -> None:
    price = as_price(PriceVersion.objects.get(pk=record.price_version_id))
    before = _figures(record)
    record.provider_cost_nusd = price.provider_nusd(_quantities(told, price))
    # The hold was for all the output that was asked for: more than that cannot be.
    can_be = price.charge_nusd(_quantities(told, price)) <= record.estimated_nusd
    paid = _paid_for(record, told, is_whole=is_whole and can_be)
    if paid is not None:
        if not _is_told(record):
            wanted = price.charge_nusd(_quantities(paid, price)) - record.cost_nusd
            # A refund always; more never than was held, and only out of what is free.
            most = max(0, min(record.estimated_nusd - record.cost_nusd, room_nusd))
            record.correction_nusd = min(wanted, most)
            record.cost_nusd += record.correction_nusd
        record.input_tokens = paid.input_tokens - paid.cached_input_tokens
        record.cached_input_tokens = paid.cached_input_tokens
        record.output_tokens = paid.output_tokens
        record.reasoning_tokens = min(record.reasoning_tokens, paid.output_tokens)
    after = _figures(record)
    if before != after:
        record.first_figures = {"truth": record.truth, **before}
        _change_sums(record, line_id, {name: after[name] - before[name] for name in before})
    record.truth = Truth.RECONCILED
    record.save()
    if record.correction_nusd:
        _post(record, before)


def _paid_for(record: UsageRecord, told: Figures, *, is_whole: bool) -> Figures | None:
    """What the tenant pays for, by the provider's figures; None: for what it did, or nothing."""
    if record.status in _UNPAID:
        return None
    if record.status != Status.COMPLETED and not record.output_tokens:
        return None  # nothing was delivered
    delivered = told.output_tokens
    if not is_whole:
        # What was made and did not reach the client is ours to pay.
        delivered = min(delivered, record.output_tokens)
    return Figures(told.input_tokens, told.cached_input_tokens, delivered)


def _is_told(record: UsageRecord) -> bool:
    """A whole answer has told its price, and that price stands, whoever counts better later."""
    return record.status == Status.COMPLETED


def _is_figure(record: UsageRecord, told: Figures) -> bool:
    """Nothing for something is no figure, whoever tells it."""
    return told.input_tokens > 0 and bool(told.output_tokens or not record.output_tokens)


def _quantities(figures: Figures, price: Price) -> dict[str, int]:
    quantities = {
        Unit.INPUT_TOKENS: figures.input_tokens - figures.cached_input_tokens,
        Unit.CACHED_INPUT_TOKENS: figures.cached_input_tokens,
    }
    # What a model that writes nothing is said to have written has no price.
    if price.has(Unit.OUTPUT_TOKENS):
        quantities[Unit.OUTPUT_TOKENS] = figures.output_tokens
    return {str(unit): count for unit, count in quantities.items()}


def _figures(record: UsageRecord) -> dict[str, int]:
    return {
        "input_tokens": record.input_tokens,
        "cached_input_tokens": record.cached_input_tokens,
        "output_tokens": record.output_tokens,
        "cost_nusd": record.cost_nusd,
        "provider_cost_nusd": record.provider_cost_nusd,
    }


def reference_of(request_id: UUID) -> str:
    """The entry of a call's correction."""
    return f"reconciled:{request_id.hex}"


def _post(record: UsageRecord, before: dict[str, int]) -> None:
    more = record.correction_nusd > 0
    source, destination = AccountCode.CREDIT, AccountCode.USAGE
    if not more:
        source, destination = destination, source
    first, now = (format_usd(amount) for amount in (before["cost_nusd"], record.cost_nusd))
    post_entry(
        reference=reference_of(record.request_id),
        kind=JournalEntry.Kind.ADJUSTMENT,
        lines=[Line(source, destination, abs(record.correction_nusd))],
        memo=f"The provider's own count of req_{record.request_id.hex}: ${now}, not ${first}",
        actor="reconciliation",
    )


def _change_sums(record: UsageRecord, line_id: str, change: dict[str, int]) -> None:
    started = record.started_at.astimezone(UTC)
    values: dict[str, Any] = {
        **change,
        "started_at": started,
        "day": started.date(),
        "key_id": record.key_id,
        "ai_model": record.ai_model,
        "status": record.status,
        "upstream": record.upstream,
        "upstream_model": record.upstream_model,
        "line_id": line_id,
        "periods": _periods(record),
    }
    with connection.cursor() as cursor:
        for sums in (_HOURS, _DAYS, _UPSTREAMS):
            cursor.execute(sums, values)
            if cursor.rowcount != 1:
                raise LedgerError(f"{record} has no sum that it is part of")
        if change["cost_nusd"]:
            cursor.execute(_SPEND, values)
            cursor.execute(_ENDS, values)


def _periods(record: UsageRecord) -> list[str]:
    started = record.started_at.astimezone(UTC)
    return [LIFE, f"{started:%Y%m}", f"{started:%Y%m%d}"]


def _line_of(key_id: str) -> str:
    key = ApiKey.objects.filter(key_id=key_id).first()
    return key.line_id or key_id if key else key_id


def _budget_left(tenant_code: str, record: UsageRecord, line_id: str) -> int:
    """What the key's budgets leave, beside what its running calls hold."""
    key = ApiKey.objects.filter(key_id=record.key_id).first()
    if key is None or not key.budgets:
        return record.estimated_nusd
    rows = KeySpend.objects.filter(line_id=line_id, period__in=_periods(record))
    spent = dict(rows.values_list("period", "cost_nusd"))
    life, month, day = _periods(record)
    held, unsettled = get_redis().hmget(gate.spend_key(tenant_code, line_id), "held", "unsettled")
    taken = int(held or 0) + int(unsettled or 0)
    budgets = {
        day: key.day_budget_nusd,
        month: key.month_budget_nusd,
        life: key.life_budget_nusd,
    }
    left: int = min(
        budget - spent.get(period, 0) - taken
        for period, budget in budgets.items()
        if budget is not None
    )
    return left
