"""Setting and reading prices."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from agentflare.money import neurons_nusd, price_nusd
from billing.prices.models import PriceVersion, Rate, Unit

Quantities = Mapping[str, int | Decimal]


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
    latest = PriceVersion.objects.filter(ai_model=ai_model).order_by("-starts_at", "-id").first()
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


def prices_at(moment: datetime) -> dict[str, Price]:
    """AI model → its price at `moment`. Models without a price are missing."""
    versions = (
        PriceVersion.objects.filter(starts_at__lte=moment)
        .order_by("ai_model", "-starts_at", "-id")
        .distinct("ai_model")
        .prefetch_related("rates")
    )
    return {version.ai_model: as_price(version) for version in versions}


def as_price(version: PriceVersion) -> Price:
    factor = 1 + version.markup_percent / 100
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
