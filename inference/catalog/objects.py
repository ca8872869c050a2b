"""OpenAI's model object, with what a buyer wants to know; and Anthropic's."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from agentflare.money import NUSD_PER_USD
from billing.prices.services import Price
from inference.catalog.selectors import Offer, RoutePlan


def model_object(offer: Offer) -> dict[str, Any]:
    """Beside OpenAI's fields: context_window, max_output_tokens, capabilities, and pricing in
    dollars for one unit of each thing that is counted, exact, as strings."""
    return {
        "id": offer.name,
        "object": "model",
        "created": offer.created,
        "owned_by": offer.vendor,
        "kind": offer.kind,
        "cloudflare_id": None if offer.upstream else offer.upstream_model,
        "context_window": offer.context_window,
        "max_input_tokens": offer.max_input_tokens,
        "max_output_tokens": offer.max_output_tokens,
        "embedding_dimensions": offer.dimensions,
        "capabilities": sorted(offer.capabilities),
        "pricing": {
            "currency": "USD",
            "price_version": offer.price.version_id,
            "rates": _rates(offer.price),
            "next": _next(offer),
        },
        "deprecation": _deprecation(offer),
    }


def _next(offer: Offer) -> dict[str, Any] | None:
    """The next price that is decided, and when it starts (seconds since 1970)."""
    if offer.next_price is None:
        return None
    starts_at, price = offer.next_price
    return {"starts_at": int(starts_at.timestamp()), "rates": _rates(price)}


def _rates(price: Price) -> dict[str, str]:
    return {unit: _usd(rate) for unit, rate in price.rates.items()}


def _deprecation(offer: Offer) -> dict[str, Any] | None:
    """Of a model whose end is decided; ends_on: the first day (UTC) without it."""
    if offer.deprecated_at is None:
        return None
    return {
        "deprecated_at": offer.deprecated_at,
        "ends_on": offer.ends_on.isoformat() if offer.ends_on else None,
        "successor": offer.successor or None,
    }


def route_object(plan: RoutePlan) -> dict[str, Any]:
    """A route as a model: what its first candidate is, and where else it may lead.

    A call is charged at the price of the model that answered, which a header names.
    """
    first = plan.offers[0]
    return {
        **model_object(first),
        "id": plan.name,
        "created": plan.created or first.created,
        "owned_by": "agentflare",
        "cloudflare_id": None,
        "routes_to": [offer.name for offer in plan.offers],
    }


def anthropic_list(plans: Sequence[RoutePlan]) -> dict[str, Any]:
    """Anthropic's list in one page, the newest first."""
    data = [anthropic_object(plan) for plan in plans]
    data.sort(key=lambda model: str(model["created_at"]), reverse=True)
    return {
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def anthropic_object(plan: RoutePlan) -> dict[str, Any]:
    """A model or a route, whose first candidate stands for it."""
    first = plan.offers[0]
    created = datetime.fromtimestamp(plan.created or first.created, UTC)
    return {
        "type": "model",
        "id": plan.name,
        "display_name": plan.name,
        # The epoch where we do not know it, as theirs has it.
        "created_at": created.isoformat().replace("+00:00", "Z"),
        "lifecycle": "active" if first.deprecated_at is None else "deprecated",
        "max_input_tokens": first.max_input_tokens or first.context_window,
        "max_tokens": first.max_output_tokens,
        # Required by Anthropic's schema, which allows null: we do not know.
        "capabilities": None,
        "line": None,
        "deprecated_at": _anthropic_time(first.deprecated_at),
        "retires_at": f"{first.ends_on}T00:00:00Z" if first.ends_on else None,
    }


def _anthropic_time(moment: int | None) -> str | None:
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def _usd(rate_nusd: Decimal) -> str:
    """Plain decimal notation, without an exponent and without zeros at the end."""
    text = f"{rate_nusd / NUSD_PER_USD:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
