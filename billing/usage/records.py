"""One usage record after another, of millions. Call these inside the tenant's schema.

By keyset: a page begins after the last id of the one before, and costs the same wherever it is.
No query looks at more than a window of records, whatever it is filtered by, so that a filter which
matches one call in a million cannot keep PostgreSQL busy; the reader goes on from where it ended.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from agentflare.ids import first_uuid7
from billing.usage.models import Status
from tenants.postgresql import replica

# As many records one query looks at.
WINDOW = 10_000
# An id is made when a request arrives, and its call starts when its body is there: never more
# than this later.
ARRIVAL = timedelta(hours=1)


class Record(NamedTuple):
    """What a tenant may know of one call: nothing of what it cost us."""

    request_id: UUID
    key_id: str
    endpoint: str
    route: str
    ai_model: str
    status: str
    truth: str
    is_stream: bool
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    # A JSON object as text, unit → how many: most are empty.
    quantities: str
    estimated_nusd: int
    cost_nusd: int
    correction_nusd: int
    price_version_id: int
    started_at: datetime
    first_token_ms: int | None
    duration_ms: int
    cache_status: str
    finish_reason: str
    error_code: str


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """What records must be like; empty: any. A call is in that started in [start, end)."""

    key_id: str = ""
    ai_model: str = ""
    endpoint: str = ""
    status: str = ""
    start: datetime | None = None
    end: datetime | None = None
    min_cost_nusd: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Records, and the id to go on after; None: that was all.

    A page may have fewer than were asked for, even none, and not be the last: the window was
    looked through, and few in it matched.
    """

    records: list[Record]
    next_after: UUID | None


def find_records(
    wanted: RecordFilter, *, after: UUID | None, limit: int, oldest_first: bool = False
) -> Page:
    """The next records that match, newest first unless said otherwise."""
    index, rest = _conditions(wanted, after, oldest_first=oldest_first)
    order = "ASC" if oldest_first else "DESC"
    window = f"FROM usage_usagerecord{_where(index)} ORDER BY request_id {order}"
    columns = ", ".join(Record._fields)
    find = f"""
        SELECT * FROM (SELECT {columns} {window} LIMIT {WINDOW}) AS looked_at{_where(rest)}
         ORDER BY request_id {order} LIMIT {limit + 1}"""  # noqa: S608  # names of ours alone

    def read(cursor: Any) -> Page:
        cursor.execute(find, [value for _, values in index + rest for value in values])
        records = [Record(*row) for row in cursor.fetchall()]
        if len(records) > limit:
            return Page(records[:limit], records[limit - 1].request_id)
        # Fewer than asked for: is that all, or all of this window?
        last = f"SELECT request_id {window} OFFSET {WINDOW - 1} LIMIT 1"
        cursor.execute(last, [value for _, values in index for value in values])
        row = cursor.fetchone()
        return Page(records, row[0] if row else None)

    return replica.read(read)


def find_record(request_id: UUID) -> Record | None:
    columns = ", ".join(Record._fields)
    find = f"SELECT {columns} FROM usage_usagerecord WHERE request_id = %s"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(find, [request_id])
        row = cursor.fetchone()
    return Record(*row) if row else None


Condition = tuple[str, list[Any]]


def _conditions(
    wanted: RecordFilter, after: UUID | None, *, oldest_first: bool
) -> tuple[list[Condition], list[Condition]]:
    """What chooses the window, by an index, and what its records must be like besides."""
    index = list(_range(wanted, after, oldest_first=oldest_first))
    equal: list[tuple[bool, Condition]] = []
    if wanted.status:
        # The index of the rare ends only serves who says that this is one.
        is_rare = wanted.status != Status.COMPLETED
        text = "status = %s AND status <> 'completed'" if is_rare else "status = %s"
        equal.append((is_rare, (text, [wanted.status])))
    if wanted.key_id:
        equal.append((True, ("key_id = %s", [wanted.key_id])))
    if wanted.ai_model:
        equal.append((True, ("ai_model = %s", [wanted.ai_model])))
    if wanted.endpoint:
        equal.append((False, ("endpoint = %s", [wanted.endpoint])))
    rest: list[Condition] = [condition for _, condition in equal]
    # The first that has an index, likely the most telling one.
    for has_index, condition in equal:
        if has_index:
            index.append(condition)
            rest.remove(condition)
            break
    if wanted.min_cost_nusd:
        rest.append(("cost_nusd >= %s", [wanted.min_cost_nusd]))
    if wanted.start is not None:
        rest.append(("started_at >= %s", [wanted.start]))
    if wanted.end is not None:
        rest.append(("started_at < %s", [wanted.end]))
    return index, rest


def _range(wanted: RecordFilter, after: UUID | None, *, oldest_first: bool) -> Iterator[Condition]:
    if after is not None:
        yield f"request_id {'>' if oldest_first else '<'} %s", [after]
    if wanted.start is not None:
        yield "request_id >= %s", [first_uuid7(wanted.start - ARRIVAL)]
    if wanted.end is not None:
        yield "request_id < %s", [first_uuid7(wanted.end + ARRIVAL)]


def _where(conditions: list[Condition]) -> str:
    return " WHERE " + " AND ".join(text for text, _ in conditions) if conditions else ""
