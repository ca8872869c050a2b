"""What clients send beside text: images by URL, schemas, reasoning; and AI Gateway's cache."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import openai
import pytest

from inference.tests.settled import nusd, say, settled_record, settled_records
from inference.tests.test_every_model import picture

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "person", "schema": SCHEMA, "strict": True},
}
WITHOUT_JSON_MODE = "llama-3.2-1b"


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


@pytest.fixture
def client(gateway: Any, cast: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.base_url, api_key=cast.key, max_retries=0)


# --- images by URL ------------------------------------------------------------------


class Pictures(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/a.png" else 404)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        self.wfile.write(picture() if self.path == "/a.png" else b"")

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def pictures() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Pictures)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def look(url: str, text: str = "What is this?") -> list[dict[str, Any]]:
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "user", "content": parts}]


@pytest.mark.parametrize("model", ["llama-4-scout", "gemma-4-26b", "moondream-3.1"])
def test_an_image_named_by_url_arrives_upstream_as_data(
    gateway: Any, cast: Any, pictures: str, model: str
) -> None:
    mark = f"picture-{cast.code}"
    body = {"model": model, "messages": look(f"{pictures}/a.png", mark)}
    response = gateway.post(cast, "chat/completions", body)

    assert response.status_code == 200, response.text
    (call,) = gateway.upstream_calls(mark)
    assert base64.b64encode(picture()).decode() in str(call["body"])
    assert pictures not in str(call["body"])
    record = settled_record(cast)
    assert 0 < record.cost_nusd <= record.estimated_nusd


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/a.png",
        "http://localhost:1/a.png",
        "ftp://example.com/a.png",
        "file:///etc/passwd",
    ],
)
def test_an_image_from_a_place_that_is_not_public_is_refused(
    gateway: Any, cast: Any, url: str
) -> None:
    body = {"model": "llama-4-scout", "messages": look(url)}
    response = gateway.post(cast, "chat/completions", body)

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "invalid_image_url"), error
    assert error["param"] == "messages[0].content[1].image_url.url"


def test_an_image_that_is_not_there_is_the_clients_affair(
    gateway: Any, cast: Any, pictures: str
) -> None:
    body = {"model": "llama-4-scout", "messages": look(f"{pictures}/b.png")}
    response = gateway.post(cast, "chat/completions", body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_image_url")


# --- JSON from models without a mode for it ------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_is_asked_for_and_checked(gateway: Any, cast: Any, stream: bool) -> None:
    text = say(text='Sure!\n```json\n{"name": "Ann", "age": 31}\n```')
    response = gateway.chat(
        cast, text, model=WITHOUT_JSON_MODE, response_format=FORMAT, stream=stream
    )

    assert response.status_code == 200, response.text
    assert '{\\"name\\": \\"Ann\\", \\"age\\": 31}' in response.text
    assert "```" not in response.text
    assert settled_record(cast).cost_nusd > 0


@pytest.mark.parametrize("stream", [False, True])
def test_json_that_the_cap_has_cut_is_told_to_be_cut_and_is_charged(
    gateway: Any, cast: Any, stream: bool
) -> None:
    """As in JSON mode. To ask again would cut it again, at our expense."""
    mark = f"cut-{cast.code}"
    response = gateway.chat(
        cast,
        say(text='{"name": "Ann", "age": 31}', id=mark),
        model=WITHOUT_JSON_MODE,
        response_format=FORMAT,
        max_tokens=4,
        stream=stream,
    )
    assert response.status_code == 200, response.text
    assert '"finish_reason":"length"' in response.text
    assert '{\\"name' in response.text
    assert len(gateway.upstream_calls(mark)) == 1
    assert settled_record(cast).cost_nusd > 0


@pytest.mark.parametrize("answer", ['{"name": "Ann"}', "no", '{"name": "Ann", "age": "old"}'])
@pytest.mark.billing_row(
    "JSON was asked of a model that has no mode for it, and its second answer did not fit either"
)
def test_an_answer_that_never_fits_costs_nothing_and_says_so(
    gateway: Any, cast: Any, answer: str
) -> None:
    mark = f"unfit-{cast.code}"
    response = gateway.chat(
        cast, say(text=answer, id=mark), model=WITHOUT_JSON_MODE, response_format=FORMAT
    )

    assert response.status_code == 502
    assert response.json()["error"]["code"] == "json_schema_not_met"
    assert response.headers["x-should-retry"] == "false"
    # Once more, with what was wrong; not for ever.
    assert len(gateway.upstream_calls(mark)) == 2
    record = settled_record(cast)
    assert (record.cost_nusd, record.status) == (0, "upstream_failed")
    assert record.provider_cost_nusd > 0


@pytest.mark.parametrize(
    "schema", [{"type": "nonsense"}, {"properties": 5}, {"type": "object", "required": "name"}]
)
def test_a_schema_that_is_none_is_refused(gateway: Any, cast: Any, schema: Any) -> None:
    response = gateway.chat(
        cast,
        "x",
        model=WITHOUT_JSON_MODE,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "invalid_json_schema")
    assert error["param"].startswith("response_format.json_schema.schema")


# --- reasoning, tools ----------------------------------------------------------------


@pytest.mark.parametrize("model", ["deepseek-r1-32b", "glm-4.7-flash", "gpt-oss-20b"])
@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_are_apart_from_the_answer(
    client: openai.OpenAI, model: str, stream: bool
) -> None:
    messages: Any = [{"role": "user", "content": say(reasoning="Trivial sum.", text="It is 4.")}]
    if stream:
        chunks = client.chat.completions.create(model=model, messages=messages, stream=True)
        deltas: list[Any] = [chunk.choices[0].delta for chunk in chunks]
        text = "".join(delta.content or "" for delta in deltas)
        thoughts = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    else:
        answer = client.chat.completions.create(model=model, messages=messages)
        message: Any = answer.choices[0].message
        text, thoughts = message.content, message.reasoning_content
    assert (text, thoughts) == ("It is 4.", "Trivial sum.")


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.mark.parametrize(
    "text", ['{"name": "weather", "arguments": {"city": "Lima"}}', '{"city": "Lima"}']
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_forced_call_that_leaked_into_the_text_is_a_call(
    gateway: Any, cast: Any, text: str, stream: bool
) -> None:
    response = gateway.chat(
        cast,
        say(text=text),
        model="gpt-oss-20b",
        stream=stream,
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )
    assert '"tool_calls"' in response.text
    assert '"finish_reason":"tool_calls"' in response.text
    assert '"name":"weather"' in response.text


@pytest.mark.parametrize("model", ["llama-3.3-70b-fast", "qwen-3-30b"])
@pytest.mark.parametrize("stream", [False, True])
def test_one_call_at_a_time_is_one_call(client: openai.OpenAI, model: str, stream: bool) -> None:
    call = {"name": "weather", "arguments": {"city": "Lima"}}
    params: Any = {
        "model": model,
        "messages": [{"role": "user", "content": say(tool_calls=[call, call])}],
        "tools": [WEATHER],
        "parallel_tool_calls": False,
    }
    if stream:
        with client.chat.completions.stream(**params) as events:
            answer: Any = events.get_final_completion()
    else:
        answer = client.chat.completions.create(**params)
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    (called,) = choice.message.tool_calls
    assert (called.function.name, "Lima" in called.function.arguments) == ("weather", True)


@pytest.mark.parametrize("model", ["llama-3.3-70b-fast", "qwen-3-30b"])
def test_allowed_tools_are_all_that_the_model_is_offered(
    gateway: Any, client: openai.OpenAI, cast: Any, model: str
) -> None:
    other: Any = {"type": "function", "function": {"name": "clock", "parameters": {}}}
    named: Any = {"type": "function", "function": {"name": "weather"}}
    mark = f"allowed-{cast.code}"
    params: Any = {
        "model": model,
        "messages": [{"role": "user", "content": mark}],
        "tools": [other, WEATHER],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "required", "tools": [named]},
        },
    }
    answer = client.chat.completions.create(**params)
    calls: Any = answer.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["weather"]
    (sent,) = gateway.upstream_calls(mark)
    assert [tool["function"]["name"] for tool in sent["body"]["tools"]] == ["weather"]
    assert sent["body"]["tool_choice"] == "required"

    params["tools"] = [other]
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**params)
    assert refused.value.param == "tool_choice"


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_every_effort_that_clients_know_is_taken(client: openai.OpenAI, effort: Any) -> None:
    answer = client.chat.completions.create(
        model="gpt-oss-20b",
        messages=[{"role": "user", "content": "hi"}],
        extra_body={"reasoning_effort": effort},
    )
    assert answer.choices[0].message.content


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities_come_in_openais_form(client: openai.OpenAI, stream: bool) -> None:
    params: Any = {
        "model": "gpt-oss-20b",
        "messages": [{"role": "user", "content": say(text="Lima is grey.")}],
        "logprobs": True,
        "top_logprobs": 2,
    }
    if stream:
        with client.chat.completions.stream(**params) as events:
            answer: Any = events.get_final_completion()
    else:
        answer = client.chat.completions.create(**params)
    told = answer.choices[0].logprobs
    assert "".join(entry.token for entry in told.content) == "Lima is grey."
    assert {len(entry.top_logprobs) for entry in told.content} == {2}
    assert told.refusal is None
    assert stream or "refusal" in told.model_fields_set


def test_a_plain_completion_ends_for_a_reason_of_its_own_api(client: openai.OpenAI) -> None:
    prompt = say(text="Lima.", finish_reason="tool_calls")
    whole = client.completions.create(model="qwen-3-30b", prompt=prompt)
    chunks = client.completions.create(model="qwen-3-30b", prompt=prompt, stream=True)

    assert whole.choices[0].finish_reason == "stop"
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"


def test_what_clients_send_by_habit_is_accepted(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="qwen-3-30b",
        messages=[{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        user="someone",
        metadata={"job": "1"},
        store=True,
        service_tier="auto",
        parallel_tool_calls=True,
        tools=[WEATHER],  # type: ignore[list-item]
        logprobs=True,
        top_logprobs=2,
        reasoning_effort="low",
        extra_body={"prompt_cache_options": {"mode": "implicit"}},
    )
    assert answer.choices[0].message.content


def test_a_summary_is_a_call_like_any_other(gateway: Any, cast: Any) -> None:
    body = {"model": "llama-3.2-1b", "input": say(text="In short: yes."), "length": "short"}
    response = gateway.post(cast, "summaries", body)

    answer = response.json()
    assert (answer["object"], answer["text"]) == ("summary", "In short: yes.")
    assert settled_record(cast).cost_nusd == nusd(response.headers["X-Request-Cost"])


# --- AI Gateway's cache --------------------------------------------------------------


@pytest.mark.billing_row("AI Gateway answered from its cache")
def test_a_cached_answer_costs_nothing_and_belongs_to_one_tenant(gateway: Any) -> None:
    acme, globex = gateway.cast(), gateway.cast(name="globex")
    body = {
        "model": "llama-3.3-70b-fast",
        "messages": [{"role": "user", "content": say(text=f"cached {acme.code}")}],
    }

    def ask(cast: Any, ttl: str) -> Any:
        headers = {**cast.auth, "x-agentflare-cache-ttl": ttl}
        import requests

        return requests.post(
            f"{gateway.base_url}/chat/completions", json=body, headers=headers, timeout=30
        )

    first, again, uncached = ask(acme, "300"), ask(acme, "300"), ask(acme, "0")
    of_another = ask(globex, "300")

    statuses = [answer.headers["x-agentflare-cache"] for answer in (first, again, of_another)]
    assert statuses == ["MISS", "HIT", "MISS"]
    assert uncached.headers["x-agentflare-cache"] == "NONE"
    assert nusd(again.headers["X-Request-Cost"]) == 0
    assert nusd(first.headers["X-Request-Cost"]) > 0
    assert again.json()["choices"] == first.json()["choices"]
    records = settled_records(acme, 3)
    by_status = {record.cache_status: record for record in records}
    assert by_status["HIT"].cost_nusd == by_status["HIT"].provider_cost_nusd == 0
    assert by_status["MISS"].cost_nusd > 0
    assert all(record.gateway_log_id for record in records)


@pytest.mark.parametrize("ttl", ["", "5", "-1", "soon", "99999999"])
def test_a_cache_time_that_makes_no_sense_is_refused(gateway: Any, cast: Any, ttl: str) -> None:
    import requests

    answer = requests.post(
        f"{gateway.base_url}/chat/completions",
        json={"model": "llama-3.2-1b", "messages": [{"role": "user", "content": "x"}]},
        headers={**cast.auth, "x-agentflare-cache-ttl": ttl},
        timeout=30,
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "x-agentflare-cache-ttl"


def test_nobody_without_credit_makes_us_fetch_an_image(gateway: Any, pictures: str) -> None:
    cast = gateway.cast(credit_nusd=0)
    gateway.chat(cast, "warm up")
    body = {"model": "llama-4-scout", "messages": look(f"{pictures}/b.png")}
    response = gateway.post(cast, "chat/completions", body)

    assert (response.status_code, response.json()["error"]["code"]) == (429, "insufficient_quota")


def test_a_key_may_say_that_the_cache_will_do(gateway: Any) -> None:
    from tenants.keys.services import create_api_key

    cast = gateway.cast()
    _, cast.key = create_api_key(tenant=cast.tenant, name="cached", actor="test", cache_ttl_s=300)
    text = say(text=f"by key {cast.code}")
    statuses = [gateway.chat(cast, text).headers["x-agentflare-cache"] for _ in range(2)]

    assert statuses == ["MISS", "HIT"]
    with pytest.raises(ValueError, match="from 60 to"):
        create_api_key(tenant=cast.tenant, name="x", actor="test", cache_ttl_s=5)
