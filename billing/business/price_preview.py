"""What real use would have brought at other prices: from the shared sums, before they are set."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from itertools import chain
from typing import Any

from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from billing.business.models import TenantDay
from billing.prices.markups import PriceHistory, PriceTable
from billing.prices.models import PriceVersion, Unit
from billing.prices.services import as_price
from tenants.registry.models import Tenant

_TOKENS = (Unit.INPUT_TOKENS, Unit.CACHED_INPUT_TOKENS, Unit.OUTPUT_TOKENS)


@dataclass(frozen=True, slots=True)
class Money:
    """In nUSD."""

    revenue: int = 0
    cost: int = 0

    def __add__(self, other: "Money") -> "Money":
        return Money(self.revenue + other.revenue, self.cost + other.cost)

    @property
    def margin(self) -> int:
        return self.revenue - self.cost

    @property
    def margin_percent(self) -> float | None:
        """Of the revenue; None where there is none."""
        return 100 * self.margin / self.revenue if self.revenue else None

    @property
    def is_below_floor(self) -> bool:
        percent = self.margin_percent
        return self.margin < 0 if percent is None else percent < settings.MARGIN_FLOOR_PERCENT


@dataclass(frozen=True, slots=True)
class Change:
    """Of an AI model or a tenant. is_exact: whether the days' sums have all units it is paid by."""

    name: str
    code: str
    before: Money
    after: Money
    is_exact: bool = True

    @property
    def revenue_change(self) -> int:
        return self.after.revenue - self.before.revenue

    @property
    def falls_below_floor(self) -> bool:
        return self.after.is_below_floor and (
            not self.before.is_below_floor or self.after.margin < self.before.margin
        )


@dataclass(frozen=True, slots=True)
class Preview:
    """by_model, by_tenant: those alone whose sums change, the largest change first. of_tenants:
    code → its AI models whose sums change. before, after: at
    the prices of the tables of these names."""

    since: date
    total: Change
    by_model: list[Change]
    by_tenant: list[Change]
    of_tenants: Mapping[str, list[Change]]

    @property
    def warnings(self) -> list[Change]:
        return [each for each in (*self.by_model, *self.by_tenant) if each.falls_below_floor]

    @property
    def dearer_for(self) -> list[str]:
        """Codes of tenants with an AI model that becomes dearer."""
        return [
            code
            for code, changes in self.of_tenants.items()
            if any(change.revenue_change > 0 for change in changes)
        ]


def preview(before: PriceTable, after: PriceTable, *, known: PriceHistory, since: date) -> Preview:
    """The use since then, at the prices of `before` and at those of `after`.

    known: what was paid by, without what is not set yet. The sums are reckoned anew from the
    prices that held on each day; where one changed in the middle of a day, by the one that it
    ended with, and that is not exact.
    """
    of_pair: dict[tuple[str, str], list[Change]] = defaultdict(list)
    of_model: dict[str, list[Change]] = defaultdict(list)
    of_tenant: dict[str, list[Change]] = defaultdict(list)
    of_tenants: dict[str, list[Change]] = defaultdict(list)
    now = timezone.now()
    at = cache(lambda moment: known.table(min(moment, now)))
    days: Any = TenantDay.objects.filter(day__gte=since).values("day", "ai_model", "tenant_code")
    sums = {unit.value: Sum(unit.value) for unit in _TOKENS}
    for row in days.annotate(paid=Sum("cost_nusd"), cost=Sum("provider_cost_nusd"), **sums):
        of_pair[row["tenant_code"], row["ai_model"]].append(_change(row, known, at, before, after))
    for (code, ai_model), rows in of_pair.items():
        change = _sum(ai_model, code, rows)
        of_model[ai_model].append(change)
        of_tenant[code].append(change)
        if change.before != change.after:
            of_tenants[code].append(change)
    names = dict(Tenant.objects.values_list("code", "name"))
    return Preview(
        since=since,
        total=_sum("", "", chain.from_iterable(of_pair.values())),
        by_model=_changed(_sum(name, "", rows) for name, rows in of_model.items()),
        by_tenant=_changed(
            _sum(names.get(code, code), code, rows) for code, rows in of_tenant.items()
        ),
        of_tenants=of_tenants,
    )


def _change(
    row: Mapping[str, Any],
    known: PriceHistory,
    at: Callable[[datetime], PriceTable],
    before: PriceTable,
    after: PriceTable,
) -> Change:
    whose = row["ai_model"], row["tenant_code"]
    morning = datetime.combine(row["day"], time.min, UTC)
    at_first = at(morning).pair(*whose)
    at_last = at(morning + timedelta(days=1, microseconds=-1)).pair(*whose)
    paid_by = at_last or known.first(*whose)
    was = Money(row["paid"], row["cost"])
    now, is_exact = _at(was, row, paid_by, before.pair(*whose))
    becomes, is_exact_then = _at(was, row, paid_by, after.pair(*whose))
    is_one_price = at_first is None or at_first == at_last
    return Change("", "", now, becomes, is_exact and is_exact_then and is_one_price)


_Pair = tuple[PriceVersion, Decimal] | None


def _at(was: Money, row: Mapping[str, Any], old: _Pair, new: _Pair) -> tuple[Money, bool]:
    """What it would have been with the new price, and whether that is exact."""
    if old is None or new is None or old == new:
        return was, True
    old_price, new_price = as_price(*old), as_price(*new)
    used = {unit.value: row[unit.value] for unit in _TOKENS}
    paid, paid_exact = _ratio(old_price.rates, new_price.rates, used)
    cost, cost_exact = _ratio(old_price.costs, new_price.costs, used)
    return Money(int(was.revenue * paid), int(was.cost * cost)), paid_exact and cost_exact


def _ratio(
    old: Mapping[str, Decimal], new: Mapping[str, Decimal], used: Mapping[str, int]
) -> tuple[Decimal, bool]:
    """How many times as much it is, and whether that is exact."""
    by_unit = {unit: new[unit] / rate for unit, rate in old.items() if rate and unit in new}
    if len(set(by_unit.values())) == 1 and old.keys() == new.keys():
        return next(iter(by_unit.values())), True
    was, becomes = _of_tokens(old, used), _of_tokens(new, used)
    if was and set(old) | set(new) <= set(_TOKENS):
        return becomes / was, True
    # What of which units it was is not in the sums: all of them alike.
    whole = sum(by_unit.values(), Decimal(0))
    return (whole / len(by_unit) if by_unit else Decimal(1)), False


def _of_tokens(rates: Mapping[str, Decimal], used: Mapping[str, int]) -> Decimal:
    """Cached input costs what input costs where it has no rate."""
    of_input = rates.get(Unit.INPUT_TOKENS, Decimal(0))
    return sum(
        (count * rates.get(unit, of_input if unit == Unit.CACHED_INPUT_TOKENS else Decimal(0)))
        for unit, count in used.items()
    ) or Decimal(0)


def _sum(name: str, code: str, changes: Iterable[Change]) -> Change:
    rows = list(changes)
    return Change(
        name,
        code,
        sum((row.before for row in rows), Money()),
        sum((row.after for row in rows), Money()),
        all(row.is_exact for row in rows),
    )


def _changed(changes: Iterable[Change]) -> list[Change]:
    found = [each for each in changes if each.before != each.after]
    return sorted(found, key=lambda each: (-abs(each.revenue_change), each.name))
