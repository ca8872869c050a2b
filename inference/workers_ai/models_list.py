"""GET /accounts/{id}/ai/models/search: Cloudflare's own list of its AI models.

Facts as published and seen up to 2026-11: the usable id is `name`; properties are a list, their
scalars strings; `result_info.total_count` is not to be believed, so pages are asked for until one
is short.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import requests

from inference.upstreams.accounts import Account
from inference.upstreams.privacy import without_secrets

_TIMEOUT_S = (5, 20)
_PER_PAGE = 100
# Far more than there are; a list without an end is no list.
_MOST_PAGES = 50


class ModelsListError(Exception):
    """Cloudflare did not tell, or not in full. The text says why, to the operator."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """properties: scalars as text. prices: label ("per M input tokens") → dollars."""

    name: str
    task: str
    properties: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, Decimal] = field(default_factory=dict)


def listed_models(account: Account) -> dict[str, ListedModel]:
    """By id, all of them. Raises ModelsListError, also where one page of several fails."""
    found: dict[str, ListedModel] = {}
    for page in range(1, _MOST_PAGES + 1):
        rows = _page(account, page)
        for row in rows:
            model = _read(row)
            found[model.name] = model
        if len(rows) < _PER_PAGE:
            return found
    raise ModelsListError(f"The list has no end: {_MOST_PAGES} pages were full.")


def _page(account: Account, page: int) -> list[Any]:
    url = f"{account.base_url}/accounts/{account.account_id}/ai/models/search"
    query = {"page": str(page), "per_page": str(_PER_PAGE), "include_deprecated": "true"}
    try:
        answer = requests.get(
            url,
            params=query,
            headers={"Authorization": f"Bearer {account.api_token}"},
            timeout=_TIMEOUT_S,
        )
        document = answer.json()
    except requests.exceptions.JSONDecodeError:
        raise ModelsListError(f"Page {page} is no JSON (status {answer.status_code}).") from None
    except requests.RequestException as exc:
        text = without_secrets(str(exc), account)
        raise ModelsListError(f"Page {page} did not come: {text}"[:300]) from None
    if not isinstance(document, dict) or document.get("success") is not True:
        told = without_secrets(_words(document, answer.status_code), account)
        raise ModelsListError(f"Page {page} was refused: {told}")
    rows = document.get("result")
    if not isinstance(rows, list):
        raise ModelsListError(f"Page {page} has no list of models.")
    return rows


def _words(document: Any, status: int) -> str:
    try:
        return "; ".join(str(error["message"]) for error in document["errors"])[:200]
    except (KeyError, TypeError):
        return f"status {status}"


def _read(row: Any) -> ListedModel:
    try:
        name, task = str(row["name"]), str((row.get("task") or {}).get("name", ""))
        properties: dict[str, str] = {}
        prices: dict[str, Decimal] = {}
        for each in row.get("properties") or []:
            key, value = str(each["property_id"]), each.get("value")
            if key == "price":
                prices = {
                    str(price["unit"]): Decimal(str(price["price"]))
                    for price in value or []
                    if price.get("currency", "USD") == "USD"
                }
            elif isinstance(value, str | int | float | bool):
                properties[key] = str(value).lower() if isinstance(value, bool) else str(value)
    except (KeyError, TypeError, AttributeError, InvalidOperation) as exc:
        raise ModelsListError(f"A model cannot be read: {type(exc).__name__} {exc}") from None
    return ListedModel(name, task, properties, prices)
