"""Every movement of a tenant's credit, with the balance after it. In the tenant's schema.

What calls have cost is booked every second or so: here it is one line for each day (UTC), at the
day's end, so that the rest can be read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db import connection, transaction

from billing.ledger.models import JournalEntry
from billing.ledger.services import credit_account

_ROWS = """
WITH moved AS (
    SELECT e.id, e.kind, e.reference, e.memo, e.created_at,
           (e.created_at AT TIME ZONE 'UTC')::date AS day,
           sum(CASE p.destination_id WHEN 'credit' THEN p.amount_nusd ELSE -p.amount_nusd END)
               AS amount_nusd
      FROM ledger_journalentry e JOIN ledger_posting p ON p.entry_id = e.id
     WHERE e.created_at >= %(start)s AND e.created_at < %(end)s
       AND 'credit' IN (p.source_id, p.destination_id)
     GROUP BY e.id)
SELECT day, 0 AS is_usage, id, created_at, kind, reference, memo, amount_nusd
  FROM moved WHERE kind <> 'usage'
 UNION ALL
SELECT day, 1, max(id), max(created_at), 'usage', '', '', sum(amount_nusd)
  FROM moved WHERE kind = 'usage' GROUP BY day
 ORDER BY 1, 2, 3
"""

_LATER = """
SELECT coalesce(sum(CASE p.destination_id WHEN 'credit' THEN p.amount_nusd
                         ELSE -p.amount_nusd END), 0)
  FROM ledger_journalentry e JOIN ledger_posting p ON p.entry_id = e.id
 WHERE e.created_at >= %(end)s AND 'credit' IN (p.source_id, p.destination_id)
"""

WORDS = {
    JournalEntry.Kind.USAGE: "Calls",
    JournalEntry.Kind.GRANT: "Credit given",
    JournalEntry.Kind.TOP_UP: "Credit bought",
    JournalEntry.Kind.REFUND: "Refund",
    JournalEntry.Kind.DISPUTE: "Dispute",
    JournalEntry.Kind.ADJUSTMENT: "Correction",
}


@dataclass(frozen=True, slots=True)
class Movement:
    """moment: of the last call, for a day's calls."""

    day: date
    moment: datetime
    kind: str
    reference: str
    memo: str
    amount_nusd: int
    balance_nusd: int

    @property
    def is_usage(self) -> bool:
        return self.kind == JournalEntry.Kind.USAGE

    @property
    def words(self) -> str:
        return str(WORDS.get(JournalEntry.Kind(self.kind), self.kind))


@dataclass(frozen=True, slots=True)
class Statement:
    """Of one month (UTC), oldest first."""

    month: date
    opening_nusd: int
    closing_nusd: int
    movements: list[Movement]

    @property
    def in_nusd(self) -> int:
        return sum(each.amount_nusd for each in self.movements if each.amount_nusd > 0)

    @property
    def out_nusd(self) -> int:
        return sum(-each.amount_nusd for each in self.movements if each.amount_nusd < 0)


def months() -> list[date]:
    """From this month back to the first that has an entry."""
    first = JournalEntry.objects.order_by("id").values_list("created_at", flat=True).first()
    month = _first_of(datetime.now(UTC).date())
    oldest = _first_of(first.astimezone(UTC).date()) if first else month
    found = [month]
    while found[-1] > oldest:
        found.append(_before(found[-1]))
    return found


def statement(month: date) -> Statement:
    """All movements of a month, each with the balance after it."""
    span = {"start": _moment(month), "end": _moment(_after(month))}
    # One look at all: what is booked meanwhile would be in some of it, and not in the rest.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        balance_nusd = credit_account().balance_nusd
        cursor.execute(_LATER, span)
        closing_nusd = balance_nusd - int(cursor.fetchone()[0])
        cursor.execute(_ROWS, span)
        rows = cursor.fetchall()
    opening_nusd = closing_nusd - sum(int(row[-1]) for row in rows)
    return Statement(month, opening_nusd, closing_nusd, list(_with_balance(rows, opening_nusd)))


def _with_balance(rows: list[tuple[Any, ...]], balance_nusd: int) -> Iterator[Movement]:
    for day, _, _, moment, kind, reference, memo, amount in rows:
        balance_nusd += int(amount)
        yield Movement(day, moment, kind, reference, memo, int(amount), balance_nusd)


def _first_of(day: date) -> date:
    return day.replace(day=1)


def _before(month: date) -> date:
    return date(month.year - (month.month == 1), (month.month - 2) % 12 + 1, 1)


def _after(month: date) -> date:
    return date(month.year + (month.month == 12), month.month % 12 + 1, 1)


def _moment(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
