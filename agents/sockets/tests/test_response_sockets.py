"""OpenAI's Responses over a WebSocket, by the openai package."""

from typing import Any

import openai

from agents.responses.tests.test_responses import WEATHER
from agents.tests.talker import script

MODEL = "qwen-3-30b"


def created(connection: Any, **params: Any) -> Any:
    """The response at its end."""
    connection.response.create(model=MODEL, **params)
    for event in connection:
        if event.type in {"response.completed", "response.incomplete", "response.failed", "error"}:
            return event
    raise AssertionError("it was closed")


def test_responses_follow_each_other_over_one_websocket(gateway: Any, cast: Any) -> None:
    client = openai.OpenAI(base_url=gateway.base_url, api_key=cast.key, max_retries=0)
    with client.responses.connect() as connection:
        first = created(connection, input=script(text="One.")).response
        assert first.output_text == "One."
        second = created(
            connection, input=script(text="Two."), previous_response_id=first.id
        ).response
        assert second.previous_response_id == first.id
        # Not stored, and followed all the same: over this WebSocket.
        hidden = created(connection, input="Remember 4711-ws.", store=False).response
        told = created(
            connection, input="Which?", previous_response_id=hidden.id, store=False
        ).response
        assert told.status == "completed"
        refused = created(connection, input="Hm?", previous_response_id=hidden.id)
        assert refused.type == "error"
    assert client.responses.retrieve(second.id).output_text == "Two."
    asked = [call["body"]["messages"] for call in gateway.upstream_calls("4711-ws")]
    assert [[m["role"] for m in messages] for messages in asked] == [
        ["user"],
        ["user", "assistant", "user"],
    ]


def test_tools_and_refusals_over_a_websocket(gateway: Any, cast: Any) -> None:
    client = openai.OpenAI(base_url=gateway.base_url, api_key=cast.key, max_retries=0)
    call = {"name": "weather", "arguments": {"city": "Lima"}}
    asked = script(tool_calls=[call], after_tools={"text": "It is warm."})
    with client.responses.connect() as connection:
        response = created(connection, input=asked, tools=[WEATHER]).response
        result = {
            "type": "function_call_output",
            "call_id": response.output[0].call_id,
            "output": "31 C",
        }
        told = created(
            connection, input=[result], previous_response_id=response.id, tools=[WEATHER]
        ).response
        assert told.output_text == "It is warm."
        refused = created(connection, input="Hi", previous_response_id="resp_" + "0" * 32)
        assert refused.error.code == "previous_response_not_found"
