"""docs/models.md: what is known of every AI model, from the catalogue's own file."""

import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from agentflare.money import NUSD_PER_NEURON, NUSD_PER_USD
from inference.catalog.selectors import WEBSOCKET_ONLY
from inference.catalog.services import DATA_FILE, LIVE, neurons_by_unit

# Kind → what it is called here, and where it is reached.
KINDS = {
    "chat": ("Chat", "/v1/chat/completions, /v1/completions, /v1/messages, /v1/summaries"),
    "image-to-text": ("Describing images", "/v1/chat/completions with an image"),
    "moderation": ("Moderation", "/v1/moderations, /v1/chat/completions"),
    "embeddings": ("Embeddings", "/v1/embeddings"),
    "rerank": ("Reranking", "/v1/rerank"),
    "text-classification": ("Classifying text", "/v1/classifications"),
    "translation": ("Translation", "/v1/translations"),
    "text-to-image": ("Making images", "/v1/images/generations, /v1/images/edits"),
    "inpainting": ("Editing images", "/v1/images/edits"),
    "image-classification": ("Classifying images", "/v1/images/classifications"),
    "asr": ("Speech to text", "/v1/audio/transcriptions, /v1/audio/translations"),
    "tts": ("Text to speech", "/v1/audio/speech"),
    "decision": ("Decisions", "/v1/run/{model}"),
    "turn-detection": ("Turn detection", "/v1/run/{model}"),
}
PER_MILLION = {"input_tokens", "cached_input_tokens", "output_tokens", "characters", "images"}
UNITS = {
    "input_tokens": "M input tokens",
    "cached_input_tokens": "M cached input tokens",
    "output_tokens": "M output tokens",
    "characters": "M characters",
    "images": "M images",
    "audio_minute": "minute",
    "step": "step and tile",
    "output_tile_512": "tile of 512×512",
    "input_tile_512": "input tile",
    "output_tile_512_step": "tile and step",
    "input_tile_512_step": "input tile and step",
    "first_megapixel": "first megapixel",
    "subsequent_megapixel": "further megapixel",
    "input_image_megapixel": "input megapixel",
}
_ABILITIES = {
    "function_calling": "tools",
    "vision": "vision",
    "reasoning": "reasoning",
    "json_mode": "JSON",
}
_TAKES = {
    "json": "JSON",
    "multipart": "form",
    "binary_or_json": "bytes or JSON",
    "binary_body_with_content_type": "bytes",
    "websocket_only": "WebSocket",
}
_ANSWERS = {
    "native_response": "native",
    "openai_chat_completion": "OpenAI's",
    "json": "JSON",
    "json_base64": "base64",
    "json_base64_audio": "base64",
    "binary": "bytes",
    "binary_jpeg": "bytes",
    "binary_audio": "bytes",
}
_HEAD = """# AI models

<!-- Made by `manage.py models_table`; a test says when it is out of date. -->

Every AI model of the catalogue that is live, by what it does. A model is called by its name or by
Cloudflare's id. Prices are Cloudflare's, from its neurons at $0.000011; what a tenant pays has
the operator's markup on top, and stands in `GET /v1/models`. Any model is also reached in its
native form at `POST /v1/run/{model}`: the third column says what it takes and what it answers.
A model without a price is not served, and says so.
"""


def models_table(path: Path = DATA_FILE) -> str:
    """The whole document, in Markdown."""
    rows = [row for row in json.loads(path.read_text()) if row["status"] in LIVE]
    parts = [_HEAD]
    for kind, (title, where) in KINDS.items():
        of_kind = [row for row in rows if row["kind"] == kind]
        parts.append(f"## {title}\n\n{_code(where)}\n\n{_table(kind, of_kind)}")
    missing = {row["kind"] for row in rows} - set(KINDS)
    assert not missing, f"no heading for {missing}"
    return "\n".join(parts)


def _table(kind: str, rows: Iterable[dict[str, Any]]) -> str:
    lines = [
        "| model | Cloudflare's id | native form | facts | Cloudflare's price |",
        "|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: str(row["friendly_id"])):
        cells = [f"`{row['friendly_id']}`", f"`{row['id']}`", _form(row), _facts(row), _price(row)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _form(row: dict[str, Any]) -> str:
    return f"{_TAKES[row['request_form']]} → {_ANSWERS[row['run_output']]}"


def _facts(row: dict[str, Any]) -> str:
    facts = []
    if row["context_window"]:
        facts.append(f"{row['context_window']:,} tokens")
    if row["embedding_dimensions"]:
        facts.append(f"{row['embedding_dimensions']} dimensions")
    facts += [name for flag, name in _ABILITIES.items() if row["flags"][flag]]
    if row["flags"]["requires_paid_plan"]:
        facts.append("needs Workers Paid")
    if row["flags"]["beta"]:
        facts.append("beta")
    return ", ".join(facts)


def _price(row: dict[str, Any]) -> str:
    if row["request_form"] == WEBSOCKET_ONLY:
        return "not served: WebSocket only"
    neurons = neurons_by_unit(row)
    if not neurons:
        return "not served: no price is known"
    return ", ".join(_rate(unit, each) for unit, each in neurons.items() if unit in UNITS)


def _rate(unit: str, neurons: Decimal) -> str:
    if not neurons:
        return "free"
    usd = neurons * NUSD_PER_NEURON / NUSD_PER_USD
    if unit in PER_MILLION:
        usd *= 1_000_000
    return f"${_plain(usd)} / {UNITS[unit]}"


def _plain(amount: Decimal) -> str:
    """Four digits that matter are enough to choose a model by."""
    text = f"{amount:.3g}" if amount < 1 else f"{amount:.2f}"
    return format(Decimal(text), "f")


def _code(where: str) -> str:
    return ", ".join(f"`{part}`" if part.startswith("/") else part for part in where.split(", "))
