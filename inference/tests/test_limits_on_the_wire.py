"""Limits, budgets and shrink-to-fit as a client meets them, over HTTP."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
import requests

from conftest import Cast, Gateway
from tenants.keys.services import create_api_key
from tenants.limits import Limits
from tenants.registry.services import change_limits

USD = 1_000_000_000


def limited(cast: Cast, *, shrink_to_fit: bool = False, **limits: int) -> Cast:
    """The cast with limits of its own for the workspace."""
    change_limits(
        tenant=cast.tenant,
        plan=None,
        limits=Limits(**limits),
        shrink_to_fit=shrink_to_fit,
        actor="test",
    )
    return cast


def keyed(cast: Cast, **settings: Any) -> Cast:
    """The cast with a key that has these settings."""
    _, cast.key = create_api_key(tenant=cast.tenant, name="limited", actor="test", **settings)
    return cast


def open_stream(gateway: Gateway, cast: Cast) -> requests.Response:
    """A call that runs for some seconds."""
    text = '[[sandbox {"text": "a b c d e f", "chunk_ms": 400}]]'
    body = {
        "model": "llama-3.3-70b-fast",
        "stream": True,
        "messages": [{"role": "user", "content": text}],
    }
    return gateway.post(cast, "chat/completions", body, stream=True)


def test_every_answer_tells_what_is_left(gateway: Gateway) -> None:
    cast = limited(gateway.cast(), requests_per_minute=50, tokens_per_minute=1_000_000)

    whole = gateway.chat(cast, "Hello", max_tokens=5)
    stream = gateway.chat(cast, "Hello", max_tokens=5, stream=True)
    wrong = gateway.chat(cast, "Hello", max_tokens=-5)
    missing = gateway.post(cast, "chat/completions", {"model": "nonsense", "messages": []})
    listed = requests.get(f"{gateway.base_url}/models", headers=cast.auth, timeout=10)

    assert [each.status_code for each in (whole, stream, wrong, missing, listed)] == [
        200,
        200,
        400,
        400,
        200,
    ]
    for response, left in ((whole, 49), (stream, 48), (wrong, 48), (missing, 48), (listed, 48)):
        assert response.headers["x-ratelimit-limit-requests"] == "50"
        assert response.headers["x-ratelimit-remaining-requests"] == str(left)
        assert response.headers["x-ratelimit-reset-requests"] == "1m1s"
        assert response.headers["x-ratelimit-limit-tokens"] == "1000000"
    # What was estimated for the first call has become what it used.
    first = int(whole.headers["x-ratelimit-remaining-tokens"])
    last = int(listed.headers["x-ratelimit-remaining-tokens"])
    assert 1_000_000 - last < 2 * (1_000_000 - first)


@pytest.mark.billing_row("refused by us: key, parameters, credit, limits")
def test_a_refusal_names_the_limit_and_the_wait_and_calls_nobody(gateway: Gateway) -> None:
    cast = limited(gateway.cast(), requests_per_minute=2)
    for _ in range(2):
        assert gateway.chat(cast, "Hello", max_tokens=5).status_code == 200

    text = f"refused in {cast.code}"
    response = gateway.chat(cast, text, max_tokens=5)

    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (
        429,
        "requests",
        "rate_limit_exceeded",
    )
    assert "this workspace on requests per minute: limit 2" in error["message"]
    assert int(response.headers["retry-after"]) > 50
    assert int(response.headers["retry-after-ms"]) > 50_000
    assert response.headers["x-ratelimit-remaining-requests"] == "0"
    assert gateway.upstream_calls(text) == []


def test_openais_client_sees_a_rate_limit_error(gateway: Gateway) -> None:
    cast = limited(gateway.cast(), requests_per_minute=0)
    client = openai.OpenAI(base_url=gateway.base_url, api_key=cast.key, max_retries=0)

    with pytest.raises(openai.RateLimitError) as refusal:
        client.embeddings.create(model="bge-m3", input="x")

    assert refusal.value.code == "rate_limit_exceeded"


def test_anthropics_clients_read_it_in_their_own_envelope(gateway: Gateway) -> None:
    cast = limited(gateway.cast(), requests_per_minute=0)
    body = {
        "model": "llama-3.3-70b-fast",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "x"}],
    }

    response = gateway.post(cast, "messages", body)

    assert response.status_code == 429
    assert response.json()["error"]["type"] == "rate_limit_error"


def test_a_change_of_limits_takes_effect_within_a_second(gateway: Gateway) -> None:
    cast = limited(gateway.cast(), requests_per_minute=1)
    assert gateway.chat(cast, "Hello", max_tokens=5).status_code == 200
    assert gateway.chat(cast, "Hello", max_tokens=5).status_code == 429

    limited(cast, requests_per_minute=10)

    import time

    time.sleep(0.6)
    assert gateway.chat(cast, "Hello", max_tokens=5).status_code == 200


def test_streams_at_once_are_limited_and_a_place_is_free_when_one_ends(gateway: Gateway) -> None:
    cast = limited(gateway.cast(), concurrent_calls=2)
    streams = [open_stream(gateway, cast) for _ in range(2)]

    refused = gateway.chat(cast, "Hello", max_tokens=5)

    assert refused.status_code == 429
    assert "concurrent calls: limit 2" in refused.json()["error"]["message"]
    for stream in streams:
        stream.close()
    deadline = time.monotonic() + 10
    while gateway.chat(cast, "Hello", max_tokens=5).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_racing_calls_never_pass_the_limit(gateway: Gateway) -> None:
    cast = limited(gateway.cast(), requests_per_minute=20)

    with ThreadPoolExecutor(30) as pool:
        statuses = list(
            pool.map(lambda _: gateway.chat(cast, "Hello", max_tokens=2).status_code, range(60))
        )

    assert statuses.count(200) == 20
    assert statuses.count(429) == 40


# --- Keys --------------------------------------------------------------------------


def test_a_key_calls_the_models_of_its_list_alone(gateway: Gateway) -> None:
    cast = keyed(gateway.cast(), ai_models=["llama-3.3-70b-fast"])

    assert gateway.chat(cast, "Hello", max_tokens=5).status_code == 200
    by_cloudflare = gateway.chat(
        cast, "Hello", max_tokens=5, model="@cf/meta/llama-3.3-70b-instruct-fp8-fast"
    )
    assert by_cloudflare.status_code == 200
    for response in (
        gateway.chat(cast, "Hello", model="gpt-oss-20b"),
        gateway.post(cast, "run/@cf/openai/gpt-oss-20b", {"prompt": "x"}),
        gateway.post(cast, "embeddings", {"model": "bge-m3", "input": "x"}),
        gateway.post(
            cast,
            "messages/count_tokens",
            {"model": "gpt-oss-20b", "messages": [{"role": "user", "content": "x"}]},
        ),
        requests.get(f"{gateway.base_url}/models/gpt-oss-20b", headers=cast.auth, timeout=10),
    ):
        assert response.status_code == 404
        assert "not among the models that this API key may call" in response.text
    listed = requests.get(f"{gateway.base_url}/models", headers=cast.auth, timeout=10).json()
    assert [model["id"] for model in listed["data"]] == ["llama-3.3-70b-fast"]


def test_a_key_without_the_scope_calls_no_model(gateway: Gateway) -> None:
    cast = keyed(gateway.cast(), scopes=["usage"])

    refused = gateway.chat(cast, "Hello")
    balance = requests.get(f"{gateway.base_url}/balance", headers=cast.auth, timeout=10)
    usage = requests.get(f"{gateway.base_url}/usage", headers=cast.auth, timeout=10)

    assert (refused.status_code, refused.json()["error"]["code"]) == (
        403,
        "insufficient_permissions",
    )
    assert balance.json()["available"] == "25.000000000"
    assert usage.json()["data"] == []


def test_limits_of_a_key_at_one_model(gateway: Gateway) -> None:
    cast = keyed(gateway.cast(), ai_model_limits={"llama-3.3-70b-fast": {"requests_per_minute": 1}})
    assert gateway.chat(cast, "Hello", max_tokens=5).status_code == 200

    refused = gateway.chat(cast, "Hello", max_tokens=5)

    assert "this API key at this model" in refused.json()["error"]["message"]
    assert gateway.chat(cast, "Hello", max_tokens=5, model="gpt-oss-20b").status_code == 200


def test_a_budget_refuses_what_it_does_not_pay_for(gateway: Gateway) -> None:
    cast = keyed(gateway.cast(), day_budget_nusd=200_000)
    assert gateway.chat(cast, "Hello", max_tokens=5).status_code == 200

    refused = gateway.chat(cast, "Hello", max_tokens=4_000)

    assert refused.json()["error"]["code"] == "key_budget_exceeded"
    assert refused.headers["x-should-retry"] == "false"


def test_running_holds_are_told_with_amount_age_and_request(gateway: Gateway) -> None:
    cast = gateway.cast()
    stream = open_stream(gateway, cast)
    keyed(cast, scopes=["usage"])

    told = requests.get(f"{gateway.base_url}/holds", headers=cast.auth, timeout=10).json()

    (hold,) = told["data"]
    assert hold["request_id"] == stream.headers["x-request-id"]
    assert hold["amount"] == stream.headers["X-Estimated-Cost"]
    assert hold["age_s"] <= 2
    assert (hold["endpoint"], hold["model"]) == ("chat/completions", "llama-3.3-70b-fast")
    stream.close()


# --- Shrink to fit -----------------------------------------------------------------


@pytest.mark.billing_row("made shorter to fit the credit")
def test_a_call_is_made_as_long_as_the_credit_pays_for(gateway: Gateway) -> None:
    cast = gateway.cast(credit_nusd=300_000)
    assert gateway.chat(cast, "Hello", max_tokens=4_000).status_code == 429
    text = f"shrunk in {cast.code}"

    response = gateway.post(
        Cast(cast.tenant, cast.key, cast.owner),
        "chat/completions",
        {
            "model": "llama-3.3-70b-fast",
            "max_tokens": 4_000,
            "messages": [{"role": "user", "content": text}],
        },
        headers={"x-agentflare-shrink-to-fit": "true"},
    )

    assert response.status_code == 200
    cap = int(response.headers["x-agentflare-max-tokens"])
    assert 16 <= cap < 200
    assert 0 < float(response.headers["X-Estimated-Cost"]) <= 0.0003
    (sent,) = gateway.upstream_calls(text)
    assert sent["body"]["max_tokens"] == cap


@pytest.mark.parametrize("endpoint", ["completions", "messages", "summaries"])
def test_every_dialect_of_a_chat_shrinks(gateway: Gateway, endpoint: str) -> None:
    cast = limited(gateway.cast(credit_nusd=300_000), shrink_to_fit=True)
    body: dict[str, Any] = {"model": "llama-3.3-70b-fast", "max_tokens": 4_000}
    match endpoint:
        case "completions":
            body["prompt"] = "Hello"
        case "messages":
            body["messages"] = [{"role": "user", "content": "Hello"}]
        case "summaries":
            body["input"] = "Hello"

    response = gateway.post(cast, endpoint, body)

    assert response.status_code == 200, response.text
    assert int(response.headers["x-agentflare-max-tokens"]) >= 16


def test_a_request_may_refuse_to_be_shrunk(gateway: Gateway) -> None:
    cast = limited(gateway.cast(credit_nusd=300_000), shrink_to_fit=True)
    body = {
        "model": "llama-3.3-70b-fast",
        "max_tokens": 4_000,
        "messages": [{"role": "user", "content": "Hello"}],
    }

    refused = gateway.post(
        cast, "chat/completions", body, headers={"x-agentflare-shrink-to-fit": "false"}
    )
    nonsense = gateway.post(
        cast, "chat/completions", body, headers={"x-agentflare-shrink-to-fit": "maybe"}
    )

    assert refused.json()["error"]["code"] == "insufficient_quota"
    assert nonsense.json()["error"]["param"] == "x-agentflare-shrink-to-fit"


def test_credit_for_less_than_a_few_words_is_refused_all_the_same(gateway: Gateway) -> None:
    cast = limited(gateway.cast(credit_nusd=20_000), shrink_to_fit=True)

    response = gateway.chat(cast, "Hello", max_tokens=4_000)

    assert response.json()["error"]["code"] == "insufficient_quota"
    assert "lower max_tokens" in response.json()["error"]["message"]


def test_a_budget_shrinks_too(gateway: Gateway) -> None:
    cast = limited(gateway.cast(), shrink_to_fit=True)
    keyed(cast, day_budget_nusd=300_000)

    response = gateway.chat(cast, "Hello", max_tokens=4_000)

    assert response.status_code == 200
    assert int(response.headers["x-agentflare-max-tokens"]) < 200
