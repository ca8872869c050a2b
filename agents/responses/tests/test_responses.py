"""OpenAI's Responses API, by its own client, over HTTP."""

from typing import Any

import openai
import pytest
import requests
from pydantic import BaseModel

from agents.conversations.models import Conversation, Item
from agents.tests.talker import script
from agents.turns.models import Turn
from tenants.registry.schemas import tenant_schema

NATIVE = "llama-3.3-70b-fast"
OPENAI_FORM = "qwen-3-30b"
BOTH_FORMS = pytest.mark.parametrize("model", [NATIVE, OPENAI_FORM])
# Open Responses, 2026-11: the fields that a response must have.
REQUIRED = {
    *("id", "object", "created_at", "completed_at", "status", "incomplete_details", "model"),
    *("previous_response_id", "instructions", "output", "error", "tools", "tool_choice"),
    *("truncation", "parallel_tool_calls", "text", "top_p", "presence_penalty"),
    *("frequency_penalty", "top_logprobs", "temperature", "reasoning", "usage"),
    *("max_output_tokens", "max_tool_calls", "store", "background", "service_tier", "metadata"),
    *("safety_identifier", "prompt_cache_key"),
}
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
    "strict": False,
}


@BOTH_FORMS
def test_a_response(client: openai.OpenAI, cast: Any, model: str) -> None:
    made = client.responses.with_raw_response.create(
        model=model, input=script(text="Lima."), instructions="Be brief.", metadata={"a": "b"}
    )
    response = made.parse()

    assert made.headers["x-request-id"]
    assert response.output_text == "Lima."
    assert response.id.startswith("resp_")
    assert (response.object, response.status, response.model) == ("response", "completed", model)
    (item,) = response.output
    assert item.type == "message"
    assert item.id.startswith("msg_")
    assert (item.role, item.status) == ("assistant", "completed")
    assert item.content[0].annotations == []  # type: ignore[union-attr]
    assert (response.instructions, response.metadata) == ("Be brief.", {"a": "b"})
    assert response.usage is not None
    assert response.usage.total_tokens == (
        response.usage.input_tokens + response.usage.output_tokens
    )
    assert response.usage.input_tokens_details.cache_write_tokens == 0
    fields = made.http_response.json()
    assert fields.keys() >= REQUIRED
    assert len(REQUIRED) == 31
    assert fields["tool_choice"] == "auto"
    assert fields["text"] == {"format": {"type": "text"}, "verbosity": "medium"}
    assert fields["usage"]["request_cost"] == made.headers["x-request-cost"]

    assert client.responses.retrieve(response.id).model_dump(
        exclude={"usage"}
    ) == response.model_dump(exclude={"usage"})
    items = client.responses.input_items.list(response.id)
    assert items.data[0].content[0].text == script(text="Lima.")  # type: ignore[union-attr]
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError) as refused:
        client.responses.retrieve(response.id)
    assert refused.value.code == "response_not_found"
    with tenant_schema(cast.code):
        assert not Conversation.objects.exists()
        assert not Item.objects.exists()


@BOTH_FORMS
def test_a_stream_tells_every_event_in_order(client: openai.OpenAI, model: str) -> None:
    events = list(
        client.responses.create(model=model, input=script(text="one two three"), stream=True)
    )

    kinds = [event.type for event in events]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == "one two three"
    assert len(deltas) > 2
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    first, last = events[0], events[-1]
    assert first.type == "response.created"
    assert last.type == "response.completed"
    assert first.response.id == last.response.id
    assert (first.response.status, first.response.output) == ("in_progress", [])
    assert first.response.usage is None
    assert last.response.output_text == "one two three"
    assert last.response.usage is not None
    assert last.response.usage.output_tokens >= 3


def test_every_event_is_named_by_its_type(gateway: Any, cast: Any) -> None:
    body = {"model": OPENAI_FORM, "input": script(text="Hi."), "stream": True}
    answer = gateway.post(cast, "responses", body)

    assert answer.headers["content-type"].startswith("text/event-stream")
    for block in answer.text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        assert f'"type":"{fields["event"]}"' in fields["data"]
        assert f'"sequence_number":{fields["id"]}' in fields["data"]
    assert "[DONE]" not in answer.text


@BOTH_FORMS
def test_a_function_is_called_and_its_result_is_read(client: openai.OpenAI, model: str) -> None:
    call = {"name": "weather", "arguments": {"city": "Lima"}}
    asked = script(tool_calls=[call], after_tools={"text": "It is warm."})
    with client.responses.stream(model=model, input=asked, tools=[WEATHER]) as stream:
        events = list(stream)
        response = stream.get_final_response()

    done = [e for e in events if e.type == "response.function_call_arguments.done"]
    assert [(e.name, e.arguments.replace(" ", "")) for e in done] == [
        ("weather", '{"city":"Lima"}')
    ]
    (item,) = response.output
    assert item.type == "function_call"
    assert item.id is not None
    assert item.id.startswith("fc_")
    assert response.status == "completed"

    result: Any = {"type": "function_call_output", "call_id": item.call_id, "output": "31 C"}
    told = client.responses.create(
        model=model, input=[result], previous_response_id=response.id, tools=[WEATHER]
    )
    assert told.output_text == "It is warm."
    assert told.previous_response_id == response.id


def test_what_a_model_thinks_is_an_item_of_its_own(client: openai.OpenAI) -> None:
    asked = script(reasoning="Hm, Peru.", text="Lima.")
    events = list(client.responses.create(model=OPENAI_FORM, input=asked, stream=True))

    last = events[-1]
    assert last.type == "response.completed"
    thought, message = last.response.output
    assert thought.type == "reasoning"
    assert thought.content is not None
    assert thought.content[0].text == "Hm, Peru."
    assert thought.summary == []
    assert message.type == "message"
    assert last.response.output_text == "Lima."
    deltas = [e.delta for e in events if e.type == "response.reasoning_text.delta"]
    assert "".join(deltas) == "Hm, Peru."


def test_structured_output_is_parsed(client: openai.OpenAI) -> None:
    class City(BaseModel):
        name: str
        people: int

    for model in (NATIVE, OPENAI_FORM):
        parsed = client.responses.parse(
            model=model,
            input=script(text='{"name": "Lima", "people": 10}'),
            text_format=City,
        )
        assert parsed.output_parsed == City(name="Lima", people=10)


def test_an_answer_that_was_cut_is_incomplete(client: openai.OpenAI) -> None:
    cut = client.responses.create(
        model=NATIVE, input=script(text="one two three four"), max_output_tokens=2
    )
    assert cut.status == "incomplete"
    assert cut.incomplete_details is not None
    assert cut.incomplete_details.reason == "max_output_tokens"
    events = list(
        client.responses.create(
            model=NATIVE,
            input=script(text="one two three four"),
            max_output_tokens=2,
            stream=True,
        )
    )
    assert events[-1].type == "response.incomplete"


def test_responses_follow_each_other_and_branch(
    client: openai.OpenAI, gateway: Any, cast: Any
) -> None:
    first = client.responses.create(model=NATIVE, input="My name is Ana-7301.")
    second = client.responses.create(
        model=NATIVE, input="What is my name?", previous_response_id=first.id
    )
    other = client.responses.create(
        model=NATIVE, input="Say it in capitals.", previous_response_id=first.id
    )
    third = client.responses.create(
        model=NATIVE, input="Thank you.", previous_response_id=second.id
    )

    asked = [call["body"]["messages"] for call in gateway.upstream_calls("Ana-7301")]
    texts = [[m["content"] for m in messages if m["role"] == "user"] for messages in asked]
    assert texts == [
        ["My name is Ana-7301."],
        ["My name is Ana-7301.", "What is my name?"],
        ["My name is Ana-7301.", "Say it in capitals."],
        ["My name is Ana-7301.", "What is my name?", "Thank you."],
    ]
    assert third.previous_response_id == second.id
    with tenant_schema(cast.code):
        assert Conversation.objects.count() == 2
    # What others stand on stays when one is deleted.
    client.responses.delete(first.id)
    client.responses.create(model=NATIVE, input="Ana-7301?", previous_response_id=third.id)
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=NATIVE, input="Hm?", previous_response_id=first.id)
    assert refused.value.code == "previous_response_not_found"
    assert refused.value.param == "previous_response_id"
    assert other.status == "completed"


def test_instructions_are_not_carried_over(client: openai.OpenAI, gateway: Any) -> None:
    first = client.responses.create(
        model=NATIVE, input="Hello 55-uno", instructions="Speak Spanish."
    )
    client.responses.create(model=NATIVE, input="And now?", previous_response_id=first.id)

    asked = [call["body"]["messages"] for call in gateway.upstream_calls("55-uno")]
    assert [m["role"] for m in asked[0]] == ["system", "user"]
    assert [m["role"] for m in asked[1]] == ["user", "assistant", "user"]


def test_a_conversation_takes_input_and_output(client: openai.OpenAI) -> None:
    conversation = client.conversations.create(
        items=[{"type": "message", "role": "user", "content": "I am Ana."}]
    )
    response = client.responses.create(
        model=NATIVE, input=script(text="Ana!"), conversation=conversation.id
    )

    assert response.conversation is not None
    assert response.conversation.id == conversation.id
    items = client.conversations.items.list(conversation.id, order="asc").data
    assert [item.type for item in items] == ["message"] * 3
    assert items[-1].content[0].text == "Ana!"  # type: ignore[union-attr]
    assert items[-1].id == response.output[0].id
    client.responses.delete(response.id)
    assert len(client.conversations.items.list(conversation.id).data) == 3


def test_what_is_not_stored_is_nowhere(client: openai.OpenAI, cast: Any) -> None:
    made = client.responses.create(model=NATIVE, input=script(text="Hi."), store=False)
    assert made.store is False
    streamed = list(
        client.responses.create(model=NATIVE, input=script(text="Hi."), store=False, stream=True)
    )
    assert streamed[-1].type == "response.completed"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with tenant_schema(cast.code):
        assert not Turn.objects.exists()


def test_items_are_referred_to_by_their_id(client: openai.OpenAI) -> None:
    first = client.responses.create(model=NATIVE, input=script(text="Lima."))
    told = client.responses.create(
        model=NATIVE,
        input=[
            {"type": "item_reference", "id": str(first.output[0].id)},
            {"role": "user", "content": script(text="Yes.")},
        ],
    )
    assert told.output_text == "Yes."
    with pytest.raises(openai.NotFoundError) as refused:
        client.responses.create(
            model=NATIVE, input=[{"type": "item_reference", "id": "msg_" + "0" * 32}]
        )
    assert refused.value.param == "input"


def test_a_background_response_goes_on_alone(client: openai.OpenAI) -> None:
    queued = client.responses.create(
        model=OPENAI_FORM, input=script(text="one two three", chunk_ms=50), background=True
    )
    assert queued.status in {"queued", "in_progress"}
    assert queued.background is True
    events = list(client.responses.retrieve(queued.id, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    again = list(client.responses.retrieve(queued.id, stream=True, starting_after=3))
    assert [event.sequence_number for event in again] == list(range(4, len(events)))
    done = client.responses.retrieve(queued.id)
    assert (done.status, done.output_text) == ("completed", "one two three")


def test_a_background_response_is_cancelled(client: openai.OpenAI, cast: Any) -> None:
    slow = script(text=" ".join(map(str, range(500))), chunk_ms=20)
    queued = client.responses.create(model=OPENAI_FORM, input=slow, background=True, stream=True)
    response_id = ""
    for event in queued:
        if event.type == "response.created":
            response_id = event.response.id
        if event.type == "response.output_text.delta":
            break
    cancelled = client.responses.cancel(response_id)
    assert cancelled.status == "cancelled"
    assert client.responses.cancel(response_id).status == "cancelled"
    assert 0 < len(cancelled.output_text.split()) < 400
    synchronous = client.responses.create(model=NATIVE, input=script(text="Hi."))
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(synchronous.id)


def test_refusals_name_the_field_and_store_nothing(gateway: Any, cast: Any) -> None:
    good = {"model": NATIVE, "input": "Hello"}
    nobodys, search = "conv_" + "0" * 32, [{"type": "web_search"}]
    cases: list[tuple[dict[str, Any], int, str, str | None]] = [
        ({"input": "Hello"}, 400, "model", "missing_required_parameter"),
        ({"model": NATIVE}, 400, "input", "missing_required_parameter"),
        ({**good, "model": "no-such"}, 404, "model", "model_not_found"),
        ({**good, "colour": 1}, 400, "colour", "unknown_parameter"),
        (
            {**good, "tools": search},
            400,
            "tools[0].type",
            "unsupported_parameter",
        ),
        ({**good, "temperature": 3}, 400, "temperature", "integer_above_max_value"),
        ({**good, "conversation": "conv_1"}, 404, "conversation", "conversation_not_found"),
        (
            {**good, "conversation": nobodys},
            404,
            "conversation",
            "conversation_not_found",
        ),
        (
            {**good, "previous_response_id": "resp_" + "0" * 32},
            400,
            "previous_response_id",
            "previous_response_not_found",
        ),
        ({**good, "background": True, "store": False}, 400, "background", None),
        ({**good, "stream_options": {}}, 400, "stream_options", None),
        ({**good, "prompt": {"id": "x"}}, 400, "prompt", "unsupported_parameter"),
        (
            {**good, "input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
            400,
            "input",
            None,
        ),
        (
            {
                **good,
                "input": [
                    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
                ],
            },
            400,
            "input",
            None,
        ),
        ({**good, "input": "word " * 200_000}, 400, "input", "context_length_exceeded"),
        (
            {**good, "text": {"format": {"type": "json_schema", "name": "x"}}},
            400,
            "text.format.schema",
            "missing_required_parameter",
        ),
    ]
    for body, status, param, code in cases:
        answer = gateway.post(cast, "responses", body)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"], error["code"]) == (status, param, code), error
    with tenant_schema(cast.code):
        assert not Turn.objects.exists()
        assert not Conversation.objects.exists()


def test_a_model_that_fails_leaves_nothing(gateway: Any, cast: Any) -> None:
    for stream in (False, True):
        body = {"model": NATIVE, "input": script(error=True), "stream": stream}
        assert gateway.post(cast, "responses", body).status_code >= 500
    with tenant_schema(cast.code):
        assert not Turn.objects.exists()
        assert not Conversation.objects.exists()


def test_another_tenants_responses_are_not_there(gateway: Any, client: openai.OpenAI) -> None:
    theirs = client.responses.create(model=NATIVE, input=script(text="Secret."))
    stranger = gateway.cast(name="globex")
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("GET", "/input_items"),
        ("GET", "?stream=true"),
    ):
        url = f"{gateway.base_url}/responses/{theirs.id}{path}"
        answer = requests.request(method, url, headers=stranger.auth, timeout=10)
        assert answer.status_code == 404, path
    body = {"model": NATIVE, "input": "Hm?", "previous_response_id": theirs.id}
    answer = gateway.post(stranger, "responses", body)
    assert answer.json()["error"]["code"] == "previous_response_not_found"
    reference = {"type": "item_reference", "id": theirs.output[0].id}
    answer = gateway.post(stranger, "responses", {"model": NATIVE, "input": [reference]})
    assert answer.status_code == 404
    assert client.responses.retrieve(theirs.id).output_text == "Secret."
