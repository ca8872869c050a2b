"""What keys have spent, for their budgets: tenant's schema, and the copy that the gate has."""

from collections.abc import Iterable
from datetime import UTC, datetime

from django.db import connection

from billing.admission import gate
from billing.admission.gate import Spent
from billing.usage.events import UsageEvent
from billing.usage.models import KeySpend
from tenants.registry.schemas import tenant_schema

LIFE = "life"

_ADD = """
INSERT INTO usage_keyspend AS sums (line_id, period, cost_nusd)
SELECT * FROM unnest(%(lines)s::text[], %(periods)s::text[], %(costs)s::bigint[])
ON CONFLICT (line_id, period) DO UPDATE SET cost_nusd = sums.cost_nusd + excluded.cost_nusd
"""
# One statement sees one moment: sums and the version they belong to.
_SPENT = """
SELECT coalesce((SELECT version FROM ledger_ledgeraccount WHERE code = 'credit'), 0),
       coalesce(max(cost_nusd) FILTER (WHERE period = 'life'), 0),
       coalesce(max(cost_nusd) FILTER (WHERE period = %(day)s), 0),
       coalesce(max(cost_nusd) FILTER (WHERE period = %(month)s), 0)
  FROM usage_keyspend WHERE line_id = %(line)s
"""


def add_spend(events: Iterable[UsageEvent]) -> None:
    """Add newly booked calls to the sums of their keys. Call it in the booking's transaction."""
    sums: dict[tuple[str, str], int] = {}
    for event in events:
        if not event.cost_nusd:
            continue
        started = datetime.fromtimestamp(event.started_at, UTC)
        for period in (LIFE, f"{started:%Y%m}", f"{started:%Y%m%d}"):
            key = (event.spender, period)
            sums[key] = sums.get(key, 0) + event.cost_nusd
    if not sums:
        return
    # In one order, so that two batches cannot wait for each other.
    rows = sorted(sums)
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD,
            {
                "lines": [line for line, _ in rows],
                "periods": [period for _, period in rows],
                "costs": [sums[row] for row in rows],
            },
        )


def spent_by(lines: Iterable[str]) -> dict[str, Spent]:
    """What each line of keys has spent: in its life, and today and this month (UTC)."""
    day, month = gate.periods()
    wanted = sorted(set(lines))
    rows = KeySpend.objects.filter(line_id__in=wanted, period__in=(LIFE, day, month))
    sums = {(row.line_id, row.period): row.cost_nusd for row in rows}
    return {
        line: Spent(
            life_nusd=sums.get((line, LIFE), 0),
            day=day,
            day_nusd=sums.get((line, day), 0),
            month=month,
            month_nusd=sums.get((line, month), 0),
        )
        for line in wanted
    }


def sync_spend(tenant_code: str, spender: str) -> None:
    """Tell the gate what a line of keys has spent. Safe at any time: a higher version wins."""
    run = gate.run_of(tenant_code)
    day, month = gate.periods()
    with tenant_schema(tenant_code), connection.cursor() as cursor:
        cursor.execute(_SPENT, {"line": spender, "day": day, "month": month})
        version, life_nusd, day_nusd, month_nusd = cursor.fetchone()
    spent = Spent(int(life_nusd), day, int(day_nusd), month, int(month_nusd))
    gate.sync_spend(tenant_code=tenant_code, spender=spender, version=version, spent=spent, run=run)
