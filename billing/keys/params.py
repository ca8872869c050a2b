"""The bodies of /v1/keys. What a setting may be is checked in tenants.keys.settings."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from agentflare.errors import InvalidRequestError
from agentflare.money import parse_usd

Limit = Annotated[int, Field(ge=0, le=2**53)] | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class KeyLimits(_Strict):
    """What is left out stays as it is; null is no limit."""

    requests_per_minute: Limit = None
    tokens_per_minute: Limit = None
    concurrent_calls: Limit = None


class KeyBudgets(_Strict):
    """Decimal dollars, as strings. What is left out stays as it is; null is no budget."""

    day: str | None = None
    month: str | None = None
    life: str | None = None


class UpdateKeyParams(_Strict):
    """What is left out stays as it is."""

    name: str | None = None
    scopes: list[str] | None = None
    models: list[str] | None = None
    ip_ranges: list[str] | None = None
    expires_at: datetime | None = None
    cache_ttl_s: Annotated[int, Field(ge=0)] | None = None
    limits: KeyLimits | None = None
    model_limits: dict[str, KeyLimits] | None = None
    budgets: KeyBudgets | None = None
    alert_percents: list[int] | None = None

    def settings(self) -> dict[str, Any]:
        """By the names that a key's row has. Raises InvalidRequestError for an amount that is
        none."""
        given: dict[str, Any] = {}
        for field in self.model_fields_set:
            value = getattr(self, field)
            if field == "limits":
                given |= (value or KeyLimits()).model_dump(exclude_unset=value is not None)
            elif field == "budgets":
                given |= _budgets(value)
            elif field == "model_limits":
                given["ai_model_limits"] = {
                    name: limits.model_dump() for name, limits in (value or {}).items()
                }
            elif field in {"expires_at", "cache_ttl_s"}:
                given[field] = value
            elif value is not None:
                given[_ROW_NAMES.get(field, field)] = value
            elif field in _EMPTY:
                given[_ROW_NAMES.get(field, field)] = _EMPTY[field]
        return given


class CreateKeyParams(UpdateKeyParams):
    name: str


class RotateKeyParams(_Strict):
    overlap_s: Annotated[int, Field(ge=0)] = 24 * 3600
    """How long the old key works on."""


_ROW_NAMES = {"models": "ai_models"}
# What null stands for, where it does not mean "as it is".
_EMPTY: dict[str, Any] = {"models": [], "ip_ranges": [], "alert_percents": []}


def _budgets(budgets: KeyBudgets | None) -> dict[str, int | None]:
    fields = KeyBudgets.model_fields if budgets is None else budgets.model_fields_set
    amounts: dict[str, int | None] = {}
    for period in fields:
        text = getattr(budgets, period, None)
        try:
            amounts[f"{period}_budget_nusd"] = None if text is None else parse_usd(text)
        except ValueError as exc:
            raise InvalidRequestError(
                f"Invalid value for 'budgets.{period}': {exc}.",
                param=f"budgets.{period}",
                code="invalid_value",
            ) from None
    return amounts
