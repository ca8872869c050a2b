"""What a workspace has used in a period: from the sums by hour and day, never from the records.

Call these inside the tenant's schema.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

from django.db.models import QuerySet

from billing.dashboard.charts import Chart, chart_of, gathered
from billing.dashboard.keys import names_of_members
from billing.dashboard.periods import Period
from billing.dashboard.words import REFUSED, STATUS
from billing.usage.models import DailyUsage, Status
from billing.usage.selectors import Bucket, EndBucket, end_buckets, usage_buckets
from tenants.keys.models import ApiKey

GROUPS = {"model": "by model", "key": "by key", "member": "by member", "status": "by status"}
MEASURES = {"spend": "Spend", "calls": "Calls", "tokens": "Tokens"}
_SHOWN = 100


@dataclass(slots=True)
class Sums:
    """Of some calls that ran. They are what the ledger has booked for them."""

    calls: int = 0
    failed_calls: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    cost_nusd: int = 0

    def add(self, bucket: Bucket) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(bucket, field.name))

    @property
    def prompt_tokens(self) -> int:
        return self.input_tokens + self.cached_input_tokens

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens


class Line(NamedTuple):
    """One row of the table beside a chart. sums: None for calls that were refused."""

    name: str
    calls: int
    cost_nusd: int
    sums: Sums | None
    share: int


@dataclass(frozen=True, slots=True)
class Report:
    period: Period
    group: str
    measure: str
    total: Sums
    refused_calls: int
    chart: Chart
    lines: list[Line]

    @property
    def is_empty(self) -> bool:
        return not self.total.calls and not self.refused_calls


def report(
    period: Period,
    *,
    group: str,
    measure: str,
    key_ids: Collection[str] | None = None,
    ai_model: str = "",
) -> Report:
    """key_ids, ai_model: of those alone; None and empty: of all."""
    span = {"start": period.start, "end": period.end, "width": period.width}
    wanted = {"key_ids": key_ids, "ai_model": ai_model}
    column = {"model": ["ai_model"], "status": []}.get(group, ["key_id"])
    buckets = usage_buckets(**span, groups=column, **wanted)  # type: ignore[arg-type]
    ends = end_buckets(**span, **wanted)  # type: ignore[arg-type]
    total = Sums()
    for bucket in buckets:
        total.add(bucket)
    if group == "status" and measure == "tokens":
        measure = "calls"  # tokens are not summed by status
    by_name = {} if group == "status" else _by_name(buckets, group)
    lines = _ends_lines(buckets, ends) if group == "status" else _lines(by_name, total)
    rows = _ends_rows(buckets, ends, measure) if group == "status" else _rows(by_name, measure)
    return Report(
        period=period,
        group=group,
        measure=measure,
        total=total,
        refused_calls=sum(each.calls for each in ends if each.is_refused),
        chart=chart_of(gathered(rows), period, is_money=measure == "spend"),
        lines=lines[:_SHOWN],
    )


def models_used(period: Period) -> list[str]:
    days: QuerySet[DailyUsage] = DailyUsage.objects.filter(
        day__gte=period.first_day, day__lte=period.last_day
    )
    return list(days.order_by("ai_model").values_list("ai_model", flat=True).distinct())


def key_labels() -> dict[str, str]:
    """Key id → its name; with its beginning where another has the same name."""
    keys = list(ApiKey.objects.all())
    names = [key.name for key in keys]
    return {
        key.key_id: f"{key.name} ({key.prefix}…)" if names.count(key.name) > 1 else key.name
        for key in keys
    }


def keys_of_member(member: str) -> list[str]:
    """The ids of the keys that count for a member, as `report` names members."""
    names = names_of_members(list(ApiKey.objects.all()))
    return [key_id for key_id, name in names.items() if name == member]


def members() -> list[str]:
    return sorted(set(names_of_members(list(ApiKey.objects.all())).values()))


def _by_name(buckets: list[Bucket], group: str) -> dict[str, list[Bucket]]:
    labels: Mapping[str, str] = {}
    if group == "key":
        labels = key_labels()
    elif group == "member":
        labels = names_of_members(list(ApiKey.objects.all()))
    named: dict[str, list[Bucket]] = {}
    for bucket in buckets:
        name = (bucket.ai_model if group == "model" else bucket.key_id) or ""
        named.setdefault(labels.get(name, name), []).append(bucket)
    return named


def _rows(named: Mapping[str, list[Bucket]], measure: str) -> list[tuple[str, int, int]]:
    return [
        (name, bucket.start_s, _amount(bucket, measure))
        for name, buckets in named.items()
        for bucket in buckets
    ]


def _amount(bucket: Bucket, measure: str) -> int:
    if measure == "spend":
        return bucket.cost_nusd
    if measure == "calls":
        return bucket.calls
    return bucket.input_tokens + bucket.cached_input_tokens + bucket.output_tokens


def _lines(named: Mapping[str, list[Bucket]], total: Sums) -> list[Line]:
    lines = []
    for name, buckets in named.items():
        sums = Sums()
        for bucket in buckets:
            sums.add(bucket)
        share = sums.cost_nusd * 1000 // total.cost_nusd if total.cost_nusd else 0
        lines.append(Line(name, sums.calls, sums.cost_nusd, sums, share))
    return sorted(lines, key=lambda line: (-line.cost_nusd, -line.calls, line.name))


def name_of_end(end: EndBucket) -> str:
    return f"{REFUSED}: {end.end}" if end.is_refused else STATUS.get(Status(end.end), end.end)


def _ends_rows(
    buckets: list[Bucket], ends: list[EndBucket], measure: str
) -> list[tuple[str, int, int]]:
    """Completed is what is left of all calls that ran."""
    is_money = measure == "spend"
    completed = STATUS[Status.COMPLETED]
    rows = [
        (completed, bucket.start_s, bucket.cost_nusd if is_money else bucket.calls)
        for bucket in buckets
    ]
    for end in ends:
        amount = end.cost_nusd if is_money else end.calls
        name = REFUSED if end.is_refused else name_of_end(end)
        rows.append((name, end.start_s, amount))
        if not end.is_refused:
            rows.append((completed, end.start_s, -amount))
    return rows


def _ends_lines(buckets: list[Bucket], ends: list[EndBucket]) -> list[Line]:
    calls = {STATUS[Status.COMPLETED]: sum(bucket.calls for bucket in buckets)}
    costs = {STATUS[Status.COMPLETED]: sum(bucket.cost_nusd for bucket in buckets)}
    for end in ends:
        name = name_of_end(end)
        calls[name] = calls.get(name, 0) + end.calls
        costs[name] = costs.get(name, 0) + end.cost_nusd
        if not end.is_refused:
            calls[STATUS[Status.COMPLETED]] -= end.calls
            costs[STATUS[Status.COMPLETED]] -= end.cost_nusd
    most = sum(calls.values())
    lines = [
        Line(name, count, costs[name], None, count * 1000 // most if most else 0)
        for name, count in calls.items()
        if count
    ]
    return sorted(lines, key=lambda line: (-line.calls, line.name))
