"""OpenAI's model object, with what a buyer wants to know."""

from decimal import Decimal
from typing import Any

from agentflare.money import NUSD_PER_USD
from inference.catalog.selectors import Offer


def model_object(offer: Offer) -> dict[str, Any]:
    """Beside OpenAI's fields: context_window, max_output_tokens, capabilities, and pricing in
    dollars for one unit of each thing that is counted, exact, as strings."""
    return {
        "id": offer.name,
        "object": "model",
        "created": offer.created,
        "owned_by": offer.vendor,
        "kind": offer.kind,
        "cloudflare_id": offer.upstream_model,
        "context_window": offer.context_window,
        "max_output_tokens": offer.max_output_tokens,
        "capabilities": sorted(offer.capabilities),
        "pricing": {
            "currency": "USD",
            "price_version": offer.price.version_id,
            "rates": {unit: _usd(rate) for unit, rate in offer.price.rates.items()},
        },
    }


def _usd(rate_nusd: Decimal) -> str:
    """Plain decimal notation, without an exponent and without zeros at the end."""
    text = f"{rate_nusd / NUSD_PER_USD:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
