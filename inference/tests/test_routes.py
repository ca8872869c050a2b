"""Names that lead to several models, accounts that stand in for each other, a second provider."""

import time
from collections.abc import Iterator
from io import StringIO
from typing import Any

import openai
import pytest
from django.core.management import call_command

from inference.catalog.models import AIModel, Route
from inference.tests.settled import nusd, say, settled_record, wait_for
from inference.upstreams.models import Upstream

LLAMA = "@cf/meta/llama-3.3-70b-instruct-fp8-fast"
QWEN = "@cf/qwen/qwen3-30b-a3b-fp8"
BUSY = {"status": 429, "code": 3040, "message": "busy"}
SPENT = {"status": 429, "code": 4006, "message": "spent"}
BOOM = {"status": 500, "code": 3043, "message": "boom"}


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


def command(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


# Longer than any web process may go on with an old snapshot.
SNAPSHOT_S = 3.2


@pytest.fixture(scope="module", autouse=True)
def _routes(_running_sandbox: Any) -> Iterator[None]:
    """All of them at once: web processes take a moment to know."""
    command("route", "set", "our-best", "qwen-3-30b", "--fallback", "gpt-oss-20b")
    command("route", "set", "shared", "qwen-3-30b=1", "llama-3.2-1b=1")
    command("route", "set", "sturdy", "llama-3.3-70b-fast", "--fallback", "qwen-3-30b")
    command("route", "set", "mixed", "llama-3.2-1b", "--fallback", "qwen-3-30b")
    # A name that an AI model has, too.
    command("route", "set", "granite-4-micro", "llama-3.2-3b")
    add_server(_running_sandbox.env["CLOUDFLARE_BASE_URL"].removesuffix("/client/v4"))
    command("route", "set", "either", "rack-chat", "--fallback", "qwen-3-30b")
    time.sleep(SNAPSHOT_S)
    yield
    Route.objects.all().delete()
    AIModel.objects.exclude(upstream=None).delete()
    Upstream.objects.all().delete()
    time.sleep(SNAPSHOT_S)


def add_server(address: str) -> None:
    """The stand-in's plain OpenAI surface, with models of its own names and prices."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("UPSTREAM_API_TOKEN", "local-token")
        command("upstream", "add-server", "rack", "--base-url", f"{address}/openai/v1")
    command(
        *("upstream", "add-model", "rack", "rack-chat", "--upstream-model", "smollm"),
        *("--input-usd", "0.10", "--output-usd", "0.30", "--context-window", "8192"),
        *("--can", "function_calling"),
    )
    command(
        *("upstream", "add-model", "rack", "rack-vectors", "--upstream-model", "e5"),
        *("--kind", "embeddings", "--input-usd", "0.01"),
    )


def test_a_route_answers_under_its_own_name_and_tells_who_did(gateway: Any, cast: Any) -> None:
    response = gateway.chat(cast, say(text="hello"), model="our-best")

    assert response.json()["model"] == "our-best"
    assert response.headers["x-agentflare-model"] == "qwen-3-30b"
    assert response.headers["x-agentflare-attempts"] == "1"
    record = settled_record(cast)
    assert (record.route, record.ai_model, record.upstream_model) == (
        "our-best",
        "qwen-3-30b",
        QWEN,
    )
    assert record.cost_nusd == nusd(response.headers["X-Request-Cost"])


def test_a_routes_name_is_listed_as_a_model(gateway: Any, cast: Any) -> None:
    client = openai.OpenAI(base_url=gateway.base_url, api_key=cast.key)

    assert "our-best" in {model.id for model in client.models.list()}
    found: Any = client.models.retrieve("our-best")
    assert found.routes_to == ["qwen-3-30b", "gpt-oss-20b"]


def test_weights_share_the_calls(gateway: Any, cast: Any) -> None:
    served = {
        gateway.chat(cast, say(text="x"), model="shared").headers["x-agentflare-model"]
        for _ in range(24)
    }
    assert served == {"qwen-3-30b", "llama-3.2-1b"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [BUSY, BOOM, SPENT, {"status": 400, "code": 5007}])
@pytest.mark.billing_row("another AI model, or another account, answered in its place")
def test_a_fallback_answers_when_the_first_cannot(
    gateway: Any, cast: Any, fault: dict[str, Any], stream: bool
) -> None:
    """A spent allowance would close the whole account: there is one here, so it is asked."""
    text = say(text="from the other", model=LLAMA, error=fault)
    response = gateway.chat(cast, text, model="sturdy", stream=stream)

    if fault is SPENT:
        assert response.json()["error"]["code"] == "insufficient_quota"
        return
    assert response.status_code == 200, response.text
    assert "from" in response.text
    assert response.headers["x-agentflare-model"] == "qwen-3-30b"
    assert int(response.headers["x-agentflare-attempts"]) == 2
    record = settled_record(cast)
    assert (record.ai_model, record.status, record.attempts) == ("qwen-3-30b", "completed", 2)
    assert 0 < record.cost_nusd <= record.estimated_nusd


def test_a_busy_model_is_not_waited_for_while_another_can_answer(gateway: Any, cast: Any) -> None:
    started = time.monotonic()
    response = gateway.chat(cast, say(text="at once", model=LLAMA, busy=20), model="sturdy")

    assert response.headers["x-agentflare-model"] == "qwen-3-30b"
    assert time.monotonic() - started < 10


def test_the_input_s_own_fault_goes_nowhere_else(gateway: Any, cast: Any) -> None:
    mark = f"fault-{cast.code}"
    text = say(text="x", error={"status": 400, "code": 5006, "message": mark})
    response = gateway.chat(cast, text, model="sturdy")

    assert response.status_code == 400
    assert len(gateway.upstream_calls(mark)) == 1
    assert settled_record(cast).cost_nusd == 0


def test_a_stream_that_has_begun_is_never_begun_again(gateway: Any, cast: Any) -> None:
    response = gateway.chat(cast, say(tokens=9, cut_after=3), model="sturdy", stream=True)

    assert "[DONE]" not in response.text
    assert '"error"' in response.text
    assert settled_record(cast).attempts == 1


def test_candidates_that_cannot_do_it_are_passed_over(gateway: Any, cast: Any) -> None:
    """The first has no tools; the hold is for the one that has."""
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    response = gateway.chat(cast, say(text="ok"), model="mixed", tools=[tool])

    assert response.status_code == 200, response.text
    assert response.headers["x-agentflare-model"] == "qwen-3-30b"


def test_a_route_may_stand_before_a_model_of_its_name(gateway: Any, cast: Any) -> None:
    response = gateway.chat(cast, say(text="x"), model="granite-4-micro")

    assert response.json()["model"] == "granite-4-micro"
    assert response.headers["x-agentflare-model"] == "llama-3.2-3b"


# --- the pool -----------------------------------------------------------------------


@pytest.mark.billing_row("another AI model, or another account, answered in its place")
def test_another_account_answers_when_one_is_spent(
    gateway: Any, cast: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTREAM_API_TOKEN", "second-token")
    base_url = gateway.sandbox.env["CLOUDFLARE_BASE_URL"]
    command(
        "upstream", "add-account", "second", "--account-id", "acct-second", "--base-url", base_url
    )
    time.sleep(SNAPSHOT_S)
    assert "second-token" not in Upstream.objects.get(name="second").secret
    assert "second-token" not in command("upstream", "list")
    mark = f"pool-{cast.code}"
    for account in ("sandbox", "acct-second"):
        text = say(text=mark, account=account, error=BOOM)
        # A loaded worker may take longer to know of the second one.
        wait_for(lambda text=text: gateway.chat(cast, text, model="our-best").ok)
    Upstream.objects.get(name="second").delete()
    accounts = {call["account"] for call in gateway.upstream_calls(mark)}
    assert accounts == {"sandbox", "acct-second"}


# --- a second kind of provider ------------------------------------------------------


SERVER = "rack-chat"


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_of_another_kind_answers_at_its_own_price(
    gateway: Any, cast: Any, stream: bool
) -> None:
    options = {"stream_options": {"include_usage": True}} if stream else {}
    text = say(text="one two three")
    response = gateway.chat(cast, text, model=SERVER, stream=stream, **options)

    assert response.status_code == 200, response.text
    record = settled_record(cast)
    assert (record.upstream, record.upstream_model) == ("rack", "smollm")
    assert (record.status, record.truth) == ("completed", "provider")
    assert record.neurons is None
    # 100 and 300 nUSD a token, and 20 % on top.
    assert record.cost_nusd == 120 * record.input_tokens + 360 * record.output_tokens
    assert record.provider_cost_nusd == 100 * record.input_tokens + 300 * record.output_tokens


def test_a_server_of_another_kind_embeds(gateway: Any, cast: Any) -> None:
    body = {"model": "rack-vectors", "input": ["a", "b"]}
    response = gateway.post(cast, "embeddings", body)

    assert len(response.json()["data"]) == 2
    assert settled_record(cast).cost_nusd == nusd(response.headers["X-Request-Cost"]) > 0


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"error": {"status": 401, "message": "bad token"}}, 502),
        ({"error": {"status": 500, "message": "boom"}}, 502),
        ({"error": {"status": 400, "message": "no such thing"}}, 400),
        ({"truncated_json": True}, 502),
    ],
)
def test_its_failures_are_told_as_any_other(
    gateway: Any, cast: Any, fault: dict[str, Any], status: int
) -> None:
    response = gateway.chat(cast, say(text="x", **fault), model=SERVER)

    assert response.status_code == status, response.text
    assert settled_record(cast).cost_nusd == 0


def test_one_provider_stands_in_for_the_other(gateway: Any, cast: Any) -> None:
    command("upstream", "off", "rack")
    time.sleep(SNAPSHOT_S)
    response = gateway.chat(cast, say(text="x"), model="either")

    assert response.headers["x-agentflare-model"] == "qwen-3-30b"
    alone = gateway.chat(cast, say(text="x"), model=SERVER)
    assert alone.status_code == 404
    assert "not available at present" in alone.json()["error"]["message"]
