"""Which span of time a page is about, as its address says. Days are UTC days, as for budgets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

PERIODS = {
    "24h": "Last 24 hours",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "month": "This month",
    "last_month": "Last month",
    "custom": "From … to …",
}
DEFAULT = "7d"
WIDTHS = {"hour": "by hour", "day": "by day", "month": "by month"}
# As many days as one chart can have of each.
_MOST = {"hour": 8, "day": 186, "month": 366 * 5}
_MAX_DAYS = 366 * 5


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end), and the width of the bars in it. fault: what could not be read as asked."""

    name: str
    start: datetime
    end: datetime
    width: str
    fault: str = ""

    @property
    def first_day(self) -> date:
        return self.start.date()

    @property
    def last_day(self) -> date:
        return (self.end - timedelta(microseconds=1)).date()

    @property
    def widths(self) -> dict[str, str]:
        """Those that make sense for so long a time."""
        days = (self.end - self.start).days
        return {width: label for width, label in WIDTHS.items() if days <= _MOST[width]}

    @property
    def is_custom(self) -> bool:
        return self.name == "custom"

    def starts(self) -> Iterator[int]:
        """When each bar begins, in seconds since 1970."""
        at = _floor(self.start, self.width)
        while at < self.end:
            yield int(at.timestamp())
            at = _next(at, self.width)


def period_of(query: Mapping[str, str], *, now: datetime | None = None) -> Period:
    """Whatever cannot be read falls back to what is usual, and says so."""
    now = now or datetime.now(UTC)
    name = query.get("period") or DEFAULT
    fault = ""
    if name not in PERIODS:
        name = DEFAULT
    if name == "custom":
        try:
            start, end = _custom(query, now)
        except ValueError as exc:
            name, fault = DEFAULT, str(exc)
    if name != "custom":
        start, end = _span(name, now)
    days = (end - start).days
    width = query.get("by") or ""
    if width not in WIDTHS or days > _MOST[width]:
        width = "hour" if days <= 2 else "day" if days <= 92 else "month"
    return Period(name, start, end, width, fault)


def _span(name: str, now: datetime) -> tuple[datetime, datetime]:
    today = _floor(now, "day")
    this_month = _floor(now, "month")
    match name:
        case "24h":
            return _floor(now, "hour") - timedelta(hours=23), now
        case "30d":
            return today - timedelta(days=29), now
        case "month":
            return this_month, now
        case "last_month":
            return _floor(this_month - timedelta(days=1), "month"), this_month
    return today - timedelta(days=6), now


def _custom(query: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
    """Raises ValueError, which says what would do."""
    try:
        first = date.fromisoformat(query.get("from") or f"{now - timedelta(days=6):%Y-%m-%d}")
        last = date.fromisoformat(query.get("to") or f"{now:%Y-%m-%d}")
    except ValueError:
        raise ValueError("Dates are written 2026-11-25: shown are the last 7 days.") from None
    if not 2000 <= first.year <= last.year < 2200 or first > last:
        raise ValueError("The first day comes before the last: shown are the last 7 days.")
    if (last - first).days >= _MAX_DAYS:
        raise ValueError("At most five years at once: shown are the last 7 days.")
    return _midnight(first), _midnight(last + timedelta(days=1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _floor(moment: datetime, width: str) -> datetime:
    moment = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if width == "hour":
        return moment
    moment = moment.replace(hour=0)
    return moment if width == "day" else moment.replace(day=1)


def _next(at: datetime, width: str) -> datetime:
    if width == "hour":
        return at + timedelta(hours=1)
    if width == "day":
        return at + timedelta(days=1)
    return (at.replace(day=28) + timedelta(days=4)).replace(day=1)
