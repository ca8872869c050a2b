"""Our side of the comparison: all tenants' sums by account, AI model and UTC day, in one table."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal

from django.db import connection, transaction

from agentflare.money import NUSD_PER_NEURON
from billing.reconciliation.models import UpstreamDay
from tenants.registry.models import Tenant

# Whose names are in one query.
_AT_ONCE = 100
# Any number, the same for all who roll up.
_LOCK = 0x5550_5355

_SUMS = """
SELECT day, upstream, upstream_model, calls, provider_cost_nusd
  FROM "{schema}".usage_upstreamusage WHERE day = ANY(%(days)s) AND upstream <> ''"""
_PUT = """
INSERT INTO reconciliation_upstreamday AS known (day, upstream, upstream_model, calls, our_neurons,
       state, problem)
SELECT day, upstream, upstream_model, calls, neurons, 'unknown', ''
  FROM unnest(%(days)s::date[], %(upstreams)s::text[], %(models)s::text[], %(calls)s::bigint[],
              %(neurons)s::numeric[]) AS new (day, upstream, upstream_model, calls, neurons)
ON CONFLICT (day, upstream, upstream_model) DO UPDATE SET
       calls = excluded.calls, our_neurons = excluded.our_neurons,
       state = CASE known.state WHEN 'explained' THEN known.state ELSE 'unknown' END,
       difference = NULL, difference_percent = NULL
 WHERE known.calls <> excluded.calls OR known.our_neurons <> round(excluded.our_neurons, 6)
"""


def roll_up(days: Iterable[date], *, account_of: Callable[[str], str | None]) -> None:
    """Put the sums of these days anew. Safe to repeat; sums that have changed are to be compared
    again.

    account_of: the account that a name belongs to; None: it is no account to be compared.
    """
    wanted = sorted(set(days))
    with transaction.atomic(), connection.cursor() as cursor:
        # An older look must not come after a newer one.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        calls: dict[tuple[date, str, str], int] = defaultdict(int)
        costs: dict[tuple[date, str, str], int] = defaultdict(int)
        for row in UpstreamDay.objects.filter(day__in=wanted):
            calls[row.day, row.upstream, row.upstream_model] = 0
        schemas = [tenant.schema_name for tenant in Tenant.objects.order_by("code")]
        for start in range(0, len(schemas), _AT_ONCE):
            parts = [_SUMS.format(schema=name) for name in schemas[start : start + _AT_ONCE]]
            cursor.execute(" UNION ALL ".join(parts), {"days": wanted})
            for day, name, model, count, cost_nusd in cursor.fetchall():
                account = account_of(name)
                if account is not None:
                    calls[day, account, model] += count
                    costs[day, account, model] += cost_nusd
        keys = sorted(calls)
        cursor.execute(
            _PUT,
            {
                "days": [day for day, _, _ in keys],
                "upstreams": [account for _, account, _ in keys],
                "models": [model for _, _, model in keys],
                "calls": [calls[key] for key in keys],
                "neurons": [as_neurons(costs[key]) for key in keys],
            },
        )


def as_neurons(cost_nusd: int) -> Decimal:
    """What the provider's cost of a call is in its own unit.

    The cost is the figure to compare, not a record's neurons: those are missing where Cloudflare
    told none, stand again in an answer from the cache, and leave out answers that were of no use.
    Each call's is rounded up to a whole nUSD, which is less than a ten-thousandth of a neuron.
    """
    return Decimal(cost_nusd) / NUSD_PER_NEURON
