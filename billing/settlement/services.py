"""From the outbox into the ledger, exactly once.

Per partition a batch of events is read; per tenant one transaction books those that are new:
usage records, their sums by the hour, and one journal entry. Then one atomic step takes the
events out of outbox and gate. A crash anywhere and a second delivery change nothing: the
records' primary key is the request id, and only new records are summed.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import DataError, IntegrityError, ProgrammingError, connection, transaction

from agentflare import tracing
from agentflare.partitions import PARTITIONS, partition_of
from agentflare.redis_store import execute_where_it_answers, get_redis
from billing.admission import gate
from billing.admission.gate import Spent
from billing.ledger.models import AccountCode, JournalEntry, LedgerAccount
from billing.ledger.services import LedgerError, Line, lock_accounts, post_locked
from billing.payments.tasks import look_after_balance_task
from billing.payments.watch import note_balance
from billing.reconciliation.awaited import await_figures
from billing.settlement.dead_letters import key_of, words
from billing.settlement.prompt_facts import push_facts
from billing.usage.alerts import note_alerts
from billing.usage.archived import refuse_archived
from billing.usage.budgets import add_spend, spent_by
from billing.usage.days import ADD_TO_DAYS, FAILED
from billing.usage.ends import ADD_TO_ENDS
from billing.usage.events import UsageEvent
from billing.usage.models import Status, UsageRecord
from billing.usage.tasks import tell_alerts_task
from billing.usage.upstreams import ADD_TO_UPSTREAMS
from tenants.registry import versions
from tenants.registry.schemas import tenant_schema

logger = logging.getLogger(__name__)

_ADD_TO_HOUR = """
INSERT INTO usage_hourlyusage AS sums (hour, key_id, ai_model, calls, failed_calls, input_tokens,
    cached_input_tokens, output_tokens, cost_nusd, provider_cost_nusd)
SELECT date_trunc('hour', started_at, 'UTC'), key_id, ai_model, count(*),
       count(*) FILTER (WHERE status = ANY(%(failed)s)), sum(input_tokens),
       sum(cached_input_tokens), sum(output_tokens), sum(cost_nusd), sum(provider_cost_nusd)
  FROM usage_usagerecord WHERE entry_id = %(entry)s
 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (hour, key_id, ai_model) DO UPDATE SET
    calls = sums.calls + excluded.calls,
    failed_calls = sums.failed_calls + excluded.failed_calls,
    input_tokens = sums.input_tokens + excluded.input_tokens,
    cached_input_tokens = sums.cached_input_tokens + excluded.cached_input_tokens,
    output_tokens = sums.output_tokens + excluded.output_tokens,
    cost_nusd = sums.cost_nusd + excluded.cost_nusd,
    provider_cost_nusd = sums.provider_cost_nusd + excluded.provider_cost_nusd
"""
# Sent as one: each would cost a batch of few calls as much as all its calls do.
_ADD_TO_SUMS = ";".join((_ADD_TO_HOUR, ADD_TO_DAYS, ADD_TO_UPSTREAMS))
_ADD_TO_SUMS_AND_ENDS = ";".join((_ADD_TO_SUMS, ADD_TO_ENDS))


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event as it stands in the outbox."""

    stream_id: str
    cost_nusd: int
    event: UsageEvent


def busy_partitions() -> list[int]:
    """Partitions whose outbox holds anything. Raises RedisDownError."""
    pipeline = get_redis().pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipeline.xlen(gate.outbox_key(partition))
    return [number for number, length in enumerate(execute_where_it_answers(pipeline)) if length]


def settle_partition(*, partition: int) -> int:
    """Book the partition's outbox until it is empty. Returns how many events left it.

    Safe to run twice at once, and after a crash at any point.
    """
    settled, after = 0, "-"
    while deliveries := read_outbox(partition, limit=settings.SETTLE_BATCH, after=after):
        refused = versions.current()
        if refused.everything:
            break  # nothing is lost: it waits for workers of the right release
        by_tenant = defaultdict(list)
        for delivery in deliveries:
            by_tenant[delivery.event.tenant_code].append(delivery)
        left, waiting = 0, 0
        for tenant_code, batch in by_tenant.items():
            if tenant_code in refused.tenants:
                waiting += len(batch)
            else:
                left += settle_or_bury(partition, tenant_code, batch)
        settled += left
        if waiting:
            after = f"({deliveries[-1].stream_id}"  # those behind them need not wait, too
        elif not left:
            break  # another worker is at it
    return settled


def read_outbox(partition: int, *, limit: int, after: str = "-") -> list[Delivery]:
    """The oldest events. One that cannot be read goes to the dead letters, loudly."""
    deliveries = []
    outbox = gate.outbox_key(partition)
    for stream_id, fields in get_redis().xrange(outbox, min=after, count=limit):
        try:
            event = UsageEvent.loads(fields["event"])
            delivery = Delivery(stream_id, int(fields["cost"]), event)
        except (KeyError, TypeError, ValueError) as exc:
            logger.exception("Outbox of partition %d: unreadable event %s", partition, stream_id)
            bury(partition, stream_id, fields, why=f"It cannot be read: {words(exc)}")
            continue
        deliveries.append(delivery)
    return deliveries


def settle_or_bury(partition: int, tenant_code: str, batch: Sequence[Delivery]) -> int:
    """Settle, or find the one event that the ledger cannot take and bury it.

    One bad event must not keep back the money of all others in its partition. Returns
    how many events left the outbox, buried ones too.
    """
    try:
        return settle_tenant(tenant_code=tenant_code, deliveries=batch)
    except (DataError, IntegrityError, ProgrammingError, LedgerError) as exc:
        if len(batch) > 1:
            half = len(batch) // 2
            return settle_or_bury(partition, tenant_code, batch[:half]) + settle_or_bury(
                partition, tenant_code, batch[half:]
            )
        (bad,) = batch
        logger.exception("The ledger cannot take event %s", bad.event.request_id)
        fields = {"tenant": tenant_code, "cost": str(bad.cost_nusd), "event": bad.event.dumps()}
        bury(partition, bad.stream_id, fields, why=words(exc))
        return 1


def bury(partition: int, stream_id: str, fields: dict[str, str], *, why: str) -> None:
    """Move an event to the dead letters. What it cost stays in `unsettled`, to be seen."""
    letter = {**fields, "id": stream_id, "why": why}
    flat = [each for item in letter.items() for each in item]
    keys = [gate.outbox_key(partition), key_of(partition)]
    gate.script("bury")(keys=keys, args=[stream_id, *flat])


def settle_tenant(*, tenant_code: str, deliveries: Sequence[Delivery]) -> int:
    """Book one tenant's events and take them out of the outbox. Returns how many left it."""
    began_ns = time.time_ns()
    with tenant_schema(tenant_code), transaction.atomic():
        credit, spent, has_alerts = book_and_sum([delivery.event for delivery in deliveries])
    left = gate.settle(
        tenant_code=tenant_code,
        posted_nusd=credit.balance_nusd,
        version=credit.version,
        events=[(each.stream_id, each.cost_nusd, each.event.spender) for each in deliveries],
        spent=spent,
    )
    if left:  # else another worker was quicker, and has handed them on
        push_facts(partition_of(tenant_code), [delivery.event for delivery in deliveries])
        for each in deliveries:
            trace, request_id = each.event.trace, each.event.request_id
            tracing.done("settle", parent=trace, began_ns=began_ns, agentflare__call=request_id)
    if has_alerts:
        tell_alerts_task.delay(tenant_code)
    if note_balance(tenant_code, credit.balance_nusd):
        look_after_balance_task.delay(tenant_code)
    return left


@transaction.atomic(savepoint=False)
def book_and_sum(events: Sequence[UsageEvent]) -> tuple[LedgerAccount, dict[str, Spent], int]:
    """`book`, what the keys concerned have spent then, and how many alerts that makes new."""
    credit = book(events)
    # Under the account's lock still: these sums are those of its version.
    spent = spent_by(event.spender for event in events)
    return credit, spent, note_alerts(spent)


@transaction.atomic(savepoint=False)
def book(events: Iterable[UsageEvent]) -> LedgerAccount:
    """Book those events that the schema does not have yet. Returns the credit account.

    The account's lock lets one settlement of a tenant run at a time, so what is new stays
    new until the commit.
    """
    accounts = lock_accounts([AccountCode.CREDIT, AccountCode.USAGE])
    credit = accounts[AccountCode.CREDIT]
    by_id = {UUID(event.request_id): event for event in events}
    known = UsageRecord.objects.filter(pk__in=by_id).values_list("pk", flat=True)
    for request_id in known:
        del by_id[request_id]
    if not by_id:
        return credit
    refuse_archived(by_id.values())

    cost_nusd = sum(event.cost_nusd for event in by_id.values())
    lines = []
    if cost_nusd:
        lines.append(Line(AccountCode.CREDIT, AccountCode.USAGE, cost_nusd))
    # The smallest id names the batch: it is in no other entry.
    entry, _ = post_locked(
        accounts,
        reference=f"usage:{min(by_id).hex}",
        kind=JournalEntry.Kind.USAGE,
        lines=lines,
    )
    UsageRecord.objects.bulk_create(
        as_record(request_id, event, entry) for request_id, event in by_id.items()
    )
    all_completed = all(event.status == Status.COMPLETED for event in by_id.values())
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD_TO_SUMS if all_completed else _ADD_TO_SUMS_AND_ENDS,
            {"entry": entry.pk, "failed": FAILED},
        )
    await_figures(by_id.values())
    add_spend(by_id.values())
    return credit


def as_record(request_id: UUID, event: UsageEvent, entry: JournalEntry | None) -> UsageRecord:
    """entry: None for a call that is not booked, and only looked at."""
    return UsageRecord(
        request_id=request_id,
        entry=entry,
        key_id=event.key_id,
        endpoint=event.endpoint,
        ai_model=event.ai_model,
        upstream_model=event.upstream_model,
        status=event.status,
        truth=event.truth,
        is_stream=event.is_stream,
        input_tokens=event.input_tokens,
        cached_input_tokens=event.cached_input_tokens,
        output_tokens=event.output_tokens,
        reasoning_tokens=event.reasoning_tokens,
        quantities=event.quantities,
        neurons=None if event.neurons is None else Decimal(event.neurons),
        estimated_nusd=event.estimated_nusd,
        cost_nusd=event.cost_nusd,
        provider_cost_nusd=event.provider_cost_nusd,
        price_version_id=event.price_version_id,
        started_at=datetime.fromtimestamp(event.started_at, UTC),
        first_token_ms=event.first_token_ms,
        duration_ms=event.duration_ms,
        attempts=event.attempts,
        route=event.route[:80],
        upstream=event.upstream[:40],
        upstream_request_id=event.upstream_request_id[:80],
        gateway_log_id=event.gateway_log_id[:64],
        cache_status=event.cache_status[:8],
        finish_reason=event.finish_reason[:20],
        error_code=event.error_code[:60],
    )
