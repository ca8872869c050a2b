"""Chat completions, and plain ones."""

from inference.chat.params import ChatCompletionParams
from inference.completions.params import CompletionParams
from inference.reference.answers.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    Completion,
    CompletionChunk,
)
from inference.reference.groups.common import EVENTS, JSON, calls_a_model
from inference.reference.operation import Body, Content, Example
from inference.reference.refusals import CHATS

_MODEL = "llama-3.3-70b-fast"
_STREAM_PYTHON = """\
for chunk in answer:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    else:
        print("\\n$" + chunk.usage.request_cost)"""
_STREAM_JAVASCRIPT = """\
for await (const chunk of answer) {
  if (chunk.choices.length) process.stdout.write(chunk.choices[0].delta.content ?? "");
  else console.log("\\n$" + chunk.usage.request_cost);
}"""
_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city now",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
_CAPITAL = {
    "type": "json_schema",
    "json_schema": {
        "name": "capital",
        "schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
            "required": ["city", "country"],
        },
    },
}


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


OPERATIONS = (
    calls_a_model(
        path="/v1/chat/completions",
        id="createChatCompletion",
        tag="Chat",
        summary="Create a chat completion",
        description="A model's answer to a conversation, whole or streamed. With tools it may "
        "call your functions instead; with a `response_format` it answers JSON. Messages may "
        "have images for models with vision.\n\n"
        "Unknown parameters are refused. Null means that you did not send a parameter.",
        bodies={JSON: Body(ChatCompletionParams)},
        answers={
            JSON: Content((ChatCompletion,)),
            EVENTS: Content(
                events=(ChatCompletionChunk,), when="With `stream`; ends in `data: [DONE]`."
            ),
        },
        refusals=CHATS,
        examples=(
            Example(
                "A question",
                {"model": _MODEL, "messages": _user("What is the capital of Peru?")},
                call="chat.completions.create",
                python="print(answer.choices[0].message.content)",
                javascript="console.log(answer.choices[0].message.content);",
            ),
            Example(
                "Streamed",
                {
                    "model": _MODEL,
                    "messages": _user("Tell me a story of one sentence."),
                    "stream": True,
                    "stream_options": {"include_usage": True},
                },
                call="chat.completions.create",
                python=_STREAM_PYTHON,
                javascript=_STREAM_JAVASCRIPT,
            ),
            Example(
                "With a tool",
                {
                    "model": _MODEL,
                    "messages": _user("What is the weather in Lima?"),
                    "tools": [_WEATHER],
                    "tool_choice": "required",
                },
                call="chat.completions.create",
                python="print(answer.choices[0].message.tool_calls)",
                javascript="console.log(answer.choices[0].message.tool_calls);",
            ),
            Example(
                "JSON for a schema",
                {
                    "model": _MODEL,
                    "messages": _user("The capital of Peru?"),
                    "response_format": _CAPITAL,
                },
                call="chat.completions.create",
                python="print(answer.choices[0].message.content)",
                javascript="console.log(answer.choices[0].message.content);",
            ),
        ),
    ),
    calls_a_model(
        path="/v1/completions",
        id="createCompletion",
        tag="Chat",
        summary="Create a completion",
        description="A text that goes on where the prompt ends: OpenAI's older way to ask. Takes "
        "up to 32 prompts at once, as texts or as tokens of OpenAI's tokenizers.",
        bodies={JSON: Body(CompletionParams)},
        answers={
            JSON: Content((Completion,)),
            EVENTS: Content(
                events=(CompletionChunk,), when="With `stream`; ends in `data: [DONE]`."
            ),
        },
        refusals=CHATS,
        examples=(
            Example(
                "A sentence",
                {"model": _MODEL, "prompt": "The capital of Peru is", "max_tokens": 16},
                call="completions.create",
                python="print(answer.choices[0].text)",
                javascript="console.log(answer.choices[0].text);",
            ),
        ),
    ),
)
