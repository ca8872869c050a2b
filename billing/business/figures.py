"""What the operator's overview shows of the business: read from the shared sums alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import QuerySet, Sum
from django.utils import timezone

from billing.business.latency import percentile_ms
from billing.business.models import Latency, TenantDay, TenantEnds, TenantState
from tenants.registry.models import Tenant

PERIODS = {"7": "7 days", "30": "30 days", "90": "90 days"}
LATENCY_DAYS = 7
_SUMS = (
    "calls",
    "failed_calls",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "cost_nusd",
    "provider_cost_nusd",
)
# A tenant whose credit lasts fewer days than this at the week's pace is told of.
_LOW_DAYS = 3
# So many times the week's average day, and more than a dollar, is a sudden spend.
_SUDDEN_TIMES = 5
_SUDDEN_LEAST_NUSD = 1_000_000_000
_WEEK = 7


@dataclass(frozen=True, slots=True)
class Figures:
    """Of some calls together, in nUSD."""

    calls: int = 0
    failed_calls: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    cost_nusd: int = 0
    provider_cost_nusd: int = 0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.cached_input_tokens + self.output_tokens

    @property
    def margin_nusd(self) -> int:
        return self.cost_nusd - self.provider_cost_nusd

    @property
    def margin_percent(self) -> float | None:
        """Of the revenue; None where there is none."""
        return 100 * self.margin_nusd / self.cost_nusd if self.cost_nusd else None

    @property
    def failed_percent(self) -> float | None:
        return 100 * self.failed_calls / self.calls if self.calls else None


@dataclass(frozen=True, slots=True)
class Speed:
    """In ms; None of no calls."""

    first_token_p50: int | None
    first_token_p95: int | None
    answer_p50: int | None
    answer_p95: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One AI model, or one tenant."""

    name: str
    code: str
    figures: Figures
    speed: Speed | None = None


@dataclass(frozen=True, slots=True)
class Risk:
    tenant: Tenant
    why: str
    is_urgent: bool


def first_day(days: int) -> date:
    """Of a period that ends today (UTC)."""
    return timezone.now().astimezone(UTC).date() - timedelta(days=days - 1)


def total_of(days: Iterable[tuple[date, Figures]]) -> Figures:
    every = [figures for _, figures in days]
    return Figures(**{name: sum(getattr(each, name) for each in every) for name in _SUMS})


def _days(since: date, tenant_code: str) -> "QuerySet[TenantDay]":
    """Of one tenant, or of all."""
    days = TenantDay.objects.filter(day__gte=since)
    return days.filter(tenant_code=tenant_code) if tenant_code else days


def by_day(since: date, *, tenant_code: str = "") -> list[tuple[date, Figures]]:
    """Every day from `since` on, those without calls too."""
    rows: Any = _days(since, tenant_code).values("day").annotate(**_SUM_OF)
    known = {row["day"]: _figures(row) for row in rows}
    today = timezone.now().astimezone(UTC).date()
    days = [since + timedelta(days=number) for number in range((today - since).days + 1)]
    return [(day, known.get(day, Figures())) for day in days]


def by_model(since: date, *, tenant_code: str = "") -> list[Row]:
    """The most revenue first, each with its speed in the last week."""
    rows: Any = _days(since, tenant_code).values("ai_model").annotate(**_SUM_OF)
    speeds = speed_by_model()
    return [
        Row(row["ai_model"], "", _figures(row), speeds.get(row["ai_model"]))
        for row in rows.order_by("-cost_nusd_sum", "ai_model")
    ]


def by_tenant(since: date, *, limit: int) -> list[Row]:
    """The most revenue first."""
    rows: Any = TenantDay.objects.filter(day__gte=since).values("tenant_code").annotate(**_SUM_OF)
    rows = rows.order_by("-cost_nusd_sum", "tenant_code")[:limit]
    names = dict(Tenant.objects.values_list("code", "name"))
    return [
        Row(names.get(row["tenant_code"], row["tenant_code"]), row["tenant_code"], _figures(row))
        for row in rows
    ]


def refused_calls(since: date) -> list[tuple[str, int]]:
    """By the code that was answered, the most frequent first."""
    rows = TenantEnds.objects.filter(day__gte=since, is_refused=True).values("end")
    return [
        (row["end"], row["sum"]) for row in rows.annotate(sum=Sum("calls")).order_by("-sum", "end")
    ]


def speed_by_model() -> dict[str, Speed]:
    since = timezone.now() - timedelta(days=LATENCY_DAYS)
    rows = Latency.objects.filter(hour__gte=since).values("ai_model", "what", "bucket")
    counts: dict[str, dict[str, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows.annotate(sum=Sum("calls")):
        counts[row["ai_model"]][row["what"]][row["bucket"]] = row["sum"]
    return {name: _speed(of_model) for name, of_model in counts.items()}


def _speed(counts: dict[str, dict[int, int]]) -> Speed:
    first = counts.get(Latency.What.FIRST_TOKEN, {})
    answer = counts.get(Latency.What.ANSWER, {})
    return Speed(
        percentile_ms(first, 0.5),
        percentile_ms(first, 0.95),
        percentile_ms(answer, 0.5),
        percentile_ms(answer, 0.95),
    )


def tenants_at_risk() -> list[Risk]:
    """Whose calls will stop soon, whose card fails, and who spends as never before."""
    today = timezone.now().astimezone(UTC).date()
    spent: dict[str, dict[date, int]] = defaultdict(dict)
    week = TenantDay.objects.filter(day__gte=today - timedelta(days=_WEEK))
    for row in week.values("tenant_code", "day").annotate(sum=Sum("cost_nusd")):
        spent[row["tenant_code"]][row["day"]] = row["sum"]
    tenants = {
        tenant.code: tenant for tenant in Tenant.objects.filter(closure=None, suspended_at=None)
    }
    risks: list[Risk] = []
    for state in TenantState.objects.filter(tenant_code__in=list(tenants)):
        by_day = spent.get(state.tenant_code, {})
        for why, is_urgent in _risks(state, by_day, today):
            risks.append(Risk(tenants[state.tenant_code], why, is_urgent))
    return sorted(risks, key=lambda risk: (not risk.is_urgent, risk.tenant.name.lower(), risk.why))


def _risks(state: TenantState, spent: dict[date, int], today: date) -> Iterable[tuple[str, bool]]:
    before = sum(nusd for day, nusd in spent.items() if day < today)
    now = spent.get(today, 0)
    pace_nusd = (before + now) // (_WEEK + 1)
    if state.auto_state not in ("", "ok", "capped"):
        yield f"auto-recharge {_AUTO[state.auto_state]}", True
    if pace_nusd and state.credit_nusd <= 0:
        yield "out of credit", True
    elif pace_nusd and state.credit_nusd < _LOW_DAYS * pace_nusd:
        yield f"credit for less than {_LOW_DAYS} days", state.credit_nusd < pace_nusd
    if now > _SUDDEN_LEAST_NUSD and now * _WEEK > _SUDDEN_TIMES * before:
        yield "spends far more today than in the week before", False


_AUTO = {
    "failing": "fails",
    "needs_action": "needs the cardholder",
    "off": "was switched off after failures",
}
_SUM_OF: dict[str, Any] = {f"{name}_sum": Sum(name) for name in _SUMS}


def _figures(row: Mapping[str, Any]) -> Figures:
    return Figures(**{name: int(row[f"{name}_sum"] or 0) for name in _SUMS})


def rolled_at() -> datetime | None:
    """When a tenant was rolled up last; None: none ever was."""
    latest = TenantState.objects.order_by("-rolled_at").first()
    return latest.rolled_at if latest else None
