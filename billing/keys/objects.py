"""An API key as its management API tells of it: never the key itself, but for once."""

from datetime import datetime
from typing import Any

from agentflare.money import format_usd
from billing.admission.gate import Spent
from tenants.keys.models import ApiKey


def key_object(row: ApiKey, spent: Spent) -> dict[str, Any]:
    """Moments are seconds since 1970, amounts decimal dollars in strings."""
    return {
        "id": row.key_id,
        "object": "api_key",
        "name": row.name,
        "prefix": row.prefix,
        "status": status_of(row),
        "created_at": _moment(row.created_at),
        "created_by": row.created_by,
        "expires_at": _moment(row.expires_at),
        "revoked_at": _moment(row.revoked_at),
        "rotated_to": row.rotated_to or None,
        "last_used_at": _moment(row.last_used_at),
        "last_used_ip": row.last_used_ip,
        "scopes": row.scopes,
        "models": row.ai_models,
        "ip_ranges": row.ip_ranges,
        "cache_ttl_s": row.cache_ttl_s,
        "limits": {
            "requests_per_minute": row.requests_per_minute,
            "tokens_per_minute": row.tokens_per_minute,
            "concurrent_calls": row.concurrent_calls,
        },
        "model_limits": row.ai_model_limits,
        "budgets": {
            period: None if budget is None else format_usd(budget)
            for period, budget in row.budgets.by_period().items()
        },
        "alert_percents": row.alert_percents,
        "spent": {
            "day": format_usd(spent.day_nusd),
            "month": format_usd(spent.month_nusd),
            "life": format_usd(spent.life_nusd),
        },
    }


def status_of(row: ApiKey) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.is_expired else "active"


def _moment(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
