"""Bodies that the service would refuse, with its codes and its words."""

from typing import Any

import pytest
import requests

from sandbox.workers_ai.tests.client import NATIVE, OPENAI, VISION, Caller, ask, script

BAD = "AiError: Bad input: Error: "
ONE_OF = f"{BAD}oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', "
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K"}}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Weather", "parameters": {"type": "object"}},
}
JSON_MODE = {"type": "json_schema", "json_schema": {"type": "object"}}


def message(content: Any, role: Any = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content}]}


def test_refusal_has_the_envelope_of_the_inference_layer(stand_in: Caller) -> None:
    response = stand_in.run(NATIVE, {})

    body = response.json()
    assert response.status_code == 400
    assert list(body) == ["errors", "success", "result", "messages"]
    assert (body["success"], body["result"], body["messages"]) == (False, {}, [])
    request_id = response.headers["cf-ai-req-id"]
    assert body["errors"] == [
        {
            "message": f"{ONE_OF}required properties at '/' are 'messages' ({request_id})",
            "code": 5006,
        }
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (message(None), "Type mismatch of '/messages/0/content', 'string' not in 'null'"),
        (message([]), "Type mismatch of '/messages/0/content', 'string' not in 'array'"),
        (message(5), "Type mismatch of '/messages/0/content', 'string' not in 'integer'"),
        (message("x", role=7), "Type mismatch of '/messages/0/role', 'string' not in 'integer'"),
        (
            {"messages": [{"role": "user"}]},
            "required properties at '/messages/0' are 'role,content'",
        ),
        ({"messages": "x"}, "Type mismatch of '/messages', 'array' not in 'string'"),
        ({"messages": ["x"]}, "Type mismatch of '/messages/0', 'object' not in 'string'"),
        (ask("x", temperature="hot"), "Type mismatch of '/temperature', 'number' not in 'string'"),
        (ask("x", temperature=5.5), "'/temperature' must be <= 5"),
        (ask("x", top_k=0), "'/top_k' must be >= 1"),
        (ask("x", seed=0), "'/seed' must be >= 1"),
        (ask("x", max_tokens=1.5), "Type mismatch of '/max_tokens', 'integer' not in 'number'"),
        (ask("x", max_tokens=0), "'/max_tokens' must be >= 1"),
        (ask("x", stream="yes"), "Type mismatch of '/stream', 'boolean' not in 'string'"),
        (ask("x", tools={}), "Type mismatch of '/tools', 'array' not in 'object'"),
    ],
)
def test_native_body_outside_the_schema(stand_in: Caller, body: dict[str, Any], words: str) -> None:
    assert stand_in.error(stand_in.run(NATIVE, body)) == (400, 5006, ONE_OF + words)


def test_all_violations_are_named(stand_in: Caller) -> None:
    body = {**message(None), "temperature": 9}

    _, _, text = stand_in.error(stand_in.run(NATIVE, body))

    assert "'/messages/0/content'" in text
    assert "'/temperature' must be <= 5" in text


def test_openai_shaped_model_has_no_prompt_alternative_in_its_message(stand_in: Caller) -> None:
    expected = f"{BAD}required properties at '/' are 'messages'"

    assert stand_in.error(stand_in.chat(OPENAI, {})) == (400, 5006, expected)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (message(None), "Type mismatch of '/messages/0/content', 'string' not in 'null'"),
        (ask("x", n=0), "'/n' must be >= 1"),
        (ask("x", n="2"), "Type mismatch of '/n', 'integer' not in 'string'"),
        (ask("x", stop=["a"] * 5), "maxItems at '/stop' is 4, got 5"),
        (ask("x", temperature=2.1), "'/temperature' must be <= 2"),
        (ask("x", max_completion_tokens=-1), "'/max_completion_tokens' must be >= 1"),
    ],
)
def test_openai_body_outside_the_schema(stand_in: Caller, body: dict[str, Any], words: str) -> None:
    assert stand_in.error(stand_in.chat(OPENAI, body)) == (400, 5006, BAD + words)


def test_text_parts_are_taken_where_the_model_takes_them(stand_in: Caller) -> None:
    parts = [{"type": "text", "text": script(echo=True)}, {"type": "text", "text": "more"}]

    answer = stand_in.chat(OPENAI, message(parts)).json()

    assert answer["choices"][0]["message"]["content"] == "Hello\nmore"


def test_image_for_a_model_without_eyes_is_the_engines_error(stand_in: Caller) -> None:
    status, code, text = stand_in.error(stand_in.chat(OPENAI, message([PICTURE])))

    assert (status, code) == (400, 8007)
    assert text.startswith('AiError: AiError: {"object":"error"')


def test_assistant_message_with_tool_calls_may_lack_content_unless_native(
    stand_in: Caller,
) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    history = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "mild"},
    ]

    assert stand_in.chat(OPENAI, {"messages": history}).status_code == 200
    assert stand_in.error(stand_in.run(NATIVE, {"messages": history}))[:2] == (400, 5006)


@pytest.mark.parametrize("model", [NATIVE, OPENAI])
def test_tool_with_a_description_that_is_no_text(stand_in: Caller, model: str) -> None:
    tool = {"type": "function", "function": {"name": "weather", "description": {"en": "x"}}}

    status, code, text = stand_in.error(stand_in.chat(model, ask("x", tools=[tool])))

    assert (status, code) == (400, 8001)
    assert "tools[0].function.description" in text


@pytest.mark.parametrize(
    "choice", ["any", "always", {"type": "function", "function": {"name": "other"}}]
)
def test_tool_choice_that_is_not_served(stand_in: Caller, choice: Any) -> None:
    response = stand_in.chat(OPENAI, ask("x", tools=[WEATHER], tool_choice=choice))

    assert stand_in.error(response)[:2] == (400, 8001)


def test_forced_tool_call_that_the_cap_would_cut(stand_in: Caller) -> None:
    text = script(tool_calls=[{"name": "weather", "arguments": {"city": "Lima"}}])
    named = {"type": "function", "function": {"name": "weather"}}
    body = ask(text, tools=[WEATHER], tool_choice=named, max_tokens=3)

    assert stand_in.error(stand_in.chat(OPENAI, body))[:2] == (400, 8006)
    assert stand_in.error(stand_in.chat(OPENAI, {**body, "stream": True}))[:2] == (400, 8006)
    assert stand_in.chat(OPENAI, {**body, "tool_choice": "auto"}).status_code == 200


def test_input_and_output_cap_together_must_fit_the_window(stand_in: Caller) -> None:
    fits = ask(script(text="ok"), max_tokens=23_900)
    prompt_tokens = stand_in.result(NATIVE, fits)["usage"]["prompt_tokens"]

    status, code, text = stand_in.error(stand_in.run(NATIVE, {**fits, "max_tokens": 24_000}))

    assert (status, code) == (413, 5021)
    assert text == (
        "AiError: AiError: The estimated number of input and maximum output tokens "
        f"({prompt_tokens + 24_000}) exceeded this model context window limit (24000)."
    )
    exactly = {**fits, "max_tokens": 24_000 - prompt_tokens}
    assert stand_in.run(NATIVE, exactly).status_code == 200


def test_prompt_longer_than_the_window_is_refused_without_a_cap(stand_in: Caller) -> None:
    response = stand_in.chat(OPENAI, ask("word " * 140_000))

    assert stand_in.error(response)[:2] == (413, 5021)


def test_json_mode_does_not_stream_on_native_models(stand_in: Caller) -> None:
    body = ask("x", response_format=JSON_MODE, stream=True)

    assert stand_in.error(stand_in.run(NATIVE, body)) == (
        400,
        5023,
        "AiError: JSON Schema mode is not supported with stream mode",
    )
    assert stand_in.chat(OPENAI, body).status_code == 200


def test_json_mode_of_a_native_model_that_has_none(stand_in: Caller) -> None:
    body = ask("x", response_format=JSON_MODE)

    assert stand_in.error(stand_in.run("@cf/meta/llama-3.2-3b-instruct", body)) == (
        400,
        5025,
        "AiError: This model doesn't support JSON Schema.",
    )


def test_json_mode_that_could_not_be_met(stand_in: Caller) -> None:
    body = ask(script(text="no JSON"), response_format=JSON_MODE)

    assert stand_in.error(stand_in.run(NATIVE, body)) == (
        400,
        5024,
        "AiError: JSON Mode couldn't be met",
    )


@pytest.mark.parametrize("model", ["@cf/nobody/nothing", "gpt-4o"])
def test_unknown_model(stand_in: Caller, model: str) -> None:
    expected = (400, 5007, f"AiError: No such model {model} or task")

    assert stand_in.error(stand_in.run(model, ask("x"))) == expected
    assert stand_in.error(stand_in.chat(model, ask("x"))) == expected


def test_retired_model_says_since_when(stand_in: Caller) -> None:
    gone = "AiError: Model has been deprecated: "
    response = stand_in.run("@cf/meta/llama-3-8b-instruct", ask("x"))

    assert stand_in.error(response) == (
        410,
        5028,
        f"{gone}This model was deprecated on 2026-05-30. Please use an alternative model.",
    )


def test_retired_model_with_an_alias_is_answered_by_the_other(stand_in: Caller) -> None:
    answer = stand_in.chat("@cf/moonshotai/kimi-k2.5", ask("x")).json()

    assert answer["model"] == "@cf/moonshotai/kimi-k2.6"


def test_licence_is_wanted_once_per_account(stand_in: Caller) -> None:
    model = "@cf/meta/llama-3.2-11b-vision-instruct"
    newcomer = Caller(stand_in.url, account="newcomer")

    before = newcomer.error(newcomer.run(model, ask("x")))
    agreeing = newcomer.error(newcomer.run(model, {"prompt": "agree"}))
    after = newcomer.run(model, ask("x"))

    assert before[:2] == agreeing[:2] == (403, 5016)
    assert "Thank you for agreeing" in agreeing[2]
    assert after.status_code == 200


@pytest.mark.parametrize(
    ("raw", "code"), [(b"", 3003), (b"{", 5006), (b"[]", 5006), (b'"x"', 5006)]
)
def test_body_that_is_no_json_object(stand_in: Caller, raw: bytes, code: int) -> None:
    response = requests.post(
        f"{stand_in.base}/run/{NATIVE}", data=raw, headers=stand_in.headers(), timeout=5
    )

    assert stand_in.error(response)[:2] == (400, code)


def test_knobs_of_odd_types_do_no_harm(stand_in: Caller) -> None:
    odd = {"reasoning_effort": {}, "options": [], "metadata": 5, "stream_options": "x"}

    assert stand_in.chat(OPENAI, ask("x", **odd)).status_code == 200
    unified = {"model": OPENAI, "input": ask("x", **odd), "options": []}
    gateway = {"cf-aig-gateway-id": "main"}
    assert stand_in.post("run", unified, headers=gateway).status_code == 200


def test_unknown_knobs_are_ignored(stand_in: Caller) -> None:
    response = stand_in.chat(VISION, ask("x", enable_thinking=False, whatever={"a": 1}))

    assert response.status_code == 200
