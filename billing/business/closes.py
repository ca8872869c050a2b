"""The month's close: what every tenant's credit was, came to, and became; as the ledger has it."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from io import StringIO

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from agentflare.csv_cells import plain_cell
from agentflare.money import format_usd
from billing.business.models import LedgerMonth, MonthClose
from billing.ledger.models import JournalEntry
from tenants.audit.services import Actor
from tenants.operators.services import record
from tenants.registry.models import Tenant

_Kind = JournalEntry.Kind
# In the order of the columns: kind of entry → what it is to who closes the month.
MOVEMENTS = {
    _Kind.TOP_UP: "Sold",
    _Kind.GRANT: "Given",
    _Kind.REFUND: "Refunded",
    _Kind.DISPUTE: "Disputed",
    _Kind.ADJUSTMENT: "Corrected",
    _Kind.USAGE: "Used",
}
COLUMNS = ("Tenant", "Code", "Owed before", *MOVEMENTS.values(), "Owed after")


class NotOverError(Exception):
    """The text is for the operator."""


@dataclass(slots=True)
class Close:
    """Of a tenant, or of all of them, in nUSD. moved: what each kind of entry brought, or took."""

    name: str
    code: str
    opening_nusd: int = 0
    moved: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MOVEMENTS, 0))

    @property
    def closing_nusd(self) -> int:
        return self.opening_nusd + sum(self.moved.values())

    @property
    def amounts(self) -> list[int]:
        """In the order of COLUMNS, after the first two."""
        return [self.opening_nusd, *self.moved.values(), self.closing_nusd]


def months() -> list[date]:
    """Those that anything was booked in, the latest first; this one where there are none."""
    booked = LedgerMonth.objects.order_by("-month").values_list("month", flat=True).distinct()
    return list(booked) or [datetime.now(UTC).date().replace(day=1)]


def close_of(month: date) -> list[Close]:
    """Every tenant that had credit, or whose credit moved; by name."""
    names = dict(Tenant.objects.values_list("code", "name"))
    closes: dict[str, Close] = {}

    def of(code: str) -> Close:
        return closes.setdefault(code, Close(names.get(code, code), code))

    before = LedgerMonth.objects.filter(month__lt=month).values("tenant_code")
    for row in before.annotate(sum=Sum("amount_nusd")):
        of(row["tenant_code"]).opening_nusd = row["sum"]
    for moved in LedgerMonth.objects.filter(month=month):
        of(moved.tenant_code).moved[moved.kind] = moved.amount_nusd
    kept = [close for close in closes.values() if any(close.amounts)]
    return sorted(kept, key=lambda close: (close.name.lower(), close.code))


def hand_over(month: date, *, reason: str, actor: Actor) -> MonthClose:
    """The month goes to the books outside, as it is: what changes in it later is told.

    Raises NotOverError; a repeat returns what was handed over first.
    """
    if month >= timezone.now().astimezone(UTC).date().replace(day=1):
        raise NotOverError(f"{month:%Y-%m} is not over yet (UTC).")
    closes = close_of(month)
    with transaction.atomic():
        made, is_new = MonthClose.objects.get_or_create(
            month=month,
            defaults={
                "closed_by": actor.name,
                "rows": {close.code: close.amounts for close in closes},
            },
        )
        if is_new:
            record(
                actor=actor,
                action="month.handed_over",
                subject=f"{month:%Y-%m}",
                reason=reason,
                owed_after_nusd=str(total_of(closes).closing_nusd),
            )
    return made


def changed_since(made: MonthClose, closes: Iterable[Close]) -> list[tuple[str, str, int, int]]:
    """What was booked into the month after it was handed over: tenant's name, column, nUSD then,
    and nUSD now."""
    nothing = [0] * len(COLUMNS[2:])
    now = {close.code: close for close in closes}
    names: dict[str, str] = dict(Tenant.objects.values_list("code", "name"))
    changed = []
    for code in sorted({*made.rows, *now}, key=lambda code: str(names.get(code, code)).lower()):
        before = made.rows.get(code, nothing)
        after = now[code].amounts if code in now else nothing
        for column, then_nusd, now_nusd in zip(COLUMNS[2:], before, after, strict=True):
            if then_nusd != now_nusd:
                changed.append((names.get(code, code), column, then_nusd, now_nusd))
    return changed


def total_of(closes: Iterable[Close]) -> Close:
    total = Close("All tenants", "")
    moved: dict[str, int] = defaultdict(int)
    for close in closes:
        total.opening_nusd += close.opening_nusd
        for kind, nusd in close.moved.items():
            moved[kind] += nusd
    total.moved = {kind: moved[kind] for kind in MOVEMENTS}
    return total


def rows_of(closes: list[Close]) -> Iterator[list[str]]:
    """For a file, with its head and its sum; plain decimal dollars."""
    yield [*COLUMNS[:2], *(f"{column}, USD" for column in COLUMNS[2:])]
    for close in [*closes, total_of(closes)]:
        yield [plain_cell(close.name), close.code, *map(format_usd, close.amounts)]


def as_csv(closes: list[Close]) -> str:
    file = StringIO()
    csv.writer(file).writerows(rows_of(closes))
    return file.getvalue()
