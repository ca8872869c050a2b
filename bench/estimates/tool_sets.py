"""Tools as clients define them: one small, one larger set."""

import json
from typing import Any


def tool(name: str, description: str, **fields: str) -> dict[str, Any]:
    """fields: name → "type: description"."""
    properties = {
        key: {"type": kind, "description": text}
        for key, (kind, _, text) in ((key, value.partition(": ")) for key, value in fields.items())
    }
    parameters = {"type": "object", "properties": properties, "required": list(fields)[:1]}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


WEATHER = tool(
    "get_weather",
    "Get the current weather in a city",
    city="string: Name of the city, such as Lima",
    unit="string: celsius or fahrenheit",
)
SHOP = [
    tool(
        "search_orders",
        "Find a customer's orders. Returns at most 50, newest first.",
        customer_id="string: As shown in the customer's profile",
        placed_after="string: ISO 8601 date",
        status="string: open, shipped, returned or cancelled",
        limit="integer: How many to return",
    ),
    tool(
        "refund_order",
        "Pay back all or a part of an order. Ask the customer before you call this.",
        order_id="string: Of the order",
        amount_cents="integer: How much; the whole order if left out",
        reason="string: What the customer gave as the reason, in their own words",
    ),
    tool("list_products", "All products of a category", category="string: Slug of the category"),
    tool("now", "The present date and time in UTC"),
]
TOOL_SETS = [[WEATHER], SHOP]


def as_json(tools: list[dict[str, Any]]) -> str:
    """As the gateway counts them."""
    return json.dumps(tools, separators=(",", ":"), ensure_ascii=False)
