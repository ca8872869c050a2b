"""Blocks come one after the other, whatever upstream mixes, and say the same whole and streamed."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from inference.chat.events import Delta
from inference.messages.blocks import Blocks, Thoughts


def call(index: int, arguments: str, name: str = "f") -> Delta:
    """The first fragment of a call names it."""
    named = {"index": index, "id": f"c{index}", "type": "function"}
    return Delta(tool_calls=[{**named, "function": {"name": name, "arguments": arguments}}])


def more(index: int, arguments: str) -> Delta:
    return Delta(tool_calls=[{"index": index, "function": {"arguments": arguments}}])


def run(
    *deltas: Delta, thoughts: Thoughts = Thoughts.SHOWN
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The blocks, and the steps of a stream that reads them."""
    blocks = Blocks(thoughts=thoughts, signature="sig")
    steps = []
    for delta in deltas:
        blocks.add(delta)
        steps += list(blocks.steps())
    steps += list(blocks.steps(is_last=True))
    return orjson.loads(orjson.dumps(blocks.objects())), steps


def put_together(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As a client does that knows one open block at a time."""
    blocks: list[dict[str, Any]] = []
    is_open = False
    written = ""
    for step in steps:
        if step["type"] == "content_block_start":
            assert not is_open
            assert step["index"] == len(blocks)
            blocks.append(dict(step["content_block"]))
            is_open, written = True, ""
            continue
        assert is_open
        assert step["index"] == len(blocks) - 1
        block = blocks[-1]
        if step["type"] == "content_block_stop":
            is_open = False
            if block["type"] == "tool_use" and written:
                block["input"] = orjson.loads(written)
            continue
        (field,) = step["delta"].keys() - {"type"}
        if field == "partial_json":
            written += step["delta"][field]
        else:
            block[field] += step["delta"][field]
    assert not is_open
    return blocks


def test_thought_text_and_tool() -> None:
    blocks, steps = run(
        Delta(reasoning="Hm"),
        Delta(reasoning="."),
        Delta(content="Let "),
        Delta(content="me."),
        call(0, '{"a"'),
        more(0, ":1}"),
    )
    assert blocks == put_together(steps)
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use"]
    assert (blocks[0]["thinking"], blocks[0]["signature"]) == ("Hm.", "sig")
    assert blocks[1]["text"] == "Let me."
    assert blocks[2]["input"] == {"a": 1}


def test_text_is_written_as_it_comes() -> None:
    blocks = Blocks(thoughts=Thoughts.SHOWN, signature="sig")
    blocks.add(Delta(content="a"))
    assert [step["type"] for step in blocks.steps()] == [
        "content_block_start",
        "content_block_delta",
    ]
    blocks.add(Delta(content="b"))
    assert [step["delta"]["text"] for step in blocks.steps()] == ["b"]


def test_mixed_calls_come_one_after_the_other() -> None:
    blocks, steps = run(
        call(0, '{"a":'), call(1, '{"b":'), more(0, "1}"), more(1, "2}"), call(2, "")
    )
    assert blocks == put_together(steps)
    assert [block["input"] for block in blocks] == [{"a": 1}, {"b": 2}, {}]


def test_a_call_without_arguments_waits_for_its_end_only() -> None:
    blocks, steps = run(call(0, ""), call(1, "{}"))
    assert blocks == put_together(steps)
    assert [block["id"] for block in blocks] == ["c0", "c1"]


def test_white_space_makes_no_block_but_stays_in_one() -> None:
    blocks, steps = run(Delta(content="\n\n"), call(0, "{}"), Delta(content=" "))
    assert blocks == put_together(steps)
    assert [block["type"] for block in blocks] == ["tool_use"]

    (block,), _ = run(Delta(content="\n"), Delta(content=" a "), Delta(content=" b"))
    assert block["text"] == "\n a  b"


def test_thoughts_are_shown_sealed_or_hidden() -> None:
    answer = (Delta(reasoning="Hm."), Delta(content="Yes."))
    for thoughts, kinds in (
        (Thoughts.SHOWN, ["thinking", "text"]),
        (Thoughts.OMITTED, ["thinking", "text"]),
        (Thoughts.HIDDEN, ["text"]),
    ):
        blocks, steps = run(*answer, thoughts=thoughts)
        assert blocks == put_together(steps)
        assert [block["type"] for block in blocks] == kinds
        assert ("Hm." in str(steps)) == (thoughts is Thoughts.SHOWN)


def test_input_that_is_no_object_is_wrapped() -> None:
    for written in ('{"a": ', "[1]", "nonsense"):
        blocks, _ = run(call(0, written))
        assert blocks[0]["input"] == {"INVALID_JSON": written}


def test_input_is_passed_on_as_the_model_wrote_it() -> None:
    blocks = Blocks(thoughts=Thoughts.SHOWN, signature="sig")
    blocks.add(call(0, f'{{"n":{2**80},"deep":{"[" * 300}{"]" * 300}}}'))
    assert str(2**80).encode() in orjson.dumps(blocks.objects())


@given(
    st.lists(
        st.one_of(
            st.builds(lambda text: Delta(content=text), st.sampled_from(["a", " ", "\n", "b c"])),
            st.builds(lambda text: Delta(reasoning=text), st.sampled_from(["x", " y"])),
            st.builds(
                lambda text, why: Delta(content=text, reasoning=why), st.just("t"), st.just("r")
            ),
        ),
        max_size=12,
    ),
    st.lists(st.integers(0, 2), max_size=9),
)
def test_streamed_and_whole_say_the_same(deltas: list[Delta], order: list[int]) -> None:
    """Fragments of three calls, mixed in any order, among anything else."""
    fragments = {n: ['{"k":', str(n), "}"] for n in range(3)}
    mixed = list(deltas)
    started: set[int] = set()
    for turn in [*order, *range(3), *range(3), *range(3)]:
        if fragments[turn]:
            make = more if turn in started else call
            started.add(turn)
            mixed.append(make(turn, fragments[turn].pop(0)))
    blocks, steps = run(*mixed)
    assert blocks == put_together(steps)
    inputs = [block["input"]["k"] for block in blocks if block["type"] == "tool_use"]
    assert sorted(inputs) == [0, 1, 2]
