"""Redis is back: it is told what PostgreSQL has admitted and booked in its place.

Every step is idempotent. The ledger's balance is told first, and holds end after it, so that
the gate never has more than there is.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db import connection, transaction

from agentflare.redis_store import RedisDownError, get_redis
from billing.admission import gate, outage, peers, told
from billing.admission.marks import has_marks, marked, set_marks
from billing.admission.models import FallbackHold, GateStanding
from billing.admission.rules import Place
from billing.admission.warmth import warm_up
from billing.usage.budgets import sync_spend
from billing.usage.events import UsageEvent

logger = logging.getLogger(__name__)
_AT_ONCE = 500
_FIRST_SEEN = """
INSERT INTO admission_gatestanding (redis, down_since) VALUES (%s, NULL)
ON CONFLICT (redis) DO NOTHING
"""
# Waits for the admissions that are under way; those that come later wait for it.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('gate'), hashtext(%s))"
_DOWN_FOR = """
SELECT extract(epoch FROM clock_timestamp() - down_since)
  FROM admission_gatestanding WHERE redis = %s
"""


def is_needed(part: int = outage.WHOLE) -> bool:
    """Whether PostgreSQL has anything to tell."""
    return bool(needed([part]))


def needed(parts: Iterable[int]) -> set[int]:
    """Those parts of the gate of which PostgreSQL has anything to tell."""
    by_name = {outage.redis_name(part): part for part in parts}
    down = GateStanding.objects.filter(redis__in=by_name, down_since__isnull=False)
    held = FallbackHold.objects.filter(redis__in=by_name)
    names = down.values_list("redis").union(held.values_list("redis"))
    return {by_name[name] for (name,) in names}


def recovered(parts: Iterable[int]) -> list[int]:
    """Those that admit by themselves, told all that they had missed; nodes of a cluster that are
    away are left out. Raises as `recover`, where none is to be had."""
    parts = list(parts)
    marks, to_tell = marked(parts), needed(parts)
    found = []
    for part in parts:
        if marks.get(part) and part not in to_tell:
            found.append(part)
        elif part in marks:
            try:
                if recover(part):
                    found.append(part)
            except RedisDownError as exc:
                if len(parts) == 1:
                    raise
                logger.info("%s is away: %s", outage.redis_name(part), exc)
    return found


def recover(part: int = outage.WHOLE) -> bool:
    """Tell Redis all that it has missed; admission is its own again. False: not yet.

    A Redis that has lost everything, or may have lost something, is told only when all
    processes have told what their calls hold, and what they admitted in the last minute. Safe at
    any time, and by several at once.
    Raises RedisDownError or OperationalError; then PostgreSQL goes on.
    """
    if not is_needed(part) and (has_marks(part) or is_new_redis(part)):
        return True
    name = outage.redis_name(part)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_LOCK, [name])
            cursor.execute(_DOWN_FOR, [name])
            (down_for_s,) = cursor.fetchone() or (None,)
        # Locked: somebody else may have just told it.
        if not has_marks(part):
            if down_for_s is None:
                # Also where no process admits any more: else nobody would ever tell it.
                peers.note_down([part])
                return False
            if not peers.all_have_told(down_for_s=float(down_for_s), part=part):
                return False
        # An end that comes now waits, and makes a row of its own after this one.
        rows = list(FallbackHold.objects.select_for_update().filter(redis=name).order_by("pk"))
        by_tenant = defaultdict(list)
        for row in rows:
            by_tenant[row.tenant_code].append(row)
        told.take_over_fallback(part)
        _count_again(told.all_windows(part))
        for tenant_code, own in by_tenant.items():
            _tell(tenant_code, own)
        set_marks(part)
        FallbackHold.objects.filter(pk__in=[row.pk for row in rows]).delete()
        GateStanding.objects.filter(redis=name).update(down_since=None)
    if rows:
        logger.warning("Redis has been told of %d calls that it had missed", len(rows))
    return True


def is_new_redis(part: int = outage.WHOLE) -> bool:
    """Whether this Redis has never been a gate, hence lost nothing. Then it is one from now on."""
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_SEEN, [outage.redis_name(part)])
        is_new: bool = cursor.rowcount == 1
    if is_new:
        set_marks(part)
    return is_new


def _count_again(windows: told.Windows) -> None:
    """Before its holds: what these correct when they end must be there."""
    names = list(windows)
    for at in range(0, len(names), _AT_ONCE):
        pipeline = get_redis().pipeline(transaction=False)
        for name in names[at : at + _AT_ONCE]:
            gate.count_again(name, windows[name], client=pipeline)
        pipeline.execute()


def _tell(tenant_code: str, rows: Sequence[FallbackHold]) -> None:
    events = [UsageEvent.loads(row.event) for row in rows]
    warm_up(tenant_code)
    for spender in sorted({event.spender for event in events}):
        sync_spend(tenant_code, spender)
    pipeline = get_redis().pipeline(transaction=False)
    for row, event in zip(rows, events, strict=True):
        keys = gate.HoldKeys.of(event)
        if row.cost_nusd is None:
            gate.renew(
                keys,
                request_id=event.request_id,
                tenant_code=tenant_code,
                amount_nusd=event.estimated_nusd,
                cost_nusd=event.cost_nusd,
                event=row.event,
                place=_place_of(row),
                client=pipeline,
            )
        else:
            gate.conclude(
                keys,
                request_id=event.request_id,
                cost_nusd=row.cost_nusd,
                tokens=event.tokens,
                client=pipeline,
            )
    pipeline.execute()


def _place_of(row: FallbackHold) -> Place:
    second = row.second if row.is_carried else int(row.admitted_at.timestamp())
    return Place(windows=row.windows, second=second, tokens=row.tokens)
