"""What Cloudflare tells afterwards: an account's neurons by GraphQL, AI Gateway's row of a call.

Facts of both as published up to 2026-11. GraphQL needs a token with Account Analytics › Read, the
log one with AI Gateway › Read.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import orjson
import requests

from inference.upstreams.accounts import Account
from inference.upstreams.privacy import without_secrets

_CONNECT_S, _READ_S = 5, 10
# However slowly it drips.
_WHOLE_S = 20
_MOST_BYTES = 4 * 1024 * 1024
# More AI models than an account has.
_MOST_MODELS = 1_000
_LONGEST_NAME = 120
_NEEDS = "The token needs Account Analytics › Read and AI Gateway › Read"
_MOST_TOKENS = 1_000_000_000
_QUERY = """
query($account: String!, $day: Date!, $limit: Int!) {
  viewer {
    accounts(filter: {accountTag: $account}) {
      aiInferenceAdaptiveGroups(limit: $limit, filter: {date: $day}) {
        sum { totalNeurons }
        dimensions { modelId }
      }
    }
  }
}"""


class AfterwardsError(Exception):
    """Cloudflare did not tell. The text says why, to the operator.

    is_for_all: the account's next question would end the same; else it is this one's fault.
    """

    def __init__(self, text: str, *, is_for_all: bool = True) -> None:
        super().__init__(text)
        self.is_for_all = is_for_all


@dataclass(frozen=True, slots=True)
class LogRow:
    """AI Gateway's row of one call. input_tokens: all of them, cached ones too."""

    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    is_cached: bool


def neurons_by_model(account: Account, day: date) -> dict[str, Decimal]:
    """What the account has used on a UTC day: AI model → neurons. Raises AfterwardsError."""
    variables = {"account": account.account_id, "day": day.isoformat(), "limit": _MOST_MODELS}
    body = {"query": _QUERY, "variables": variables}
    status, document = _ask(account, "POST", f"{account.base_url}/graphql", body)
    if failures := document.get("errors"):
        raise AfterwardsError(_words(account, status, failures))
    try:
        accounts = document["data"]["viewer"]["accounts"]
        if not accounts:
            raise AfterwardsError(f"the token does not see the account. {_NEEDS}")
        (viewed,) = accounts
        groups = viewed["aiInferenceAdaptiveGroups"]
        told: dict[str, Decimal] = {}
        for group in groups:
            model = group["dimensions"]["modelId"][:_LONGEST_NAME]
            neurons = group["sum"]["totalNeurons"]
            told[model] = told.get(model, Decimal(0)) + _number(neurons)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise AfterwardsError(f"status {status}, an answer of no known form") from None
    if len(told) >= _MOST_MODELS:
        raise AfterwardsError(f"{_MOST_MODELS} AI models or more: not all were told")
    return told


def log_row(account: Account, log_id: str) -> LogRow | None:
    """A call's row; None: it is not there, or not yet. Raises AfterwardsError."""
    url = (
        f"{account.base_url}/accounts/{account.account_id}/ai-gateway/gateways/"
        f"{quote(account.gateway_id, safe='')}/logs/{quote(log_id, safe='')}"
    )
    status, document = _ask(account, "GET", url)
    if status == 404:
        return None
    if document.get("success") is not True or not isinstance(document.get("result"), dict):
        text = _words(account, status, document.get("errors"))
        raise AfterwardsError(text, is_for_all=False)
    row = document["result"]
    details = row.get("usage_metadata")
    cached = _tokens(details.get("input_cached_tokens")) if isinstance(details, dict) else 0
    tokens_in, tokens_out = _tokens(row.get("tokens_in")), _tokens(row.get("tokens_out"))
    return LogRow(tokens_in, min(cached, tokens_in), tokens_out, row.get("cached") is True)


def _ask(
    account: Account, method: str, url: str, body: Any = None
) -> tuple[int, Mapping[str, Any]]:
    """Status and JSON object of the answer."""
    headers = {"Authorization": f"Bearer {account.api_token}", "User-Agent": "AgentFlare"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        with requests.request(
            method,
            url,
            data=None if body is None else orjson.dumps(body),
            headers=headers,
            timeout=(_CONNECT_S, _READ_S),
            allow_redirects=False,
            stream=True,
        ) as response:
            status, raw = response.status_code, _read(response)
    except requests.RequestException as exc:
        reason = "did not answer in time" if isinstance(exc, requests.Timeout) else "is not reached"
        raise AfterwardsError(f"Cloudflare's API {reason} ({type(exc).__name__})") from None
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise AfterwardsError(f"status {status}, and no JSON") from None
    if not isinstance(document, dict):
        raise AfterwardsError(f"status {status}, an answer of no known form")
    if status in (401, 403, 429) or status >= 500:
        raise AfterwardsError(_words(account, status, document.get("errors")))
    return status, document


def _read(response: requests.Response) -> bytes:
    deadline = time.monotonic() + _WHOLE_S
    body = bytearray()
    for piece in response.iter_content(65_536):
        body += piece
        if len(body) > _MOST_BYTES:
            raise AfterwardsError(f"an answer of more than {_MOST_BYTES} bytes")
        if time.monotonic() > deadline:
            raise AfterwardsError("Cloudflare's API did not answer in time")
    return bytes(body)


def _words(account: Account, status: int, failures: Any) -> str:
    """Cloudflare's own words, of either envelope, and the remedy where it is known."""
    first = failures[0] if isinstance(failures, list) and failures else {}
    message = first.get("message") if isinstance(first, dict) else None
    text = f"status {status}: {without_secrets(str(message or 'no reason given'), account)[:200]}"
    if status in (401, 403) or "authorized" in text:
        text += f". {_NEEDS}"
    return text


def _number(value: Any) -> Decimal:
    """Raises ValueError."""
    # A day's sum may be beyond what one call can use.
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError("no number of neurons")
    return Decimal(str(value))


def _tokens(value: Any) -> int:
    """0 for anything that is no count."""
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and 0 <= value <= _MOST_TOKENS else 0
