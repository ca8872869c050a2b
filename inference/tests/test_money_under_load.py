"""Many calls at once against little credit, over HTTP."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

from billing.admission.services import books
from inference.tests.settled import nusd, say, settled_records
from tenants.keys.services import create_api_key

SLOW = say(tokens=40, chunk_ms=100)
CALL = {
    "model": "llama-3.3-70b-fast",
    "max_tokens": 40,
    # Long enough for all of them to arrive before the first has ended.
    "messages": [{"role": "user", "content": say(tokens=40, delay_ms=4000)}],
}


def estimate_of_one_call(gateway: Any) -> int:
    reply = gateway.post(gateway.cast(), "chat/completions", CALL)
    return nusd(reply.headers["X-Estimated-Cost"])


def test_sixty_calls_at_once_on_credit_for_ten(gateway: Any) -> None:
    credit = 10 * estimate_of_one_call(gateway) + 1
    cast = gateway.cast(credit_nusd=credit)
    lowest: list[int] = []

    def call(number: int) -> tuple[int, dict[str, Any]]:
        reply = gateway.post(cast, "chat/completions", {**CALL, "stream": False})
        lowest.append(books(cast.tenant).available)
        return reply.status_code, reply.json()

    with ThreadPoolExecutor(60) as pool:
        replies = list(pool.map(call, range(60)))

    served = [body for status, body in replies if status == 200]
    refused = [body["error"] for status, body in replies if status == 429]
    assert len(served) == 10
    assert len(refused) == 50
    assert {error["type"] for error in refused} == {"insufficient_quota"}
    assert min(lowest) >= 0
    told = sum(nusd(body["usage"]["request_cost"]) for body in served)
    records = settled_records(cast, count=10)
    assert sum(record.cost_nusd for record in records) == told
    assert books(cast.tenant).posted == credit - told


def test_streams_and_calls_of_two_tenants_add_up_for_each(gateway: Any) -> None:
    casts = [gateway.cast(name="acme"), gateway.cast(name="globex")]

    def call(number: int) -> tuple[int, int]:
        cast = casts[number % 2]
        body = {
            "model": ("llama-3.3-70b-fast", "qwen-3-30b")[number // 2 % 2],
            "messages": [{"role": "user", "content": say(tokens=number + 1)}],
        }
        if number % 3:
            reply = gateway.post(cast, "chat/completions", body)
            return number % 2, nusd(reply.json()["usage"]["request_cost"])
        streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
        lines = gateway.post(cast, "chat/completions", streamed).text.split("\n\n")
        return number % 2, nusd(json.loads(lines[-3][6:])["usage"]["request_cost"])

    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(call, range(60)))

    for index, cast in enumerate(casts):
        records = settled_records(cast, count=30)
        mine = sum(cost for tenant, cost in told if tenant == index)
        assert sum(record.cost_nusd for record in records) == mine
        assert books(cast.tenant).posted == 25 * 10**9 - mine


def test_a_tenant_without_credit_is_refused_before_upstream_is_called(gateway: Any) -> None:
    cast = gateway.cast(credit_nusd=0)
    mark = f"broke {cast.code}"

    reply = gateway.chat(cast, mark)

    assert reply.status_code == 429
    assert reply.json()["error"]["code"] == "insufficient_quota"
    assert reply.headers["x-should-retry"] == "false"
    assert gateway.upstream_calls(mark) == []
    assert books(cast.tenant).held == 0


def test_many_streams_on_cold_keys_do_not_use_up_the_databases_connections(gateway: Any) -> None:
    cast = gateway.cast()
    keys = [create_api_key(tenant=cast.tenant, name=str(n), actor="test")[1] for n in range(30)]
    body = {**CALL, "stream": True, "messages": [{"role": "user", "content": SLOW}]}

    def stream(key: str) -> int:
        return int(gateway.post(replace(cast, key=key), "chat/completions", body).status_code)

    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(stream, keys)) == [200] * 30


def test_the_balance_told_goes_down_by_the_cost_told(gateway: Any) -> None:
    cast = gateway.cast()
    balance = Decimal(25)
    for _ in range(3):
        usage = gateway.chat(cast, say(text="again")).json()["usage"]
        balance -= Decimal(usage["request_cost"])
        assert Decimal(usage["balance_remaining"]) == balance
