"""What a workspace's servers can be told of."""

from typing import Any

# Type → what it means, as people choose it.
EVENTS: dict[str, str] = {
    "balance.low": "credit has fallen below your alert",
    "key.budget_reached": "a key has spent a chosen part of its budget",
    "key.created": "an API key was made",
    "key.revoked": "an API key was revoked",
    "top_up.credited": "a payment has arrived as credit",
    "top_up.failed": "a payment has failed",
    "workspace.suspended": "the workspace was suspended",
    "usage.day_closed": "a UTC day is over: its calls and their cost",
}
PING = "ping"

Data = dict[str, Any]
