"""What the overview tells: from the gate, the sums and the keys, never from all records.

Call these inside the tenant's schema.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agentflare import degraded
from billing.admission.gate import Gate
from billing.dashboard.charts import Chart, chart_of, gathered
from billing.dashboard.keys import KeyRow, key_rows
from billing.dashboard.periods import Period, period_of
from billing.templatetags.money import usd
from billing.usage.models import HourlyUsage
from billing.usage.selectors import usage_buckets
from tenants.keys.models import ApiKey
from tenants.registry.models import Tenant

# Fewer days of credit than this are worth a word.
_FEW_DAYS = 3
_LOOK_BACK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Spending:
    """Settled calls, in UTC days. a_day_nusd: on average, over the last week."""

    today_nusd: int
    month_nusd: int
    a_day_nusd: int

    def days_left(self, available_nusd: int) -> int | None:
        """None: at this pace it never ends, or nobody can tell."""
        if self.a_day_nusd <= 0:
            return None
        return max(0, available_nusd) // self.a_day_nusd


@dataclass(frozen=True, slots=True)
class Alert:
    """level: of a notice. page, key_id: where to do something about it; empty: nowhere."""

    level: str
    text: str
    page: str = ""
    key_id: str = ""
    label: str = ""


def spending(tenant: Tenant) -> Spending:
    now = datetime.now(UTC)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    week = now - _LOOK_BACK
    # A workspace of two days has spent in two days what it has spent in the last seven.
    age = min(_LOOK_BACK, max(timedelta(days=1), now - tenant.created_at))
    spent_nusd = _sum(week, now, "hour")
    return Spending(
        today_nusd=_sum(today, now, "day"),
        month_nusd=_sum(today.replace(day=1), now, "day"),
        a_day_nusd=spent_nusd * 86_400 // int(age.total_seconds()),
    )


def spend_chart() -> Chart:
    """By model, the last 30 days."""
    period = _last_30_days()
    buckets = usage_buckets(
        start=period.start, end=period.end, width=period.width, groups=["ai_model"]
    )
    rows = [(bucket.ai_model or "", bucket.start_s, bucket.cost_nusd) for bucket in buckets]
    return chart_of(gathered(rows), period, is_money=True)


def has_calls() -> bool:
    return bool(HourlyUsage.objects.exists())


def working_keys() -> list[KeyRow]:
    return [row for row in key_rows(list(ApiKey.objects.all())) if row.key.is_active]


def alerts(
    *, tenant: Tenant, gate: Gate | None, spent: Spending, keys: Sequence[KeyRow]
) -> list[Alert]:
    """What stands in the way of calls, or will soon; the worst first."""
    found = []
    if degraded.stores():
        found.append(
            Alert(
                "warning",
                "One of our stores does not answer. Calls go on, within bounds, and what is shown "
                "here may be some seconds old.",
            )
        )
    if gate is not None:
        found += _of_balance(gate, spent)
    for row in keys:
        budget = row.tightest
        if budget is None or not budget.is_near:
            continue
        span = {"day": "today", "month": "this month", "life": "in its life"}[budget.period]
        is_over = budget.spent_nusd >= budget.budget_nusd
        text = (
            f"The key “{row.key.name}” has spent {usd(budget.spent_nusd)} of the "
            f"{usd(budget.budget_nusd)} it may spend {span}"
        )
        text += ": its calls are refused." if is_over else f", {budget.percent} %."
        level = "error" if is_over else "warning"
        found.append(Alert(level, text, "key", row.key.key_id, "Look at the key"))
    return sorted(found, key=lambda alert: alert.level != "error")


def _of_balance(gate: Gate, spent: Spending) -> list[Alert]:
    if gate.available <= 0:
        return []  # the balance itself says so
    days = spent.days_left(gate.available)
    if days is None or days >= _FEW_DAYS:
        return []
    left = "less than a day" if days < 1 else "a day" if days == 1 else f"{days} days"
    text = f"At the pace of the last week the credit lasts {left}."
    return [Alert("warning", text)]


def _sum(start: datetime, end: datetime, width: str) -> int:
    return sum(
        bucket.cost_nusd for bucket in usage_buckets(start=start, end=end, width=width, groups=())
    )


def _last_30_days() -> Period:
    return period_of({"period": "30d"})
