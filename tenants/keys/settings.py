"""What may be chosen of an API key, and the rules for each choice."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from tenants.keys.models import Scope
from tenants.limits import Limits

# What AI Gateway takes: a minute to a month.
CACHE_TTL_S = range(60, 2_592_001)
MAX_NAME_LENGTH = 100
_MAX_ENTRIES = 200
_MAX_ENTRY_LENGTH = 120
# Nine billion dollars: what the gate can count.
_MAX_NUMBER = 2**53
_LIMITS = tuple(Limits.__dataclass_fields__)


class KeySettingError(ValueError):
    """A setting that a key cannot have. `field` names it, the message says what would do."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


def check_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as a row takes them: names are those of the model's fields.

    Raises KeySettingError for an unknown name or an impossible value.
    """
    checked = {}
    for name, value in settings.items():
        if name not in _RULES:
            raise KeySettingError(name, "an API key has no such setting")
        checked[name] = _RULES[name](name, value)
    return checked


def _name(field: str, value: str) -> str:
    value = value.strip()
    if not 0 < len(value) <= MAX_NAME_LENGTH or not value.isprintable():
        raise KeySettingError(field, f"1 to {MAX_NAME_LENGTH} printable characters")
    return value


def _scopes(field: str, value: list[str]) -> list[str]:
    if not value or set(value) - set(Scope.values):
        raise KeySettingError(field, f"one or more of {', '.join(Scope.values)}")
    return [scope for scope in Scope.values if scope in value]


def _texts(field: str, value: list[str]) -> list[str]:
    if len(value) > _MAX_ENTRIES:
        raise KeySettingError(field, f"at most {_MAX_ENTRIES} entries")
    for entry in value:
        if not re.fullmatch(rf"[!-~]{{1,{_MAX_ENTRY_LENGTH}}}", entry):
            raise KeySettingError(field, f"{entry[:40]!r} cannot be the name of a model")
    return sorted(set(value))


def _ip_ranges(field: str, value: list[str]) -> list[str]:
    if len(value) > _MAX_ENTRIES:
        raise KeySettingError(field, f"at most {_MAX_ENTRIES} entries")
    ranges = []
    for entry in value:
        try:
            ranges.append(str(ipaddress.ip_network(entry.strip(), strict=False)))
        except ValueError:
            raise KeySettingError(
                field, f"{entry[:60]!r} is no address and no range such as 203.0.113.0/24"
            ) from None
    return sorted(set(ranges))


def _expires_at(field: str, value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if timezone.is_naive(value):
        raise KeySettingError(field, "a time needs its zone, such as 2027-01-31T12:00:00Z")
    if value <= timezone.now():
        raise KeySettingError(field, "a time to come")
    return value


def _cache_ttl_s(field: str, value: int | None) -> int | None:
    if value and value not in CACHE_TTL_S:
        raise KeySettingError(
            field, f"from {CACHE_TTL_S[0]} to {CACHE_TTL_S[-1]} seconds, or 0 for no cache"
        )
    return value


def _number(field: str, value: int | None) -> int | None:
    if value is not None and not 0 <= value <= _MAX_NUMBER:
        raise KeySettingError(field, f"a whole number from 0 to {_MAX_NUMBER}, or none")
    return value


def _ai_model_limits(
    field: str, value: Mapping[str, Mapping[str, int | None]]
) -> dict[str, dict[str, int]]:
    _texts(field, list(value))
    checked = {}
    for name, limits in value.items():
        if unknown := set(limits) - set(_LIMITS):
            raise KeySettingError(
                field, f"{min(unknown)[:40]!r} is no limit: there are {', '.join(_LIMITS)}"
            )
        numbers = {limit: _number(field, number) for limit, number in limits.items()}
        checked[name] = {limit: n for limit, n in numbers.items() if n is not None}
    return {name: limits for name, limits in checked.items() if limits}


def _alert_percents(field: str, value: list[int]) -> list[int]:
    if len(value) > 10 or not all(1 <= percent <= 100 for percent in value):
        raise KeySettingError(field, "up to 10 whole numbers from 1 to 100")
    return sorted(set(value))


_RULES: dict[str, Callable[[str, Any], Any]] = {
    "name": _name,
    "scopes": _scopes,
    "ai_models": _texts,
    "ip_ranges": _ip_ranges,
    "expires_at": _expires_at,
    "cache_ttl_s": _cache_ttl_s,
    **dict.fromkeys(_LIMITS, _number),
    "ai_model_limits": _ai_model_limits,
    "day_budget_nusd": _number,
    "month_budget_nusd": _number,
    "life_budget_nusd": _number,
    "alert_percents": _alert_percents,
}
SETTINGS = tuple(_RULES)
