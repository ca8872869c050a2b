"""What Cloudflare tells afterwards: neurons by GraphQL, AI Gateway's rows."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.workers_ai.tests.client import NATIVE, OPENAI, Caller, ask, exact, script, wait_until
from sandbox.workers_ai.tests.conftest import running

QUERY = """
query($a: String!, $d: Date!) {
  viewer { accounts(filter: {accountTag: $a}) {
    aiInferenceAdaptiveGroups(limit: 100, filter: {date: $d}) {
      count sum { totalNeurons } dimensions { modelId } } } } }"""
PHOENIX = "@cf/leonardo/phoenix-1.0"
GATEWAY = {"cf-aig-gateway-id": "main"}


@pytest.fixture
def account(stand_in: Caller) -> Iterator[Caller]:
    """An account of its own."""
    yield Caller(stand_in.url, account=f"acc{uuid.uuid4().hex}")
    requests.delete(f"{stand_in.url}/__sandbox/drift", timeout=5)


def post(caller: Caller, body: Any, token: str = "token-1") -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.post(f"{caller.url}/client/v4/graphql", json=body, headers=headers, timeout=5)


def today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def neurons(caller: Caller, day: str = "") -> dict[str, Decimal]:
    variables = {"a": caller.account, "d": day or today()}
    answer = exact(post(caller, {"query": QUERY, "variables": variables}))
    assert answer["errors"] is None
    (viewed,) = answer["data"]["viewer"]["accounts"]
    groups = viewed["aiInferenceAdaptiveGroups"]
    return {x["dimensions"]["modelId"]: Decimal(x["sum"]["totalNeurons"]) for x in groups}


def drift(caller: Caller, **how: Any) -> None:
    body = {"account": caller.account, **how}
    requests.put(f"{caller.url}/__sandbox/drift", json=body, timeout=5).raise_for_status()


def test_neurons_are_those_of_all_answers_of_the_account(account: Caller) -> None:
    other = Caller(account.url, account=f"{account.account}b")
    told = [
        Decimal(account.run(NATIVE, ask(script(tokens=n))).headers["cf-ai-neurons"]) for n in (3, 5)
    ]
    other.run(NATIVE, ask("Hi"))

    assert neurons(account) == {NATIVE: sum(told)}
    assert neurons(account, f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}") == {}


@pytest.mark.parametrize("model", [NATIVE, OPENAI])
def test_what_is_told_to_nobody_is_billed_all_the_same(account: Caller, model: str) -> None:
    told = account.run(model, ask(script(tokens=9))).headers["cf-ai-neurons"]
    before = neurons(account)[model]
    account.run(model, ask(script(tokens=9), stream=True))
    account.run(model, ask(script(tokens=9, no_usage=True)))
    account.run(PHOENIX, {"prompt": "a boat", "width": 512, "height": 512, "num_steps": 1})

    billed = neurons(account)
    assert before == Decimal(told)
    # The directive's own text counts as a prompt of another length.
    assert billed[model] > 2 * before
    assert billed[PHOENIX] == 540


def test_a_stream_that_was_left_is_billed_as_far_as_it_was_sent(account: Caller) -> None:
    whole = account.run(NATIVE, ask(script(tokens=60, chunk_ms=10))).headers["cf-ai-neurons"]
    first = neurons(account)[NATIVE]
    body = ask(script(tokens=60, chunk_ms=10), stream=True)
    with account.run(NATIVE, body, stream=True) as response:
        response.raw.read(200)

    wait_until(lambda: neurons(account)[NATIVE] > first)
    assert first < neurons(account)[NATIVE] < 2 * Decimal(whole)


def test_refusals_and_answers_from_the_cache_cost_nothing(account: Caller) -> None:
    headers = {**GATEWAY, "cf-aig-cache-key": uuid.uuid4().hex}
    account.run(NATIVE, ask(script(error=True)))
    account.run(NATIVE, ask("Hi"), headers=headers)
    once = neurons(account)
    account.run(NATIVE, ask("Hi"), headers=headers)

    assert neurons(account) == once != {}


def test_drift_is_played_on_one_account(account: Caller) -> None:
    told = Decimal(account.run(NATIVE, ask("Hi")).headers["cf-ai-neurons"])

    drift(account, percent=-10, neurons={"@cf/x/y": 2.5})
    assert neurons(account) == {NATIVE: told * Decimal("0.9"), "@cf/x/y": Decimal("2.5")}
    drift(account, lag_s=60)
    assert neurons(account) == {}
    drift(account, fails=True)
    answer = post(account, {"query": QUERY, "variables": {"a": account.account, "d": today()}})
    assert answer.status_code == 503
    drift(account)
    assert neurons(account) == {NATIVE: told}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{ viewer { accounts(filter: {accountTag: $a}) { x { y } } }", "error parsing query"),
        ("query($a: String!) { viewer { zones { x } } }", 'unknown field "zones"'),
        ("{ viewer }", "object field must have selections"),
        (QUERY.replace("limit: 100, ", ""), "limit must be positive number"),
        (QUERY.replace("totalNeurons", "totalMoney"), 'unknown field "totalMoney"'),
        (QUERY.replace("date: $d", 'modelId: "x"'), "query time range is too large"),
        (QUERY.replace("$d: Date!", "$e: Date!"), 'variable "$e" is not given'),
        (QUERY.replace("date: $d", 'date: "2020-01-01"'), "cannot request data older than"),
    ],
)
def test_queries_that_cannot_be_are_refused(account: Caller, query: str, message: str) -> None:
    account.run(NATIVE, ask("Hi"))
    answer = post(account, {"query": query, "variables": {"a": account.account, "d": today()}})

    assert answer.status_code == 400
    body = answer.json()
    assert body["data"] is None
    assert message in body["errors"][0]["message"]
    assert body["errors"][0]["extensions"]["timestamp"]


@pytest.mark.parametrize("token", ["", "stolen"])
def test_a_bad_token_is_unauthorized(account: Caller, token: str) -> None:
    answer = post(account, {"query": QUERY, "variables": {}}, token)

    assert answer.status_code == 401
    assert answer.json()["errors"][0]["message"] == "Unauthorized"


def test_other_filters_and_dimensions(account: Caller) -> None:
    account.run(NATIVE, ask("Hi"))
    query = """{ viewer { accounts(filter: {accountTag: "%s"}) {
        mine: aiInferenceAdaptiveGroups(limit: 5, filter: {date_geq: "%s", modelId_in: ["%s"]}) {
            count dimensions { date datetimeHour } } } } }"""
    answer = post(account, {"query": query % (account.account, today(), NATIVE)}).json()

    (row,) = answer["data"]["viewer"]["accounts"][0]["mine"]
    assert row["count"] == 1
    assert row["dimensions"]["date"] == today()
    assert row["dimensions"]["datetimeHour"].startswith(today())


def test_books_outlive_the_process(tmp_path: Path) -> None:
    books = tmp_path / "books.jsonl"
    with running("--scripted-only", "--books", str(books)) as (caller, process):
        caller.run(NATIVE, ask("Hi"))
        before = neurons(caller)
        process.kill()
    with books.open("a") as file:
        file.write('{"account": "half')
    with running("--scripted-only", "--books", str(books)) as (caller, _):
        assert neurons(caller) == before != {}


def log_of(caller: Caller, log_id: str, gateway: str = "main") -> requests.Response:
    base = caller.base.removesuffix("/ai")
    return requests.get(
        f"{base}/ai-gateway/gateways/{gateway}/logs/{log_id}", headers=caller.headers(), timeout=5
    )


def test_gateway_tells_a_calls_tokens_by_its_log_id(account: Caller) -> None:
    metadata = {**GATEWAY, "cf-aig-metadata": '{"tenant": "t1"}'}
    response = account.run(NATIVE, ask(script(tokens=7, no_usage=True)), headers=metadata)
    row = log_of(account, response.headers["cf-aig-log-id"]).json()["result"]

    assert row["tokens_out"] == 7
    assert row["tokens_in"] > 0
    assert row["cost"] > 0
    assert (row["cached"], row["success"], row["status_code"]) == (False, True, 200)
    assert row["metadata"] == {"tenant": "t1"}
    assert row["model"] == NATIVE


def test_a_streams_row_comes_a_moment_later(account: Caller) -> None:
    body = ask(script(tokens=7), stream=True)
    log_id = account.run(NATIVE, body, headers=GATEWAY).headers["cf-aig-log-id"]

    assert log_of(account, log_id).status_code == 404
    wait_until(lambda: log_of(account, log_id).status_code == 200)
    assert log_of(account, log_id, "other").status_code == 404
    assert log_of(account, "nothing").json()["success"] is False


def test_a_directive_makes_the_books_differ(account: Caller) -> None:
    directive = script(tokens=7, billed={"prompt_tokens": 100, "completion_tokens": 50})
    response = account.run(NATIVE, ask(directive), headers=GATEWAY)
    row = log_of(account, response.headers["cf-aig-log-id"]).json()["result"]

    assert (row["tokens_in"], row["tokens_out"]) == (100, 50)
    assert neurons(account)[NATIVE] > Decimal(response.headers["cf-ai-neurons"])
