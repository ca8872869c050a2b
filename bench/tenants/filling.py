"""Many tenants with calls of some months, in books that agree: made, captured and settled by the
product's own code. What is only looked at (the operators' trail, Cloudflare's days, minutes of
settlement) is written as rows."""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection

from agentflare.ids import first_uuid7
from bench.settlement.events import usage_event
from billing.admission import gate
from billing.business.models import QueueSample
from billing.ledger.services import grant_credit
from billing.reconciliation.models import UpstreamDay
from billing.settlement.services import busy_partitions, settle_partition
from billing.usage.models import UsageRecord
from tenants.operators.services import record
from tenants.registry.models import Tenant
from tenants.registry.schemas import tenant_schema
from tenants.registry.services import create_tenant

_GRANT_NUSD = 10**15
_KEYS_OF_A_TENANT = 3
# Captured before they are settled: about a minute's worth, so that entries have some calls each.
_AT_ONCE = 5_000

# Booked a moment after its last call, as it would have been then.
_DATE_ENTRIES = """
UPDATE ledger_journalentry e SET created_at = u.ended_at + interval '1 second'
  FROM (SELECT entry_id, max(started_at) AS ended_at FROM usage_usagerecord GROUP BY 1) AS u
 WHERE u.entry_id = e.id"""
_DATE_GRANTS = "UPDATE ledger_journalentry SET created_at = %s WHERE kind = 'grant'"


def provision(number: int) -> Tenant:
    tenant = create_tenant(
        slug=f"bench-{number}", name=f"Bench {number}", owner_email=f"owner{number}@bench.test"
    )
    grant_credit(tenant=tenant, amount_nusd=_GRANT_NUSD, reference="bench", actor="bench")
    return tenant


def use(
    tenants: list[Tenant], count: int, *, start: datetime, end: datetime, seed: int = 17
) -> None:
    """Capture and settle calls at random moments, in their order. The first tenants have most."""
    chance = random.Random(seed)
    weights = [1 / (1 + place) ** 0.5 for place in range(len(tenants))]
    span_s = (end - start).total_seconds()
    moments = sorted(start.timestamp() + chance.random() * span_s for _ in range(count))
    for number, moment in enumerate(moments, 1):
        (tenant,) = chance.choices(tenants, weights)
        _capture(chance, tenant, moment)
        if number % _AT_ONCE == 0 or number == count:
            settle_all()


def settle_all() -> None:
    for partition in busy_partitions():
        settle_partition(partition=partition)


def _capture(chance: random.Random, tenant: Tenant, moment: float) -> None:
    key_id = f"key{chance.randrange(_KEYS_OF_A_TENANT):05d}"
    began = datetime.fromtimestamp(moment).astimezone()
    bits = 0x7 << 76 | chance.getrandbits(12) << 64 | 0b10 << 62 | chance.getrandbits(62)
    event = replace(
        usage_event(chance, tenant_code=tenant.code, key_id=key_id),
        request_id=UUID(int=first_uuid7(began).int | bits).hex,
        started_at=moment,
    )
    gate.capture_event(event)


def date_entries(tenants: list[Tenant], *, start: datetime) -> None:
    """Entries have the moment of writing; give them that of their calls."""
    for tenant in tenants:
        with tenant_schema(tenant.code), connection.cursor() as cursor:
            cursor.execute(_DATE_ENTRIES)
            cursor.execute(_DATE_GRANTS, [start])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def books(tenants: list[Tenant]) -> dict[str, int]:
    """How many usage records there are, and how many tenants have any."""
    counts = []
    for tenant in tenants:
        with tenant_schema(tenant.code):
            counts.append(UsageRecord.objects.count())
    return {"tenants": sum(map(bool, counts)), "records": sum(counts)}


def write_trail(tenants: list[Tenant]) -> None:
    """Ten actions of operators a tenant."""
    for tenant in tenants:
        for number in range(10):
            record(
                actor="operator@bench.test",
                action="credit.given",
                subject=tenant.slug,
                reason=f"The {number}th reason",
                tenant=tenant,
            )


def write_days(*, end: datetime) -> None:
    """90 days of 2 accounts and 12 AI models, a minute's sample of 2 days."""
    UpstreamDay.objects.bulk_create(
        UpstreamDay(
            upstream=f"cloudflare-{account}",
            upstream_model=f"@cf/bench/model-{model}",
            day=(end - timedelta(days=back)).date(),
            calls=100,
            our_neurons=Decimal(1000),
            cloudflare_neurons=Decimal(1000),
            difference=Decimal(0),
            state=UpstreamDay.State.WITHIN,
            compared_at=end,
        )
        for back in range(90)
        for account in (1, 2)
        for model in range(12)
    )
    minute = end.replace(second=0, microsecond=0)
    QueueSample.objects.bulk_create(
        QueueSample(
            at=minute - timedelta(minutes=back),
            waiting=back % 7,
            waiting_ms=back % 7 * 100,
            dead_letters=0,
            holds=3,
        )
        for back in range(2 * 24 * 60)
    )
