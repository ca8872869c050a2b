"""AI Gateway in front of a call: its headers, its cache, its refusals."""

import time
import uuid
from typing import Any

import pytest
import requests

from sandbox.workers_ai.tests.client import NATIVE, OPENAI, Caller, ask, exact, script

IMAGE = "@cf/leonardo/phoenix-1.0"


def through(**headers: str) -> dict[str, str]:
    """`cache_key="x"` becomes the header cf-aig-cache-key."""
    names = {f"cf-aig-{name.replace('_', '-')}": value for name, value in headers.items()}
    return {"cf-aig-gateway-id": "main", **names}


def fresh() -> str:
    return uuid.uuid4().hex


def status_of(response: requests.Response) -> str | None:
    assert response.status_code == 200, response.text
    return response.headers.get("cf-aig-cache-status")


def test_call_through_a_gateway_names_its_log_and_its_event(stand_in: Caller) -> None:
    response = stand_in.run(NATIVE, ask("Hi"), headers=through(event_id="mine"))

    assert response.headers["cf-aig-event-id"] == "mine"
    assert response.headers["cf-aig-log-id"]
    assert "cf-aig-cache-status" not in response.headers


def test_answer_is_kept_under_the_key_whatever_the_body(stand_in: Caller) -> None:
    key = fresh()

    first = stand_in.run(NATIVE, ask("one"), headers=through(cache_key=key))
    second = stand_in.run(NATIVE, ask("two"), headers=through(cache_key=key))

    assert (status_of(first), status_of(second)) == ("MISS", "HIT")
    assert second.json() == first.json()
    assert second.headers["Content-Type"] == "application/json"
    assert second.headers["cf-aig-log-id"] != first.headers["cf-aig-log-id"]
    # It reached no model, and cost nothing.
    assert not {"cf-ai-req-id", "cf-ai-neurons"} & set(second.headers)


def test_without_a_key_the_body_decides(stand_in: Caller) -> None:
    text, headers = fresh(), through(cache_ttl="60")

    statuses = [
        status_of(stand_in.run(NATIVE, ask(said), headers=headers))
        for said in (text, text, f"{text}!")
    ]

    assert statuses == ["MISS", "HIT", "MISS"]


def test_accounts_gateways_and_models_do_not_share_answers(stand_in: Caller) -> None:
    text, key = fresh(), fresh()
    other = Caller(stand_in.url, account="other")
    ttl, by_key = through(cache_ttl="60"), through(cache_key=key)
    stand_in.run(NATIVE, ask(text), headers=ttl)
    stand_in.run(NATIVE, ask(text), headers=by_key)

    assert status_of(stand_in.run(OPENAI, ask(text), headers=ttl)) == "MISS"
    assert status_of(other.run(NATIVE, ask(text), headers=by_key)) == "MISS"
    elsewhere = {**by_key, "cf-aig-gateway-id": "second"}
    assert status_of(stand_in.run(NATIVE, ask(text), headers=elsewhere)) == "MISS"


@pytest.mark.parametrize(
    "headers",
    [
        {"cf-aig-cache-key": "k"},
        {"cf-aig-gateway-id": "main"},
        {"cf-aig-gateway-id": "main", "cf-aig-cache-key": "k", "cf-aig-skip-cache": "true"},
    ],
)
def test_cache_has_no_part_in_calls_that_do_not_ask_for_it(
    stand_in: Caller, headers: dict[str, str]
) -> None:
    text = fresh()

    statuses = [status_of(stand_in.run(NATIVE, ask(text), headers=headers)) for _ in range(2)]

    assert statuses == [None, None]
    assert stand_in.calls()[-1]["cache"] is None


def test_answer_is_forgotten_after_its_time(stand_in: Caller) -> None:
    headers = through(cache_key=fresh(), cache_ttl="1")
    stand_in.run(NATIVE, ask("x"), headers=headers)

    hit = status_of(stand_in.run(NATIVE, ask("x"), headers=headers))
    time.sleep(1.05)
    after = status_of(stand_in.run(NATIVE, ask("x"), headers=headers))

    assert (hit, after) == ("HIT", "MISS")


def test_pictures_are_kept_too(stand_in: Caller) -> None:
    headers = through(cache_key=fresh())
    body = {"prompt": "x", "width": 64, "height": 64}

    first = stand_in.run(IMAGE, body, headers=headers)
    second = stand_in.run(IMAGE, body, headers=headers)

    assert status_of(second) == "HIT"
    assert second.content == first.content
    assert second.headers["Content-Type"] == "image/jpeg"


@pytest.mark.parametrize(
    "body",
    [
        ask("x", stream=True),
        ask(script(error=True, error_times=1)),
        ask(script(success_false=True)),
        ask(script(truncated_json=True, text="x")),
        {"messages": 5},
    ],
)
def test_streams_and_failures_are_not_kept(stand_in: Caller, body: dict[str, Any]) -> None:
    headers = through(cache_key=fresh())

    for _ in range(2):
        response = stand_in.run(NATIVE, body, headers=headers)
        assert response.headers["cf-aig-cache-status"] == "MISS"


def test_v1_and_the_unified_form_are_cached(stand_in: Caller) -> None:
    v1, unified = through(cache_key=fresh()), through(cache_key=fresh())
    body = {"model": NATIVE, "input": ask("x")}

    chats = [status_of(stand_in.chat(NATIVE, ask("x"), headers=v1)) for _ in range(2)]
    runs = [status_of(stand_in.post("run", body, headers=unified)) for _ in range(2)]

    assert chats == runs == ["MISS", "HIT"]


def test_journal_tells_what_the_gateway_was_told(stand_in: Caller) -> None:
    headers = through(cache_key=fresh(), metadata='{"tenant": "t_1"}', authorization="Bearer s")
    stand_in.run(NATIVE, ask("x"), headers=headers)

    call = stand_in.calls()[-1]

    assert call["cache"] == "MISS"
    assert call["gateway"]["cf-aig-metadata"] == '{"tenant": "t_1"}'
    assert call["gateway"]["cf-aig-authorization"] == "[redacted]"
    assert call["gateway"].keys() == headers.keys()
    assert call["neurons"]


def test_forgetting_the_calls_empties_the_cache(stand_in: Caller) -> None:
    headers = through(cache_key=fresh())
    stand_in.run(NATIVE, ask("x"), headers=headers)
    requests.delete(f"{stand_in.url}/__sandbox/calls", timeout=5)

    assert status_of(stand_in.run(NATIVE, ask("x"), headers=headers)) == "MISS"


def test_refusal_of_the_gateway_reached_no_model(stand_in: Caller) -> None:
    body = ask(script(gateway_error={"code": 2009}))

    response = stand_in.run(NATIVE, body, headers=through())

    assert response.status_code == 401
    assert response.json()["error"] == [{"code": 2009, "message": "Unauthorized"}]
    assert "cf-ai-req-id" not in response.headers
    assert response.headers["cf-aig-log-id"]


def test_policies_refuse_in_forms_of_their_own(stand_in: Caller) -> None:
    denied = stand_in.run(NATIVE, ask(script(gateway_error="policy")))
    spent = stand_in.run(NATIVE, ask(script(gateway_error="budget")))

    assert denied.status_code == 403
    assert denied.json() == {"success": False, "error": {"message": "Access denied by policy"}}
    assert spent.status_code == 429
    assert exact(spent)["error"].keys() == {"message", "bucket", "spent", "limit"}
