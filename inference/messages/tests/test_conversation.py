"""What becomes of Anthropic's messages in OpenAI's form."""

from typing import Any

from inference.messages.conversation import chat_messages
from inference.messages.params import PromptParams


def translated(*messages: Any, system: Any = None) -> list[dict[str, Any]]:
    params = PromptParams.model_validate(
        {"model": "m", "messages": list(messages), "system": system}
    )
    params.check()
    return list(chat_messages(params.messages, system=params.system))


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def image(data: str = "QUJD") -> dict[str, Any]:
    return {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": data},
    }


def use(call_id: str = "c1", **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "f", "input": arguments}


def result(call_id: str = "c1", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, **fields}


def test_strings_stay_strings() -> None:
    assert translated({"role": "user", "content": "Hi"}, system="Be brief.") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


def test_an_empty_system_prompt_is_none() -> None:
    for system in ("", [], None):
        assert [m["role"] for m in translated(user(text("Hi")), system=system)] == ["user"]


def test_text_blocks_become_one_string_and_images_make_parts() -> None:
    url = "data:image/png;base64,QUJD"
    assert translated(user(text("a"), text("b"))) == [{"role": "user", "content": "a\nb"}]
    assert translated(user(image(), text("What?"))) == [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "text", "text": "What?"},
            ],
        }
    ]


def test_messages_of_one_role_in_a_row_become_one() -> None:
    messages = translated(
        user(text("a")), user(text("b")), assistant(text("c")), assistant(text("d"))
    )
    assert [m["content"] for m in messages] == ["a\nb", "c\nd"]


def test_system_messages_further_down_join_the_first() -> None:
    messages = translated(
        user(text("Hi")), {"role": "system", "content": "Be kind."}, user(text("So?")), system="Be."
    )
    assert messages == [
        {"role": "system", "content": "Be.\n\nBe kind."},
        {"role": "user", "content": "Hi\nSo?"},
    ]


def test_tools_used_are_calls_and_their_results_follow_them() -> None:
    messages = translated(
        user(text("Go.")),
        assistant(text("Looking."), use("c1", n=2**70), use("c2")),
        user(
            text("And now?"),
            result("c1", content="one"),
            result("c2", content=[text("two"), text("three")], is_error=True),
        ),
    )
    _, calling, first, second, last = messages
    assert calling["content"] == "Looking."
    assert [call["id"] for call in calling["tool_calls"]] == ["c1", "c2"]
    assert calling["tool_calls"][0]["function"] == {"name": "f", "arguments": f'{{"n":{2**70}}}'}
    assert first == {"role": "tool", "tool_call_id": "c1", "content": "one"}
    assert second == {"role": "tool", "tool_call_id": "c2", "content": "Error: two\nthree"}
    assert last == {"role": "user", "content": "And now?"}


def test_results_alone_make_no_message_of_the_user() -> None:
    messages = translated(user(text("Go.")), assistant(use()), user(result()))
    assert [m["role"] for m in messages] == ["user", "assistant", "tool"]
    assert messages[-1]["content"] == ""


def test_images_of_a_result_follow_all_results() -> None:
    messages = translated(
        user(text("Go.")),
        assistant(use("c1"), use("c2")),
        user(result("c1", content=[text("see"), image()]), result("c2", content="x"), text("So?")),
    )
    *_, first, second, last = messages
    assert (first["content"], second["content"]) == ("see", "x")
    assert [part["type"] for part in last["content"]] == ["text", "image_url", "text"]
    assert "c1" in last["content"][0]["text"]


def test_thoughts_go_back_as_reasoning_and_sealed_ones_do_not() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
    sealed = {"type": "redacted_thinking", "data": "x"}
    empty = {"type": "thinking", "thinking": "", "signature": "x"}
    _, answer = translated(user(text("Hi")), assistant(thought, sealed, empty, text("Yes.")))
    assert answer == {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}


def test_documents_and_search_results_are_marked_text() -> None:
    document = {
        "type": "document",
        "title": "Forecast",
        "source": {"type": "content", "content": [text("Rain."), text("Wind.")]},
        "citations": {"enabled": True},
    }
    found = {
        "type": "search_result",
        "title": "Lima",
        "source": "https://lima.test",
        "content": [text("Grey.")],
    }
    (message,) = translated(user(document, found))
    assert message["content"] == (
        "<document>\n<title>Forecast</title>\nRain.\nWind.\n</document>\n"
        "<search_result>\n<title>Lima</title>\n<source>https://lima.test</source>\nGrey.\n"
        "</search_result>"
    )
