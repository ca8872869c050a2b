from typing import Any

from inference.chat.events import Delta, Event, Finish
from inference.chat.single_calls import first_call_only


def call(index: int, arguments: str = "", choice: int = 0, content: str = "") -> Delta:
    fragment: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
    return Delta(index=choice, content=content, tool_calls=[fragment])


def test_later_calls_are_left_out_of_each_choice() -> None:
    events: list[Event] = [
        Delta(content="Let me look."),
        call(0, "{"),
        call(1, '{"b'),
        call(0, "}"),
        call(3, "{}", choice=1),
        call(4, "{}", choice=1, content="And"),
        Finish(0, "tool_calls"),
        Finish(1, "tool_calls"),
    ]
    left = list(first_call_only(events))

    calls = [
        (event.index, fragment["index"], fragment["function"]["arguments"])
        for event in left
        if isinstance(event, Delta)
        for fragment in event.tool_calls
    ]
    assert calls == [(0, 0, "{"), (0, 0, "}"), (1, 3, "{}")]
    texts = [event.content for event in left if isinstance(event, Delta) and event.content]
    assert texts == ["Let me look.", "And"]
    assert [event for event in left if isinstance(event, Finish)] == events[-2:]


def test_of_several_calls_in_one_piece_the_first_stays() -> None:
    both = Delta(tool_calls=[*call(0, "{}").tool_calls, *call(1, "{}").tool_calls])
    (event,) = first_call_only([both])
    assert isinstance(event, Delta)
    assert [fragment["index"] for fragment in event.tool_calls] == [0]
