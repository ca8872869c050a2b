"""AI models and routes as people choose among them: what they can, and what they cost here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from agentflare.money import NUSD_PER_NEURON
from billing.dashboard.call_facts import UNITS, plain_usd
from billing.prices.services import Price
from inference.catalog.models import AIModel
from inference.catalog.selectors import Catalogue, Offer, RoutePlan
from inference.catalog.table import KINDS, PER_MILLION
from inference.catalog.table import UNITS as SHORT_UNITS

CAPABILITIES = {
    "function_calling": "tools",
    "vision": "vision",
    "reasoning": "reasoning",
    "json_mode": "JSON",
    "streaming": "streaming",
    "lora": "LoRA",
}
# Those that people choose by.
CHOSEN_BY = ("function_calling", "vision", "reasoning", "json_mode")
WINDOWS = {
    "8000": "8,000 tokens or more",
    "32000": "32,000 or more",
    "128000": "128,000 or more",
    "256000": "256,000 or more",
    "1000000": "a million or more",
}
SORTS = {
    "name": "by name",
    "price": "cheapest first",
    "context": "largest window first",
    "new": "newest first",
}
_SHORT = {"input_tokens": "M in", "output_tokens": "M out"}
_OFTEN = ("input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """What a tenant pays for a unit (or a million), and how many neurons of upstream that is.

    neurons: empty where upstream does not count in them.
    """

    unit: str
    rate_nusd: Decimal
    label: str
    usd: str
    neurons: str
    # For where there is little room.
    short: str
    short_usd: str

    @property
    def is_often(self) -> bool:
        return self.unit in _OFTEN


@dataclass(frozen=True, slots=True)
class Card:
    """why_not: why it is not served; empty: it is. leads_to: of a route."""

    name: str
    kind: str
    vendor: str
    cloudflare_id: str
    context_window: int | None
    max_input_tokens: int | None
    max_output_tokens: int | None
    dimensions: int | None
    released: int
    capabilities: frozenset[str]
    prices: Sequence[UnitPrice]
    neuron_usd: str
    price_version: int | None
    leads_to: Sequence[str] = ()
    why_not: str = ""
    is_retired: bool = False
    is_hidden: bool = False
    # What it will cost from then on; None: no change is decided.
    next_price_at: datetime | None = None
    next_prices: Sequence[UnitPrice] = ()
    # Its end is decided; ends_on: the first day without it, if one is set.
    is_ending: bool = False
    ends_on: date | None = None
    successor: str = ""

    @property
    def kind_label(self) -> str:
        return KINDS[self.kind][0] if self.kind in KINDS else self.kind

    @property
    def can(self) -> list[str]:
        """In the order in which people look for them."""
        return [label for name, label in CAPABILITIES.items() if name in self.capabilities]

    @property
    def can_chosen(self) -> list[str]:
        return [CAPABILITIES[name] for name in CHOSEN_BY if name in self.capabilities]

    @property
    def main_prices(self) -> Sequence[UnitPrice]:
        """Enough to compare by."""
        return [price for price in self.prices if price.is_often] or self.prices[:2]

    @property
    def price_rows(self) -> list[tuple[UnitPrice, UnitPrice | None]]:
        """Each price now, and the next one that is decided."""
        to_come = {price.unit: price for price in self.next_prices}
        return [(price, to_come.get(price.unit)) for price in self.prices]

    @property
    def window(self) -> int | None:
        return self.context_window or self.max_input_tokens

    @property
    def words(self) -> str:
        """What a search looks through."""
        parts = (self.name, self.vendor, self.cloudflare_id, self.kind, self.kind_label)
        return " ".join([*parts, *self.can, *self.leads_to]).lower()


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the catalogue is filtered; empty: not."""

    words: str = ""
    kind: str = ""
    capabilities: tuple[str, ...] = ()
    least_window: int = 0
    sort: str = "name"
    with_unserved: bool = False

    @property
    def is_filtered(self) -> bool:
        return bool(self.words or self.kind or self.capabilities or self.least_window)


def cards(
    catalogue: Catalogue, rows: Iterable[AIModel], *, tenant_code: str = ""
) -> dict[str, Card]:
    """All models, served or not, and routes, which stand before a model of their name.

    rows: of the catalogue, for those that are not served. tenant_code: whose; empty: a stranger.
    """
    by_row = {row.name: row for row in rows}
    made = {
        name: _of_offer(offer)
        for name, offer in catalogue.offers.items()
        if offer.is_open_to(tenant_code)
    }
    for name, why in catalogue.unserved.items():
        if name in by_row:
            made[name] = _of_row(by_row[name], why)
    return made | {name: _of_route(plan) for name, plan in catalogue.routes.items()}


def chosen(every: Mapping[str, Card], wanted: Wanted) -> list[Card]:
    words = wanted.words.lower().split()
    fitting = [
        card
        for card in every.values()
        if (wanted.with_unserved or not card.why_not)
        and not card.is_hidden
        and (not wanted.kind or card.kind == wanted.kind)
        and card.capabilities.issuperset(wanted.capabilities)
        and (card.window or 0) >= wanted.least_window
        and all(word in card.words for word in words)
    ]
    fitting.sort(key=lambda card: card.name)
    if wanted.sort == "price":
        fitting.sort(key=_cheapness)
    elif wanted.sort == "context":
        fitting.sort(key=lambda card: -(card.window or 0))
    elif wanted.sort == "new":
        fitting.sort(key=lambda card: -card.released)
    return fitting


def _cheapness(card: Card) -> tuple[bool, Decimal]:
    """Tokens can be compared with each other; other units come after them."""
    tokens = [price.rate_nusd for price in card.prices if price.is_often]
    if tokens:
        return False, sum(tokens, Decimal(0))
    return True, min((price.rate_nusd for price in card.prices), default=Decimal("Infinity"))


def _of_offer(offer: Offer) -> Card:
    price = offer.price
    per_neuron = NUSD_PER_NEURON * price.factor
    return Card(
        name=offer.name,
        kind=offer.kind,
        vendor=offer.vendor,
        cloudflare_id="" if offer.upstream else offer.upstream_model,
        context_window=offer.context_window,
        max_input_tokens=offer.max_input_tokens,
        max_output_tokens=offer.max_output_tokens,
        dimensions=offer.dimensions,
        released=offer.created,
        capabilities=offer.capabilities,
        prices=_unit_prices(price),
        neuron_usd=plain_usd(per_neuron) if price.follows_neurons else "",
        price_version=price.version_id,
        next_price_at=offer.next_price[0] if offer.next_price else None,
        next_prices=_next_prices(offer),
        is_hidden=offer.is_hidden,
        is_ending=offer.deprecated_at is not None,
        ends_on=offer.ends_on,
        successor=offer.successor,
    )


def _of_route(plan: RoutePlan) -> Card:
    """What its first candidate is; a call costs what the model costs that answers."""
    first = _of_offer(plan.offers[0])
    return Card(
        name=plan.name,
        kind=first.kind,
        vendor="route of this service",
        cloudflare_id="",
        context_window=first.context_window,
        max_input_tokens=first.max_input_tokens,
        max_output_tokens=first.max_output_tokens,
        dimensions=first.dimensions,
        released=plan.created,
        capabilities=first.capabilities,
        prices=first.prices,
        neuron_usd=first.neuron_usd,
        price_version=first.price_version,
        next_price_at=first.next_price_at,
        next_prices=first.next_prices,
        leads_to=[offer.name for offer in plan.offers],
    )


def _of_row(row: AIModel, why: str) -> Card:
    return Card(
        name=row.name,
        kind=row.kind,
        vendor=row.vendor,
        cloudflare_id="" if row.upstream_id else row.upstream_model,
        context_window=row.context_window,
        max_input_tokens=row.max_input_tokens,
        max_output_tokens=row.max_output_tokens,
        dimensions=row.dimensions,
        released=row.released_on.toordinal() * 86_400 if row.released_on else 0,
        capabilities=frozenset(row.capabilities),
        prices=[],
        neuron_usd="",
        price_version=None,
        why_not=why,
        is_retired=row.state == AIModel.State.RETIRED,
        is_hidden=row.status == AIModel.Status.HIDDEN,
        successor=row.successor_id or "",
    )


def _unit_prices(price: Price) -> list[UnitPrice]:
    return [
        _unit_price(unit, rate, price.costs.get(unit) if price.follows_neurons else None)
        for unit, rate in price.rates.items()
    ]


def _next_prices(offer: Offer) -> list[UnitPrice]:
    return _unit_prices(offer.next_price[1]) if offer.next_price else []


def _unit_price(unit: str, rate_nusd: Decimal, cost_nusd: Decimal | None) -> UnitPrice:
    times = 1_000_000 if unit in PER_MILLION else 1
    name = UNITS.get(unit, unit.replace("_", " "))
    neurons = "" if cost_nusd is None else _plain(cost_nusd * times / NUSD_PER_NEURON)
    return UnitPrice(
        unit=unit,
        rate_nusd=rate_nusd,
        label=f"a million {name}" if times > 1 else f"for each: {name}",
        usd=plain_usd(rate_nusd * times) if rate_nusd else "free",
        neurons=neurons,
        short=_SHORT.get(unit) or SHORT_UNITS.get(unit, name),
        short_usd=plain_usd(rate_nusd * times, digits=3) if rate_nusd else "free",
    )


def _plain(number: Decimal) -> str:
    text = f"{number:,.2f}"
    return text.rstrip("0").rstrip(".")
