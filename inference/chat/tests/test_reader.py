"""Upstream's answers in all the forms that were seen, as events."""

from decimal import Decimal
from typing import Any

import pytest

from inference.chat.events import Delta, Event, Finish, Usage
from inference.chat.reader import AnswerReader
from inference.upstreams.failures import UpstreamCallError


def read(frames: list[dict[str, Any]], *, saw_done: bool = True, cap: int = 100) -> Any:
    reader = AnswerReader(output_cap=cap)
    events: list[Event] = list(reader.read_frames(iter(frames)))
    events += reader.finish_stream(saw_done=saw_done)
    return reader, events


def text(events: list[Event]) -> str:
    return "".join(event.content for event in events if isinstance(event, Delta))


def finishes(events: list[Event]) -> list[str]:
    return [event.reason for event in events if isinstance(event, Finish)]


def chunk(delta: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": None, **fields}
    usage = choice.pop("usage", None)
    return {"choices": [choice], **({"usage": usage} if usage else {})}


def tokens(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


TERMINAL = {"response": "", "usage": tokens(14, 16, neurons=0.659)}


def test_the_terminal_frame_has_the_totals_and_is_no_text() -> None:
    reader, events = read(
        [
            chunk({"role": "assistant", "content": ""}, usage=tokens(14, 0)),
            chunk({"reasoning_content": "Sum"}, usage=tokens(0, 1)),
            chunk({"content": "4"}, finish_reason="stop", usage=tokens(0, 1)),
            {"choices": [], "usage": tokens(0, 0)},
            TERMINAL,
        ]
    )
    assert text(events) == "4"
    assert [e.reasoning for e in events if isinstance(e, Delta) and e.reasoning] == ["Sum"]
    assert finishes(events) == ["stop"]
    assert reader.usage() == Usage(prompt_tokens=14, completion_tokens=16, neurons=Decimal("0.659"))


@pytest.mark.parametrize(("told", "known"), [("END", "END"), (7, None), (None, None)])
def test_the_stop_sequence_that_upstream_names_is_known(told: Any, known: str | None) -> None:
    whole = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop", "matched_stop": told}
    streamed = chunk({"content": "a"}, finish_reason="stop", matched_stop=told)
    _, events = read([streamed])
    for *_, last in (events, list(AnswerReader(output_cap=9).read_result({"choices": [whole]}))):
        assert isinstance(last, Finish)
        assert last.stop_sequence == known


def test_without_a_terminal_frame_increments_are_added_up() -> None:
    reader, _ = read(
        [
            chunk({"content": ""}, usage=tokens(14, 0)),
            chunk({"content": "a"}, usage=tokens(0, 1)),
            chunk({"content": "b"}, usage=tokens(0, 1), finish_reason="stop"),
            {"choices": [], "usage": tokens(0, 0)},
        ]
    )
    assert reader.usage() == Usage(prompt_tokens=14, completion_tokens=2)


def test_sums_so_far_are_not_added_up() -> None:
    reader, _ = read(
        [
            chunk({"content": "a"}, usage=tokens(14, 1)),
            chunk({"content": "b"}, usage=tokens(14, 2)),
            chunk({"content": "c"}, usage=tokens(14, 3), finish_reason="stop"),
        ]
    )
    assert reader.usage() == Usage(prompt_tokens=14, completion_tokens=3)


def test_a_total_on_the_last_chunk_without_choices_is_taken() -> None:
    reader, _ = read(
        [
            chunk({"content": "a"}),
            chunk({"content": "b"}, finish_reason="stop"),
            {"choices": [], "usage": tokens(14, 2)},
        ]
    )
    assert reader.usage() == Usage(prompt_tokens=14, completion_tokens=2)


def test_a_native_stream() -> None:
    reader, events = read(
        [
            {"response": "Li", "p": "abcdefgh"},
            {"response": "ma", "p": "abcd"},
            {"response": "", "usage": tokens(21, 2, neurons=1.17)},
        ]
    )
    assert text(events) == "Lima"
    assert finishes(events) == ["stop"]
    assert reader.counted_tokens == 2
    assert reader.usage() == Usage(prompt_tokens=21, completion_tokens=2, neurons=Decimal("1.17"))


@pytest.mark.parametrize(
    ("value", "expected"), [("7", "7"), (7, "7"), (7.5, "7.5"), (None, ""), ({"a": 1}, '{"a":1}')]
)
def test_a_native_response_of_any_type_becomes_text(value: Any, expected: str) -> None:
    _, events = read([{"response": value}, {"response": "", "usage": tokens(1, 1)}])
    assert text(events) == expected


def test_a_native_answer_that_used_the_whole_cap_was_cut() -> None:
    _, events = read([{"response": "x"}, {"response": "", "usage": tokens(1, 5)}], cap=5)
    assert finishes(events) == ["length"]


@pytest.mark.parametrize(
    "call",
    [
        {"name": "weather", "arguments": {"city": "Lima"}},
        {"name": "weather", "arguments": '{"city":"Lima"}'},
        {
            "id": "c1",
            "type": "function",
            "function": {"name": "weather", "arguments": {"city": "Lima"}},
        },
    ],
)
def test_native_tool_calls_of_every_spelling(call: dict[str, Any]) -> None:
    reader = AnswerReader(output_cap=10)
    delta, finish = reader.read_result({"response": None, "tool_calls": [call, call]})

    assert isinstance(delta, Delta)
    first, second = delta.tool_calls
    assert first["function"] == {"name": "weather", "arguments": '{"city":"Lima"}'}
    assert (first["index"], second["index"]) == (0, 1)
    assert first["id"].startswith("c")
    assert finish == Finish(0, "tool_calls")


def test_fragments_of_tool_calls_keep_their_index_and_nulls_are_dropped() -> None:
    _, events = read(
        [
            chunk(
                {
                    "tool_calls": [
                        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f"}}
                    ]
                }
            ),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a'}}]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '":1}'}}]}),
            chunk({"tool_calls": [{"index": 0, "id": None, "function": {"name": None}}]}),
            chunk(finish_reason="tool_calls"),
        ]
    )
    fragments = [f for e in events if isinstance(e, Delta) for f in e.tool_calls]
    assert fragments[0] == {
        "index": 0,
        "id": "c1",
        "type": "function",
        "function": {"name": "f", "arguments": ""},
    }
    assert "".join(f["function"]["arguments"] for f in fragments) == '{"a":1}'
    assert len(fragments) == 3


def test_arguments_that_come_before_the_name_are_kept() -> None:
    _, events = read(
        [
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
            chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ":1}"}}]}),
            chunk(finish_reason="tool_calls"),
        ]
    )
    (fragment,) = (f for e in events if isinstance(e, Delta) for f in e.tool_calls)
    assert fragment["function"] == {"name": "f", "arguments": '{"a":1}'}


def test_choices_that_each_report_the_prompt_are_added_up() -> None:
    reader = AnswerReader(output_cap=100, choices=2)
    frames = []
    for index in (0, 1):
        frames.append(chunk({"content": "a"}, index=index, usage=tokens(1000, 1)))
        frames += [chunk({"content": "b"}, index=index, usage=tokens(0, 1))] * 9
    list(reader.read_frames(iter(frames)))

    assert reader.usage() == Usage(prompt_tokens=1000, completion_tokens=20)


def test_a_choice_that_never_ends_is_missed() -> None:
    frames = [
        chunk({"content": "a"}, index=0, finish_reason="stop"),
        chunk({"content": "b"}, index=1),
    ]
    with pytest.raises(UpstreamCallError):
        read(frames)


@pytest.mark.parametrize(
    "result",
    [
        {"choices": [None]},
        {"choices": [{"message": "text"}]},
        {"choices": [{"message": {"tool_calls": ["x"]}}]},
        {"choices": [{"message": {"content": "a"}, "finish_reason": {"a": 1}}]},
    ],
)
def test_a_shape_that_nobody_expects_is_upstreams_failure(result: dict[str, Any]) -> None:
    with pytest.raises(UpstreamCallError):
        list(AnswerReader(output_cap=1).read_result(result))


def test_an_answer_without_usage_is_counted_with_its_tool_calls() -> None:
    reader = AnswerReader(output_cap=100)
    call = {"name": "f", "arguments": {"text": "word " * 500}}
    list(reader.read_result({"response": "", "tool_calls": [call]}))

    assert reader.usage() is None
    assert reader.counted_tokens > 500


def test_a_choice_without_an_index_is_the_first() -> None:
    _, events = read([{"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}])
    assert events == [Delta(index=0, content="a"), Finish(0, "stop")]


@pytest.mark.parametrize(
    "frames",
    [
        [chunk({"content": "a"})],
        [{"response": "a"}],
        [],
    ],
)
def test_a_stream_that_just_ends_is_broken(frames: list[dict[str, Any]]) -> None:
    with pytest.raises(UpstreamCallError):
        read(frames, saw_done=False)


@pytest.mark.parametrize(
    "frames",
    [
        [chunk({"content": "a"}, finish_reason="stop")],
        [chunk({"content": "a"}, finish_reason="stop"), TERMINAL],
        [{"response": "a", "usage": tokens(1, 1)}],
        [{"response": "a"}, {"response": "", "usage": tokens(1, 1)}],
    ],
)
def test_a_stream_without_its_last_mark_is_broken_however_complete_it_looks(
    frames: list[dict[str, Any]],
) -> None:
    with pytest.raises(UpstreamCallError):
        read(frames, saw_done=False)


@pytest.mark.parametrize(
    "frame",
    [
        {"errors": [{"code": 3043, "message": "boom"}], "success": False},
        {"success": False, "errors": []},
        {"error": {"message": "boom"}},
        {"error": [{"code": 2003, "message": "limited"}]},
        {"object": "error", "message": "boom", "code": 400},
        chunk(finish_reason="error"),
        chunk(finish_reason="abort"),
    ],
)
def test_an_error_inside_a_stream_is_a_failure(frame: dict[str, Any]) -> None:
    with pytest.raises(UpstreamCallError):
        read([chunk({"content": "a"}), frame])


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({}, Usage()),
        (tokens(-5, -1), Usage()),
        ({"prompt_tokens": None, "completion_tokens": "9"}, Usage()),
        (tokens(10, 2, prompt_tokens_details={"cached_tokens": 99}), Usage(10, 10, 2)),
        (tokens(10, 2, prompt_tokens_details=None), Usage(10, 0, 2)),
        (tokens(10, 2, completion_tokens_details={"reasoning_tokens": 1}), Usage(10, 0, 2, 1)),
        (tokens(10, 2, neurons="much"), Usage(10, 0, 2)),
        (tokens(10, 2, neurons=True), Usage(10, 0, 2)),
        (tokens(10, 2, neurons=1e15), Usage(10, 0, 2)),
        (tokens(True, 1e30), Usage()),
        (tokens(3e16, 2), Usage(0, 0, 2)),
    ],
)
def test_odd_usage_never_counts_below_nothing(usage: dict[str, Any], expected: Usage) -> None:
    assert Usage.parse(usage) == expected


def test_an_answer_of_no_known_form_is_a_failure() -> None:
    with pytest.raises(UpstreamCallError):
        list(AnswerReader(output_cap=1).read_result({"image": "…"}))


def fragment(name: Any = None, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return chunk({"tool_calls": [{"index": 0, "function": function, **fields}]})


def calls_in(events: list[Event]) -> list[tuple[int, str, str]]:
    """Index, name and arguments of each call, as a client puts them together."""
    found: dict[int, tuple[int, str, str]] = {}
    for event in events:
        for call in event.tool_calls if isinstance(event, Delta) else []:
            index, function = call["index"], call["function"]
            _, name, so_far = found.get(index, (index, "", ""))
            found[index] = (
                index,
                name + function.get("name", ""),
                so_far + function["arguments"],
            )
    return list(found.values())


@pytest.mark.parametrize(
    ("fragments", "expected"),
    [
        (
            [fragment("f", '{"a":1}', id="c1"), fragment("f", '{"b":2}', id="c2")],
            [(0, "f", '{"a":1}'), (1, "f", '{"b":2}')],
        ),
        ([fragment("f", "{}"), fragment("g", "{}")], [(0, "f", "{}"), (1, "g", "{}")]),
        (
            [fragment("f", "", id="c1"), fragment("f", '{"a":', id="c1"), fragment(None, "1}")],
            [(0, "f", '{"a":1}')],
        ),
        ([fragment("f", {"a": 1}, index=7)], [(0, "f", '{"a":1}')]),
        ([fragment("f", "{", index=1, id=5)], [(0, "f", "{")]),
    ],
)
def test_calls_are_told_apart_though_upstream_counts_wrongly(
    fragments: list[dict[str, Any]], expected: list[tuple[int, str, str]]
) -> None:
    _, events = read([*fragments, chunk(finish_reason="tool_calls")])

    assert calls_in(events) == expected


@pytest.mark.parametrize(
    "frames",
    [
        [fragment(None, "{}", id="c1"), chunk(finish_reason="tool_calls")],
        [fragment({"x": 1}, "{}"), chunk(finish_reason="tool_calls")],
        [{"response": "", "tool_calls": [{"name": None, "arguments": {}}]}, TERMINAL],
    ],
)
def test_a_call_without_a_name_is_no_answer(frames: list[dict[str, Any]]) -> None:
    with pytest.raises(UpstreamCallError):
        read(frames)


@pytest.mark.parametrize("index", [1, -1])
def test_a_choice_that_nobody_asked_for_is_no_answer(index: int) -> None:
    with pytest.raises(UpstreamCallError):
        read([chunk({"content": "a"}, index=index, finish_reason="stop")])


@pytest.mark.parametrize("word", ["word ", ""])
def test_an_answer_without_an_end_is_broken_off(word: str) -> None:
    endless = iter(lambda: {"response": word}, None)

    with pytest.raises(UpstreamCallError):
        list(AnswerReader(output_cap=100).read_frames(endless))


def test_many_tokens_in_one_piece_are_all_counted() -> None:
    reader, _ = read([{"response": "one two three four five six seven eight nine ten"}])

    assert reader.counted_tokens == 10


def test_a_private_label_is_not_passed_on() -> None:
    reader, _ = read([{"response": "a", "system_fingerprint": "at http://10.0.0.1:8080"}])

    assert reader.system_fingerprint is None


def test_parts_of_text_become_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    _, events = read([chunk({"content": parts}, finish_reason="stop")])

    assert text(events) == "ab"


def test_calls_that_never_came_are_no_reason_to_end() -> None:
    _, events = read([chunk({"content": "a"}), chunk(finish_reason="tool_calls")])

    assert finishes(events) == ["stop"]


@pytest.mark.parametrize("told", [{}, {"usage": tokens(1, 1)}])
def test_a_whole_answer_far_beyond_its_cap_is_none(told: dict[str, Any]) -> None:
    answer = {"response": "x" * 1_000_000, **told}

    with pytest.raises(UpstreamCallError):
        list(AnswerReader(output_cap=100).read_result(answer))
