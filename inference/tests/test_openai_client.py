"""The real `openai` package against web, worker and the stand-in, over HTTP."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import openai
import pytest

NATIVE = "llama-3.3-70b-fast"
OPENAI_FORM = "qwen-3-30b"
BOTH_FORMS = pytest.mark.parametrize("model", [NATIVE, OPENAI_FORM])


def script(**directive: Any) -> list[dict[str, Any]]:
    """A user message that tells the stand-in what to do."""
    return [{"role": "user", "content": f"[[sandbox {json.dumps(directive)}]]"}]


@pytest.fixture
def cast(gateway: Any) -> Any:
    return gateway.cast()


@pytest.fixture
def client(gateway: Any, cast: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.base_url, api_key=cast.key, max_retries=0)


@BOTH_FORMS
def test_a_completion(client: openai.OpenAI, model: str) -> None:
    completion = client.chat.completions.create(model=model, messages=script(text="Lima."))

    assert completion.object == "chat.completion"
    assert completion.id.startswith("chatcmpl-")
    assert completion.model == model
    assert completion.system_fingerprint == "sandbox-scripted"
    (choice,) = completion.choices
    assert (choice.index, choice.finish_reason) == (0, "stop")
    assert (choice.message.role, choice.message.content) == ("assistant", "Lima.")
    assert choice.message.tool_calls is None
    assert completion.usage is not None
    assert completion.usage.total_tokens == (
        completion.usage.prompt_tokens + completion.usage.completion_tokens
    )


@BOTH_FORMS
def test_a_stream_has_one_id_a_role_a_finish_and_no_usage(
    client: openai.OpenAI, model: str
) -> None:
    stream = client.chat.completions.create(
        model=model, messages=script(text="one two three four"), stream=True
    )
    chunks = list(stream)

    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert chunks[0].model == model
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "one two three four"
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    assert len(chunks) > 4


@BOTH_FORMS
def test_a_stream_with_usage_ends_in_one_chunk_of_totals(client: openai.OpenAI, model: str) -> None:
    stream = client.chat.completions.create(
        model=model,
        messages=script(text="one two three"),
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = list(stream)

    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens >= 3
    assert last.usage.prompt_tokens > 0
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in chunks)


@BOTH_FORMS
def test_a_stream_on_the_wire(gateway: Any, cast: Any, model: str) -> None:
    response = gateway.chat(cast, script(text="a b")[0]["content"], model=model, stream=True)

    assert response.headers["content-type"].startswith("text/event-stream")
    assert "content-encoding" not in response.headers
    lines = [line for line in response.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines.count("data: [DONE]") == 1
    assert lines[-1] == "data: [DONE]"
    for private in ('"p":', "neurons", "matched_stop", '"response":', "@cf/"):
        assert private not in response.text


@BOTH_FORMS
def test_what_a_call_costs_is_told_alike_in_headers_and_body(
    gateway: Any, cast: Any, model: str
) -> None:
    response = gateway.chat(cast, script(text="Lima.")[0]["content"], model=model)
    usage = response.json()["usage"]

    cost = Decimal(response.headers["X-Request-Cost"])
    estimate = Decimal(response.headers["X-Estimated-Cost"])
    balance = Decimal(response.headers["X-Balance-Remaining"])
    assert usage["request_cost"] == response.headers["X-Request-Cost"]
    assert usage["estimated_cost"] == response.headers["X-Estimated-Cost"]
    assert usage["balance_remaining"] == response.headers["X-Balance-Remaining"]
    assert 0 < cost <= estimate
    assert balance == 25 - cost
    assert len(response.headers["X-Request-Cost"].partition(".")[2]) == 9


def test_the_cost_is_neurons_at_cloudflares_price_with_the_markup(gateway: Any, cast: Any) -> None:
    response = gateway.chat(cast, script(text="one two three")[0]["content"], model=NATIVE)
    usage = response.json()["usage"]

    # 26,668 and 204,805 neurons a million tokens, $0.011 a thousand neurons, 20 % on top.
    exact = (usage["prompt_tokens"] * 26_668 + usage["completion_tokens"] * 204_805) * Decimal(
        "0.0000132"
    )
    nusd = Decimal(usage["request_cost"]) * 10**9
    assert nusd == (exact * 1000).to_integral_value(rounding="ROUND_CEILING")


TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Current weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@BOTH_FORMS
def test_a_tool_call_and_its_result(client: openai.OpenAI, model: str) -> None:
    call = {"name": "weather", "arguments": {"city": "Lima"}}
    asked = client.chat.completions.create(
        model=model, messages=script(tool_calls=[call]), tools=[TOOL]
    )

    assert asked.choices[0].finish_reason == "tool_calls"
    message = asked.choices[0].message
    assert message.content is None
    assert message.tool_calls is not None
    (tool_call,) = message.tool_calls
    assert tool_call.id
    assert tool_call.function.name == "weather"
    assert json.loads(tool_call.function.arguments) == {"city": "Lima"}

    answered = client.chat.completions.create(
        model=model,
        messages=[
            {"role": "user", "content": "Weather in Lima?"},
            message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": tool_call.id, "content": '{"sky": "grey"}'},
            *script(text="It is grey."),
        ],
        tools=[TOOL],
    )
    assert answered.choices[0].message.content == "It is grey."


@BOTH_FORMS
def test_a_streamed_tool_call_arrives_in_fragments_that_fit(
    client: openai.OpenAI, model: str
) -> None:
    calls = [
        {"name": "weather", "arguments": {"city": "Lima"}},
        {"name": "weather", "arguments": {"city": "Quito"}},
    ]
    stream = client.chat.completions.create(
        model=model, messages=script(tool_calls=calls), tools=[TOOL], stream=True
    )
    gathered: dict[int, dict[str, str]] = {}
    finish = None
    for chunk in stream:
        finish = chunk.choices[0].finish_reason or finish
        for fragment in chunk.choices[0].delta.tool_calls or []:
            assert fragment.function is not None
            if fragment.index not in gathered:
                assert fragment.id
                assert fragment.type == "function"
                assert fragment.function.name == "weather"
                gathered[fragment.index] = {"id": fragment.id, "arguments": ""}
            assert isinstance(fragment.function.arguments, str)
            gathered[fragment.index]["arguments"] += fragment.function.arguments

    assert finish == "tool_calls"
    assert sorted(gathered) == [0, 1]
    assert [json.loads(call["arguments"])["city"] for _, call in sorted(gathered.items())] == [
        "Lima",
        "Quito",
    ]
    assert gathered[0]["id"] != gathered[1]["id"]


@BOTH_FORMS
@pytest.mark.parametrize("stream", [False, True])
def test_a_json_schema_is_obeyed(client: openai.OpenAI, model: str, stream: bool) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=model,
        messages=script(json={"name": "Ann", "age": 31}),
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "person", "schema": schema, "strict": True},
        },
        stream=stream,
    )
    if stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer)
    else:
        text = answer.choices[0].message.content
    assert json.loads(text) == {"name": "Ann", "age": 31}


@BOTH_FORMS
@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_sequence_ends_the_answer_and_is_left_out(
    client: openai.OpenAI, model: str, stream: bool
) -> None:
    answer = client.chat.completions.create(
        model=model, messages=script(text="one two three four"), stop=" three", stream=stream
    )
    if stream:
        chunks = list(answer)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        finish = chunks[-1].choices[0].finish_reason
    else:
        text = answer.choices[0].message.content
        finish = answer.choices[0].finish_reason
    assert (text, finish) == ("one two", "stop")


@BOTH_FORMS
@pytest.mark.parametrize("cap", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_output_cap_is_kept_and_told(
    client: openai.OpenAI, model: str, cap: str, stream: bool
) -> None:
    answer = client.chat.completions.create(
        model=model, messages=script(tokens=50), stream=stream, **{cap: 5}
    )
    if stream:
        assert list(answer)[-1].choices[0].finish_reason == "length"
        return
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 5


@BOTH_FORMS
@pytest.mark.parametrize("stream", [False, True])
def test_n_choices(client: openai.OpenAI, model: str, stream: bool) -> None:
    answer = client.chat.completions.create(
        model=model, messages=script(text="yes"), n=3, stream=stream
    )
    if not stream:
        assert [c.index for c in answer.choices] == [0, 1, 2]
        assert [c.message.content for c in answer.choices] == ["yes"] * 3
        return
    texts = {0: "", 1: "", 2: ""}
    finished = set()
    for chunk in answer:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.finish_reason:
                finished.add(choice.index)
    assert texts == {0: "yes", 1: "yes", 2: "yes"}
    assert finished == {0, 1, 2}


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_comes_apart_from_the_content(client: openai.OpenAI, stream: bool) -> None:
    answer = client.chat.completions.create(
        model="glm-4.7-flash",
        messages=script(text="4", reasoning="Two and two."),
        stream=stream,
    )
    if stream:
        deltas = [chunk.choices[0].delta for chunk in answer]
        reasoning = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
        content = "".join(delta.content or "" for delta in deltas)
    else:
        reasoning = answer.choices[0].message.reasoning_content
        content = answer.choices[0].message.content
    assert (reasoning, content) == ("Two and two.", "4")


PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@pytest.mark.parametrize("model", ["llama-4-scout", "gemma-4-26b"])
def test_an_image_part_reaches_a_model_that_sees(
    gateway: Any, client: openai.OpenAI, model: str, cast: Any
) -> None:
    mark = f"mark-{cast.code}"
    completion = client.chat.completions.create(
        model=model,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": f'[[sandbox {{"text": "A pixel. {mark}"}}]]'},
                    {"type": "image_url", "image_url": {"url": PIXEL}},
                ],
            }
        ],
    )
    assert completion.choices[0].message.content == f"A pixel. {mark}"
    (call,) = gateway.upstream_calls(mark)
    assert "image_url" in json.dumps(call["body"])


def test_roles_and_parts_that_native_models_refuse_are_translated(
    client: openai.OpenAI,
) -> None:
    completion = client.chat.completions.create(
        model=NATIVE,
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
            {"role": "assistant", "content": None, "refusal": "No."},
            *script(text="fine"),
        ],
    )
    assert completion.choices[0].message.content == "fine"


def test_what_clients_send_by_habit_is_accepted(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model=NATIVE,
        messages=script(text="ok"),
        user="u1",
        metadata={"a": "b"},
        store=False,
        n=1,
        seed=0,
        temperature=0,
        top_p=0,
        presence_penalty=0,
        frequency_penalty=0,
        logprobs=False,
        service_tier="auto",
        parallel_tool_calls=openai.omit,
        extra_body={"top_k": 5, "repetition_penalty": 1.1, "stop": None, "tools": None},
    )
    assert completion.choices[0].message.content == "ok"


def test_cloudflares_own_ids_are_accepted_and_given_back(client: openai.OpenAI) -> None:
    name = "@cf/meta/llama-3.3-70b-instruct-fp8-fast"
    completion = client.chat.completions.create(model=name, messages=script(text="ok"))
    assert completion.model == name


def test_the_async_client_streams_many_at_once(gateway: Any, cast: Any) -> None:
    async def one(client: openai.AsyncOpenAI, number: int) -> str:
        stream = await client.chat.completions.create(
            model=(NATIVE, OPENAI_FORM)[number % 2],
            messages=script(text=f"answer number {number}", chunk_ms=5),
            stream=True,
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def many() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=gateway.base_url, api_key=cast.key, max_retries=0
        ) as client:
            return await asyncio.gather(*(one(client, number) for number in range(30)))

    assert asyncio.run(many()) == [f"answer number {number}" for number in range(30)]


def test_models_are_listed_with_context_capabilities_and_prices(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}

    assert {NATIVE, OPENAI_FORM, "flux-1-schnell", "whisper", "bge-m3"} <= models.keys()
    assert "llama-2-7b" not in models  # retired
    assert "apertus-1.5-8b" not in models  # without a price
    model = models[NATIVE].model_dump()
    assert model["object"] == "model"
    assert model["owned_by"] == "Meta"
    assert model["context_window"] == 24_000
    assert "function_calling" in model["capabilities"]
    assert model["pricing"]["rates"]["input_tokens"] == "0.0000003520176"


@pytest.mark.parametrize("name", [NATIVE, "@cf/meta/llama-3.3-70b-instruct-fp8-fast"])
def test_a_model_is_found_by_either_id(client: openai.OpenAI, name: str) -> None:
    assert client.models.retrieve(name).id == NATIVE


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        client.models.retrieve("gpt-4o")
    assert refusal.value.code == "model_not_found"
