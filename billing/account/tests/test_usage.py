"""/v1/usage: sums by hour or day."""

from datetime import timedelta
from typing import Any

from agentflare.money import format_usd
from billing.account.tests.test_records import START, api, booked, call

DAY = 24 * 60


def sums(cast: Any, **query: Any) -> list[tuple[Any, ...]]:
    query = {"start_time": int(START.timestamp()) - 3600, **query}
    query["end_time"] = query["start_time"] + 10 * 86_400
    data = api(cast).get("/v1/usage", query).json()["data"]
    names = ("start_time", "model", "api_key_id", "requests", "failed_requests", "cost")
    return [tuple(bucket[name] for name in names) for bucket in data]


def test_sums_are_by_day_or_hour_of_all_or_by_model_and_key(acme: Any) -> None:
    booked(
        acme,
        call(acme, 0, cost_nusd=1),
        call(acme, 61, cost_nusd=2, ai_model="bge-m3"),
        call(acme, DAY, cost_nusd=4, key_id="other000", status="upstream_failed"),
    )
    midnight = START.replace(hour=0)
    first, second = (int((midnight + timedelta(days=days)).timestamp()) for days in (0, 1))
    llama, key = "llama-3.3-70b-fast", "abcdefgh"

    assert sums(acme) == [
        (first, None, None, 2, 0, format_usd(3)),
        (second, None, None, 1, 1, format_usd(4)),
    ]
    assert sums(acme, group_by="api_key_id,model") == [
        (first, "bge-m3", key, 1, 0, format_usd(2)),
        (first, llama, key, 1, 0, format_usd(1)),
        (second, llama, "other000", 1, 1, format_usd(4)),
    ]
    assert [bucket[0] for bucket in sums(acme, bucket_width="1h")] == [
        first + 12 * 3600,
        first + 13 * 3600,
        second + 12 * 3600,
    ]


def test_another_tenants_sums_are_not_counted(acme: Any, globex: Any) -> None:
    booked(acme, call(acme, 0))
    assert sums(globex) == []


def test_days_begin_and_end_where_they_are_asked_for(acme: Any) -> None:
    """Whole days have sums of their own; the first and the last are what their hours say."""
    booked(acme, *(call(acme, hour * 60, cost_nusd=1) for hour in range(72)))  # from noon on

    def calls(start_hour: float, end_hour: float) -> list[int]:
        query = {
            "start_time": int((START + timedelta(hours=start_hour)).timestamp()),
            "end_time": int((START + timedelta(hours=end_hour)).timestamp()),
        }
        data = api(acme).get("/v1/usage", query).json()["data"]
        return [bucket["requests"] for bucket in data]

    assert calls(-12, 84) == [12, 24, 24, 12]
    assert calls(1, 70) == [11, 24, 24, 10]
    assert calls(0.5, 12) == [11]
    assert calls(12, 36) == [24]
    assert calls(13, 35.5) == [23]
    assert calls(2, 5) == [3]
