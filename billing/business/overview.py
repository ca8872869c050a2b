"""The first page of /admin/: is it healthy, and is it earning?"""

import json
from typing import Any

from django.http import HttpRequest

from billing.business import figures
from billing.business.charts import by_day_chart
from billing.business.health import findings

PERMISSION = "business.view_tenantday"
_TENANTS_SHOWN = 10


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's hook: more context for admin/index.html. Who may not see money sees the lists."""
    if not request.user.has_perm(PERMISSION):
        return context
    asked = request.GET.get("days", "")
    days = asked if asked in figures.PERIODS else "30"
    since = figures.first_day(int(days))
    by_day = figures.by_day(since)
    totals = figures.total_of(by_day)
    refused = figures.refused_calls(since)
    refused_calls = sum(count for _, count in refused)
    asked_calls = totals.calls + refused_calls
    context["title"] = "Overview"
    context["business"] = {
        "days": days,
        "periods": figures.PERIODS,
        "since": since,
        "rolled_at": figures.rolled_at(),
        "totals": totals,
        "by_day": [(day, each) for day, each in reversed(by_day) if each.calls],
        "chart": json.dumps(by_day_chart(by_day)),
        "models": figures.by_model(since),
        "tenants": figures.by_tenant(since, limit=_TENANTS_SHOWN),
        "refused": refused,
        "refused_calls": refused_calls,
        "refused_percent": 100 * refused_calls / asked_calls if asked_calls else None,
        "findings": findings(),
        "risks": figures.tenants_at_risk(),
        "latency_days": figures.LATENCY_DAYS,
    }
    return context
