"""Setting and reading prices."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from agentflare.money import NUSD_PER_NEURON, neurons_nusd, price_nusd
from billing.prices.models import PriceVersion, Rate, Unit

Quantities = Mapping[str, int | Decimal]


@dataclass(frozen=True, slots=True)
class Price:
    """A price version, ready to reckon with. Rates are nUSD for one unit."""

    version_id: int
    starts_at: datetime
    rates: Mapping[str, Decimal]
    neurons: Mapping[str, Decimal]

    def charge_nusd(self, quantities: Quantities) -> int:
        """What the tenant pays, rounded up once to a whole nUSD."""
        return price_nusd(quantities=self._priced(quantities), rates=self.rates)

    def provider_nusd(self, quantities: Quantities) -> int:
        """What Cloudflare charges us, by its own rates."""
        return neurons_nusd(self.neurons_for(quantities))

    def neurons_for(self, quantities: Quantities) -> Decimal:
        priced = self._priced(quantities)
        return sum((n * self.neurons[unit] for unit, n in priced.items()), Decimal(0))

    def _priced(self, quantities: Quantities) -> Quantities:
        """Cached input is counted apart, and costs what input costs where it has no rate."""
        if Unit.CACHED_INPUT_TOKENS in self.rates:
            return quantities
        merged = dict(quantities)
        cached = merged.pop(Unit.CACHED_INPUT_TOKENS, 0)
        if cached:
            merged[Unit.INPUT_TOKENS] = merged.get(Unit.INPUT_TOKENS, 0) + cached
        return merged


@transaction.atomic
def set_price(
    *,
    ai_model: str,
    neurons: Mapping[str, Decimal],
    markup_percent: Decimal,
    source: str,
    starts_at: datetime | None = None,
    note: str = "",
) -> PriceVersion:
    """Add a price version. neurons: unit → neurons for one of it. Starts now by default.

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
        Rate(price_version=version, unit=unit, neurons=amount) for unit, amount in neurons.items()
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
    neurons = {rate.unit: rate.neurons for rate in version.rates.all()}
    rates = {unit: amount * NUSD_PER_NEURON * factor for unit, amount in neurons.items()}
    return Price(version_id=version.pk, starts_at=version.starts_at, rates=rates, neurons=neurons)
