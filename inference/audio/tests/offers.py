"""The catalogue's audio models, at Cloudflare's price without a markup."""

import json
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import orjson

from agentflare.money import NUSD_PER_NEURON
from billing.prices.services import Price
from inference.catalog.selectors import Offer
from inference.catalog.services import DATA_FILE, neurons_by_unit
from inference.upstreams.accounts import WORKERS_AI, Account
from inference.upstreams.client import Answer

_ROWS = {row["friendly_id"]: row for row in json.loads(DATA_FILE.read_text())}


def offer(name: str, **changes: Any) -> Offer:
    row = _ROWS[name]
    costs = {unit: n * NUSD_PER_NEURON for unit, n in neurons_by_unit(row).items()}
    price = Price(1, None, costs, costs, Decimal(1), follows_neurons=True)  # type: ignore[arg-type]
    made = Offer(
        name=name,
        upstream_model=row["id"],
        kind=row["kind"],
        vendor="",
        created=0,
        upstream="",
        context_window=None,
        max_input_tokens=None,
        max_output_tokens=None,
        dimensions=None,
        capabilities=frozenset(),
        json_mode="",
        request_form=row["request_form"],
        answer_form=row["run_output"],
        vocabulary="unknown",
        price=price,
    )
    return replace(made, **changes)


def answer(result: Any = None, *, content: bytes = b"", neurons: str | None = None) -> Answer:
    """Upstream's answer: JSON in its envelope, or bytes."""
    body = content or orjson.dumps({"result": result, "success": True})
    headers = {"content-type": "audio/mpeg" if content else "application/json"}
    if neurons is not None:
        headers["cf-ai-neurons"] = neurons
    pieces = iter([body, b""])
    response: Any = SimpleNamespace(
        raw=SimpleNamespace(connection=None, read1=lambda size: next(pieces, b"")),
        headers=headers,
        status_code=200,
        content=body,
        close=lambda: None,
    )
    return Answer(response, Account("main", WORKERS_AI, "http://upstream"))
