"""How a message ends, and what its usage tells."""

from typing import Any

import orjson
import pytest

from agentflare.errors import UpstreamError
from inference.chat.events import Delta, Event, Finish, Usage
from inference.messages import shape as module
from inference.messages.blocks import Thoughts
from inference.messages.shape import MessageDialect, Shape
from inference.pipeline import Told

TOLD = Told(estimated_cost="0.2", request_cost="0.1", balance_remaining=None)
CALL: dict[str, Any] = {
    "index": 0,
    "id": "c1",
    "type": "function",
    "function": {"name": "f", "arguments": "{}"},
}


def dialect(thoughts: Thoughts = Thoughts.SHOWN) -> MessageDialect:
    return MessageDialect(
        Shape("msg_1", "m", "req_1", thoughts, stop_sequences=("END",), likely_input_tokens=7)
    )


def whole(*events: Event) -> dict[str, Any]:
    return dialect().whole(list(events), Usage(prompt_tokens=10, completion_tokens=3), TOLD)


def streamed(*events: Event, thoughts: Thoughts = Thoughts.SHOWN) -> list[dict[str, Any]]:
    written = dialect(thoughts)
    pieces = [written.begin(), *map(written.write, events), written.end(Usage(), TOLD)]
    lines = b"".join(pieces).split(b"\n")
    return [orjson.loads(line[6:]) for line in lines if line.startswith(b"data: ")]


@pytest.mark.parametrize(
    ("events", "reason", "matched"),
    [
        ([Delta(content="a"), Finish(0, "stop")], "end_turn", None),
        ([Delta(content="a"), Finish(0, "length")], "max_tokens", None),
        ([Delta(content="a"), Finish(0, "content_filter")], "refusal", None),
        ([Delta(refusal="No."), Finish(0, "stop")], "refusal", None),
        ([Delta(tool_calls=[CALL]), Finish(0, "tool_calls")], "tool_use", None),
        ([Delta(tool_calls=[CALL]), Finish(0, "stop")], "tool_use", None),
        ([Delta(tool_calls=[CALL]), Finish(0, "length")], "max_tokens", None),
        ([Finish(0, "tool_calls")], "end_turn", None),
        ([Delta(content="a"), Finish(0, "stop", stop_sequence="END")], "stop_sequence", "END"),
        # An end mark of the model's own, not the client's.
        ([Delta(content="a"), Finish(0, "stop", stop_sequence="</s>")], "end_turn", None),
    ],
)
def test_why_a_message_ends(events: list[Event], reason: str, matched: str | None) -> None:
    message = whole(*events)
    closing = streamed(*events)[-2]

    assert (message["stop_reason"], message["stop_sequence"]) == (reason, matched)
    assert closing["type"] == "message_delta"
    assert closing["delta"]["stop_reason"] == reason
    assert closing["delta"]["stop_sequence"] == matched
    assert (message["stop_details"] is not None) == (reason == "refusal")


def test_cached_tokens_are_no_input_tokens() -> None:
    usage = module.usage_object(
        Usage(prompt_tokens=10, cached_tokens=4, completion_tokens=3, reasoning_tokens=2), TOLD
    )
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (6, 4)
    assert usage["output_tokens_details"] == {"thinking_tokens": 2}
    assert (usage["estimated_cost"], usage["request_cost"]) == ("0.2", "0.1")


def test_an_answer_without_anything_has_no_blocks() -> None:
    assert whole(Finish(0, "stop"))["content"] == []


def test_a_stream_says_ping_while_the_model_thinks_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PING_S", -1.0)
    kinds = [
        event["type"]
        for event in streamed(
            Delta(reasoning="Hm."),
            Delta(content="a"),
            Finish(0, "stop"),
            thoughts=Thoughts.HIDDEN,
        )
    ]
    assert kinds[:4] == ["message_start", "ping", "ping", "content_block_start"]


def test_an_error_is_an_event() -> None:
    name, data, *_ = dialect().error(UpstreamError("Broken.")).split(b"\n")
    assert name == b"event: error"
    error = orjson.loads(data[6:])
    assert (error["error"]["type"], error["request_id"]) == ("api_error", "req_1")


def test_what_anthropics_schema_requires_is_there() -> None:
    """Null, but there: clients in Go and Java check it."""
    call = [Delta(tool_calls=[CALL]), Finish(0, "tool_calls")]
    message, events = whole(*call), streamed(*call)

    assert {"container", "diagnostics", "stop_details"} <= message.keys()
    usages = [message["usage"], events[0]["message"]["usage"], events[-2]["usage"]]
    for usage in usages:
        assert {
            "cache_creation", "output_tokens_details", "server_tool_use", "inference_geo", "speed",
        } <= usage.keys()  # fmt: skip
    assert "container" in events[-2]["delta"]
    blocks = [message["content"][0], events[2]["content_block"]]
    assert [block["caller"] for block in blocks] == [{"type": "direct"}] * 2
