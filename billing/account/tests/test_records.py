"""/v1/usage/records and /v1/usage/export: single calls, listed, looked up, exported."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.test import Client

from agentflare.ids import first_uuid7
from agentflare.middleware import RequestIdMiddleware
from agentflare.money import format_usd, parse_usd
from billing.account.records import COLUMNS
from billing.admission.tests.builders import event
from billing.ledger.models import LedgerAccount
from billing.settlement.services import book
from billing.usage import records
from billing.usage.events import UsageEvent
from tenants.keys.services import create_api_key
from tenants.registry.schemas import tenant_schema

START = datetime(2026, 11, 3, 12, tzinfo=UTC)


def call(cast: Any, minute: int, **fields: Any) -> UsageEvent:
    """A call that started so many minutes after START, and arrived just before."""
    moment = START + timedelta(minutes=minute)
    request_id = first_uuid7(moment - timedelta(milliseconds=5)).int + minute
    return event(
        cast,
        2_000,
        **{
            "request_id": f"{request_id:032x}",
            "started_at": moment.timestamp(),
            "endpoint": "chat/completions",
            "status": "completed",
            "truth": "provider",
            "cost_nusd": 1_000 + minute,
            "provider_cost_nusd": 77_777,
            **fields,
        },
    )


def booked(cast: Any, *events: UsageEvent) -> list[str]:
    """Book them; returns their ids as the API tells them, newest first."""
    with tenant_schema(cast.code):
        book(events)
    return [f"req_{each.request_id}" for each in reversed(events)]


def api(cast: Any, *scopes: str) -> Client:
    _, key = create_api_key(
        tenant=cast.tenant, name="reader", actor="test", scopes=list(scopes or ["usage"])
    )
    return Client(HTTP_AUTHORIZATION=f"Bearer {key}")


def listed(client: Client, **query: Any) -> list[str]:
    answer = client.get("/v1/usage/records", query).json()
    return [each["id"] for each in answer["data"]]


def walked(client: Client, **query: Any) -> list[str]:
    """All pages, as any client of a paged list goes through them."""
    found: list[str] = []
    while True:
        page = client.get("/v1/usage/records", query).json()
        found += [each["id"] for each in page["data"]]
        if not page["has_more"]:
            return found
        query["after"] = page["last_id"]


def exported(client: Client, **query: Any) -> str:
    response = client.get("/v1/usage/export", query)
    assert response.status_code == 200
    return b"".join(response).decode()  # type: ignore[call-overload]


def test_a_record_tells_all_of_a_call_but_what_it_cost_us(acme: Any) -> None:
    (request_id,) = booked(
        acme, call(acme, 0, input_tokens=7, quantities={"tile": "2"}, neurons="3.5", route="fast")
    )

    record = api(acme).get(f"/v1/usage/records/{request_id}").json()

    assert record["id"] == request_id
    assert record["cost"] == format_usd(1_000)
    assert record["held"] == format_usd(2_000)
    assert record["started_at"] == int(START.timestamp())
    assert (record["model"], record["route"]) == ("llama-3.3-70b-fast", "fast")
    assert record["quantities"] == {"tile": "2"}
    assert "77777" not in json.dumps(record)
    assert "neurons" not in json.dumps(record)


def test_calls_are_listed_newest_first_page_by_page(acme: Any) -> None:
    ids = booked(acme, *(call(acme, minute) for minute in range(7)))
    client = api(acme)

    assert listed(client) == ids
    assert walked(client, limit=3) == ids
    assert walked(client, limit=7) == ids
    assert listed(client, after=ids[4]) == ids[5:]


def test_each_filter_finds_its_own_and_they_add_up(acme: Any) -> None:
    others = [call(acme, minute) for minute in range(3)]
    mine = call(
        acme,
        3,
        key_id="other000",
        ai_model="bge-m3",
        endpoint="embeddings",
        status="upstream_failed",
        cost_nusd=5_000_000,
    )
    (mine_id, *ids) = booked(acme, *others, mine)
    client = api(acme)

    for name, value in {
        "api_key_id": "other000",
        "model": "bge-m3",
        "endpoint": "/v1/embeddings",
        "status": "upstream_failed",
        "min_cost": "0.005",
        "start_time": int((START + timedelta(minutes=3)).timestamp()),
    }.items():
        assert listed(client, **{name: value}) == [mine_id], name
    assert listed(client, api_key_id="other000", model="llama-3.3-70b-fast") == []
    assert listed(client, status="completed", endpoint="chat/completions") == ids
    end = int((START + timedelta(minutes=2)).timestamp())
    assert listed(client, start_time=int(START.timestamp()), end_time=end) == ids[1:]


def test_a_call_whose_body_took_long_to_arrive_is_found_by_when_it_started(acme: Any) -> None:
    slow = call(acme, 0)
    late = slow.with_(started_at=slow.started_at + 600)
    (request_id,) = booked(acme, late)

    start = int(late.started_at)
    assert listed(api(acme), start_time=start, end_time=start + 1) == [request_id]


def test_a_filter_that_matches_one_of_many_is_looked_for_window_by_window(
    acme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "WINDOW", 3)
    rare = {0: "rare0000", 6: "rare0000"}
    events = [call(acme, at, cost_nusd=9 if at in rare else 1) for at in range(9)]
    ids = booked(acme, *events)
    client = api(acme)

    first = client.get("/v1/usage/records", {"min_cost": "0.000000009"}).json()
    assert [each["id"] for each in first["data"]] == [ids[2]]
    assert (first["has_more"], first["last_id"]) == (True, ids[2])
    empty = client.get("/v1/usage/records", {"min_cost": "0.000000009", "after": ids[2]}).json()
    assert (empty["data"], empty["has_more"], empty["last_id"]) == ([], True, ids[5])
    assert walked(client, min_cost="0.000000009") == [ids[2], ids[8]]
    assert len(exported(client, min_cost="0.000000009", format="jsonl").splitlines()) == 2


def test_another_tenants_calls_do_not_exist(acme: Any, globex: Any) -> None:
    (request_id,) = booked(acme, call(acme, 0))
    stranger = api(globex)

    response = stranger.get(f"/v1/usage/records/{request_id}")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "usage_record_not_found"
    assert listed(stranger) == []
    assert exported(stranger, format="jsonl") == ""
    assert stranger.get("/v1/usage/records/nonsense").status_code == 404


def test_lists_and_files_sum_to_what_the_ledger_has_booked(acme: Any) -> None:
    for minute in range(12):
        booked(acme, call(acme, minute, cost_nusd=10**minute + 1))
    client = api(acme)
    with tenant_schema(acme.code):
        used = LedgerAccount.objects.get(code="usage").balance_nusd

    data = client.get("/v1/usage/records", {"limit": 100}).json()["data"]
    assert sum(parse_usd(each["cost"]) for each in data) == used
    rows = list(csv.DictReader(StringIO(exported(client, format="csv"))))
    assert sum(parse_usd(row["cost"]) for row in rows) == used
    lines = [json.loads(line) for line in exported(client, format="jsonl").splitlines()]
    assert sum(parse_usd(line["cost"]) for line in lines) == used
    # Both have the fields of a record, the oldest first.
    assert list(rows[0]) == list(COLUMNS)
    assert lines == data[::-1]
    assert {*COLUMNS, "object"} == set(lines[0])


def test_a_reason_that_begins_like_a_formula_is_text_in_a_table(acme: Any) -> None:
    booked(acme, call(acme, 0, finish_reason="=1+1"))
    client = api(acme)

    (row,) = csv.DictReader(StringIO(exported(client, format="csv")))
    (line,) = exported(client, format="jsonl").splitlines()

    assert row["finish_reason"] == "'=1+1"
    assert json.loads(line)["finish_reason"] == "=1+1"


def test_an_export_of_nothing_is_a_table_without_rows(acme: Any) -> None:
    response = api(acme).get("/v1/usage/export")

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="usage.csv"'
    assert b"".join(response) == (",".join(COLUMNS) + "\r\n").encode()  # type: ignore[call-overload]


def test_head_makes_no_file(rf: Any) -> None:
    def export(_: Any) -> StreamingHttpResponse:
        return StreamingHttpResponse(made(), content_type="text/csv")

    def made() -> Iterator[bytes]:
        raise AssertionError("nobody asked for it")
        yield b""

    response = RequestIdMiddleware(export)(rf.head("/v1/usage/export"))

    assert b"".join(response) == b""  # type: ignore[call-overload]
    assert response["Content-Type"] == "text/csv"


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "x"),
        ("after", "x"),
        ("status", "done"),
        ("min_cost", "-1"),
        ("min_cost", "1e30"),
        ("min_cost", "NaN"),
        ("min_cost", "0.0000000001"),
        ("start_time", "yesterday"),
        ("end_time", "-1"),
        ("model", "a\0b"),
    ],
)
def test_a_wrong_parameter_is_named(acme: Any, param: str, value: str) -> None:
    response = api(acme).get("/v1/usage/records", {param: value})

    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_an_unknown_format_is_refused_before_the_file_begins(acme: Any) -> None:
    response = api(acme).get("/v1/usage/export", {"format": "xlsx"})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "format")


def test_records_need_the_scope(acme: Any) -> None:
    client = api(acme, "inference")
    for path in ("records", "export", "records/req_0"):
        assert client.get(f"/v1/usage/{path}").status_code == 403
