"""Whose markup decides, and the prices that follow from it at a moment."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from django.db import transaction
from django.db.models import QuerySet

from billing.prices.models import Markup, PriceVersion, Rate

# AI model and tenant's code; "": all.
Scope = tuple[str, str]
_Key = TypeVar("_Key", str, Scope)
_Row = TypeVar("_Row", PriceVersion, Markup)
# More changes of prices than this that are still to come are not looked at.
_MOST_TO_COME = 20


@dataclass(frozen=True, slots=True)
class PriceTable:
    """What everybody pays at `moment`: no query is made any more."""

    moment: datetime
    versions: Mapping[str, PriceVersion]
    markups: Mapping[Scope, Markup]
    copies: dict[tuple[int, Decimal], PriceVersion] = field(default_factory=dict)

    @property
    def tenant_codes(self) -> frozenset[str]:
        """Those who may pay something else than the others."""
        return frozenset(tenant_code for _, tenant_code in self.markups if tenant_code)

    def version(self, ai_model: str, tenant_code: str = "") -> PriceVersion | None:
        """None: the model has no price."""
        if (found := self.pair(ai_model, tenant_code)) is None:
            return None
        version, percent = found
        return version if percent == version.markup_percent else self.copies[version.pk, percent]

    def pair(self, ai_model: str, tenant_code: str = "") -> tuple[PriceVersion, Decimal] | None:
        """The version that was set, and the markup that holds with it."""
        version = self.versions.get(ai_model)
        return (version, self.percent(version, tenant_code)) if version else None

    def percent(self, version: PriceVersion, tenant_code: str) -> Decimal:
        """A markup of the tenant's; of the model's, unless the operator set its price later; of
        that price; everybody's."""
        for scope in ((version.ai_model, tenant_code), ("", tenant_code)):
            if tenant_code and (own := self._says(scope)) is not None:
                return own
        is_operators = version.source == PriceVersion.Source.OPERATOR
        row = self.markups.get((version.ai_model, ""))
        is_newest = bool(row and (not is_operators or row.starts_at >= version.starts_at))
        if row and is_newest and row.percent is not None:
            return row.percent
        if is_operators:
            return version.markup_percent
        general = self._says(("", ""))
        return version.markup_percent if general is None else general

    def _says(self, scope: Scope) -> Decimal | None:
        row = self.markups.get(scope)
        return row.percent if row else None


def price_table(moment: datetime) -> PriceTable:
    """Copies of versions that are needed for the first time are made."""
    versions = {
        version.ai_model: version
        for version in base_versions()
        .filter(starts_at__lte=moment)
        .order_by("ai_model", "-starts_at", "-id")
        .distinct("ai_model")
        .prefetch_related("rates")
    }
    rows = (
        standing_markups()
        .filter(starts_at__lte=moment)
        .order_by("ai_model", "tenant_code", "-starts_at", "-id")
        .distinct("ai_model", "tenant_code")
    )
    markups = {(row.ai_model, row.tenant_code): row for row in rows}
    table = PriceTable(moment, versions, markups)
    if markups:
        _fill(table)
    return table


def tables_to_come(now: datetime) -> list[PriceTable]:
    """One for each moment at which something is to change, the next first."""
    moments = sorted({row.starts_at for row in to_come(now)})
    return [price_table(moment) for moment in moments[:_MOST_TO_COME]]


def to_come(now: datetime) -> list[PriceVersion | Markup]:
    """What is set and has not started, the next first."""
    versions = base_versions().filter(starts_at__gt=now).prefetch_related("rates")
    rows: list[PriceVersion | Markup] = [*versions, *standing_markups().filter(starts_at__gt=now)]
    return sorted(rows, key=lambda row: row.starts_at)


@dataclass(frozen=True, slots=True)
class PriceHistory:
    """All that was ever set, and is decided: read once. The oldest of each first."""

    versions: Mapping[str, Sequence[PriceVersion]]
    markups: Mapping[Scope, Sequence[Markup]]

    def table(self, moment: datetime) -> PriceTable:
        """Without copies: `pair` tells what held, `version` does not."""
        return PriceTable(moment, _latest(self.versions, moment), _latest(self.markups, moment))

    def first(self, ai_model: str, tenant_code: str = "") -> tuple[PriceVersion, Decimal] | None:
        """As far as is known, what held before the first price that is known."""
        versions = self.versions.get(ai_model)
        return self.table(versions[0].starts_at).pair(ai_model, tenant_code) if versions else None

    def without(self, row: PriceVersion | Markup) -> "PriceHistory":
        """As if it had not been set."""
        return PriceHistory(_leave_out(self.versions, row), _leave_out(self.markups, row))


def price_history() -> PriceHistory:
    """Two statements, and one for the rates."""
    versions: dict[str, list[PriceVersion]] = defaultdict(list)
    for version in base_versions().order_by("starts_at", "id").prefetch_related("rates"):
        versions[version.ai_model].append(version)
    markups: dict[Scope, list[Markup]] = defaultdict(list)
    for row in standing_markups().order_by("starts_at", "id"):
        markups[row.ai_model, row.tenant_code].append(row)
    return PriceHistory(versions, markups)


def _latest(rows: Mapping[_Key, Sequence[_Row]], moment: datetime) -> dict[_Key, _Row]:
    found = {}
    for key, each in rows.items():
        if begun := bisect_right(each, moment, key=lambda row: row.starts_at):
            found[key] = each[begun - 1]
    return found


def _leave_out(
    rows: Mapping[_Key, Sequence[_Row]], gone: PriceVersion | Markup
) -> dict[_Key, Sequence[_Row]]:
    return {key: [row for row in each if row != gone] for key, each in rows.items()}


def base_versions() -> QuerySet[PriceVersion]:
    """Those that were set, without their copies and those that were withdrawn."""
    return PriceVersion.objects.filter(copy_of=None, withdrawn_at=None)


def standing_markups() -> QuerySet[Markup]:
    """Without those that were withdrawn."""
    return Markup.objects.filter(withdrawn_at=None)


def _fill(table: PriceTable) -> None:
    whose = ("", *table.tenant_codes)
    needed = {
        (version.pk, percent): version
        for version in table.versions.values()
        for tenant_code in whose
        if (percent := table.percent(version, tenant_code)) != version.markup_percent
    }
    known = PriceVersion.objects.filter(copy_of__in={pk for pk, _ in needed})
    for copy in known.prefetch_related("rates"):
        assert copy.copy_of_id is not None
        table.copies[copy.copy_of_id, copy.markup_percent] = copy
    for (pk, percent), version in needed.items():
        if (pk, percent) not in table.copies:
            table.copies[pk, percent] = _copy(version, percent)


@transaction.atomic
def _copy(version: PriceVersion, percent: Decimal) -> PriceVersion:
    """Found or made; whoever else makes it at once gets the same one."""
    copy, is_new = PriceVersion.objects.get_or_create(
        copy_of=version,
        markup_percent=percent,
        defaults={
            "ai_model": version.ai_model,
            "starts_at": version.starts_at,
            "source": version.source,
        },
    )
    if is_new:
        _copy_rates(version.rates.all(), copy)
    return copy


def _copy_rates(rates: Iterable[Rate], copy: PriceVersion) -> None:
    Rate.objects.bulk_create(
        Rate(price_version=copy, unit=rate.unit, neurons=rate.neurons, nusd=rate.nusd)
        for rate in rates
    )
