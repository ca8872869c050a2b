"""The real `anthropic` package against web, worker and the stand-in, over HTTP."""

import asyncio
import base64
import json
from decimal import Decimal
from typing import Any

import anthropic
import pytest
import requests
from pydantic import BaseModel

from billing.admission.services import books
from inference.tests.settled import nusd, say, settled_record, settled_records

NATIVE = "llama-3.3-70b-fast"
OPENAI_FORM = "qwen-3-30b"
THINKER = "glm-4.7-flash"
BOTH_FORMS = pytest.mark.parametrize("model", [NATIVE, OPENAI_FORM])
STREAMED_OR_NOT = pytest.mark.parametrize("stream", [False, True])


def script(**directive: Any) -> list[Any]:
    return [{"role": "user", "content": say(**directive)}]


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


@pytest.fixture
def client(gateway: Any, cast: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url, api_key=cast.key, max_retries=0)


def ask(client: anthropic.Anthropic, *, stream: bool = False, **params: Any) -> Any:
    """The message, read whole or put together by the SDK from its stream."""
    params = {"model": NATIVE, "max_tokens": 200, **params}
    if not stream:
        return client.messages.create(**params)
    with client.messages.stream(**params) as events:
        return events.get_final_message()


def raw_stream(gateway: Any, cast: Any, **params: Any) -> list[tuple[str, dict[str, Any]]]:
    """The names and the data of a stream's events, as they stand on the wire."""
    body = {"model": NATIVE, "max_tokens": 200, "stream": True, **params}
    response = gateway.post(cast, "messages", body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    events = []
    for event in response.text.removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    assert all(name == data["type"] for name, data in events)
    return events


# --- text ---------------------------------------------------------------------------


@BOTH_FORMS
@STREAMED_OR_NOT
def test_a_message(client: anthropic.Anthropic, model: str, stream: bool) -> None:
    message = ask(client, model=model, messages=script(text="Lima is grey."), stream=stream)

    assert message.id.startswith("msg_")
    assert (message.type, message.role, message.model) == ("message", "assistant", model)
    (block,) = message.content
    assert (block.type, block.text) == ("text", "Lima is grey.")
    # Null breaks the Vercel AI SDK, which reads a list or nothing at all.
    assert "citations" not in block.model_fields_set
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens >= 3
    assert message.usage.cache_read_input_tokens == 0
    assert message.usage.cache_creation_input_tokens == 0


@BOTH_FORMS
def test_a_stream_on_the_wire(gateway: Any, cast: Any, model: str) -> None:
    events = raw_stream(gateway, cast, model=model, messages=script(text="one two three"))

    names = [name for name, _ in events]
    assert names[:3] == ["message_start", "ping", "content_block_start"]
    assert set(names[3:-3]) == {"content_block_delta"}
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    start, end = events[0][1]["message"], events[-2][1]
    assert start["content"] == []
    assert start["stop_reason"] is None
    assert start["usage"]["input_tokens"] > 0
    assert end["delta"]["stop_reason"] == "end_turn"
    assert end["usage"]["output_tokens"] >= 3
    deltas = [data["delta"] for name, data in events if name == "content_block_delta"]
    assert "".join(delta["text"] for delta in deltas) == "one two three"
    assert len(deltas) > 2


@BOTH_FORMS
def test_system_prompts_and_roles_reach_the_model(
    gateway: Any, client: anthropic.Anthropic, cast: Any, model: str
) -> None:
    mark = f"mark-{cast.code}"
    message = ask(
        client,
        model=model,
        system=[
            {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Be kind."},
        ],
        messages=[
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": [{"type": "text", "text": "Hi."}]},
            {"role": "user", "content": [{"type": "text", "text": f"Well? {mark}"}]},
            *script(text="fine"),
        ],
    )
    assert message.content[0].text == "fine"
    (call,) = gateway.upstream_calls(mark)
    sent = call["body"]["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "user"]
    assert sent[0]["content"] == "Be brief.\n\nBe kind."


@BOTH_FORMS
@STREAMED_OR_NOT
def test_the_cap_ends_the_answer(client: anthropic.Anthropic, model: str, stream: bool) -> None:
    message = ask(client, model=model, messages=script(tokens=50), max_tokens=5, stream=stream)

    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 5


@BOTH_FORMS
@STREAMED_OR_NOT
def test_the_stop_sequence_is_told_and_left_out(
    client: anthropic.Anthropic, model: str, stream: bool
) -> None:
    message = ask(
        client,
        model=model,
        messages=script(text="one two three four"),
        stop_sequences=["nine", " three"],
        stream=stream,
    )
    assert message.content[0].text == "one two"
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", " three")


@STREAMED_OR_NOT
def test_a_filter_of_the_provider_is_a_refusal(client: anthropic.Anthropic, stream: bool) -> None:
    message = ask(
        client,
        model=OPENAI_FORM,
        messages=script(text="I will", finish_reason="content_filter"),
        stream=stream,
    )
    assert message.stop_reason == "refusal"


# --- tools --------------------------------------------------------------------------

TOOLS: list[Any] = [
    {
        "name": name,
        "description": "Current weather",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    }
    for name in ("weather", "forecast")
]
CALL = {"name": "weather", "arguments": {"city": "Lima"}}


@BOTH_FORMS
@STREAMED_OR_NOT
def test_a_tool_is_used_and_its_result_sent_back(
    gateway: Any, client: anthropic.Anthropic, cast: Any, model: str, stream: bool
) -> None:
    question = script(tool_calls=[CALL])
    asked = ask(client, model=model, messages=question, tools=TOOLS, stream=stream)

    assert asked.stop_reason == "tool_use"
    (use,) = asked.content
    assert (use.type, use.name, use.input) == ("tool_use", "weather", {"city": "Lima"})

    mark = f"mark-{cast.code}"
    answered = ask(
        client,
        model=model,
        messages=[
            {"role": "user", "content": f"Weather in Lima? {mark}"},
            asked.to_param(),
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": use.id, "content": "grey"},
                    {"type": "text", "text": say(text="It is grey.")},
                ],
            },
        ],
        tools=TOOLS,
        stream=stream,
    )
    assert answered.content[0].text == "It is grey."
    (call,) = gateway.upstream_calls(mark)
    _, assistant, result, _ = call["body"]["messages"]
    assert json.loads(assistant["tool_calls"][0]["function"]["arguments"]) == {"city": "Lima"}
    assert assistant["tool_calls"][0]["id"] == result["tool_call_id"] == use.id
    assert (result["role"], result["content"]) == ("tool", "grey")


@BOTH_FORMS
@STREAMED_OR_NOT
def test_text_and_several_tools_are_blocks_of_their_own(
    client: anthropic.Anthropic, model: str, stream: bool
) -> None:
    calls = [CALL, {"name": "forecast", "arguments": {"city": "Cusco"}}]
    message = ask(
        client, model=model, messages=script(text="Let me look.", tool_calls=calls),
        tools=TOOLS, stream=stream,
    )  # fmt: skip
    *texts, first, second = message.content
    assert [block.text for block in texts] in ([], ["Let me look."])
    assert (first.name, first.input) == ("weather", {"city": "Lima"})
    assert (second.name, second.input) == ("forecast", {"city": "Cusco"})
    assert first.id != second.id


@BOTH_FORMS
@pytest.mark.parametrize(
    "choice",
    [
        {"type": "auto", "disable_parallel_tool_use": True},
        {"type": "any"},
        {"type": "tool", "name": "weather"},
    ],
)
def test_a_choice_of_tools_is_passed_on(
    gateway: Any, client: anthropic.Anthropic, cast: Any, model: str, choice: Any
) -> None:
    mark = f"mark-{cast.code}"
    message = ask(
        client,
        model=model,
        messages=[{"role": "user", "content": f"{say(tool_calls=[CALL])} {mark}"}],
        tools=TOOLS,
        tool_choice=choice,
    )
    assert message.stop_reason == "tool_use"
    (call,) = gateway.upstream_calls(mark)
    wanted = call["body"]["tool_choice"]
    if choice["type"] == "auto":
        assert wanted == "auto"
        assert call["body"].get("parallel_tool_calls", False) is False
    elif choice["type"] == "any" or model == NATIVE:
        assert wanted == "required"
    else:
        assert wanted == {"type": "function", "function": {"name": "weather"}}


def test_no_tool_is_used_where_none_is_wanted(client: anthropic.Anthropic) -> None:
    message = ask(client, messages=script(text="No."), tools=TOOLS, tool_choice={"type": "none"})
    assert message.stop_reason == "end_turn"
    assert message.content[0].text == "No."


# --- thinking -----------------------------------------------------------------------

THINKING = {"type": "enabled", "budget_tokens": 1024}


@pytest.mark.parametrize("model", [THINKER, "kimi-k2.6", "qwq-32b"])
@STREAMED_OR_NOT
def test_thoughts_come_in_a_block_of_their_own(
    gateway: Any, client: anthropic.Anthropic, cast: Any, model: str, stream: bool
) -> None:
    mark = f"mark-{cast.code}"
    directive: dict[str, Any] = {"text": "4", "reasoning": "Two and two."}
    if model == "qwq-32b":
        directive = {"text": "<think>\nTwo and two.\n</think>\n\n4"}
    message = ask(
        client,
        model=model,
        messages=[{"role": "user", "content": f"{say(**directive)} {mark}"}],
        max_tokens=2000,
        thinking=THINKING,
        stream=stream,
    )
    thought, text = message.content
    assert (thought.type, thought.thinking.strip()) == ("thinking", "Two and two.")
    assert thought.signature
    assert text.text == "4"
    if model != "qwq-32b":
        (call,) = gateway.upstream_calls(mark)
        assert call["body"]["reasoning_effort"] == "low"
        assert call["body"]["chat_template_kwargs"]["enable_thinking"] is True


@STREAMED_OR_NOT
def test_thoughts_are_kept_back_from_who_has_not_asked(
    client: anthropic.Anthropic, stream: bool
) -> None:
    for thinking in (anthropic.omit, {"type": "disabled"}):
        message = ask(
            client,
            model=THINKER,
            messages=script(text="4", reasoning="Two and two."),
            thinking=thinking,
            stream=stream,
        )
        assert [block.type for block in message.content] == ["text"]


@STREAMED_OR_NOT
def test_thoughts_without_their_text(client: anthropic.Anthropic, stream: bool) -> None:
    message = ask(
        client,
        model=THINKER,
        messages=script(text="4", reasoning="Two and two."),
        thinking={"type": "adaptive", "display": "omitted"},
        stream=stream,
    )
    thought, text = message.content
    assert (thought.thinking, text.text) == ("", "4")
    assert thought.signature


def test_thoughts_of_earlier_turns_go_back_to_the_model(
    gateway: Any, client: anthropic.Anthropic, cast: Any
) -> None:
    first = ask(
        client,
        model=THINKER,
        messages=script(reasoning="It is asked for Lima.", tool_calls=[CALL]),
        tools=TOOLS,
        thinking=THINKING,
        max_tokens=2000,
    )
    thought, use = first.content
    mark = f"mark-{cast.code}"
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "grey"}
    ask(
        client,
        model=THINKER,
        messages=[
            {"role": "user", "content": mark},
            first.to_param(),
            {"role": "user", "content": [result, {"type": "text", "text": say(text="Grey.")}]},
        ],
        tools=TOOLS,
        thinking=THINKING,
        max_tokens=2000,
    )
    (call,) = gateway.upstream_calls(mark)
    assert call["body"]["messages"][1]["reasoning"] == thought.thinking


def test_a_model_that_cannot_think_answers_without(client: anthropic.Anthropic) -> None:
    message = ask(client, messages=script(text="ok"), thinking=THINKING, max_tokens=2000)
    assert [block.type for block in message.content] == ["text"]


# --- images, documents, JSON --------------------------------------------------------

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@pytest.mark.parametrize("model", ["llama-4-scout", "gemma-4-26b"])
@pytest.mark.parametrize("in_result", [False, True])
def test_an_image_reaches_a_model_that_sees(
    gateway: Any, client: anthropic.Anthropic, cast: Any, model: str, in_result: bool
) -> None:
    mark = f"mark-{cast.code}"
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    image: Any = {"type": "image", "source": source}
    earlier: list[Any] = []
    if in_result:
        use = {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Lima"}}
        earlier = [{"role": "user", "content": "Go."}, {"role": "assistant", "content": [use]}]
        image = {"type": "tool_result", "tool_use_id": "call_1", "content": [image]}
    text = {"type": "text", "text": f"{say(text='A pixel.')} {mark}"}

    message = ask(
        client,
        model=model,
        messages=[*earlier, {"role": "user", "content": [image, text]}],
        tools=TOOLS,
    )
    assert message.content[0].text == "A pixel."
    (call,) = gateway.upstream_calls(mark)
    sent = json.dumps(call["body"]["messages"][-1])
    assert "image_url" in sent
    assert base64.b64decode(PIXEL)[:4] == b"\x89PNG"


def test_an_image_that_cannot_be_fetched_is_named(client: anthropic.Anthropic) -> None:
    image: Any = {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1/x.png"}}
    with pytest.raises(anthropic.BadRequestError) as refusal:
        ask(client, model="llama-4-scout", messages=[{"role": "user", "content": [image]}])
    assert "messages[0].content[0].source.url" in str(refusal.value)


def test_a_document_is_read_as_text(gateway: Any, client: anthropic.Anthropic, cast: Any) -> None:
    mark = f"mark-{cast.code}"
    document: Any = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": f"Rain. {mark}"},
        "title": "Forecast",
    }
    text: Any = {"type": "text", "text": say(text="ok")}
    ask(client, messages=[{"role": "user", "content": [document, text]}])

    (call,) = gateway.upstream_calls(mark)
    content = call["body"]["messages"][0]["content"]
    assert content.startswith(f"<document>\n<title>Forecast</title>\nRain. {mark}\n</document>\n")


class Person(BaseModel):
    name: str
    age: int


@BOTH_FORMS
def test_json_for_a_schema_is_parsed_by_the_sdk(client: anthropic.Anthropic, model: str) -> None:
    message = client.messages.parse(
        model=model,
        max_tokens=200,
        messages=script(json={"name": "Ann", "age": 31}),
        output_format=Person,
    )
    assert message.parsed_output == Person(name="Ann", age=31)


# --- counting -----------------------------------------------------------------------


@BOTH_FORMS
def test_tokens_are_counted_for_nothing(
    gateway: Any, client: anthropic.Anthropic, cast: Any, model: str
) -> None:
    mark = f"mark-{cast.code}"
    messages: list[Any] = [{"role": "user", "content": f"word {mark}"}]
    short = client.messages.count_tokens(model=model, messages=messages)
    long = client.messages.count_tokens(
        model=model, messages=messages, system="word " * 1000, tools=TOOLS
    )
    assert 0 < short.input_tokens < 100
    assert 1000 < long.input_tokens < 1700
    assert gateway.upstream_calls(mark) == []
    assert books(cast.tenant).available == 25 * 10**9
    assert not books(cast.tenant).held


def test_a_prompt_beyond_the_window_is_counted_and_refused(client: anthropic.Anthropic) -> None:
    messages: list[Any] = [{"role": "user", "content": "word " * 30_000}]
    assert client.messages.count_tokens(model=NATIVE, messages=messages).input_tokens > 30_000

    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        ask(client, messages=messages)


# --- money --------------------------------------------------------------------------


@BOTH_FORMS
def test_a_message_is_charged_once_what_it_told(gateway: Any, cast: Any, model: str) -> None:
    body = {"model": model, "max_tokens": 50, "messages": script(text="one two")}
    response = gateway.post(cast, "messages", body)
    told = response.json()["usage"]

    record = settled_record(cast)
    assert (record.endpoint, record.status, record.truth) == ("messages", "completed", "provider")
    assert record.cost_nusd == nusd(told["request_cost"]) > 0
    assert record.estimated_nusd == nusd(told["estimated_cost"])
    assert record.input_tokens == told["input_tokens"]
    assert record.output_tokens == told["output_tokens"]
    assert told["request_cost"] == response.headers["X-Request-Cost"]
    assert Decimal(told["balance_remaining"]) == 25 - Decimal(told["request_cost"])
    assert books(cast.tenant).available == 25 * 10**9 - record.cost_nusd


@BOTH_FORMS
def test_a_stream_is_charged_once_what_its_end_told(gateway: Any, cast: Any, model: str) -> None:
    events = raw_stream(gateway, cast, model=model, messages=script(text="one two"))
    told = events[-2][1]["usage"]

    record = settled_record(cast)
    assert (record.status, record.is_stream) == ("completed", True)
    assert record.cost_nusd == nusd(told["request_cost"]) > 0
    assert record.output_tokens == told["output_tokens"]
    assert books(cast.tenant).available == 25 * 10**9 - record.cost_nusd


@STREAMED_OR_NOT
def test_tokens_read_from_a_cache_are_told_apart(
    client: anthropic.Anthropic, cast: Any, stream: bool
) -> None:
    message = ask(
        client,
        model="kimi-k2.6",
        messages=script(text="ok", cached_tokens=10),
        stream=stream,
    )
    record = settled_record(cast)
    assert message.usage.cache_read_input_tokens == record.cached_input_tokens == 10
    assert message.usage.input_tokens > 0


# --- keys ---------------------------------------------------------------------------

GOOD = {"model": NATIVE, "max_tokens": 20, "messages": script(text="ok")}


def post(gateway: Any, headers: dict[str, str], path: str = "messages") -> requests.Response:
    return requests.post(f"{gateway.base_url}/{path}", json=GOOD, headers=headers, timeout=30)


def test_the_key_may_come_in_either_header_or_twice(gateway: Any, cast: Any) -> None:
    key, bearer = {"x-api-key": cast.key}, cast.auth
    for headers in (key, bearer, {**key, **bearer}, {**bearer, "x-api-key": ""}):
        assert post(gateway, headers).status_code == 200
    chat = post(gateway, key, "chat/completions")
    assert chat.status_code == 200


def test_two_different_keys_are_refused_and_nobody_pays(gateway: Any, cast: Any) -> None:
    other = gateway.cast()
    response = post(gateway, {**cast.auth, "x-api-key": other.key})

    assert response.status_code == 401
    assert "different keys" in response.json()["error"]["message"]
    for tenant in (cast.tenant, other.tenant):
        assert books(tenant).available == 25 * 10**9


@pytest.mark.parametrize("key", ["oi_wrong", "sk-ant-api03-x"])
def test_a_wrong_key_is_an_authentication_error(gateway: Any, key: str) -> None:
    client = anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0)
    with pytest.raises(anthropic.AuthenticationError) as refusal:
        ask(client, messages=script(text="ok"))
    assert refusal.value.type == "authentication_error"
    assert refusal.value.request_id


def test_no_key_is_an_authentication_error(gateway: Any) -> None:
    response = post(gateway, {})
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"


# --- errors -------------------------------------------------------------------------


def assert_charged_nothing(cast: Any) -> None:
    record = settled_record(cast)
    assert (record.cost_nusd, record.status) == (0, "upstream_failed")
    assert books(cast.tenant).available == 25 * 10**9


def assert_envelope(response: requests.Response, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"type", "error", "request_id"}
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert body["error"]["message"]
    assert body["request_id"] == response.headers["request-id"] == response.headers["x-request-id"]
    assert body["request_id"].startswith("req_")
    assert "openai-version" not in response.headers
    return dict(body["error"])


def test_a_thread_can_be_asked_for_and_not_be_continued(gateway: Any, cast: Any) -> None:
    """Upon this error, and no other, Anthropic's tool runner sends the whole conversation."""
    body = {"model": NATIVE, "max_tokens": 200, "messages": script(text="Lima.")}
    began = gateway.post(cast, "messages", {**body, "thread": {"type": "create"}})
    assert began.status_code == 200
    thread = {"type": "continue", "previous_message_id": began.json()["id"]}
    refused = gateway.post(cast, "messages", {**body, "thread": thread})

    assert refused.status_code == 404
    error = refused.json()["error"]
    assert error["type"] == "not_found_error"
    assert error["details"]["error_code"] == "thread_not_found"


def test_an_unknown_model_is_not_found(client: anthropic.Anthropic, cast: Any) -> None:
    with pytest.raises(anthropic.NotFoundError) as refusal:
        ask(client, model="claude-9", messages=script(text="ok"))
    error = refusal.value
    assert (error.type, error.error_code) == ("not_found_error", "model_not_found")
    assert "claude-9" in (error.api_message or "")
    assert books(cast.tenant).available == 25 * 10**9


def test_a_model_of_another_kind_is_not_found(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="v1/messages"):
        ask(client, model="bge-m3", messages=script(text="ok"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "boss", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "thinking", "thinking": "x"}]}]},
            "'thinking' block",
        ),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "prefill"),
        ({"stop_sequences": ["a", "b", "c", "d", "e"]}, "stop_sequences"),
        ({"tools": [{"name": "x"}]}, "tools[0].input_schema"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": "x"}}, "'x'"),
        ({"container": "c1"}, "container"),
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
        ({"frequency_penalty": 1}, "frequency_penalty"),
        ({"thinking": {"type": "on"}}, "thinking.type"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": 5}}}}, "schema"),
    ],
)
def test_a_bad_parameter_is_named(
    gateway: Any, cast: Any, change: dict[str, Any], named: str
) -> None:
    response = gateway.post(cast, "messages", {**GOOD, **change})

    error = assert_envelope(response, 400, "invalid_request_error")
    assert named in error["message"]
    assert books(cast.tenant).available == 25 * 10**9


def test_null_is_absent_for_what_anthropic_knows(gateway: Any, cast: Any) -> None:
    names = ["system", "tools", "tool_choice", "thinking", "output_config", "stream", "metadata"]
    names += ["stop_sequences", "temperature", "top_p", "top_k", "container", "service_tier"]
    response = gateway.post(cast, "messages", {**GOOD, **dict.fromkeys(names)})
    assert response.status_code == 200, response.text


@BOTH_FORMS
def test_what_clients_send_by_habit_is_accepted(client: anthropic.Anthropic, model: str) -> None:
    message = client.beta.messages.create(
        model=model,
        max_tokens=20,
        messages=script(text="ok"),
        metadata={"user_id": "u1"},
        service_tier="auto",
        cache_control={"type": "ephemeral"},
        betas=["context-management-2025-06-27"],
        context_management={"edits": []},
        mcp_servers=[],
        extra_body={"temperature": 0, "top_p": 1, "top_k": 0},
    )
    assert message.content[0].text == "ok"  # type: ignore[union-attr]


def test_a_body_over_the_limit(gateway: Any, cast: Any) -> None:
    response = requests.post(
        f"{gateway.base_url}/messages",
        data=b" " * (26 * 1024 * 1024 + 1),
        headers={**cast.auth, "Content-Type": "application/json"},
        timeout=30,
    )
    assert_envelope(response, 413, "request_too_large")


def test_other_methods_types_and_urls(gateway: Any, cast: Any) -> None:
    url = f"{gateway.base_url}/messages"
    response = requests.get(url, headers=cast.auth, timeout=10)
    assert_envelope(response, 405, "invalid_request_error")
    assert response.headers["allow"] == "POST, OPTIONS"
    response = requests.post(url, data={"model": "x"}, headers=cast.auth, timeout=10)
    assert_envelope(response, 415, "invalid_request_error")
    response = requests.get(f"{url}/batches", headers=cast.auth, timeout=10)
    assert_envelope(response, 404, "not_found_error")
    # Everywhere else it is OpenAI's.
    response = requests.post(f"{gateway.base_url}/messagesX", headers=cast.auth, timeout=10)
    assert set(response.json()) == {"error"}


def test_too_little_credit_is_a_matter_of_payment(gateway: Any) -> None:
    poor = gateway.cast(credit_nusd=1000)
    client = anthropic.Anthropic(base_url=gateway.url, api_key=poor.key, max_retries=2)
    with pytest.raises(anthropic.PaymentRequiredError) as refusal:
        ask(client, messages=script(text="ok"))
    assert (refusal.value.type, refusal.value.error_code) == ("billing_error", "insufficient_quota")
    assert refusal.value.response.headers["x-should-retry"] == "false"
    assert books(poor.tenant).available == 1000


@STREAMED_OR_NOT
def test_upstream_failing_is_an_api_error_and_free(
    client: anthropic.Anthropic, cast: Any, stream: bool
) -> None:
    failure = {"status": 500, "code": 7000, "message": "secret"}
    with pytest.raises(anthropic.InternalServerError) as refusal:
        ask(client, messages=script(error=failure), stream=stream)
    assert refusal.value.type in ("api_error", "overloaded_error")
    assert "secret" not in str(refusal.value)
    assert_charged_nothing(cast)


def test_upstream_out_of_capacity_is_overloaded(client: anthropic.Anthropic, cast: Any) -> None:
    failure = {"status": 429, "code": 3040, "message": "no capacity"}
    with pytest.raises(anthropic.OverloadedError) as refusal:
        ask(client, messages=script(error=failure))
    assert refusal.value.type == "overloaded_error"
    assert refusal.value.response.headers["retry-after"]
    assert_charged_nothing(cast)


@BOTH_FORMS
def test_a_stream_that_breaks_ends_in_an_error_event(
    client: anthropic.Anthropic, cast: Any, model: str
) -> None:
    seen = []
    with (
        pytest.raises(anthropic.APIStatusError) as refusal,
        client.messages.stream(
            model=model, max_tokens=50, messages=script(tokens=20, cut_after=6)
        ) as stream,
    ):
        seen += list(stream.text_stream)
    assert refusal.value.type == "api_error"
    assert refusal.value.request_id
    record = settled_record(cast)
    assert record.status == "upstream_broke"
    assert 0 < record.output_tokens < 20
    assert books(cast.tenant).available == 25 * 10**9 - record.cost_nusd


def test_a_broken_stream_on_the_wire_has_no_end(gateway: Any, cast: Any) -> None:
    events = raw_stream(gateway, cast, messages=script(tokens=20, cut_after=6))

    name, data = events[-1]
    assert (name, data["type"]) == ("error", "error")
    assert set(data) == {"type", "error", "request_id"}
    assert "message_stop" not in [name for name, _ in events]


# --- several at once, repeats, models -----------------------------------------------


def test_the_async_client_streams_many_at_once(gateway: Any, cast: Any) -> None:
    async def one(client: anthropic.AsyncAnthropic, number: int) -> str:
        async with client.messages.stream(
            model=(NATIVE, OPENAI_FORM)[number % 2],
            max_tokens=50,
            messages=script(text=f"answer number {number}", chunk_ms=5),
        ) as stream:
            return await stream.get_final_text()

    async def many() -> list[str]:
        async with anthropic.AsyncAnthropic(
            base_url=gateway.url, api_key=cast.key, max_retries=0
        ) as client:
            return await asyncio.gather(*(one(client, number) for number in range(20)))

    assert asyncio.run(many()) == [f"answer number {number}" for number in range(20)]
    assert len(settled_records(cast, count=20)) == 20


@STREAMED_OR_NOT
def test_a_repeat_with_an_idempotency_key_gets_the_same_bytes(
    gateway: Any, cast: Any, stream: bool
) -> None:
    headers = {**cast.auth, "Idempotency-Key": "k1"}
    body = {**GOOD, "stream": stream}
    first, again = (
        requests.post(f"{gateway.base_url}/messages", json=body, headers=headers, timeout=30)
        for _ in range(2)
    )
    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    settled_record(cast)


def test_models_are_listed_in_anthropics_form(client: anthropic.Anthropic) -> None:
    models = {model.id: model for model in client.models.list()}

    assert {NATIVE, OPENAI_FORM, THINKER} <= models.keys()
    assert "bge-m3" not in models
    model = models[THINKER]
    assert (model.type, model.display_name, model.lifecycle) == ("model", THINKER, "active")
    assert model.created_at.year >= 2025
    assert model.max_input_tokens
    assert {"capabilities", "line", "deprecated_at", "retires_at"} <= model.model_fields_set
    assert client.models.retrieve(NATIVE).id == NATIVE
    with pytest.raises(anthropic.NotFoundError) as refusal:
        client.models.retrieve("claude-9")
    assert refusal.value.type == "not_found_error"


def test_without_anthropics_header_models_are_openais(gateway: Any, cast: Any) -> None:
    models = requests.get(f"{gateway.base_url}/models", headers=cast.auth, timeout=10).json()
    assert models["object"] == "list"
    assert models["data"][0]["object"] == "model"
