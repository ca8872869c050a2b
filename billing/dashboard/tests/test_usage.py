"""The pages of usage."""

import csv
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from redis import exceptions

from agentflare.ids import first_uuid7, uuid7
from agentflare.money import format_usd
from agentflare.partitions import partition_of
from billing.admission.services import admit, capture
from billing.admission.tests.builders import event
from billing.dashboard import usage
from billing.dashboard.periods import period_of
from billing.dashboard.tests.builders import (
    USD,
    as_member,
    call,
    chart_data,
    page_of,
    settle,
    signed_in,
    text,
)
from billing.ledger.models import AccountCode, LedgerAccount
from billing.usage.models import UsageEnds
from billing.usage.refusals import note_refusal, refusal_now, save_refusals
from tenants.audit.services import Actor
from tenants.keys.services import create_api_key
from tenants.registry.schemas import tenant_schema
from tenants.users.models import Role
from tenants.users.services import add_member

DAY_S = 86_400
NOW = datetime(2026, 11, 25, 13, 20, tzinfo=UTC)


def earlier(cast: Any, cost_nusd: int, *, days: float, **fields: Any) -> UUID:
    """A call of some days ago, as its id tells it too."""
    started = time.time() - days * DAY_S
    number = UUID(int=first_uuid7(datetime.fromtimestamp(started, UTC)).int | uuid7().int % 2**64)
    call(cast, cost_nusd, started_at=started, request_id=number.hex, **fields)
    return number


def refuse(cast: Any, code: str = "insufficient_quota", **fields: Any) -> str:
    request_id = uuid7().hex
    told = {
        "key_id": "abcdefgh",
        "endpoint": "chat/completions",
        "ai_model": "llama-3.3-70b-fast",
        "status": 429,
        "message": "You exceeded your current quota.",
        **fields,
    }
    note_refusal(cast.code, refusal_now(request_id=request_id, code=code, **told))
    return request_id


def save(cast: Any) -> None:
    save_refusals(partition_of(cast.code))


def figure(page: str, title: str) -> str:
    found = re.search(rf'<h2>{title}</h2><p class="figure">(.*?)</p>', page)
    assert found
    return found[1]


def ids(page: str) -> list[str]:
    return re.findall(r"/usage/calls/req_([0-9a-f]{32})/", page)


# --- Periods ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "start", "end", "width"),
    [
        ({"period": "24h"}, "2026-11-24T14:00", "2026-11-25T13:20", "hour"),
        ({"period": "7d"}, "2026-11-19T00:00", "2026-11-25T13:20", "day"),
        ({}, "2026-11-19T00:00", "2026-11-25T13:20", "day"),
        ({"period": "7d", "by": "hour"}, "2026-11-19T00:00", "2026-11-25T13:20", "hour"),
        ({"period": "30d"}, "2026-10-27T00:00", "2026-11-25T13:20", "day"),
        ({"period": "month"}, "2026-11-01T00:00", "2026-11-25T13:20", "day"),
        ({"period": "last_month"}, "2026-10-01T00:00", "2026-11-01T00:00", "day"),
        (
            {"period": "custom", "from": "2026-01-01", "to": "2026-10-31", "by": "hour"},
            "2026-01-01T00:00",
            "2026-11-01T00:00",
            "month",
        ),
    ],
)
def test_periods_begin_and_end_where_they_say(
    query: dict[str, str], start: str, end: str, width: str
) -> None:
    period = period_of(query, now=NOW)

    assert f"{period.start:%Y-%m-%dT%H:%M}" == start
    assert f"{period.end:%Y-%m-%dT%H:%M}" == end
    assert period.width == width
    assert not period.fault


@pytest.mark.parametrize(
    "days",
    [
        {"from": "yesterday"},
        {"from": "2026-11-02", "to": "2026-11-01"},
        {"from": "2001-01-01"},
        {"from": "9999-12-31", "to": "9999-12-31"},
    ],
)
def test_days_that_make_no_period_are_told(acme: Any, days: dict[str, str]) -> None:
    period = period_of({"period": "custom", **days}, now=NOW)

    assert period.fault
    assert period.name == "7d"


def test_months_are_counted_whole() -> None:
    query = {"period": "custom", "from": "2025-12-15", "to": "2026-03-01", "by": "month"}
    period = period_of(query, now=NOW)

    starts = [datetime.fromtimestamp(start, UTC) for start in period.starts()]
    assert [f"{start:%Y-%m-%d}" for start in starts] == [
        "2025-12-01",
        "2026-01-01",
        "2026-02-01",
        "2026-03-01",
    ]


# --- Sums -------------------------------------------------------------------------


def test_totals_are_those_of_the_ledger(acme: Any) -> None:
    for days in (0, 0.1, 3, 20):
        earlier(acme, int(1.5 * USD) + 1, days=days, input_tokens=10, cached_input_tokens=5)
    call(acme, 7, status="client_gone", output_tokens=3)
    call(acme, 0, status="upstream_failed")
    settle(acme)

    page = page_of(acme, "usage/?period=30d")

    with tenant_schema(acme.code):
        booked = LedgerAccount.objects.get(code=AccountCode.USAGE).balance_nusd
    assert booked == 4 * (int(1.5 * USD) + 1) + 7
    assert figure(page, "Spend") == "$6.0000" or figure(page, "Spend") == "$6.00"
    assert figure(page, "Calls") == "6"
    assert "1 failed" in page
    assert figure(page, "Tokens in") == "60"
    assert "20 of them cached" in page
    chart = chart_data(page, "usage-data")
    assert round(sum(map(sum, (s["values"] for s in chart["series"]))) * USD) == booked


@pytest.mark.parametrize("by", ["hour", "day", "month"])
def test_bars_are_by_hour_day_or_month(acme: Any, by: str) -> None:
    earlier(acme, USD, days=0)
    earlier(acme, USD, days=2)
    settle(acme)

    chart = chart_data(page_of(acme, f"usage/?period=7d&by={by}"), "usage-data")

    assert chart["by"] == by
    assert sum(chart["series"][0]["values"]) == 2
    assert len(chart["labels"]) in {"hour": range(145, 169), "day": [7], "month": [1, 2]}[by]


def test_spend_is_stacked_by_key_and_by_member(acme: Any) -> None:
    dana = add_member(tenant=acme.tenant, email="dana@x.test", role=Role.DEVELOPER)
    made = Actor(dana.email, None, dana.pk)
    hers, _ = create_api_key(tenant=acme.tenant, name="laptop", actor=made)
    other, _ = create_api_key(tenant=acme.tenant, name="batch", actor=made)
    robot, _ = create_api_key(tenant=acme.tenant, name="robot", actor="command")
    for key, cost in ((hers, 3), (other, 2), (robot, 4)):
        call(acme, cost * USD, key_id=key.key_id, line_id=key.key_id)
    settle(acme)

    by_key = chart_data(page_of(acme, "usage/?group=key"), "usage-data")
    by_member = chart_data(page_of(acme, "usage/?group=member"), "usage-data")

    assert {s["name"]: sum(s["values"]) for s in by_key["series"]} == {
        "robot": 4,
        "laptop": 3,
        "batch": 2,
    }
    assert {s["name"]: sum(s["values"]) for s in by_member["series"]} == {
        "dana@x.test": 5,
        "command": 4,
    }
    assert figure(page_of(acme, "usage/?member=dana@x.test"), "Spend") == "$5.00"
    assert figure(page_of(acme, f"usage/?key={robot.key_id}"), "Spend") == "$4.00"


def test_calls_are_stacked_by_how_they_ended_and_refused_ones_are_among_them(acme: Any) -> None:
    for status in ("completed", "completed", "client_gone", "upstream_failed", "empty"):
        call(acme, USD if status in ("completed", "client_gone") else 0, status=status)
    settle(acme)
    refuse(acme)
    refuse(acme, "rate_limit_exceeded")
    save(acme)

    page = page_of(acme, "usage/?group=status&measure=calls")
    chart = chart_data(page, "usage-data")

    assert {s["name"]: sum(s["values"]) for s in chart["series"]} == {
        "Completed": 2,
        "Client left": 1,
        "Provider failed": 1,
        "Nothing came back": 1,
        "Refused": 2,
    }
    assert "Refused: rate_limit_exceeded" in page
    spend = chart_data(page_of(acme, "usage/?group=status&measure=spend"), "usage-data")
    assert {s["name"]: sum(s["values"]) for s in spend["series"]} == {
        "Completed": 2,
        "Client left": 1,
    }


def test_ends_are_summed_once_however_often_they_are_delivered(acme: Any) -> None:
    ended = call(acme, USD, status="client_gone")
    settle(acme)
    capture(admit(event=event(acme, USD)), ended)
    settle(acme)

    with tenant_schema(acme.code):
        hour, day = UsageEnds.objects.order_by("is_day")
    for row in (hour, day):
        assert (row.end, row.calls, row.cost_nusd) == ("client_gone", 1, USD)


def test_more_series_than_colours_are_put_together(acme: Any) -> None:
    for number in range(9):
        call(acme, (number + 1) * USD // 10, ai_model=f"model-{number}")
    settle(acme)

    chart = chart_data(page_of(acme, "usage/"), "usage-data")

    assert [s["name"] for s in chart["series"]] == [
        *(f"model-{number}" for number in (8, 7, 6, 5, 4, 3)),
        "All others",
    ]
    assert round(sum(chart["series"][-1]["values"]), 6) == 0.6


def test_htmx_gets_the_part_and_everybody_else_the_page(acme: Any) -> None:
    client, path = signed_in(acme.owner), f"/t/{acme.tenant.slug}/usage/"

    part = client.get(path, headers={"HX-Request": "true"})
    restored = client.get(
        path, headers={"HX-Request": "true", "HX-History-Restore-Request": "true"}
    )

    assert part.content.lstrip().startswith(b'<div id="usage">')
    assert b"<html" in restored.content
    assert "HX-Request" in part["Vary"]


def test_what_is_unknown_in_the_address_does_no_harm(acme: Any) -> None:
    query = "period=x&by=y&group=z&measure=w&model=%00&key=nope&member=nobody"
    assert "Nothing was used" in page_of(acme, f"usage/?{query}")
    query = "period=x&status=y&min_cost=z&model=%00&key=nope&after=q&endpoint=%00"
    assert "There is no such status" in page_of(acme, f"usage/calls/?{query}")


# --- Calls ------------------------------------------------------------------------


def test_calls_come_a_page_at_a_time_newest_first(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "_PAGE", 2)
    numbers = [earlier(acme, 5, days=days).hex for days in (3, 2, 1, 0.5, 0)]
    settle(acme)

    seen: list[str] = []
    path = "usage/calls/?period=30d"
    while path:
        page = page_of(acme, path)
        seen += ids(page)
        more = re.search(r'<a class="secondary" href="/t/[^/]+/([^"]+after=[^"]+)"', page)
        path = more[1].replace("&amp;", "&") if more else ""

    assert seen == numbers[::-1]


def test_the_next_page_for_htmx_is_rows_alone(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_PAGE", 1)
    older, newer = (earlier(acme, 5, days=days).hex for days in (1, 0))
    settle(acme)
    path = f"/t/{acme.tenant.slug}/usage/calls/?after={newer}"

    part = text(signed_in(acme.owner).get(path, headers={"HX-Request": "true"}))

    assert part.startswith('<tbody role="rowgroup">')
    assert ids(part) == [older]


@pytest.mark.parametrize(
    ("query", "which"),
    [
        ("model=gpt-oss-20b", [1]),
        ("key=other000", [2]),
        ("status=client_gone", [3]),
        ("endpoint=/v1/embeddings", [4]),
        ("min_cost=0.5", [5]),
        ("period=24h", [1, 2, 3, 4, 5]),
        ("model=gpt-oss-20b&status=client_gone", []),
    ],
)
def test_calls_are_found_by_what_they_are(acme: Any, query: str, which: list[int]) -> None:
    numbers = [
        earlier(acme, 5, days=3).hex,
        earlier(acme, 5, days=0.5, ai_model="gpt-oss-20b").hex,
        earlier(acme, 5, days=0.4, key_id="other000").hex,
        earlier(acme, 5, days=0.3, status="client_gone").hex,
        earlier(acme, 5, days=0.2, endpoint="embeddings").hex,
        earlier(acme, USD, days=0.1).hex,
    ]
    settle(acme)

    assert ids(page_of(acme, f"usage/calls/?{query}")) == [numbers[i] for i in reversed(which)]


def test_a_filter_that_fits_nothing_says_so(acme: Any) -> None:
    call(acme, 5)
    settle(acme)
    assert "No call matches" in page_of(acme, "usage/calls/?model=nothing")


def test_a_request_id_leads_to_its_call(acme: Any) -> None:
    client, root = signed_in(acme.owner), f"/t/{acme.tenant.slug}/usage/calls/"
    number = uuid7().hex

    plain = client.get(root, {"request": f" req_{number} "})
    htmx = client.get(root, {"request": number}, headers={"HX-Request": "true"})
    wrong = client.get(root, {"request": "chatcmpl-1"})

    assert plain["Location"] == htmx["HX-Redirect"] == f"{root}req_{number}/"
    assert "A request id looks like" in text(wrong)


# --- One call ---------------------------------------------------------------------


def test_a_call_is_told_from_its_estimate_to_the_ledger(acme: Any) -> None:
    hold = admit(event=event(acme, 3 * USD, started_at=time.time(), route="fast"))
    capture(
        hold,
        hold.event.with_(
            cost_nusd=USD,
            status="completed",
            truth="counted",
            input_tokens=1000,
            cached_input_tokens=200,
            output_tokens=300,
            reasoning_tokens=40,
            first_token_ms=321,
            duration_ms=2500,
            attempts=2,
            finish_reason="stop",
            neurons="12345678",
            provider_cost_nusd=777_123_987,
            upstream="secret-account",
        ),
    )
    path = f"usage/calls/req_{hold.event.request_id}/"
    before = page_of(acme, path)
    settle(acme)
    page = page_of(acme, path)

    assert "on its way to the ledger" in before
    for told in (
        '<p class="muted">Estimate, held</p><p class="figure">$3.00</p>',
        '<p class="muted">Cost</p><p class="figure">$1.00</p>',
        '<p class="muted">Given back</p><p class="figure">$2.00</p>',
        "Booked in the ledger",
        "We counted what was relayed",
        "the route <code>fast</code>",
        "after 321 ms",
        "2.50 s",
        "40 of the output tokens",
        "<dt>Attempts</dt><dd>2",
        "$1.00 in all",
    ):
        assert told in page
    for ours in ("12345678", "secret-account", "777123987", "0.777", "neuron"):
        assert ours not in page.replace(hold.event.request_id, "")


def test_a_running_call_shows_what_it_holds(acme: Any) -> None:
    hold = admit(event=event(acme, 3 * USD, started_at=time.time()))
    page = page_of(acme, f"usage/calls/{hold.event.request_id}/")
    capture(hold, hold.event.with_(cost_nusd=0, status="completed"))

    assert "Running" in page
    assert "$3.00" in page


def test_a_failed_call_has_its_remedy(acme: Any) -> None:
    failed = call(acme, 0, status="upstream_failed", error_code="upstream_timeout")
    settle(acme)

    page = page_of(acme, f"usage/calls/req_{failed.request_id}/")

    assert "upstream_timeout" in page
    assert "ask for a shorter answer" in page


def test_a_refused_call_is_told_as_its_client_was_with_the_remedy(acme: Any) -> None:
    number = refuse(acme, message="Too <b>poor</b>.")

    page = page_of(acme, f"usage/calls/req_{number}/")

    assert "Too &lt;b&gt;poor&lt;/b&gt;." in page
    assert "Add credit, or ask for less" in page
    assert "nothing is charged" in page


def test_what_is_not_known_is_said_to_be_so(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No such call here" in page_of(acme, f"usage/calls/req_{uuid7().hex}/", status=404)
    assert "There is no such page" in page_of(acme, "usage/calls/nonsense/", status=404)

    def down(*args: Any) -> None:
        raise exceptions.ConnectionError

    monkeypatch.setattr(usage, "find_facts", down)
    assert "Not known now" in page_of(acme, f"usage/calls/req_{uuid7().hex}/", status=503)


# --- Refused calls ----------------------------------------------------------------


def test_refused_calls_are_listed_by_reason_and_one_by_one(acme: Any) -> None:
    refuse(acme)
    refuse(acme)
    refuse(acme, "model_not_found", message="The model `x` does not exist.", status=404)
    save(acme)

    page = page_of(acme, "usage/refused/")

    assert "3 refused calls, by reason" in page
    assert page.index("insufficient_quota") < page.index("model_not_found")
    assert "Copy the model’s id" in page
    assert "The model `x` does not exist." in page
    assert len(ids(page)) == 3


def test_without_redis_the_counts_of_refused_calls_stand(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(acme)
    save(acme)

    def down(tenant_code: str) -> None:
        raise exceptions.ConnectionError

    monkeypatch.setattr(usage, "latest_refusals", down)
    page = page_of(acme, "usage/refused/")

    assert "1 refused call, by reason" in page
    assert "does not answer now" in page


# --- Files ------------------------------------------------------------------------


def exported(cast: Any, query: str = "") -> bytes:
    response = signed_in(cast.owner).get(f"/t/{cast.tenant.slug}/usage/export/?{query}")
    assert response.status_code == 200
    assert "attachment" in response["Content-Disposition"]
    return b"".join(response.streaming_content)


def test_all_calls_that_match_come_as_csv_or_json(acme: Any) -> None:
    earlier(acme, 7, days=40)
    old = earlier(acme, 5, days=1).hex
    new = earlier(acme, USD, days=0).hex
    settle(acme)

    rows = list(csv.DictReader(exported(acme).decode().splitlines()))
    lines = [orjson.loads(x) for x in exported(acme, "format=jsonl").splitlines()]
    dear = list(csv.DictReader(exported(acme, "min_cost=0.5").decode().splitlines()))

    assert [row["id"] for row in rows] == [f"req_{old}", f"req_{new}"]
    assert [line["id"] for line in lines] == [f"req_{old}", f"req_{new}"]
    assert rows[1]["cost"] == format_usd(USD)
    assert [row["id"] for row in dear] == [f"req_{new}"]


# --- Who may ----------------------------------------------------------------------

PATHS = ("usage/", "usage/calls/", "usage/refused/", "usage/export/")


@pytest.mark.parametrize("role", list(Role))
def test_every_role_sees_usage(acme: Any, role: Role) -> None:
    ended = call(acme, 5)
    settle(acme)
    client = as_member(acme, role)
    for path in (*PATHS, f"usage/calls/req_{ended.request_id}/"):
        assert client.get(f"/t/{acme.tenant.slug}/{path}").status_code == 200


def test_other_tenants_see_nothing_of_it(acme: Any, globex: Any) -> None:
    ended = call(acme, 5)
    settle(acme)
    number = refuse(acme)
    save(acme)
    client = signed_in(globex.owner)

    for path in (*PATHS, f"usage/calls/req_{ended.request_id}/", f"usage/calls/{number}/"):
        assert client.get(f"/t/{acme.tenant.slug}/{path}").status_code == 404
    for request_id in (ended.request_id, number):
        own = client.get(f"/t/{globex.tenant.slug}/usage/calls/req_{request_id}/")
        assert own.status_code == 404
    assert ids(page_of(globex, "usage/calls/")) == ids(page_of(globex, "usage/refused/")) == []
    assert ended.request_id not in exported(globex).decode()


def test_the_span_of_an_export_is_the_chosen_one(acme: Any) -> None:
    earlier(acme, 5, days=20)
    settle(acme)
    first = (datetime.now(UTC) - timedelta(days=25)).date()
    last = first + timedelta(days=10)

    assert len(exported(acme, f"period=custom&from={first}&to={last}").splitlines()) == 2
    assert len(exported(acme).splitlines()) == 1
