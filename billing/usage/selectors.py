"""Reading usage. Call these inside the tenant's schema."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from billing.usage.models import UsageRecord
from tenants.postgresql import replica


def recent_calls(*, limit: int) -> list[UsageRecord]:
    """The latest settled calls, newest first."""
    return list(UsageRecord.objects.all()[:limit])


class Bucket(NamedTuple):
    """Sums of one hour or day. ai_model, key_id: whose; None: of all of them."""

    # When it begins, in seconds since 1970: a datetime takes as long to read as all the rest.
    start_s: int
    ai_model: str | None
    key_id: str | None
    calls: int
    failed_calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_nusd: int


_GROUPS, _SUMS = Bucket._fields[1:3], Bucket._fields[3:]


def usage_buckets(
    *,
    start: datetime,
    end: datetime,
    width: str,
    groups: Collection[str],
    key_ids: Collection[str] | None = None,
    ai_model: str = "",
) -> list[Bucket]:
    """Sums by "hour", "day" or "month" (UTC), oldest first; buckets without a call are left out.

    groups: of "ai_model" and "key_id". A whole hour is in when it begins in [start, end).
    key_ids, ai_model: of those alone; None and empty: of all.
    """
    # By hand: a year by model and key is some twenty thousand rows, and the ORM's way with each
    # takes longer than PostgreSQL's.
    names = [name if name in groups else f"NULL AS {name}" for name in _GROUPS]
    keys = ", ".join(["1", *(name for name in _GROUPS if name in groups)])
    sums = [f"sum({name})::bigint" for name in _SUMS]
    parts: list[str] = [_HOURS]
    values: list[Any] = [start, end]
    if width != "hour":
        parts, values = _whole_days(start, end)
    wanted, more = _wanted(key_ids, ai_model)
    begins = "date_trunc('month', start, 'UTC')" if width == "month" else "start"
    query = (
        f"SELECT extract(epoch FROM {begins})::bigint, {', '.join(names + sums)} "  # noqa: S608
        f"FROM ({' UNION ALL '.join(parts)}) AS rows{wanted} "
        f"GROUP BY {keys} ORDER BY {keys}"
    )

    def read(cursor: Any) -> list[Bucket]:
        cursor.execute(query, values + more)
        return [Bucket._make(row) for row in cursor.fetchall()]

    return replica.read(read)


class EndBucket(NamedTuple):
    """Calls of one hour, day or month that ended in one way, other than simply completed.

    end: a Status, or the code that was answered to refused ones.
    """

    start_s: int
    end: str
    is_refused: bool
    calls: int
    cost_nusd: int


def end_buckets(
    *,
    start: datetime,
    end: datetime,
    width: str,
    key_ids: Collection[str] | None = None,
    ai_model: str = "",
) -> list[EndBucket]:
    """As `usage_buckets`. A refused call is of no AI model: asking for one leaves them out."""
    parts: list[str] = [_ENDS_OF_HOURS]
    values: list[Any] = [start, end]
    first, last = _first_and_last_midnight(start, end)
    if width != "hour" and first < last:
        parts = [_ENDS_OF_HOURS, _ENDS_OF_DAYS, _ENDS_OF_HOURS]
        values = [start, first, first, last, last, end]
    wanted, more = _wanted(key_ids, ai_model)
    query = f"""
        SELECT extract(epoch FROM date_trunc(%s, start, 'UTC'))::bigint, "end", is_refused,
               sum(calls)::bigint, sum(cost_nusd)::bigint
          FROM ({" UNION ALL ".join(parts)}) AS rows{wanted}
         GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""  # noqa: S608  # names of ours alone

    def read(cursor: Any) -> list[EndBucket]:
        cursor.execute(query, [width, *values, *more])
        return [EndBucket._make(row) for row in cursor.fetchall()]

    return replica.read(read)


def _wanted(key_ids: Collection[str] | None, ai_model: str) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if key_ids is not None:
        conditions.append("key_id = ANY(%s)")
        values.append(list(key_ids))
    if ai_model:
        conditions.append("ai_model = %s")
        values.append(ai_model)
    return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), values


_COLUMNS = ", ".join(_GROUPS + _SUMS)
_HOURS = (
    f"SELECT hour AS start, {_COLUMNS} FROM usage_hourlyusage "  # noqa: S608
    "WHERE hour >= %s AND hour < %s"
)
_HOURS_OF_DAYS = _HOURS.replace("hour AS", "date_trunc('day', hour, 'UTC') AS", 1)
_DAYS = (
    f"SELECT day::timestamp AT TIME ZONE 'UTC' AS start, {_COLUMNS} FROM usage_dailyusage "  # noqa: S608
    "WHERE day >= %s AND day < %s"
)


_ENDS = "SELECT * FROM usage_usageends WHERE {} AND start >= %s AND start < %s"
_ENDS_OF_HOURS, _ENDS_OF_DAYS = _ENDS.format("NOT is_day"), _ENDS.format("is_day")


def _whole_days(start: datetime, end: datetime) -> tuple[list[str], list[date | datetime]]:
    """Days from their own sums, and what is before the first and after the last from hours."""
    first, last = _first_and_last_midnight(start, end)
    if first >= last:
        return [_HOURS_OF_DAYS], [start, end]
    values = [start, first, first.date(), last.date(), last, end]
    return [_HOURS_OF_DAYS, _DAYS, _HOURS_OF_DAYS], values


def _first_and_last_midnight(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    return _midnight(start + timedelta(days=1, microseconds=-1)), _midnight(end)


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
