"""Setting and reading prices."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from django_tenants.utils import schema_context

from agentflare.money import NUSD_PER_USD, neurons_nusd, price_nusd
from billing.prices.markups import PriceTable, base_versions, price_table, standing_markups
from billing.prices.models import Markup, PriceVersion, Rate, Unit
from tenants.audit import services as audit
from tenants.audit.services import Actor
from tenants.registry.models import Tenant

Quantities = Mapping[str, int | Decimal]

# Tokens are quoted by the million, everything else by the piece.
BY_THE_MILLION = frozenset(
    {Unit.INPUT_TOKENS, Unit.CACHED_INPUT_TOKENS, Unit.OUTPUT_TOKENS, Unit.CHARACTERS}
)

AT_A_LOSS = "A markup below zero would sell at a loss."
# Cloudflare's own figure decides while it is within this of what our rates say; beyond, it is
# no figure but a fault, theirs or ours.
_LEAST_BELIEVABLE, _MOST_BELIEVABLE = Decimal("0.5"), Decimal("1.5")
# Where we have counted ourselves, with another tokenizer or by a formula.
_LEAST_OF_COUNTED = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Price:
    """A price version, ready to reckon with. Rates are nUSD for one unit.

    rates: what the tenant pays; costs: what we pay. factor: 1 + markup. follows_neurons:
    whether the rates are Cloudflare's own, so that its count of neurons can stand for them.
    """

    version_id: int
    starts_at: datetime
    rates: Mapping[str, Decimal]
    costs: Mapping[str, Decimal]
    factor: Decimal
    follows_neurons: bool

    def charge_nusd(
        self,
        quantities: Quantities,
        *,
        neurons: Decimal | None = None,
        most: Quantities | None = None,
    ) -> int:
        """What the tenant pays, rounded up once to a whole nUSD (docs/adr/0006).

        neurons: what Cloudflare says the call used. most: what it can have used, where
        `quantities` is our own count and Cloudflare's figure is better than that.
        """
        if neurons is not None and self.follows_neurons:
            told, by_rates = neurons_nusd(neurons), self.provider_nusd(quantities)
            least = by_rates * (_LEAST_BELIEVABLE if most is None else _LEAST_OF_COUNTED)
            bound = self.provider_nusd(_uncached(quantities if most is None else most))
            if least <= told <= bound * _MOST_BELIEVABLE:
                return neurons_nusd(neurons * self.factor)
        return price_nusd(quantities=self._priced(quantities), rates=self.rates)

    def provider_nusd(self, quantities: Quantities, *, neurons: Decimal | None = None) -> int:
        """What the provider charges us."""
        if neurons is not None:
            return neurons_nusd(neurons)
        return price_nusd(quantities=self._priced(quantities), rates=self.costs)

    def has(self, *units: str) -> bool:
        return all(unit in self.rates for unit in units)

    def _priced(self, quantities: Quantities) -> Quantities:
        """Cached input is counted apart, and costs what input costs where it has no rate."""
        return quantities if Unit.CACHED_INPUT_TOKENS in self.rates else _uncached(quantities)


def _uncached(quantities: Quantities) -> Quantities:
    merged = dict(quantities)
    cached = merged.pop(Unit.CACHED_INPUT_TOKENS, 0)
    if cached:
        merged[Unit.INPUT_TOKENS] = merged.get(Unit.INPUT_TOKENS, 0) + cached
    return merged


@transaction.atomic
def set_price(
    *,
    ai_model: str,
    neurons: Mapping[str, Decimal] | None = None,
    nusd: Mapping[str, Decimal] | None = None,
    markup_percent: Decimal,
    source: str,
    starts_at: datetime | None = None,
    note: str = "",
) -> PriceVersion:
    """Add a price version. Starts now by default.

    neurons, nusd: unit → what one of it costs us, each unit in one of the two.

    What was admitted before keeps the version it was admitted with.
    """
    version = PriceVersion.objects.create(
        ai_model=ai_model,
        starts_at=starts_at or timezone.now(),
        markup_percent=markup_percent,
        source=source,
        note=note,
    )
    Rate.objects.bulk_create(
        [
            *(Rate(price_version=version, unit=u, neurons=n) for u, n in (neurons or {}).items()),
            *(Rate(price_version=version, unit=u, nusd=n) for u, n in (nusd or {}).items()),
        ]
    )
    return version


def set_catalogue_price(
    *, ai_model: str, neurons: Mapping[str, Decimal], markup_percent: Decimal
) -> bool:
    """Follow the catalogue's price with the default markup. Returns whether it changed.

    A price that the operator set stays in force.
    """
    latest = latest_version(ai_model)
    if latest is not None:
        if latest.source == PriceVersion.Source.OPERATOR:
            return False
        same_rates = {rate.unit: rate.neurons for rate in latest.rates.all()} == dict(neurons)
        if same_rates and latest.markup_percent == markup_percent:
            return False
    set_price(
        ai_model=ai_model,
        neurons=neurons,
        markup_percent=markup_percent,
        source=PriceVersion.Source.CATALOGUE,
    )
    return True


@transaction.atomic
def set_markup(
    *,
    percent: Decimal | None,
    ai_model: str = "",
    tenant_code: str = "",
    starts_at: datetime | None = None,
    created_by: str = "",
) -> Markup:
    """Put `percent` on the costs of a scope, from now on by default. None: the scope says nothing
    any more. ai_model, tenant_code: "" is all of them.

    What was admitted before keeps its price. Raises ValueError below zero.
    """
    if percent is not None and percent < 0:
        raise ValueError(AT_A_LOSS)
    row = Markup.objects.create(
        ai_model=ai_model,
        tenant_code=tenant_code,
        percent=percent,
        starts_at=starts_at or timezone.now(),
        created_by=created_by,
    )
    note_for_tenant(row, actor=created_by)
    return row


def note_for_tenant(row: Markup, *, actor: str | Actor, action: str = "prices.changed") -> None:
    """In the trail of the tenant whose prices it is about; what we put on costs is ours to know."""
    if not row.tenant_code:
        return
    tenant = Tenant.objects.get(code=row.tenant_code)
    subject = row.ai_model or "all AI models"
    with schema_context(tenant.schema_name):
        audit.record(
            actor=actor, action=action, subject=subject, starts_at=row.starts_at.isoformat()
        )


@transaction.atomic
def withdraw(row: PriceVersion | Markup, *, actor: str | Actor = "") -> bool:
    """Take back what has not started. Returns whether this call did; a repeat changes nothing."""
    rows: Any = standing_markups() if isinstance(row, Markup) else base_versions()
    to_come = rows.filter(pk=row.pk, starts_at__gt=timezone.now())
    is_done = bool(to_come.update(withdrawn_at=timezone.now()))
    if is_done and isinstance(row, Markup):
        note_for_tenant(row, actor=actor, action="prices.withdrawn")
    return is_done


def latest_version(ai_model: str) -> PriceVersion | None:
    """The version in force now, before anybody's markup."""
    in_force = base_versions().filter(ai_model=ai_model, starts_at__lte=timezone.now())
    return in_force.order_by("-starts_at", "-id").first()


def prices_at(moment: datetime, tenant_code: str = "") -> dict[str, Price]:
    """AI model → its price at `moment`, of a tenant or of whoever has none of their own. Models
    without a price are missing."""
    return prices_of(price_table(moment), tenant_code)


def prices_of(table: PriceTable, tenant_code: str = "") -> dict[str, Price]:
    return {
        name: as_price(version)
        for name in table.versions
        if (version := table.version(name, tenant_code))
    }


def quoted_in(unit: str) -> int:
    """How many of it one figure of a price list is for."""
    return 1_000_000 if unit in BY_THE_MILLION else 1


def usd_quoted(unit: str, rate_nusd: Decimal) -> float:
    """As prices are quoted: dollars for a million tokens or characters, else for one."""
    return float(rate_nusd * quoted_in(unit) / NUSD_PER_USD)


def as_price(version: PriceVersion, percent: Decimal | None = None) -> Price:
    """percent: a markup in place of its own, to reckon with what never was charged."""
    factor = 1 + (version.markup_percent if percent is None else percent) / 100
    rows = list(version.rates.all())
    costs = {rate.unit: rate.provider_nusd() for rate in rows}
    return Price(
        version_id=version.pk,
        starts_at=version.starts_at,
        rates={unit: cost * factor for unit, cost in costs.items()},
        costs=costs,
        factor=factor,
        follows_neurons=version.source == PriceVersion.Source.CATALOGUE
        and all(rate.neurons is not None for rate in rows),
    )
