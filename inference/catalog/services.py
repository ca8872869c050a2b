"""Loading the catalogue from the project's own data file.

`data/workers_ai.json` is a list of what is known of each Workers AI model. It is the source
for new installations and releases; prices follow it unless the operator has set others.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from billing.prices.models import PriceVersion
from billing.prices.services import set_catalogue_price, set_price
from inference.catalog.models import AIModel, Route
from inference.upstreams.models import Upstream
from inference.upstreams.services import UpstreamError

DATA_FILE = Path(__file__).parent / "data" / "workers_ai.json"
# Clients name it, also in addresses.
_NAME = re.compile(r"[A-Za-z0-9@][A-Za-z0-9._:/-]{0,79}")
LIVE = {"active", "active_unlisted"}

# The first fragment found in Cloudflare's id names the vocabulary.
_VOCABULARIES = {
    "gpt-oss": "o200k",
    "deepseek-r1-distill-qwen": "qwen",
    "deepseek": "deepseek",
    "qwen": "qwen",
    "qwq": "qwen",
    "glm": "glm",
    "kimi": "kimi",
    "mistral-small": "mistral",
    "mistral": "llama2",
    "llama-2": "llama2",
    "llava": "llama2",
    "llama": "llama3",
    "gemma": "gemma",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load changed: counts."""

    models: int
    new_prices: int


@transaction.atomic
def load_catalogue(path: Path = DATA_FILE) -> Loaded:
    """Bring models and their catalogue prices up to the file. A repeat changes nothing.

    What the operator has chosen or corrected stands.
    """
    rows = json.loads(path.read_text())
    corrected = dict(AIModel.objects.values_list("name", "corrections"))
    new_prices = 0
    for row in rows:
        name = row["friendly_id"]
        fields = {**model_fields(row), **corrected.get(name, {})}
        AIModel.objects.update_or_create(name=name, defaults=fields)
        if neurons := neurons_by_unit(row):
            new_prices += set_catalogue_price(
                ai_model=row["friendly_id"],
                neurons=neurons,
                markup_percent=settings.MARKUP_PERCENT,
            )
    return Loaded(models=len(rows), new_prices=new_prices)


@transaction.atomic
def add_server_model(
    *,
    name: str,
    upstream: Upstream,
    upstream_model: str,
    kind: str,
    vendor: str,
    capabilities: Sequence[str],
    nusd_per_unit: Mapping[str, Decimal],
    context_window: int | None = None,
    max_output_tokens: int | None = None,
    dimensions: int | None = None,
) -> AIModel:
    """An AI model of an OpenAI-compatible server, with what it costs us there.

    Again for the same name: its facts and its price are replaced. Raises UpstreamError for a
    name that a model of another upstream has, or for a Cloudflare account.
    """
    if any(not amount.is_finite() or amount < 0 for amount in nusd_per_unit.values()):
        raise UpstreamError("A price is 0 or more.")
    if any(
        size is not None and size < 1 for size in (context_window, max_output_tokens, dimensions)
    ):
        raise UpstreamError("A context window, a cap and dimensions are 1 or more.")
    if upstream.provider != Upstream.Provider.OPENAI_COMPATIBLE:
        raise UpstreamError("A Cloudflare account has the models of the catalogue, and no others.")
    if not _NAME.fullmatch(name):
        raise UpstreamError(f"{name!r}: a name has up to 80 letters, digits, and any of . _ : / -")
    known = AIModel.objects.filter(name=name).first()
    if known is not None and known.upstream_id != upstream.name:
        raise UpstreamError(f"There is an AI model {name!r} already.")
    model, _ = AIModel.objects.update_or_create(
        name=name,
        defaults={
            "upstream": upstream,
            "upstream_model": upstream_model,
            "kind": kind,
            "vendor": vendor,
            "state": AIModel.State.OFFERED,
            "context_window": context_window,
            "max_output_tokens": max_output_tokens,
            "dimensions": dimensions,
            "capabilities": sorted({"streaming", *capabilities}),
            "json_mode": "response_format" if "json_mode" in capabilities else "",
            "request_form": "json",
            "answer_form": "openai_chat_completion",
            "vocabulary": "unknown",
        },
    )
    set_price(
        ai_model=name,
        nusd=nusd_per_unit,
        markup_percent=settings.MARKUP_PERCENT,
        source=PriceVersion.Source.OPERATOR,
    )
    return model


def remove_server_model(*, name: str) -> None:
    """Its prices and usage records stay. Raises UpstreamError for one of the catalogue's, or one
    that a route leads to."""
    model = AIModel.objects.filter(name=name).first()
    if model is None:
        raise UpstreamError(f"There is no AI model {name!r}.")
    if not model.upstream_id:
        raise UpstreamError(f"{name} is one of the catalogue's, not of a server.")
    if routes := list(Route.objects.filter(candidates__ai_model=model)):
        raise UpstreamError(f"The route {routes[0].name} leads to {name}: change it first.")
    model.delete()


@cache
def released_fields(name: str) -> dict[str, Any] | None:
    """What the release says of a model of the catalogue; None: it is of a server."""
    for row in json.loads(DATA_FILE.read_text()):
        if row["friendly_id"] == name:
            return model_fields(row)
    return None


def model_fields(row: dict[str, Any]) -> dict[str, Any]:
    flags = row["flags"]
    capabilities = ("streaming", "function_calling", "reasoning", "vision", "json_mode", "lora")
    is_live = row["status"] in LIVE
    return {
        "upstream_model": row["id"],
        "kind": row["kind"],
        "vendor": row["vendor"],
        "state": AIModel.State.OFFERED if is_live else AIModel.State.RETIRED,
        "released_on": date.fromisoformat(row["created"]) if row["created"] else None,
        "context_window": row["context_window"],
        "max_input_tokens": row["max_input_tokens"],
        "dimensions": row["embedding_dimensions"],
        "max_output_tokens": row["max_output_tokens"] or row.get("max_output_tokens_third_party"),
        "capabilities": [name for name in capabilities if flags[name]],
        "json_mode": json_mode(flags),
        "request_form": row["request_form"],
        "answer_form": row["run_output"],
        "vocabulary": vocabulary(row["id"]),
        "notes": "\n".join(row["notes"] or []),
    }


def json_mode(flags: dict[str, Any]) -> str:
    """ "response_format", "guided_json" or "" as the model takes it."""
    if not flags["json_mode"]:
        return ""
    return "guided_json" if flags["json_mode_how"] == "guided_json" else "response_format"


def vocabulary(upstream_model: str) -> str:
    found = (name for part, name in _VOCABULARIES.items() if part in upstream_model)
    return next(found, "unknown")


def neurons_by_unit(row: dict[str, Any]) -> dict[str, Decimal]:
    """Unit → neurons for one of it, exact. Empty: no price is known."""
    neurons = {}
    for price in row["pricing"] or []:
        amount = price["neurons"] if price["neurons"] is not None else price["neurons_derived"]
        neurons[price["unit"]] = Decimal(str(amount)) / price["per"]
    return neurons
