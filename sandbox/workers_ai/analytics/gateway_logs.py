"""AI Gateway's rows of calls: GET …/ai-gateway/gateways/{gateway}/logs/{id}."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import orjson

ROWS_KEPT: Final = 20_000
# A streamed call's row comes this much after its end.
STREAM_LAG_S: Final = 0.5
USD_PER_NEURON: Final = Decimal("0.000011")


@dataclass(slots=True, kw_only=True)
class Row:
    """What is told of one call. visible_at: Unix seconds."""

    account: str
    gateway: str
    id: str
    model: str
    created_at: float
    visible_at: float
    duration_ms: int
    status: int
    is_cached: bool
    tokens_in: int
    tokens_out: int
    cached_tokens: int
    neurons: Decimal
    metadata: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        created = datetime.fromtimestamp(self.created_at, UTC).isoformat()
        return {
            "id": self.id,
            "created_at": created.replace("+00:00", "Z"),
            "provider": "workers-ai",
            "model": self.model,
            "path": f"run/{self.model}",
            "success": self.status < 400,
            "status_code": self.status,
            "cached": self.is_cached,
            "duration": self.duration_ms,
            "step": 0,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "cost": float(self.neurons * USD_PER_NEURON),
            "metadata": self.metadata,
            "usage_metadata": {"input_cached_tokens": self.cached_tokens},
        }


def read_metadata(header: str) -> dict[str, Any]:
    """Five flat values at most. One that is not flat loses all of them."""
    try:
        given = orjson.loads(header) if header else {}
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(given, dict):
        return {}
    flat = all(isinstance(value, str | int | float | bool) for value in given.values())
    return dict(list(given.items())[:5]) if flat else {}


class GatewayLogs:
    """The newest rows."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, Row] = OrderedDict()

    def keep(self, row: Row) -> None:
        self._rows[row.id] = row
        if len(self._rows) > ROWS_KEPT:
            self._rows.popitem(last=False)

    def find(self, *, account: str, gateway: str, log_id: str, lag_s: float = 0) -> Row | None:
        row = self._rows.get(log_id)
        if row is None or (row.account, row.gateway) != (account, gateway):
            return None
        return row if row.visible_at + lag_s <= time.time() else None
