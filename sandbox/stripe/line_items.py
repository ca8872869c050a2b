"""What a Checkout Session sells: line items with their price given in place."""

from typing import Any

from sandbox.stripe.errors import InvalidRequestError
from sandbox.stripe.metadata import merged
from sandbox.stripe.payment_intents import check_amount
from sandbox.stripe.store import Object, Unit, new_id

MAX_ITEMS = 100


def make(unit: Unit, given: list[dict[str, Any]]) -> list[Object]:
    """Raises InvalidRequestError for what can't be sold together."""
    if not given or len(given) > MAX_ITEMS:
        raise InvalidRequestError(f"You must pass 1 to {MAX_ITEMS} line items.", param="line_items")
    items = [one_item(unit, index, item) for index, item in enumerate(given)]
    if len({item["currency"] for item in items}) > 1:
        raise InvalidRequestError(
            "All line items of a Checkout Session must have the same currency.",
            param="line_items",
        )
    check_amount(sum(item["amount_total"] for item in items), items[0]["currency"])
    return items


def one_item(unit: Unit, index: int, given: dict[str, Any]) -> Object:
    name = f"line_items[{index}]"
    price, quantity = given.get("price_data"), given.get("quantity")
    if price is None:
        raise missing(f"{name}[price_data]")
    if quantity is None:
        raise missing(f"{name}[quantity]")
    product, amount = price.get("product_data"), price.get("unit_amount")
    if product is None:
        raise missing(f"{name}[price_data][product_data]")
    if amount is None:
        raise missing(f"{name}[price_data][unit_amount]")
    if quantity < 1 or amount < 0:
        raise InvalidRequestError("Invalid non-negative integer", param=name)
    currency = price["currency"].lower()
    total = amount * quantity
    return {
        "id": new_id("li"),
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": total,
        "amount_tax": 0,
        "amount_total": total,
        "currency": currency,
        "description": product["name"],
        "discounts": [],
        "metadata": merged({}, given.get("metadata")),
        "price": make_price(unit, currency, amount, product),
        "quantity": quantity,
        "taxes": [],
        # Shown below the name on the page.
        "_details": product.get("description"),
    }


def make_price(unit: Unit, currency: str, amount: int, product: dict[str, Any]) -> Object:
    return {
        "id": new_id("price"),
        "object": "price",
        "active": False,
        "billing_scheme": "per_unit",
        "created": unit.now,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": new_id("prod"),
        "recurring": None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }


def missing(param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"Missing required param: {param}.", code="parameter_missing", param=param
    )
