"""The whole story of one call, from wherever it has got to: `manage.py explain`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from agentflare.money import format_usd
from agentflare.partitions import partition_key, partition_of
from agentflare.redis_store import get_redis
from billing.admission import gate
from billing.admission.selectors import RunningHold, running_holds
from billing.archive.selectors import find_archived
from billing.ledger.models import JournalEntry
from billing.prices.models import PriceVersion
from billing.prices.services import as_price
from billing.reconciliation.corrections import reference_of
from billing.settlement.services import as_record
from billing.usage.events import UsageEvent
from billing.usage.models import Status, Truth, UsageRecord
from tenants.keys.models import ApiKey
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema

Lines = Iterator[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call, wherever it stands: running, captured and not booked yet, booked, or buried.

    record: its facts; of one that is not booked, as they would be.
    """

    tenant: Tenant
    record: UsageRecord
    where: str
    hold: RunningHold | None = None
    entry: JournalEntry | None = None
    is_archived: bool = False


def parse_request_id(text: str) -> UUID:
    """`req_…`, as answers tell it, or the bare id. Raises ValueError."""
    return UUID(text.strip().removeprefix("req_"))


def find_call(request_id: UUID, tenants: Iterable[Tenant]) -> Call | None:
    """Raises RedisDownError when it is not booked and Redis does not answer."""
    tenants = list(tenants)
    for tenant in tenants:
        with tenant_schema(tenant.code):
            record = UsageRecord.objects.filter(pk=request_id).select_related("entry").first()
            if record is not None:
                return Call(tenant, record, "booked in the ledger", entry=record.entry)
    for tenant in tenants:
        if call := _in_archives(request_id, tenant):
            return call
    for tenant in tenants:
        for hold in running_holds(tenant.code):
            if hold.request_id == request_id.hex:
                return Call(tenant, _as_record(hold.event), "running: its money is held", hold)
    for tenant in tenants:
        if event := _in_streams(request_id, tenant):
            return event
    return None


def _in_archives(request_id: UUID, tenant: Tenant) -> Call | None:
    """Raises ArchiveError when it may be in a file that cannot be read."""
    with tenant_schema(tenant.code):
        found = find_archived(request_id)
        if found is None:
            return None
        record, file = found
        return Call(
            tenant, record, f"booked in the ledger, archived in {file}", None, record.entry, True
        )


def _in_streams(request_id: UUID, tenant: Tenant) -> Call | None:
    partition = partition_of(tenant.code)
    places = {
        gate.outbox_key(partition): "captured, on its way to the ledger",
        partition_key(partition, "dead_letters"): "captured, and refused by the ledger: it is "
        "among the dead letters",
    }
    for stream, where in places.items():
        for _, fields in get_redis().xrange(stream):
            if request_id.hex in fields.get("event", ""):
                event = UsageEvent.loads(fields["event"])
                if event.request_id == request_id.hex and event.tenant_code == tenant.code:
                    return Call(tenant, _as_record(event), where)
    return None


def _as_record(event: UsageEvent) -> UsageRecord:
    return as_record(UUID(event.request_id), event, None)


def tell(call: Call) -> Lines:
    """Name and value of all that is known, in the order in which it happened."""
    record = call.record
    yield "call", f"req_{record.request_id.hex}"
    yield "tenant", f"{call.tenant.slug} ({call.tenant.code})"
    yield "state", call.where
    yield "key", _key(call)
    yield "endpoint", f"/v1/{record.endpoint}{', streamed' if record.is_stream else ''}"
    yield "started", f"{record.started_at:%Y-%m-%d %H:%M:%S.%f} UTC"
    asked = f"the route {record.route}, answered by " if record.route else ""
    yield "model", f"{asked}{record.ai_model} ({record.upstream_model})"
    yield "upstream", f"{record.upstream or 'not called yet'}, attempt {record.attempts}"
    if record.upstream_request_id:
        yield "upstream's id", record.upstream_request_id
    if record.gateway_log_id:
        yield "AI Gateway's log", f"{record.gateway_log_id}, cache {record.cache_status or 'off'}"
    yield "estimate, held", _usd(record.estimated_nusd)
    if call.hold is not None:
        yield "held since", f"{call.hold.since:%Y-%m-%d %H:%M:%S} UTC"
        yield "cost so far", _usd(call.hold.cost_nusd)
        return
    yield from _capture(record)
    yield from _price(record)
    yield from _booking(call)


def _key(call: Call) -> str:
    with tenant_schema(call.tenant.code):
        row = ApiKey.objects.filter(key_id=call.record.key_id).first()
    return f"{row.prefix}… “{row.name}”" if row else call.record.key_id


def _capture(record: UsageRecord) -> Lines:
    yield "ended", f"{record.status}: {Status(record.status).label}"
    if record.error_code:
        yield "error told", record.error_code
    if record.finish_reason:
        yield "finish reason", record.finish_reason
    if record.first_token_ms is not None:
        yield "first token", f"after {record.first_token_ms} ms"
    yield "took", f"{record.duration_ms} ms"
    for unit, count in quantities_of(record).items():
        yield unit, str(count)
    yield "known by", f"{record.truth}: {Truth(record.truth).label}"
    if record.neurons is not None:
        yield "neurons", f"{record.neurons.normalize():f}"
    yield "cost, captured", _usd(record.cost_nusd - record.correction_nusd)
    if record.first_figures is not None:
        yield from _first(record)
    yield "provider's cost", _usd(record.provider_cost_nusd)


def _first(record: UsageRecord) -> Lines:
    """What was booked before the provider's own figures arrived."""
    first = record.first_figures or {}
    if record.correction_nusd:
        change = "given back" if record.correction_nusd < 0 else "taken besides"
        yield (
            "cost, corrected",
            f"{_usd(record.cost_nusd)}: {_usd(abs(record.correction_nusd))} {change}",
        )
    counts = {unit: first[unit] for unit in _TOKENS if first[unit] != getattr(record, unit)}
    counted = ", ".join(f"{count} {unit}" for unit, count in counts.items()) or "the same tokens"
    yield (
        "  first",
        f"{first['truth']}, {counted}, provider's cost {_usd(first['provider_cost_nusd'])}",
    )


_TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens")


def quantities_of(record: UsageRecord) -> dict[str, int | Decimal]:
    """All that was counted, by unit."""
    tokens = {
        "input_tokens": record.input_tokens,
        "cached_input_tokens": record.cached_input_tokens,
        "output_tokens": record.output_tokens,
    }
    counted = {unit: count for unit, count in tokens.items() if count}
    return {**counted, **{unit: Decimal(count) for unit, count in record.quantities.items()}}


def _price(record: UsageRecord) -> Lines:
    version = PriceVersion.objects.filter(pk=record.price_version_id).first()
    if version is None:
        yield "price version", f"{record.price_version_id}, which is no more"
        return
    price = as_price(version)
    yield (
        "price version",
        f"{version.pk} of {version.ai_model}, from {version.starts_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"markup {version.markup_percent.normalize():f} %",
    )
    for unit, rate in price.rates.items():
        yield f"  rate of {unit}", f"{rate.normalize():f} nUSD"


def _booking(call: Call) -> Lines:
    entry = call.entry
    if entry is None:
        yield "journal entry", "none yet"
        return
    yield "journal entry", f"{entry.pk}, {entry.reference}"
    yield "booked", f"{entry.created_at:%Y-%m-%d %H:%M:%S} UTC"
    with tenant_schema(call.tenant.code):
        postings: list[Any] = list(entry.postings.all())
        others = UsageRecord.objects.filter(entry=entry).exclude(pk=call.record.pk).count()
    for posting in postings:
        yield (
            f"  {posting.source_id} → {posting.destination_id}",
            f"{_usd(posting.amount_nusd)}, {others} other calls among it, archived ones not counted"
            if call.is_archived
            else f"{_usd(posting.amount_nusd)}, {others} other calls among it",
        )
    if call.record.correction_nusd:
        yield from _correction(call)


def _correction(call: Call) -> Lines:
    with tenant_schema(call.tenant.code):
        entry = JournalEntry.objects.filter(reference=reference_of(call.record.request_id)).first()
        postings = list(entry.postings.all()) if entry else []
    if entry is None:
        return
    yield "correction's entry", f"{entry.pk}, {entry.reference}"
    yield "booked", f"{entry.created_at:%Y-%m-%d %H:%M:%S} UTC"
    for posting in postings:
        yield f"  {posting.source_id} → {posting.destination_id}", _usd(posting.amount_nusd)


def _usd(amount_nusd: int) -> str:
    return f"${format_usd(amount_nusd)}"
